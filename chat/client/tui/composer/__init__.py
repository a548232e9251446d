"""The composer: a text area with completion, history, drafts, and vi keys."""
