"""Everything the client keeps on disk: cache, outbox, drafts, tokens, known servers."""
