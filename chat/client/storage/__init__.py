"""The client's files on disk: accounts, outbox, cache, tokens, known servers."""
