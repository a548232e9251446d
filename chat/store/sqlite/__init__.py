"""Code specific to SQLite: engine and pragmas, the FTS5 index, purging."""
