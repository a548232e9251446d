"""A bot of the demo: performs the script's steps and answers messages."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from chat.client.config.settings import ClientSettings
from chat.client.demo.script import BOT_NAMES, GARDEN, OPENING, Step, answer_to
from chat.client.scripting.client import ScriptClient
from chat.errors import CommandError
from chat.protocol.commands import (
    AnsweredBy,
    Create,
    Delete,
    Edit,
    Invite,
    Join,
    Kick,
    MuteUser,
    React,
    Send,
    SetRole,
    SetTopic,
    Typing,
)
from chat.protocol.frames import Joined, Ok, ServerFrame
from chat.protocol.items import Event, Item
from chat.text import GENERAL, fold, is_direct

__all__ = ["Bot"]

_TIMEOUT = 30.0
_ANSWER_DELAY = 1.2
"""Seconds between a message and its answer."""


class Bot:
    """One of the demo's bots.

    Args:
        settings: with the bot's name.
    """

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        self._messages: asyncio.Queue[tuple[str, Event | Item]] = asyncio.Queue()
        self._steps: asyncio.Queue[tuple[Step, int, asyncio.Future[int]]] = asyncio.Queue()
        self._turns = 0

    async def perform(self, step: Step, seq: int) -> int:
        """Perform a step of the script, about message `seq`; return the seq of its event."""
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._steps.put_nowait((step, seq, done))
        return await done

    async def run(self) -> None:
        """Run until cancelled."""
        async with ScriptClient.open(self._settings, _TIMEOUT, self._take) as client:
            await client.ask(Join(channel=GENERAL))
            client.suspend_timeout()
            await asyncio.gather(self._perform_all(client), self._answer_all(client))

    def _take(self, frame: ServerFrame) -> None:
        if isinstance(frame, Event) and frame.kind in ("message", "join"):
            self._messages.put_nowait((frame.channel, frame))
        elif isinstance(frame, Joined) and is_direct(frame.channel):
            # The first message of a direct channel comes with the channel.
            for item in frame.items:
                if item.kind == "message":
                    self._messages.put_nowait((frame.channel, item))

    async def _perform_all(self, client: ScriptClient) -> None:
        while True:
            step, seq, done = await self._steps.get()
            answer = await client.ask(_command(step, seq))
            client.suspend_timeout()
            done.set_result(answer.seq or 0 if isinstance(answer, Ok) else 0)

    async def _answer_all(self, client: ScriptClient) -> None:
        while True:
            channel, message = await self._messages.get()
            if fold(message.author) in BOT_NAMES:
                continue
            if message.kind == "join" and channel == GENERAL:
                await self._invite(client, message.author)
            if message.text is None:
                continue
            answer = answer_to(
                self._settings.name, message.text, self._turns, is_direct=is_direct(channel)
            )
            self._turns += 1
            if answer:
                with suppress(CommandError):
                    await client.ask(Typing(channel=channel))
                    await asyncio.sleep(_ANSWER_DELAY)
                    await client.ask(Send(channel=channel, text=answer))
                client.suspend_timeout()

    async def _invite(self, client: ScriptClient, user: str) -> None:
        """Invite a newcomer to the private channel, as its owner."""
        if self._settings.name == OPENING[0].bot:
            with suppress(CommandError):
                await client.ask(Invite(channel=GARDEN, name=user))
            client.suspend_timeout()


def _command(step: Step, seq: int) -> AnsweredBy[Ok | Joined]:
    channel = step.channel
    match step.kind:
        case "say":
            return Send(channel=channel, text=step.text)
        case "reply":
            return Send(channel=channel, text=step.text, reply_to=seq)
        case "react":
            return React(channel=channel, seq=seq, emoji=step.text)
        case "edit":
            return Edit(channel=channel, seq=seq, text=step.text)
        case "delete":
            return Delete(channel=channel, seq=seq)
        case "topic":
            return SetTopic(channel=channel, topic=step.text)
    return _moderation(step)


def _moderation(step: Step) -> AnsweredBy[Ok | Joined]:
    channel, user = step.channel, step.user
    match step.kind:
        case "create":
            return Create(channel=channel, private=True, topic=step.text)
        case "invite":
            return Invite(channel=channel, name=user)
        case "promote":
            return SetRole(channel=channel, name=user, role="moderator")
        case "mute":
            return MuteUser(channel=channel, name=user, reason=step.text)
        case "kick":
            return Kick(channel=channel, name=user, reason=step.text)
    return Join(channel=channel)
