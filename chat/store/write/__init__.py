"""Rules of writing: the code that runs inside the writer's transaction."""
