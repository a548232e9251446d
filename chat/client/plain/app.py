"""`chat-client --plain`: the conversation as lines."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress

from chat.client.config.settings import ClientSettings
from chat.client.exit_codes import ExitCode
from chat.client.model.notifications import Notification, Way
from chat.client.plain.terminal import Lines, Piped, Typed
from chat.client.plain.view import PlainView
from chat.client.platform import event_loop
from chat.client.platform.desktop import run_command
from chat.client.platform.stdio import accept_any_text, report_unsent
from chat.client.presenter.commands.table import HANDLERS
from chat.client.presenter.conversation import Conversation
from chat.client.presenter.navigation import PaneKey
from chat.client.presenter.notifier import Notifier
from chat.client.presenter.workspace import Cores, Workspace, WorkspaceServer
from chat.client.sync.core import Core, answer
from chat.errors import StartupError

__all__ = ["LineNotifier", "run"]


class LineNotifier:
    """The `NotificationSink` of plain mode.

    Args:
        lines: rings the terminal's bell.
        beside: runs a coroutine as a background task.
        way: the configured way; every way of the terminal is the bell here.
        command: the program to run, if `way` is "command".
    """

    def __init__(
        self,
        lines: Lines,
        beside: Callable[[Coroutine[None, None, None]], None],
        way: Way,
        command: Sequence[str],
    ) -> None:
        self._lines = lines
        self._way = way
        self._command = tuple(command)
        self._has_reported_failure = False
        """Whether the failure of the program was printed."""
        self.run_in_background = beside

    def notify(self, notification: Notification) -> None:
        """Show a notification."""
        if self._way == "command":
            self.run_in_background(self._run(notification))
        elif self._way != "none":
            self._lines.ring_bell()

    async def _run(self, notification: Notification) -> None:
        fault = await run_command(self._command, notification)
        if fault and not self._has_reported_failure:
            self._has_reported_failure = True
            self._lines.say([fault])


_STDIN = 0
_STOP_WITHIN = 2.0
_LAST_WORDS = 20.0
"""Seconds to wait for answers while no message is confirmed."""


def run(settings: ClientSettings, last_words: float = _LAST_WORDS) -> ExitCode:
    """Run plain mode until the user quits or the input ends.

    Args:
        settings: the settings, with all servers.
        last_words: seconds to wait for answers to piped input while no message is confirmed.

    Returns:
        The exit code; for piped input, whether all of it was done.

    Raises:
        StartupError: the core cannot start.
    """
    accept_any_text()
    return event_loop.run(_run(settings, last_words))


async def _run(settings: ClientSettings, last_words: float) -> ExitCode:
    loop = asyncio.get_running_loop()
    plain: Plain | None = None

    def take_in() -> None:
        if plain is not None:
            plain.take_in()

    def wake() -> None:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(take_in)

    cores = Cores(settings, lambda each: Core(each, wake=wake))
    cores.open()
    cores.start()
    try:
        plain = Plain(cores, settings, last_words)
        return await plain.run()
    finally:
        plain = None  # ignore later updates
        cores.stop(_STOP_WITHIN)
        report_unsent(0 if settings.demo else cores.unsent(), cores.unsaved())


class Plain:
    """Plain mode: prints all conversations; typed text goes to the shown one.

    Args:
        cores: the started cores.
        settings: the settings, with all servers.
        last_words: see `run`.
    """

    def __init__(
        self, cores: Cores, settings: ClientSettings, last_words: float = _LAST_WORDS
    ) -> None:
        self._cores = cores
        self._patience = last_words
        self._over = asyncio.Event()
        self._code = ExitCode.DONE
        self._changed = asyncio.Event()
        self._commands: set[asyncio.Task[None]] = set()
        self._ending: asyncio.Task[None] | None = None
        self._voices: dict[int, PlainView] = {}
        self._lines: Lines = (
            Typed(self.submit, self._end)
            if os.isatty(_STDIN)
            else Piped(self.submit, self._end, self._answered)
        )
        sink = LineNotifier(self._lines, self._beside, settings.notify, settings.notify_command)
        self._notifier = Notifier(sink, cores)
        self._workspace = Workspace(cores, self._converse)
        self._workspace.take()
        self._lines.sources = self._workspace.sources
        self._lines.look_up = self._workspace.look_up
        self._lines.drafted = self._save_draft
        self._lines.dismissed = self._dismiss

    def _converse(self, server_key: int, settings: ClientSettings, core: Core) -> Conversation:
        voice = PlainView(server_key, self._workspace, core, self._lines, self._beside, self._end)
        self._voices[server_key] = voice
        return Conversation(
            core,
            voice,
            settings.name,
            server_key=server_key,
            workspace=self._workspace,
            notifier=self._notifier,
            commands=HANDLERS,
            typing=settings.typing,
            saves_drafts=isinstance(self._lines, Typed),
        )

    async def run(self) -> ExitCode:
        """Run until the end; return the exit code.

        Raises:
            OSError: lines cannot be printed.
            StartupError: with piped input, the server refused the user or a join.
        """
        user = self._conversation.state.user
        self._lines.say([f"Starting as {user}. Type /help for commands.", *self._cores.faults])
        self._notifier.resume(lambda: None)
        if note := self._notifier.note:
            self._lines.say([f"{note.capitalize()}."])
        self.take_in()
        try:
            if isinstance(self._lines, Piped):  # piped lines need an open channel
                await self._until(lambda: self._is_ready_for_input)
            self._lines.open()
            await self._over.wait()
        finally:
            self._workspace.close()
            self._lines.close()
            for task in (*self._commands, *filter(None, [self._ending])):
                task.cancel()
        if self._lines.failure is not None:
            raise self._lines.failure
        if failure := self._refusal or self._lines.fault:
            raise StartupError(failure)
        return self._code

    def take_in(self) -> None:
        """Print the pending updates of all cores."""
        self._workspace.take_in()
        self._voices[self._workspace.front.key].mark_printed_as_read()
        if self._refusal:
            self._over.set()
        self._changed.set()

    @property
    def _conversation(self) -> Conversation:
        return self._workspace.front.conversation

    @property
    def _key(self) -> PaneKey:
        """The channel that typed text goes to."""
        return PaneKey(self._conversation.drafts.channel)

    @property
    def _is_ready_for_input(self) -> bool:
        """Whether a channel is open and a connection was tried, so that `/join` can be answered."""
        return self._workspace.have_tried and self._conversation.state.current is not None

    @property
    def _refusal(self) -> str:
        """Why the server refuses the user; empty in a terminal, where the user can act."""
        is_piped = isinstance(self._lines, Piped)
        return self._voices[self._workspace.front.key].refusal if is_piped else ""

    def submit(self, text: str) -> None:
        """Submit a typed line: a message or a command."""
        if self._ending is not None:
            return  # lines after `/quit` belong to the shell
        self._conversation.drafts.submit(text, self._key)
        self.take_in()

    def _save_draft(self, text: str) -> None:
        self._conversation.drafts.keep(text, self._key)

    def _dismiss(self) -> None:
        self._conversation.drafts.cancel(self._key)

    def _end(self) -> None:
        if self._ending is None:
            self._ending = asyncio.get_running_loop().create_task(self._last_words())

    async def _last_words(self) -> None:
        if isinstance(self._lines, Piped):
            is_answered = await self._answered(list(self._workspace))
            with suppress(TimeoutError):
                async with asyncio.timeout(_STOP_WITHIN):
                    for server in list(self._workspace):
                        await answer(server.conversation.core.settled())
            self.take_in()
            if self._lines.refusals:
                self._code = ExitCode.REFUSED
            elif not is_answered:
                self._code = ExitCode.QUEUED
        self._over.set()

    async def _answered(self, servers: Iterable[WorkspaceServer] = ()) -> bool:
        """Wait until `servers` (by default the connected ones) have answered.

        Returns:
            False if no message was confirmed for `last_words` seconds.
        """
        waited_for = servers or [
            server for server in self._workspace if self._voices[server.key].is_online
        ]
        answering = asyncio.ensure_future(self._all_answered(waited_for))
        try:
            before = -1
            while self._messages_answered > before:
                before = self._messages_answered
                done, _ = await asyncio.wait([answering], timeout=self._patience)
                if done:
                    answering.result()
                    return True
            return False
        finally:
            answering.cancel()

    async def _all_answered(self, servers: Iterable[WorkspaceServer]) -> None:
        await self._until(lambda: not self._commands)
        for server in servers:
            await answer(server.conversation.core.idle())
        self.take_in()

    @property
    def _messages_answered(self) -> int:
        """Number of the user's messages that the servers confirmed or refused."""
        return sum(voice.answered for voice in self._voices.values())

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition() and not self._over.is_set():
            self._changed.clear()
            await self._changed.wait()

    def _beside(self, work: Coroutine[None, None, None]) -> None:
        """Run a coroutine as a background task."""
        task = asyncio.get_running_loop().create_task(work)
        self._commands.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._commands.discard(task)
        self._changed.set()
