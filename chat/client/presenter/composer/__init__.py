"""What a person writes: the composer's state, drafts, and completion. No screen."""
