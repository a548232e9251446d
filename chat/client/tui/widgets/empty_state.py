"""The empty state, shown instead of the timeline without a channel."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from chat.client.model.state import ConnectionChanged, Link

__all__ = ["EmptyState"]

_WAYS: tuple[tuple[str, str], ...] = (
    ("/join #general", "join or create a channel"),
    ("/channels", "browse all channels"),
    ("/msg NAME", "message a person"),
    ("F1", "show keys and commands"),
)


class EmptyState(Static):
    """A hint how to join or create a channel."""

    DEFAULT_CSS = """
    EmptyState {
        height: 1fr;
        width: 1fr;
        content-align: center middle;
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)

    def show(self, connection: ConnectionChanged) -> None:
        """Show the possible actions for a state of the connection."""
        title, ways = "You have not joined a channel yet", _WAYS
        if connection.link is Link.CONNECTING:
            title, ways = "Connecting…", ()
        elif connection.link is not Link.ONLINE:
            title, ways = "Nothing to show until the first connection", _WAYS[-1:]
        column = max((len(way) for way, _ in ways), default=0) + 3
        rows = [
            Content.assemble((way.ljust(column), "bold $text-primary"), (what, "$text-muted"))
            for way, what in ways
        ]
        width = max((row.cell_length for row in rows), default=0)
        padded = [row.pad_right(width - row.cell_length) for row in rows]
        self.update(Content("\n").join([Content.styled(title, "bold"), Content(""), *padded]))
