"""Logic of both interfaces: conversations, slash commands, completion, several servers."""
