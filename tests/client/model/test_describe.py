"""Log entries as sentences: roles, moderation, settings, ignored messages."""

from __future__ import annotations

from typing import Any

import pytest

from chat.client.model.describe import describe_entry, folded_ignored
from chat.client.model.state import Message
from chat.protocol.items import Event
from chat.protocol.values import ChannelSettings


def event(kind: str, **fields: Any) -> Event:
    return Event(
        channel="#tea", seq=7, mid="m", ts=0, **{"author": "alice", "kind": kind, **fields}
    )


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (event("leave", author="bob"), "bob left"),
        (
            event("leave", author="bob", by="alice", act="kick", reason="spam"),
            "bob was kicked by alice: spam",
        ),
        (
            event("leave", author="bob", by="alice", act="ban", until=5, reason="spam"),
            "bob was banned by alice until <5>: spam",
        ),
        (event("ban", user="eve"), "eve was banned by alice"),
        (event("ban", user="eve", remove=True), "alice lifted the ban of eve"),
        (event("mute", user="bob", until=9), "bob was muted by alice until <9>"),
        (event("mute", user="bob", remove=True), "alice lifted the mute of bob"),
        (event("role", user="bob", role="moderator"), "alice made bob a moderator"),
        (event("role", user="bob", role="owner"), "alice made bob the owner"),
        (event("role", user="alice", role="owner"), "alice is now the owner of the channel"),
        (
            event("settings", settings=ChannelSettings(private=True), changed=("private",)),
            "alice made the channel private",
        ),
        (
            event("settings", settings=ChannelSettings(private=True), changed=("archived",)),
            "alice unarchived the channel",
        ),
        (
            event("settings", settings=ChannelSettings(posting="moderators", pins="moderators")),
            "alice allowed only moderators to post, allowed only moderators to pin messages",
        ),
        (
            event("settings", settings=ChannelSettings(retention=86_400), changed=("retention",)),
            "alice set the retention to 1 day: older messages are deleted",
        ),
        (
            event("settings", settings=ChannelSettings(posting="robots")),
            "alice changed the settings of the channel",
        ),
        (event("expire", up_to=41), "The texts of all messages and topics up to 41 have expired"),
        (event("topic", topic="tea"), "alice set the topic: tea"),
        (event("topic", topic=""), "alice cleared the topic"),
        (event("topic", erased=True), "alice set the topic (deleted)"),
        (event("deleted"), "alice deleted the channel"),
        (
            event("message", text="hi", reply_to=3, thread=3, thread_only=True),
            "alice: hi  (reply to message 3, only in its thread)",
        ),
    ],
)
def test_entries_are_described_in_plain_english(entry: Event, sentence: str) -> None:
    assert describe_entry("#tea", entry, lambda ts: f"<{ts}>") == sentence


def test_messages_of_ignored_users_fold_to_one_line() -> None:
    lines = [Message("#a", seq, None, name, 0) for seq, name in enumerate(("eve", "eve", "mal"))]
    assert folded_ignored(lines[:1]) == "1 message from eve (ignored)"
    assert folded_ignored(lines) == "3 messages from eve, mal (ignored)"
