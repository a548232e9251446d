"""Code specific to PostgreSQL: connections and errors, locks between servers, the word index."""
