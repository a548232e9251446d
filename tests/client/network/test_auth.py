"""Tokens and unsent messages only go to their own server, whatever id another one claims."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from chat.client.config.paths import ClientPaths
from chat.client.model.state import Link
from chat.errors import ChatError, ErrorCode
from chat.protocol.commands import Command, Hello, Send
from chat.protocol.frames import ErrorFrame
from chat.protocol.values import Wire
from tests.client.fake_server import FakeServer
from tests.client.screen import Screen
from tests.serving import PATIENCE

Open = Callable[..., Screen]
Start = Callable[..., FakeServer]


def hellos(server: FakeServer) -> list[Hello]:
    return [command for command in server.commands if isinstance(command, Hello)]


def tokens_of(server: FakeServer) -> set[str | None]:
    return {hello.token for hello in hellos(server)}


def visit(open_client: Open, url: str, **more: object) -> Screen:
    """Open `#general` at `url`, and stop; return the screen."""
    screen = open_client(url, **more)
    screen.open()
    screen.stop()
    return screen


def leave_unsent(open_client: Open, server: FakeServer, text: str) -> None:
    """Send a message while the server is stopped, and stop the client."""
    server.stop()
    screen = open_client(server.url)
    screen.core.open_channel("#general")
    screen.core.send("#general", text)
    screen.wait(lambda: screen.pending() == [text])
    screen.stop()


def test_an_impostor_elsewhere_gets_nothing_that_belongs_to_the_real_server(
    open_client: Open, start_fake: Start
) -> None:
    real, impostor = start_fake(), start_fake()
    real.say("bob", "private")
    visit(open_client, real.url)
    leave_unsent(open_client, real, "for the real one")
    screen = open_client(impostor.url)
    screen.open()
    screen.wait(lambda: any("impostor" in notice.text for notice in screen.notices))
    assert any(real.url.rpartition(":")[2] in notice.text for notice in screen.notices)
    screen.wait_texts()
    screen.stop()
    assert not impostor.count(Send)
    assert not any(hello.resume for hello in hellos(impostor))
    assert tokens_of(impostor).isdisjoint(tokens_of(real))
    real.start()
    again = open_client(real.url)
    again.open()
    again.wait_texts("private", "for the real one")
    assert not any("impostor" in notice.text for notice in again.notices)
    assert len(tokens_of(real)) == 1


def test_an_impostor_contacted_first_does_not_lock_out_the_real_server(
    open_client: Open, start_fake: Start
) -> None:
    real, impostor = start_fake(), start_fake()
    visit(open_client, impostor.url)
    leave_unsent(open_client, impostor, "for the impostor")
    for _ in range(2):
        visit(open_client, real.url)
    visit(open_client, real.url, same_server=True)
    assert len(tokens_of(real)) == 1
    assert tokens_of(real).isdisjoint(tokens_of(impostor))
    assert not real.count(Send)


def test_same_server_never_claims_a_name_with_a_token_shown_elsewhere(
    open_client: Open, start_fake: Start
) -> None:
    impostor, real = start_fake(), start_fake()
    visit(open_client, impostor.url)
    visit(open_client, real.url, same_server=True)
    assert real.tokens["alice"] not in tokens_of(impostor)


@pytest.mark.parametrize("how", ["same_server", "list"])
def test_a_moved_server_gets_the_account_with_same_server(
    open_client: Open, start_fake: Start, how: str
) -> None:
    before, after = start_fake(), start_fake()
    before.say("bob", "said before")
    visit(open_client, before.url)
    leave_unsent(open_client, before, "unsent")
    after.tokens, after.logs, after.members = before.tokens, before.logs, before.members
    token = before.tokens["alice"]
    asked = open_client(after.url)
    asked.wait(lambda: asked.connection.link is Link.REFUSED)
    assert "--same-server" in asked.connection.detail
    assert before.url.rpartition(":")[2] in asked.connection.detail
    asked.stop()
    assert token not in tokens_of(after)
    if how == "list":
        told = open_client(f"{before.url},{after.url}")
    else:
        told = open_client(after.url, same_server=True)
    told.open()
    told.wait_texts("said before", "unsent")
    told.stop()
    seen = len(hellos(after))
    visit(open_client, after.url)
    assert [hello.token for hello in hellos(after)[seen:]] == [token]


def test_the_folder_of_an_older_client_is_used_without_a_question(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    data = tmp_path / "data-alice"
    ClientPaths(data).tokens.put(fake.server_id, "alice", "a" * 40)
    known = {"ids": {fake.url: fake.server_id}, "hosts": {fake.server_id: ["localhost"]}}
    (data / "servers.json").write_text(json.dumps(known))
    visit(open_client, fake.url)
    assert tokens_of(fake) == {"a" * 40}


def test_text_typed_before_the_first_connection_waits_for_a_server_that_accepts_the_name(
    open_client: Open, start_fake: Start, tmp_path: Path
) -> None:
    server = start_fake(server_id="impostor")
    leave_unsent(open_client, server, "first words")
    server.intercept = refuse
    server.start()
    screen = open_client(server.url)
    screen.wait(lambda: screen.connection.link is Link.REFUSED)
    screen.stop()
    server.stop()
    server.server_id, server.intercept = "real", lambda _: None
    server.start()
    screen = open_client(server.url)
    screen.open()
    screen.wait_texts("first words")


@pytest.mark.parametrize("is_stored", [True, False])
def test_a_rejected_token_of_the_users_own_name_is_not_a_taken_name(
    open_client: Open, fake: FakeServer, tmp_path: Path, is_stored: bool
) -> None:
    issued = tmp_path / "issued"
    issued.write_text("t" * 43 + "\n")
    if is_stored:
        visit(open_client, fake.url)
    fake.intercept = refuse
    screen = open_client(fake.url, **({} if is_stored else {"token_file": issued}))
    screen.wait(lambda: screen.connection.link is Link.REFUSED)
    assert "somebody else" not in screen.connection.detail
    assert ("your token" if is_stored else str(issued)) in screen.connection.detail
    assert "chat-server token alice" in screen.connection.detail
    assert not screen.connection.is_name_taken
    with pytest.raises(
        ChatError, match="cannot rename: the server has not rejected the name alice"
    ):
        screen.core.rename("bob").result(PATIENCE)


def test_another_name_takes_over_the_outbox_and_keeps_its_own_drafts(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    """A known name keeps its drafts and takes over the messages of the rejected name."""
    earlier = open_client(fake.url, name="bob", data=tmp_path / "data-alice")
    earlier.open()
    earlier.core.save_draft("#general", "bob's draft")
    earlier.stop()
    fake.intercept = refuse
    screen = open_client(fake.url)
    screen.wait(lambda: screen.connection.is_name_taken)
    screen.core.send("#general", "words of alice")
    screen.core.settled().result(PATIENCE)
    fake.intercept = lambda _: None
    screen.core.rename("bob").result(PATIENCE)
    screen.open()
    screen.wait_texts("words of alice")
    assert screen.connection.user == "bob"
    assert screen.core.draft("#general") == "bob's draft"
    screen.stop()
    assert screen.core.unsent() == 0


def refuse(command: Command) -> Wire | None:
    """Reject every hello."""
    if isinstance(command, Hello):
        return ErrorFrame(code=ErrorCode.BAD_TOKEN, message="no", retryable=False)
    return None


def test_a_token_in_a_welcome_does_not_replace_the_accepted_one(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    visit(open_client, fake.url)
    mine = fake.tokens["alice"]
    fake.issues = "x" * 40
    visit(open_client, fake.url)
    tokens = ClientPaths(tmp_path / "data-alice").tokens
    assert tokens.get(fake.server_id, "alice") == mine
    visit(open_client, fake.url)
    assert tokens_of(fake) == {mine}


def test_a_server_with_changing_ids_leaves_few_files(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    screen = open_client(fake.url)
    for number in range(40):
        fake.server_id = f"id-{number}"
        before = fake.count(Hello)
        fake.cut()
        screen.core.reconnect_now()
        screen.wait(
            lambda before=before: (
                fake.count(Hello) > before  # type: ignore[misc]
                or any("a new id" in notice.text for notice in screen.notices)
            )
        )
    screen.stop()
    files = [path for path in (tmp_path / "data-alice").rglob("*") if path.is_file()]
    assert fake.count(Hello) <= 20
    assert len(files) <= 45, "an account and a token for each of twenty ids"


def test_an_operators_token_is_not_shown_to_another_server_at_the_same_address(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    visit(open_client, fake.url)
    issued = tmp_path / "issued"
    issued.write_text("t" * 43 + "\n")
    fake.server_id = "impostor"
    screen = open_client(fake.url, token_file=issued)
    screen.wait(lambda: screen.connection.link is Link.REFUSED)
    assert "different server than last time" in screen.connection.detail
    screen.stop()
    assert "t" * 43 not in tokens_of(fake)
