"""What an operator does with a database file: check, reindex, back up, restore."""
