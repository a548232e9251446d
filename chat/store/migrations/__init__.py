"""Schema migrations, run by Alembic when the store opens."""
