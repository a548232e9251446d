"""Handle `history` and `mark`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat.protocol.commands import History, Mark
from chat.protocol.frames import Page, Read
from chat.server.handlers import builtin
from chat.store.operations import Marked, MarkRead, PageRead

if TYPE_CHECKING:
    from chat.server.reply import Reply
    from chat.server.session import Session

__all__ = ["history", "mark"]


def history(session: Session, command: History, reply: Reply) -> None:
    """Read a page; one that reaches the log's head with `after` goes over to live events."""
    builtin.refuse(command.channel)
    user, subscriptions = session.user, session.subscriptions
    limit = min(command.limit, session.services.limits.page)

    def done(page: PageRead) -> None:
        def send(complete: bool) -> None:
            reply.frame(
                Page(
                    id=reply.id,
                    channel=page.channel.name,
                    epoch=page.channel.epoch,
                    items=page.items,
                    complete=complete,
                    head=page.channel.head,
                )
            )

        live = subscriptions.channel(page.channel.name)
        is_following = live is not None and session.connection in live.followers
        is_log = command.after is not None and command.thread is None
        is_over = session.is_closed or subscriptions.has_left(page.channel)
        if not is_log or is_following or is_over or live is None:  # None: hidden
            send(page.complete)
        else:
            subscriptions.attach(page.channel, page.complete, send, None if page.items else read)

    def read() -> None:
        session.services.read_in_turn(
            subscriptions,
            lambda reader: reader.page(
                user,
                command.channel,
                before=command.before,
                after=command.after,
                around=command.around,
                thread=command.thread,
                pins=command.pins,
                limit=limit,
            ),
            done,
            reply.error,
        )

    read()


def mark(session: Session, command: Mark, reply: Reply) -> None:
    """Move the read marker, and tell one's other devices."""
    builtin.refuse(command.channel)
    user = session.user

    def done(marked: Marked) -> None:
        if marked.moved:
            _tell_devices(session, user.name, marked)
        reply.ok(seq=marked.read or None)

    session.services.write(MarkRead(user, command.channel, command.seq), done, reply.error)


def _tell_devices(session: Session, name: str, marked: Marked) -> None:
    frame = Read(
        channel=marked.channel.name,
        version=marked.read,
        seq=marked.read,
        unread=marked.unread,
        mentions=marked.mentions,
        head=marked.channel.head,
    )
    for device in session.services.hub.sessions_of(name):
        device.send(frame)
