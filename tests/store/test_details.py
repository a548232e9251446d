"""Details of moderation events and settings of channels, as they are stored."""

from __future__ import annotations

import pytest

from chat.protocol.items import Event
from chat.rights import DEFAULT
from chat.store.details import (
    Details,
    decode,
    decode_settings,
    encode_settings,
    ids_in,
    without_reason,
)
from chat.store.operations import User

ALICE, BOB = User(1, "alice"), User(2, "bob")
EVERY = (
    Details(by=ALICE, act="kick", reason="spam “again”"),
    Details(by=ALICE, act="ban", until=1_000, reason="x"),
    Details(user=BOB, role="moderator"),
    Details(user=BOB, until=0, reason="later"),
    Details(user=BOB),
    Details(settings=DEFAULT),
    Details(settings=DEFAULT._replace(private=True, retention=86_400), changed=("private",)),
    Details(up_to=7),
)


@pytest.mark.parametrize("details", EVERY)
def test_details_are_stored_with_ids_and_read_with_names(details: Details) -> None:
    stored = details.encode()
    assert not {"alice", "bob"} & {*stored.split('"')}
    assert decode(stored, {1: "alice", 2: "bob"}) == details
    assert ids_in(stored) == {user.id for user in (details.user, details.by) if user}


def test_changed_names_apply_to_old_details() -> None:
    stored = Details(user=BOB, by=ALICE, act="ban").encode()
    fields = decode(stored, {1: "deleted-1", 2: "bob"}).fields()
    assert fields == {"user": "bob", "by": "deleted-1", "act": "ban"}


@pytest.mark.parametrize("details", EVERY)
def test_details_are_fields_of_an_event(details: Details) -> None:
    head = {"channel": "#dev", "seq": 1, "mid": "m", "ts": 1, "author": "alice", "kind": "role"}
    event = Event.model_validate({**head, **details.fields()})
    assert {name: getattr(event, name) for name in details.item_fields()} == details.item_fields()


@pytest.mark.parametrize("details", EVERY)
def test_erased_reason_keeps_the_size_of_the_text(details: Details) -> None:
    stored = details.encode()
    erased = without_reason(stored)
    assert len(erased.encode()) == len(stored.encode())
    kept = decode(erased, {1: "alice", 2: "bob"})
    assert kept.reason == ""
    assert (kept.user, kept.by, kept.until) == (details.user, details.by, details.until)


@pytest.mark.parametrize("private", [False, True])
def test_settings_are_stored_as_their_differences(private: bool) -> None:
    settings = DEFAULT._replace(private=private)
    assert encode_settings(settings) == ""
    assert decode_settings("", is_private=private) == settings
    changed = settings._replace(posting="moderators", archived=True, retention=86_400)
    assert decode_settings(encode_settings(changed), is_private=private) == changed
