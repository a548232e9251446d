"""Text that the user types: the composer's state, drafts, and completion. No screens."""
