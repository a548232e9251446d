"""Reading: timelines, members, unread counts, each checked against the reader's rights."""
