"""Send a message and wait until the server has stored it."""

from __future__ import annotations

from dataclasses import dataclass

from chat.client.model.records import OutboxRow
from chat.client.scripting.client import ScriptClient, join_existing
from chat.client.storage.outbox import new_row
from chat.errors import CommandError, ErrorCode
from chat.protocol.commands import Join

__all__ = ["Outgoing", "deliver"]

_MUST_JOIN = (ErrorCode.NOT_A_MEMBER, ErrorCode.NO_SUCH_CHANNEL)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Creates the outbox rows for messages to one channel."""

    channel: str
    cid: str = ""

    def row(self, text: str, number: int) -> OutboxRow:
        """Return message `number` as a row; with several messages, each gets a cid of its own."""
        cid = f"{self.cid}.{number}" if self.cid and number > 1 else self.cid
        return new_row({"type": "send", "channel": self.channel, "text": text}, cid)


async def deliver(client: ScriptClient, row: OutboxRow, *, may_create: bool) -> int:
    """Send a row until the server has stored it; return its seq.

    Args:
        client: joins the channel first if the user is not a member.
        row: the message.
        may_create: whether to create the channel if it does not exist.

    Raises:
        CommandError: it was rejected, or there is no such channel.
    """
    session = await client.session()
    try:
        command = session.command_of(row)
    except ValueError as exc:
        raise CommandError(ErrorCode.INVALID, str(exc)) from None
    try:
        answer = await client.ask(command)
    except CommandError as error:
        if error.code not in _MUST_JOIN:
            raise
        if may_create:
            await client.ask(Join(channel=row.channel))
        else:
            await join_existing(client, row.channel, " Add --create to create it.")
        answer = await client.ask(command)
    return answer.seq or 0
