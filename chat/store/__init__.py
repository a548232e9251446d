"""The store: channel logs on disk. The only place on the server with SQL."""
