"""The store: every channel's log on disk. The only place on the server that speaks SQL."""
