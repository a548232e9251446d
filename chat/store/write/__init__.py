"""Rules of writing: everything that runs inside the writer's transaction."""
