"""What an operator does with a closed database: check, back up, restore, reindex."""
