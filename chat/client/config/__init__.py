"""Settings of the client: flags, variables, `client.toml`, the first run, and where files live."""
