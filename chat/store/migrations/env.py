"""How Alembic runs the steps: on the connection, and in the transaction, of whoever asked."""

from alembic import context

from chat.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
