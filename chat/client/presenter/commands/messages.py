"""Write, edit, answer, react to, pin, copy and resend messages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from chat.client.model.emoji import resolve
from chat.client.model.slash.parser import Invocation
from chat.client.model.state import Message
from chat.client.platform.local_time import local_time
from chat.client.presenter.commands import targets
from chat.client.presenter.commands.requests import request, run_reported
from chat.client.presenter.composer.draft import check_length
from chat.client.presenter.conversation import Conversation, Handler, jump
from chat.client.presenter.markdown import gist, links_of
from chat.client.presenter.view import Choice, Refused
from chat.client.sync.core import Core, answer

if TYPE_CHECKING:
    from chat.protocol.items import Item


__all__ = ["HANDLERS"]


def _me(conversation: Conversation, asked: Invocation) -> None:
    key = targets.written_in(conversation, asked)
    conversation.drafts.send(asked.get("text"), key, me=True)


def _edit(conversation: Conversation, asked: Invocation) -> None:
    message = targets.own_message(conversation, asked)
    if text := asked.get("text"):
        check_length(text, conversation.state.text_limit)
        conversation.core.edit(message.channel, targets.seq_of(message), text)
    else:
        conversation.drafts.begin_edit(message, asked.thread)


def _delete(conversation: Conversation, asked: Invocation) -> None:
    channel = targets.here(conversation).name
    if asked.get("number").isdigit():
        # The message may be another user's: owners may delete it, and the server checks that.
        number = targets.target(conversation, asked)
    else:
        number = targets.seq_of(targets.own_message(conversation, asked))
    message = conversation.state.find(channel, number)

    def delete() -> None:
        conversation.core.delete(channel, number)

    conversation.view.confirm(
        "Delete this message? This cannot be undone.",
        message.text if message is not None else f"Message {number} in {channel}",
        delete,
    )


def _reply(conversation: Conversation, asked: Invocation) -> None:
    key, number = targets.written_in(conversation, asked), targets.target(conversation, asked)
    conversation.drafts.send(
        asked.get("text"), key, reply_to=number, in_channel=bool(asked.get("also"))
    )


def _thread(conversation: Conversation, asked: Invocation) -> None:
    conversation.threads.show(targets.here(conversation).name, targets.target(conversation, asked))


def _follow(conversation: Conversation, asked: Invocation) -> None:
    """Follow the thread of a message, or no longer."""
    from chat.protocol.commands import Follow

    channel, number = targets.here(conversation).name, targets.target(conversation, asked)
    line, remove = conversation.state.find(channel, number), asked.command.name == "unfollow"
    root = (line and line.thread) or number
    command = Follow(channel=channel, thread=root, remove=remove)
    done = "no longer follow" if remove else "follow"
    request(conversation, command, f"You {done} the thread of message {root}.")


def _show(conversation: Conversation, asked: Invocation) -> None:
    """Show a message of an ignored user."""
    message = targets.message(conversation, asked)
    if conversation.state.is_folded(message):
        conversation.state.reveal(message.channel, targets.seq_of(message))
        conversation.view.redraw()
    conversation.view.choose(targets.seq_of(message))


def _react(conversation: Conversation, asked: Invocation) -> None:
    emoji = resolve(asked.get("emoji"))
    remove = asked.command.name == "unreact"
    if not remove and emoji[:1] == emoji[-1:] == ":":
        raise Refused(f"Unknown emoji {emoji}. Type : and letters to find one.")
    conversation.core.react(
        targets.here(conversation).name, targets.target(conversation, asked), emoji, remove=remove
    )


def _pin(conversation: Conversation, asked: Invocation) -> None:
    remove = asked.command.name == "unpin"
    conversation.core.pin(
        targets.here(conversation).name, targets.target(conversation, asked), remove=remove
    )


def _copy(conversation: Conversation, asked: Invocation) -> None:
    conversation.view.copy(targets.message(conversation, asked).text)


def _open(conversation: Conversation, asked: Invocation) -> None:
    conversation.view.open_links(links_of(targets.message(conversation, asked).text))


def _pins(conversation: Conversation, asked: Invocation) -> None:
    list_pins(conversation, targets.here(conversation).name)


_PINS_PAGE = 1_000


_PAGES_MAX = 50


def list_pins(conversation: Conversation, channel: str) -> None:
    """List a channel's pinned messages, newest first; choosing one goes to it."""

    def go(key: str) -> None:
        jump(conversation, channel, int(key))

    async def work() -> None:
        pins = [item async for item in _pins_of(conversation.core, channel)]
        if pins:
            add = conversation.view.list_rows("Pinned", go, "Use /unpin NUMBER to unpin one")
            add(map(_pin_choice, pins))
        else:
            conversation.view.say("No pinned messages here.")

    run_reported(conversation, work())


async def _pins_of(core: Core, channel: str) -> AsyncIterator[Item]:
    """Yield a channel's pinned messages, newest first, page by page."""
    from chat.protocol.commands import History

    before: int | None = None
    for _ in range(_PAGES_MAX):
        page = await answer(
            core.ask(History(channel=channel, pins=True, before=before, limit=_PINS_PAGE))
        )
        items = [item for item in reversed(page.items) if before is None or item.seq < before]
        for item in items:
            yield item
        if page.complete or not items:
            return
        before = items[-1].seq


def _pin_choice(item: Item) -> Choice:
    label = f"{item.seq}. {item.author}, {local_time(item.ts):%d %b %Y %H:%M}"
    return Choice(str(item.seq), label, gist(item.text or ""))


def _retry(conversation: Conversation, asked: Invocation) -> None:
    for message in _failed(conversation):
        if message.cid is not None:
            conversation.core.retry(message.cid)


def _discard(conversation: Conversation, asked: Invocation) -> None:
    failed = _failed(conversation)

    def discard() -> None:
        for message in failed:
            if message.cid is not None:
                conversation.core.discard(message.cid)

    what = "this failed message" if len(failed) == 1 else f"{len(failed):,} failed messages"
    conversation.view.confirm(
        f"Discard {what}? This cannot be undone.",
        "\n".join(message.text for message in failed),
        discard,
    )


def _failed(conversation: Conversation) -> list[Message]:
    failed = conversation.state.log(targets.here(conversation).name).failed()
    if not failed:
        raise Refused("No failed messages here. Waiting messages are sent automatically.")
    return failed


HANDLERS: dict[str, Handler] = {
    "me": _me,
    "edit": _edit,
    "delete": _delete,
    "reply": _reply,
    "thread": _thread,
    "follow": _follow,
    "unfollow": _follow,
    "show": _show,
    "react": _react,
    "unreact": _react,
    "pin": _pin,
    "unpin": _pin,
    "copy": _copy,
    "open": _open,
    "pins": _pins,
    "retry": _retry,
    "discard": _discard,
}
"""The handlers by command name."""
