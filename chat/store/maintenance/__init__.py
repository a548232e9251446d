"""What an operator does with a closed database: check, reindex, back up, restore."""
