"""What only SQLite has: engine and pragmas, the FTS5 index, purging."""
