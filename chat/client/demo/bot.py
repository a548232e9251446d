"""A bot of the demo: follows its script and answers."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from chat.client.config.settings import ClientSettings
from chat.client.demo.script import COMPANIONS, Act, answer_to
from chat.client.scripting.client import ScriptClient
from chat.errors import CommandError
from chat.protocol.commands import AnsweredBy, Delete, Edit, Join, React, Send, SetTopic, Typing
from chat.protocol.frames import Ok, ServerFrame
from chat.protocol.items import Event
from chat.text import GENERAL, fold, is_direct

__all__ = ["Bot"]

_PATIENCE = 30.0
_THINKS = 1.2
"""Seconds between a message and its answer."""


class Bot:
    """One of those who are there already.

    Args:
        settings: with the companion's name.
    """

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        self._heard: asyncio.Queue[Event] = asyncio.Queue()
        self._asked: asyncio.Queue[tuple[Act, int, asyncio.Future[int]]] = asyncio.Queue()
        self._turns = 0

    async def perform(self, act: Act, seq: int) -> int:
        """Do what the script says, about message `seq`; return the number that it got."""
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._asked.put_nowait((act, seq, done))
        return await done

    async def run(self) -> None:
        """Be there until cancelled."""
        async with ScriptClient.open(self._settings, _PATIENCE, self._take) as visit:
            await visit.ask(Join(channel=GENERAL))
            visit.wait_for_ever()
            await asyncio.gather(self._perform_all(visit), self._answer_all(visit))

    def _take(self, frame: ServerFrame) -> None:
        if isinstance(frame, Event) and frame.kind == "message":
            self._heard.put_nowait(frame)

    async def _perform_all(self, visit: ScriptClient) -> None:
        while True:
            act, seq, done = await self._asked.get()
            answer = await visit.ask(_command(act, seq))
            visit.wait_for_ever()
            done.set_result(answer.seq or 0)

    async def _answer_all(self, visit: ScriptClient) -> None:
        while True:
            event = await self._heard.get()
            if fold(event.author) in COMPANIONS or event.text is None:
                continue
            answer = answer_to(
                self._settings.name, event.text, self._turns, is_direct=is_direct(event.channel)
            )
            self._turns += 1
            if answer:
                with suppress(CommandError):
                    await visit.ask(Typing(channel=event.channel))
                    await asyncio.sleep(_THINKS)
                    await visit.ask(Send(channel=event.channel, text=answer))
                visit.wait_for_ever()


def _command(act: Act, seq: int) -> AnsweredBy[Ok]:
    match act.kind:
        case "say":
            return Send(channel=GENERAL, text=act.text)
        case "reply":
            return Send(channel=GENERAL, text=act.text, reply_to=seq)
        case "react":
            return React(channel=GENERAL, seq=seq, emoji=act.text)
        case "edit":
            return Edit(channel=GENERAL, seq=seq, text=act.text)
        case "delete":
            return Delete(channel=GENERAL, seq=seq)
        case "topic":
            return SetTopic(channel=GENERAL, topic=act.text)
