"""Full-text search: the query, what matches it, and the snippets."""
