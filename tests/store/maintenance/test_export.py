"""Exports contain all data and messages of an account, and nothing of others."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from chat.errors import CommandError, ErrorCode
from chat.store.accounts import ChangeAccount, CreateLink
from chat.store.channels import (
    BanFromChannel,
    CreateChannel,
    IgnoreUser,
    InviteToChannel,
    Kick,
    MuteMember,
)
from chat.store.maintenance.export import export_account
from chat.store.operations import SendMessage, User
from chat.store.store import execute
from tests.store.opened import OpenStore, delete, edit, message, react, topic


def exported(store: OpenStore, name: str) -> list[dict[str, Any]]:
    """Export beside the open store, as JSON."""
    return [json.loads(json.dumps(each)) for each in export_account(store.url, name)]


def test_export_has_account_devices_memberships_and_events(
    store: OpenStore, alice: User, bob: User
) -> None:
    store.join(alice, "#tea")
    first = store.send(alice, "one", "#tea")
    store.append(edit(alice, first, "two", "#tea"))
    store.append(topic(alice, "about tea", "#tea"))
    store.append(message(alice, "only for bob", "@alice,bob"))
    store.append(message(bob, "only for alice", "@alice,bob"))
    seq = store.send(bob, "said by bob")
    store.append(react(alice, seq, "👍"))
    objects = exported(store, "ALICE")
    assert objects[0] == {
        "type": "account",
        "name": alice.name,
        "role": "member",
        "created": objects[0]["created"],
    }
    kinds = [each["type"] for each in objects]
    assert kinds == sorted(kinds, key=["account", "device", "membership", "event", "audit"].index)
    assert {each["channel"] for each in objects if each["type"] == "membership"} == {
        "#general",
        "#tea",
        f"@{alice.name},{bob.name}",
    }
    events = [each for each in objects if each["type"] == "event"]
    bodies = [each.get("text") or each.get("topic") or each.get("emoji") for each in events]
    assert [body for body in bodies if body] == ["two", "about tea", "only for bob", "👍"]
    assert "said by bob" not in json.dumps(objects)
    assert "only for alice" not in json.dumps(objects)


def test_deleted_texts_and_secrets_are_absent(store: OpenStore, alice: User) -> None:
    seq = store.send(alice, "regretted")
    store.append(delete(alice, seq))
    text = json.dumps(exported(store, "alice"))
    assert "regretted" not in text
    assert "hash" not in text


def test_addresses_of_others_are_absent(store: OpenStore, alice: User, bob: User) -> None:
    store.do(ChangeAccount(None, "bob", role="admin"))
    store.do(ChangeAccount(replace(bob, address="192.0.2.9"), "alice", role="admin"))
    store.do(CreateLink(replace(alice, address="192.0.2.7"), "alice"))
    entries = [each for each in exported(store, "alice") if each["type"] == "audit"]
    assert [(each["act"], each.get("address")) for each in entries[-2:]] == [
        ("role", None),
        ("link_created", "192.0.2.7"),
    ]


def test_login_names_of_operators_are_absent(store: OpenStore, alice: User) -> None:
    execute(store.url, ChangeAccount(None, alice.name, disabled=True))
    (disabled,) = [each for each in exported(store, "alice") if each.get("act") == "disabled"]
    assert "details" not in disabled
    audit = store.read(lambda reader: reader.accounts.audit(None, before=None, limit=1))
    assert audit.entries[0].details["login"]


def test_unknown_account_is_refused(store: OpenStore) -> None:
    with pytest.raises(CommandError) as refused:
        exported(store, "nobody")
    assert refused.value.code is ErrorCode.NO_SUCH_USER


def test_export_has_what_channels_know_of_the_person(
    store: OpenStore, alice: User, bob: User
) -> None:
    carol = store.sign_in("carol")
    for name in ("#tea", "#cake"):
        store.do(CreateChannel(alice, name))
    store.join(bob, "#tea")
    root = store.send(bob, "root", "#tea")
    store.append(SendMessage(bob, "#tea", "reply", reply_to=root, thread_only=True))
    store.do(MuteMember(alice, "#tea", "bob", reason="calm down"))
    store.do(BanFromChannel(alice, "#cake", "bob", reason="enough"))
    store.do(CreateChannel(alice, "#pie"))
    store.do(InviteToChannel(alice, "#pie", "bob"))
    store.do(IgnoreUser(bob, carol.name))
    found = exported(store, "bob")
    by_type = {each["type"]: each for each in found if each["type"] != "event"}
    assert by_type["mute"].items() >= {"channel": "#tea", "reason": "calm down"}.items()
    assert by_type["channel_ban"].items() >= {"channel": "#cake", "reason": "enough"}.items()
    assert by_type["channel_invitation"]["channel"] == "#pie"
    assert by_type["thread"].items() >= {"thread": root, "following": True}.items()
    assert by_type["ignored"] == {"type": "ignored", "name": "carol"}
    assert [each for each in found if each.get("thread_only")]


def test_export_has_the_reasons_that_the_person_gave(
    store: OpenStore, alice: User, bob: User
) -> None:
    store.do(CreateChannel(alice, "#tea"))
    store.join(bob, "#tea")
    store.do(MuteMember(alice, "#tea", "bob", reason="calm down"))
    store.do(Kick(alice, "#tea", "bob", reason="enough"))
    store.do(BanFromChannel(alice, "#tea", "bob", reason="for good"))
    events = [each for each in exported(store, "alice") if each.get("reason")]
    assert [(each["kind"], each["reason"]) for each in events] == [
        ("mute", "calm down"),
        ("leave", "enough"),
        ("ban", "for good"),
    ]
    assert {each.get("user", each.get("author")) for each in events} == {"Bob"}
    kicked = [each for each in exported(store, "bob") if each.get("by")]
    assert [(each["by"], each["reason"]) for each in kicked] == [("alice", "enough")]


def test_ban_from_a_private_channel_stays_hidden(store: OpenStore, alice: User, bob: User) -> None:
    store.do(CreateChannel(alice, "#secret", private=True))
    store.do(BanFromChannel(alice, "#secret", "bob"))
    assert "#secret" not in json.dumps(exported(store, "bob"))
