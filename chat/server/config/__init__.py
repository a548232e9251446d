"""The settings of a server and the arguments of its commands: flags, variables, and a file."""
