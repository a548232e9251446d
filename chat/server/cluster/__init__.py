"""Several servers on one database: events, notices, presence and typing between them."""
