"""Tokens and unsent messages are sent only to their own server, even if another claims its id."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from chat.client.config.paths import ClientPaths
from chat.client.config.settings import ClientSettings
from chat.client.model.sign_in import Credential, SignInWay
from chat.client.model.state import Link
from chat.client.network.auth import Identity, is_private
from chat.client.network.connector import Refused
from chat.errors import ChatError, CloseCode, CommandError, ErrorCode
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
        confirmed = open_client(f"{before.url},{after.url}")
    else:
        confirmed = open_client(after.url, same_server=True)
    confirmed.open()
    confirmed.wait_texts("said before", "unsent")
    seen = len(hellos(after))
    after.cut()
    confirmed.wait(lambda: len(hellos(after)) > seen)
    confirmed.wait_online()
    assert [hello.token for hello in hellos(after)[seen:]] == [token]
    confirmed.stop()
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
    assert "someone else" not in screen.connection.detail
    assert ("your token" if is_stored else str(issued)) in screen.connection.detail
    assert "chat-server token alice" in screen.connection.detail
    assert not screen.connection.ways
    with pytest.raises(
        ChatError, match="cannot rename: the server has not rejected the name alice"
    ):
        screen.core.sign_in("bob").result(PATIENCE)


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
    screen.wait(lambda: SignInWay.NAME in screen.connection.ways)
    screen.core.send("#general", "words of alice")
    screen.core.settled().result(PATIENCE)
    fake.intercept = lambda _: None
    screen.core.sign_in("bob").result(PATIENCE)
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


CODE = "7K3QX-9MZ2T"
NO_CREDENTIAL = "the server asks for a credential"


def with_accounts(start_fake: Start) -> FakeServer:
    server = start_fake()
    server.features = ("hidden", "accounts")
    return server


def demands(code: ErrorCode, field: str) -> Callable[[Command], Wire | None]:
    """Reject each hello whose `field` is not the right code."""

    def intercept(command: Command) -> Wire | None:
        if isinstance(command, Hello) and getattr(command, field) != CODE:
            return ErrorFrame(code=code, message=NO_CREDENTIAL, retryable=False)
        return None

    return intercept


def assert_nowhere(secret: str, folder: Path) -> None:
    """Check that no file of the client has the secret, as typed or without its signs."""
    for file in filter(Path.is_file, folder.rglob("*")):
        data = file.read_bytes()
        assert secret.encode() not in data, file
        assert secret.replace("-", "").encode() not in data, file


def test_only_a_server_with_accounts_gets_the_label_of_the_device(
    open_client: Open, start_fake: Start
) -> None:
    old, new = start_fake(), with_accounts(start_fake)
    visit(open_client, old.url)
    visit(open_client, new.url, device="my laptop")
    assert [hello.device for hello in hellos(old)] == [None]
    assert [hello.device for hello in hellos(new)] == ["my laptop"]


@pytest.mark.feature("accounts.sign_in")
@pytest.mark.parametrize("accounts", [True, False])
def test_a_taken_name_offers_a_link_code_and_a_password_where_the_server_has_them(
    open_client: Open, start_fake: Start, accounts: bool
) -> None:
    server = with_accounts(start_fake) if accounts else start_fake()
    server.intercept = refuse
    screen = open_client(server.url)
    screen.wait(lambda: screen.connection.link is Link.REFUSED)
    more = (SignInWay.LINK, SignInWay.PASSWORD) if accounts else ()
    assert screen.connection.ways == (SignInWay.NAME, *more)
    assert ("chat-server token alice" in screen.connection.reason) is not accounts
    assert "--name NAME" in screen.connection.detail


def test_a_closed_server_offers_a_link_code_and_no_invitation(
    open_client: Open, start_fake: Start
) -> None:
    server = with_accounts(start_fake)
    closed = ErrorFrame(
        code=ErrorCode.REGISTRATION_CLOSED, message="closed", retryable=False, field="link"
    )
    server.intercept = lambda command: closed if isinstance(command, Hello) else None
    screen = open_client(server.url)
    screen.wait(lambda: screen.connection.link is Link.REFUSED)
    assert screen.connection.ways == (SignInWay.LINK, SignInWay.NAME)
    assert "ask its operator to add you (chat-server user add alice)" in screen.connection.reason
    assert "invitation" not in screen.connection.detail


@pytest.mark.parametrize(
    ("way", "field", "code"),
    [
        (SignInWay.INVITATION, "invite", ErrorCode.REGISTRATION_CLOSED),
        (SignInWay.LINK, "link", ErrorCode.BAD_TOKEN),
        (SignInWay.PASSWORD, "password", ErrorCode.BAD_TOKEN),
    ],
)
def test_a_credential_is_sent_again_with_the_same_token_until_a_welcome_arrives(
    open_client: Open,
    start_fake: Start,
    tmp_path: Path,
    way: SignInWay,
    field: str,
    code: ErrorCode,
) -> None:
    server = with_accounts(start_fake)
    asked = server.intercept = demands(code, field)
    screen = open_client(server.url)
    screen.wait(lambda: way in screen.connection.ways)
    screen.core.send("#general", "typed before")
    stored: list[str | None] = []

    def lose_the_welcome(command: Command) -> Wire | None:
        if isinstance(command, Hello):
            tokens = ClientPaths(tmp_path / "data-alice").tokens
            stored.append(tokens.get(server.server_id, "alice"))
            server.intercept = asked
            server.cut()
            return FakeServer.SILENCE
        return None

    server.intercept = lose_the_welcome
    screen.core.sign_in("alice", Credential(way, CODE)).result(PATIENCE)
    screen.open()
    screen.wait_texts("typed before")
    lost, repeated = hellos(server)[-2:]
    assert stored == [lost.token], "the token is on disk before it is sent"
    assert lost.token == repeated.token
    assert getattr(lost, field) == getattr(repeated, field) == CODE
    screen.stop()
    server.intercept = lambda _: None
    visit(open_client, server.url)
    assert getattr(hellos(server)[-1], field) is None
    assert_nowhere(CODE, tmp_path)


def test_a_refused_credential_is_dropped_and_another_can_be_given(
    open_client: Open, start_fake: Start
) -> None:
    server = with_accounts(start_fake)
    server.intercept = demands(ErrorCode.LINK_INVALID, "link")
    screen = open_client(server.url)
    screen.wait(lambda: bool(screen.connection.ways))
    screen.core.sign_in("alice", Credential(SignInWay.LINK, "wrong")).result(PATIENCE)
    screen.wait(lambda: len(hellos(server)) == 2 and screen.connection.link is Link.REFUSED)
    assert "the link code is not valid" in screen.connection.detail
    assert SignInWay.LINK in screen.connection.ways
    screen.core.reconnect_now()
    screen.wait(lambda: len(hellos(server)) == 3)
    assert hellos(server)[-1].link is None
    screen.wait(lambda: screen.connection.link is Link.REFUSED)
    screen.core.sign_in("alice", Credential(SignInWay.LINK, CODE)).result(PATIENCE)
    screen.wait_online()


def test_an_invitation_is_also_used_with_a_second_name_if_the_first_is_taken(
    open_client: Open, start_fake: Start
) -> None:
    server = with_accounts(start_fake)
    server.intercept = demands(ErrorCode.REGISTRATION_CLOSED, "invite")
    server.tokens["alice"] = "another user's"
    screen = open_client(server.url)
    screen.wait(lambda: SignInWay.INVITATION in screen.connection.ways)
    screen.core.sign_in("alice", Credential(SignInWay.INVITATION, CODE)).result(PATIENCE)
    screen.wait(lambda: SignInWay.LINK in screen.connection.ways)
    screen.core.sign_in("alice2").result(PATIENCE)
    screen.wait_online()
    assert screen.connection.user == "alice2"


def test_an_invitation_file_is_used_for_a_new_name_only(
    open_client: Open, start_fake: Start, tmp_path: Path
) -> None:
    server, file = with_accounts(start_fake), tmp_path / "invitation"
    file.write_text(f"{CODE}\n")
    visit(open_client, server.url, invite_file=file)
    file.unlink()
    visit(open_client, server.url, invite_file=file)
    visit(open_client, start_fake().url, name="old", invite=CODE)
    assert [hello.invite for hello in hellos(server)] == [CODE, None]


def test_an_invitation_file_without_a_code_is_an_error(
    open_client: Open, start_fake: Start, tmp_path: Path
) -> None:
    server = with_accounts(start_fake)
    screen = open_client(server.url, invite_file=tmp_path / "none")
    screen.wait(lambda: screen.connection.link is Link.REFUSED)
    assert str(tmp_path / "none") in screen.connection.detail
    assert not hellos(server)


@pytest.mark.parametrize(
    ("code", "error", "ways"),
    [
        (CloseCode.BANNED, ErrorCode.BANNED, ()),
        (CloseCode.DISABLED, ErrorCode.DISABLED, ()),
        (CloseCode.REVOKED, ErrorCode.REVOKED, (SignInWay.LINK, SignInWay.PASSWORD)),
    ],
)
@pytest.mark.parametrize("explained", [True, False], ids=["with an error frame", "close only"])
def test_a_session_that_an_admin_ends_stays_ended_and_says_why(
    open_client: Open,
    start_fake: Start,
    code: CloseCode,
    error: ErrorCode,
    ways: tuple[SignInWay, ...],
    explained: bool,
) -> None:
    server = with_accounts(start_fake)
    screen = open_client(server.url)
    screen.open()
    why = "by carol until 1 Dec 2026: spam"
    if explained:
        server.tell(ErrorFrame(code=error, message=f"Ended {why}.", retryable=False))
    server.end(code, "Ended" if explained else f"Ended {why}.")
    screen.wait(lambda: screen.connection.link is Link.REFUSED)
    assert screen.connection.ways == ways
    if not ways:
        assert why in screen.connection.detail
    screen.core.send("#general", "kept")
    screen.wait(lambda: screen.pending() == ["kept"])
    assert len(hellos(server)) == 1


def test_a_revoked_device_signs_in_again_with_a_new_token(
    open_client: Open, start_fake: Start, tmp_path: Path
) -> None:
    server = with_accounts(start_fake)
    screen = open_client(server.url)
    screen.open()
    server.end(CloseCode.REVOKED)
    screen.wait(lambda: SignInWay.LINK in screen.connection.ways)
    revoked = server.tokens.pop("alice")
    screen.core.sign_in("alice", Credential(SignInWay.LINK, CODE)).result(PATIENCE)
    screen.wait_online()
    tokens = ClientPaths(tmp_path / "data-alice").tokens
    assert tokens.get(server.server_id, "alice") == server.tokens["alice"] != revoked


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("wss://chat.example.org", True),
        ("ws://127.0.0.1:3000", True),
        ("ws://[::1]:3000", True),
        ("ws://localhost:3000", True),
        ("ws://chat.example.org", False),
        ("ws://10.0.0.1:3000", False),
        ("ws://localhost.example.org", False),
    ],
)
def test_which_addresses_may_get_a_credential(tmp_path: Path, url: str, expected: bool) -> None:
    assert is_private(url) is expected
    settings = ClientSettings(name="alice", url=url, data=tmp_path, invite=CODE)
    if expected:
        assert Identity(settings).hello_for(url, "id", frozenset({"accounts"})).invite == CODE
        return
    with pytest.raises(Refused, match="not encrypted"):
        Identity(settings).hello_for(url, "id", frozenset({"accounts"}))


def test_sign_in_that_broke_off_at_another_address_changes_nothing(tmp_path: Path) -> None:
    first, second, third = urls = [f"ws://127.0.0.1:{port}" for port in (1, 2, 3)]
    identity = Identity(ClientSettings(name="alice", url=",".join(urls), data=tmp_path))
    token = identity.hello_for(first, "id", frozenset()).token
    identity.signed_in()

    def sign_in(url: str) -> None:
        while identity.hello_for(url, "id", frozenset()).token != token:
            refused = CommandError(ErrorCode.BAD_TOKEN, "wrong token")
            assert identity.hello_refused(refused) is None
        identity.signed_in()

    sign_in(third)
    identity.hello_for(second, "id", frozenset())  # the connection ends before the answer
    sign_in(third)
    sign_in(second)
