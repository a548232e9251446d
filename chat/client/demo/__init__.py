"""`chat-client --demo`: a temporary server with bots to try the client with."""
