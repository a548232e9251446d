"""Handle `history`, `mark`, and `follow`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from chat.protocol.commands import Follow, History, Mark
from chat.protocol.frames import Ok, Page, Read
from chat.server.handlers import builtin
from chat.server.writes import Write
from chat.store.channels import FollowThread, MarkedThread, MarkThread
from chat.store.operations import Marked, MarkRead, PageRead
from chat.store.read.reader import Reader

if TYPE_CHECKING:
    from chat.server.session import Session

__all__ = ["follow", "history", "mark"]


async def history(session: Session, command: History) -> Page | None:
    """Read a page; attach to live events if a page with `after` reaches the head of the log."""
    builtin.refuse(command.channel)
    user, subscriptions = session.user, session.subscriptions
    limit = min(command.limit, session.context.settings.limits.page)
    is_log = command.after is not None and command.thread is None

    def query(reader: Reader) -> PageRead:
        return reader.page(
            user,
            command.channel,
            before=command.before,
            after=command.after,
            around=command.around,
            thread=command.thread,
            pins=command.pins,
            limit=limit,
        )

    is_sent = False
    while not is_sent:
        removals = subscriptions.removals
        page = await session.context.reads.log(session.connection, user, query)
        if removals != subscriptions.removals:
            continue  # another channel may have the name
        state = page.channel
        live = subscriptions.channel(state.name)
        is_following = live is not None and session.connection in live.followers
        if not is_log or is_following or live is None or subscriptions.has_left(state):
            # `live` is None for a hidden channel.
            return _page(command, page, is_complete=page.complete)
        is_sent = await subscriptions.attach(
            state,
            partial(_answer, session, command, page),
            is_read=page.complete,
            is_empty=not page.items,
        )
    return None


def _answer(session: Session, command: History, page: PageRead, is_complete: bool) -> None:
    session.answer(_page(command, page, is_complete=is_complete))


def _page(command: History, page: PageRead, *, is_complete: bool) -> Page:
    return Page.known(
        id=command.id,
        channel=page.channel.name,
        epoch=page.channel.epoch,
        items=page.items,
        complete=is_complete,
        head=page.channel.head,
    )


def mark(session: Session, command: Mark) -> Write[Marked] | Write[MarkedThread]:
    """Move the read marker of a channel or a thread, and send it to all sessions of the user."""
    builtin.refuse(command.channel)
    user = session.user
    if command.thread is not None:
        operation = MarkThread(user, command.channel, command.thread, command.seq)
        return _thread_changed(session, command, operation)

    def answer(marked: Marked) -> Ok:
        if marked.moved:
            frame = Read(
                channel=marked.channel.name,
                version=marked.read,
                seq=marked.read,
                unread=marked.unread,
                mentions=marked.mentions,
                head=marked.channel.head,
            )
            session.context.channels.marked(user.name, frame)
        return Ok.known(id=command.id, seq=marked.read or None)

    return Write(MarkRead(user, command.channel, command.seq), answer)


def follow(session: Session, command: Follow) -> Write[MarkedThread]:
    """Follow a thread, or stop following it."""
    builtin.refuse(command.channel)
    operation = FollowThread(session.user, command.channel, command.thread, command.remove)
    return _thread_changed(session, command, operation)


def _thread_changed(
    session: Session, command: Mark | Follow, operation: MarkThread | FollowThread
) -> Write[MarkedThread]:
    def answer(marked: MarkedThread) -> Ok:
        state = marked.state
        if marked.moved:
            frame = Read(
                channel=marked.channel.name,
                version=state.read,
                seq=state.read,
                unread=state.unread,
                mentions=state.mentions,
                head=marked.channel.head,
                thread=state.thread,
                following=marked.following,
            )
            session.context.channels.marked(session.user.name, frame)
        return Ok.known(id=command.id, seq=state.read or None)

    return Write(operation, answer)
