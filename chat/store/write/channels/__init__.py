"""Rules of channels: members, ownership, moderation, settings, and invitations."""
