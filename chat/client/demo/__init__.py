"""`chat-client --demo`: a server of one's own to play with, gone without a trace afterwards."""
