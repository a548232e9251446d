"""A thread in lines: whole, as it was when one asked."""

from __future__ import annotations

import pytest

from chat.client.config.settings import ClientSettings
from chat.client.model.state import ThreadChanged, TimelineChanged
from chat.client.plain.app import Plain
from chat.client.presenter.workspace import Cores
from tests.client.presenter.fakes import FakeCore, info, said


def test_what_was_said_before_the_channels_new_head_is_told_belongs_to_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    core = FakeCore()
    cores = Cores(ClientSettings(name="me"), lambda settings: core)
    cores.open()
    plain = Plain(cores, ClientSettings(name="me"))
    root, reply = said(1, "alice", "first"), said(2, "alice", "second", reply_to=1, thread=1)
    core.go_online(info("#general", head=1))
    core.tell(TimelineChanged("#general", (root,), reset=True))
    core.tell(TimelineChanged("#general", (reply,)))
    plain.take_in()
    plain.submit("/thread 1")
    thread = TimelineChanged("#general", (root, reply), reset=True, complete=True)
    core.tell(ThreadChanged("#general", 1, 1, thread))
    plain.take_in()
    assert "2. alice: second" in capsys.readouterr().out
