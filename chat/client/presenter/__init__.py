"""What both interfaces share: conversations, slash commands, completion, several servers."""
