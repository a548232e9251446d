"""Alembic's environment: runs on the caller's connection and transaction."""

from alembic import context

from chat.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
