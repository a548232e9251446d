"""`chat-client --plain`: the conversation as lines. All commands work as they do on the screens."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress

from chat.client.config import ClientSettings
from chat.client.core import Core
from chat.client.inbox import Unread
from chat.client.plain.announcer import Announcer
from chat.client.plain.lines import Lines, Piped, Typed
from chat.client.slash import COMMANDS, is_command
from chat.client.state import (
    ChannelsChanged,
    ConnectionChanged,
    Link,
    TimelineChanged,
    Update,
)
from chat.client.tui.bench import Pane, Refused, Severity
from chat.client.tui.choice import Choice
from chat.client.tui.conversation import Conversation
from chat.client.tui.desk import title_of
from chat.client.tui.listings import AddRows
from chat.errors import StartupError
from chat.text import printable_line

__all__ = ["run"]

_STDIN = 0
_LAST_WORDS = 5.0
"""Seconds that what was piped in gets to be confirmed, after its end."""


def run(settings: ClientSettings) -> None:
    """Run the linear mode until the person leaves, or the input ends.

    Raises:
        StartupError: the core cannot start.
    """
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # text, always
    asyncio.run(_run(settings))


async def _run(settings: ClientSettings) -> None:
    loop = asyncio.get_running_loop()
    plain: Plain | None = None

    def take_in() -> None:
        if plain is not None:
            plain.take_in()

    def wake() -> None:
        with suppress(RuntimeError):  # the loop is over already
            loop.call_soon_threadsafe(take_in)

    core = Core(settings, wake=wake)
    core.start()
    try:
        plain = Plain(settings, core)
        await plain.run()
    finally:
        core.stop()


class Plain:
    """The `View` of a conversation, in lines; see there for what each method promises.

    Args:
        settings: with a name.
        core: started.
    """

    def __init__(self, settings: ClientSettings, core: Core) -> None:
        self._core = core
        self._url = settings.url
        self._over = asyncio.Event()
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._announcer = Announcer()
        self._opened: set[str] = set()
        self._told_link: tuple[Link, str] | None = None
        self._refusal = ""
        kind = Typed if os.isatty(_STDIN) else Piped
        self._lines: Lines = kind(self._submit, self._end)
        self._conversation = Conversation(core, self, settings.name, typing=settings.typing)

    async def run(self) -> None:
        """Show everything as lines, until it is over.

        Raises:
            StartupError: the server does not let one in, and nobody is there to change that.
        """
        self._lines.say([f"chat as {self._conversation.desk.user}. /help lists the commands."])
        self.take_in()
        try:
            if isinstance(self._lines, Piped):  # nobody waits until there is somewhere to write
                await self._until(lambda: self._conversation.desk.current is not None)
            self._lines.open()
            await self._over.wait()
        finally:
            self._conversation.close()
            self._lines.close()
            for task in self._tasks:
                task.cancel()
        if self._refusal:
            raise StartupError(self._refusal)

    def take_in(self) -> None:
        """Say what the core told."""
        for update in self._core.drain():
            self._lines.say(self._said(update))
            self._conversation.take_in([update])
        if current := self._conversation.desk.current:
            self._conversation.seen(current, self._announcer.last(current))
        self._changed.set()

    def _said(self, update: Update) -> list[str]:
        match update:
            case ConnectionChanged():
                return self._link(update)
            case ChannelsChanged():
                for info in update.channels:  # what is said anywhere is to be heard
                    if info.name not in self._opened:
                        self._opened.add(info.name)
                        self._core.open_channel(info.name)
                self._opened &= {info.name for info in update.channels}
            case TimelineChanged():
                return self._timeline(update)
        return []

    def _timeline(self, change: TimelineChanged) -> list[str]:
        is_new = not self._announcer.last(change.channel)
        waiting = set(self._announcer.waiting)
        said = self._announcer.announce(change, self._heard_by(change.channel))
        if is_new and not said and change.channel == self._conversation.desk.current:
            said = self._announcer.newest(change.channel)
        if self._announcer.waiting - waiting and not self._is_online:
            said.append("Kept on this computer; sent once there is a connection.")
        return said

    def _heard_by(self, channel: str) -> str | None:
        """Return whom a line must mention to be said: in a channel that is muted, and not here."""
        info = self._conversation.desk.channels.get(channel)
        if info is None or not info.muted or channel == self._conversation.desk.current:
            return None
        return self._conversation.desk.user

    @property
    def _is_online(self) -> bool:
        return self._told_link is not None and self._told_link[0] is Link.ONLINE

    def _link(self, told: ConnectionChanged) -> list[str]:
        known = (told.link, told.detail)
        if known == self._told_link or told.link is Link.CONNECTING:
            return []
        self._told_link = known
        if told.link is Link.REFUSED and isinstance(self._lines, Piped):
            self._refusal = told.detail  # nobody is there to do something about it
            self._over.set()
        match told.link:
            case Link.ONLINE:
                return [f"Connected to {printable_line(told.server)} as {told.user}."]
            case Link.WAITING:
                return [f"Not connected: {told.detail}. Trying again by itself."]
        return [f"Not connected: {told.detail}. /reconnect tries again."]

    def _submit(self, text: str) -> None:
        self._conversation.submit(text, self._conversation.desk.current or "")
        self.take_in()

    def _end(self) -> None:
        self.run_beside(self._last_words())

    async def _last_words(self) -> None:
        if isinstance(self._lines, Piped):
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORDS):
                    await asyncio.sleep(0.1)  # the last text is on its way to the outbox
                    await self._until(lambda: not self._announcer.waiting)
        self._over.set()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition() and not self._over.is_set():
            self._changed.clear()
            await self._changed.wait()

    # What the conversation asks for

    def composed(self) -> str:
        """Return what is typed."""
        return self._lines.text

    def compose_with(self, text: str, channel: str) -> None:
        """Let a text be what is typed."""
        self._lines.prompt = printable_line(channel)
        self._lines.load(text.replace("\n", " "))

    def give_back(self, text: str) -> None:
        """Put a text that was not sent before what is typed; a command was not much work."""
        if not is_command(text):
            self._lines.load(" ".join(filter(None, (text, self._lines.text))))

    def show_timeline(self, channel: str, user: str, read: int) -> None:
        """Say where one is now, and what was said there last."""
        info = self._conversation.desk.channels.get(channel)
        name = title_of(info) if info else channel
        topic = f" Topic: {printable_line(info.topic)}" if info and info.topic else ""
        unread = f" {info.unread} unread." if info and info.unread else ""
        self._lines.say(
            [f"You are in {printable_line(name)}.{unread}{topic}", *self._announcer.newest(channel)]
        )

    def update_timeline(self, change: TimelineChanged) -> None:
        """Do nothing: it was said."""

    def step_back(self) -> None:
        """Do nothing: there is no other conversation."""

    def come_forward(self) -> None:
        """Do nothing: it is in front."""

    def choose(self, seq: int) -> bool:
        """Say a message, if it was said before."""
        channel = self._conversation.desk.current or ""
        message = self._conversation.desk.recent(channel).find(seq)
        if message is not None:
            self._lines.say([f"{message.author}: {printable_line(message.text)}"])
        return message is not None

    def unread_from(self) -> int | None:
        """Return nothing: what is new is said as it comes."""
        return None

    def show_unread(self) -> None:
        """Say that there is nothing to go to."""
        raise Refused("Lines are read as they come: nothing here is unread.")

    def list_unread(self, found: tuple[Unread, ...], conversation: Conversation) -> None:
        """Say what waits."""
        for unread in found:
            name = printable_line(unread.channel)
            self._lines.say(
                f"{each.message.author} in {name}: {printable_line(each.message.text)}"
                for each in unread.waiting
            )

    def redraw(self, conversation: Conversation) -> None:
        """Do nothing: what was said stays."""

    def alert(self) -> None:
        """Do nothing: every line is said."""

    def run_beside(self, work: Coroutine[None, None, None]) -> None:
        """Run something that waits, beside everything else."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def list_rows(self, title: str, then: Callable[[str], None]) -> AddRows:
        """Say a list; what it lists is entered by its name."""
        self._lines.say([f"{title}:"])

        def add(rows: Iterable[Choice]) -> None:
            self._lines.say(
                f"{printable_line(row.label)}, {printable_line(row.note)}" for row in rows
            )

        return add

    def set_theme(self, name: str) -> None:
        """Say that there are no colours."""
        raise Refused("There are no colours here: the lines are the terminal's own.")

    def toggle(self, pane: Pane) -> None:
        """Say a list that stands at the side of the screens."""
        desk = self._conversation.desk
        if pane == "sidebar":
            self._lines.say(
                f"{printable_line(title_of(info))}, {info.unread} unread"
                for info in desk.channels.values()
            )
        elif desk.current in desk.members:
            members = desk.members[desk.current].members
            self._lines.say(f"{printable_line(name)}, {presence}" for name, _, presence in members)

    def show_help(self) -> None:
        """Say all commands."""
        self._lines.say(f"{command.usage}: {command.help}" for command in COMMANDS)

    def quit(self) -> None:
        """End the program."""
        self._end()

    def say(self, text: str, severity: Severity = "information") -> None:
        """Tell the person something."""
        self._lines.say([text])
