"""The operator's commands for accounts, invitations, bans and the audit log."""

from __future__ import annotations

import io
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from chat.server.config.commands import COMMANDS
from tests.serving import ChatServer, Peer


@pytest.fixture
def run(server: ChatServer) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs a command beside the server."""
    return server.administer


Run = Callable[..., subprocess.CompletedProcess[str]]


def rows(done: subprocess.CompletedProcess[str]) -> list[list[str]]:
    """Return the words of each line after the titles."""
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()[1:]]


def test_an_account_is_added_and_shown(run: Run) -> None:
    added = run("user", "add", "alice")
    assert added.returncode == 0
    assert len(added.stdout.strip()) == len("XXXXX-XXXXX")
    assert "chat-client --name alice" in added.stderr
    (row,) = rows(run("user", "list"))
    assert row[:3] == ["alice", "member", "active"]
    assert row[-1] == "never"
    shown = run("user", "show", "ALICE").stdout
    assert "name          alice\n" in shown
    assert "password      no\n" in shown
    again = run("user", "add", "Alice")
    assert again.returncode == 1
    assert "Alice" in again.stderr


def test_a_new_link_code_says_that_it_replaces_the_earlier_one(run: Run) -> None:
    replaces = "Earlier codes of alice no longer work."
    assert replaces not in run("user", "add", "alice").stderr
    assert replaces in run("link", "alice").stderr


def test_a_bot_gets_a_token(run: Run) -> None:
    added = run("user", "add", "deploy", "--bot")
    assert len(added.stdout.strip()) >= 43
    ((_number, label, *_),) = rows(run("user", "devices", "deploy"))
    assert label == "bot"
    assert rows(run("user", "list"))[0][:2] == ["deploy", "bot"]


@pytest.mark.feature("server.accounts")
def test_roles_and_states(run: Run) -> None:
    run("user", "add", "alice")
    assert run("user", "role", "alice", "admin").returncode == 0
    run("user", "add", "bob")
    assert run("user", "disable", "bob").returncode == 0
    run("user", "add", "carol")
    assert run("ban", "carol").returncode == 0
    listed = [row[:3] for row in rows(run("user", "list"))]
    assert listed == [
        ["alice", "admin", "active"],
        ["bob", "member", "disabled"],
        ["carol", "member", "banned"],
    ]
    assert run("user", "enable", "bob").returncode == 0


def test_a_repeated_act_says_so(run: Run) -> None:
    run("user", "add", "bot", "--bot")
    run("invite", "create")
    for command in ("user disable bot", "user revoke bot 1", "invite revoke 1", "user enable bot"):
        for is_again in (False, True):
            done = run(*command.split())
            assert done.returncode == 0
            assert ("is already" in done.stderr) == is_again, command


def test_a_role_of_a_disabled_account_comes_with_a_warning(run: Run) -> None:
    run("user", "add", "alice")
    run("user", "disable", "alice")
    assert "Warning: alice is disabled" in run("user", "role", "alice", "bot").stderr


def test_an_unavailable_name_is_explained_to_the_operator(run: Run) -> None:
    assert "the name system is reserved" in run("user", "add", "system").stderr
    run("user", "add", "alice")
    run("user", "erase", "alice", "--yes")
    refused = run("user", "add", "alice")
    assert refused.returncode == 1
    assert "the name alice belonged to an account that was erased" in refused.stderr


def test_erasing_shows_the_account_before_it_asks(
    server: ChatServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    run("user", "add", "alice")
    for typed, code in (("bob\n", 1), ("alice\n", 0)):
        monkeypatch.setattr("sys.stdin", Terminal(typed))
        asked = run("user", "erase", "alice")
        assert asked.returncode == code
        assert "alice: role member, last sign-in never, 0 messages." in asked.stderr
    refused = run("user", "erase", "alice")
    assert refused.returncode == 1
    assert "Type the name" not in refused.stderr


async def test_devices_are_listed_and_revoked(server: ChatServer, run: Run) -> None:
    async with Peer.connect(server.url) as alice:
        await alice.hello("alice", device="my laptop")
        (row,) = rows(run("user", "devices", "alice"))
        assert row[1:3] == ["my", "laptop"]
        assert run("user", "revoke", "alice", row[0]).returncode == 0
        await alice.close_code()
    assert rows(run("user", "devices", "alice")) == []
    assert run("user", "revoke", "alice", "999").returncode == 1


def test_removing_a_password_needs_the_flag(run: Run) -> None:
    run("user", "add", "alice")
    refused = run("user", "password", "alice")
    assert refused.returncode == 2
    assert "--remove" in refused.stderr
    done = run("user", "password", "ALICE", "--remove")
    assert done.returncode == 0
    assert "alice has no password" in done.stderr


def test_an_invitation_is_created_listed_and_revoked(run: Run) -> None:
    made = run("invite", "create", "--uses", "10", "--expires", "2d", "--channel", "#team")
    assert made.returncode == 0
    code = made.stdout.strip()
    assert len(code.replace("-", "")) == 26
    assert code in made.stderr
    assert "closed" not in made.stderr
    assert "for 10 new accounts, until " in made.stderr
    (row,) = rows(run("invite", "list"))
    assert row[:4] == ["1", "0/10", "member", "valid"]
    assert row[-2:] == ["operator", "#team"]
    assert run("invite", "revoke", "1").returncode == 0
    assert rows(run("invite", "list"))[0][3] == "revoked"
    assert run("invite", "revoke", "9").returncode == 1


def test_invitations_to_a_closed_server_come_with_a_warning(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server("--registration", "closed")
    made = server.administer("invite", "create")
    assert made.returncode == 0
    assert "Warning: registration is closed: invitations work only after" in made.stderr
    server.administer("user", "add", "mallory")
    reported = server.administer("ban", "mallory")
    assert "banned" in reported.stderr
    assert "registration = open" not in reported.stderr


def test_bans_are_listed_and_lifted(run: Run) -> None:
    run("user", "add", "mallory")
    reported = run("ban", "mallory", "--for", "7d", "--reason", "spam and lies")
    assert "banned for 7 days" in reported.stderr
    assert "registration = open" in reported.stderr
    assert run("ban", "192.0.2.0/24").returncode == 0
    network, account = run("bans").stdout.splitlines()[1:]
    assert network.split()[0] == "192.0.2.0/24"
    assert " permanent " in network
    assert account.split()[0] == "mallory"
    assert account.endswith("spam and lies")
    assert run("unban", "mallory").returncode == 0
    assert run("unban", "192.0.2.0/24").returncode == 0
    assert rows(run("bans")) == []
    refused = run("unban", "mallory")
    assert refused.returncode == 1
    assert "mallory" in refused.stderr


def test_a_ban_says_what_is_stored_and_what_it_replaces(run: Run) -> None:
    run("user", "add", "mallory")
    assert "replaces" not in run("ban", "mallory", "--reason", "spam").stderr
    again = run("ban", "mallory", "--for", "2h")
    assert again.returncode == 0
    assert "This replaces the ban until it is lifted (spam)\n" in again.stderr
    third = run("ban", "mallory", "--reason", "lies")
    assert re.search(r"This replaces the ban until \d{4}-\d\d-\d\d \d\d:\d\d\n", third.stderr)
    run("unban", "mallory")
    assert "replaces" not in run("ban", "mallory").stderr
    stored = run("ban", "10.0.0.5/8")
    assert "10.0.0.0/8 is banned until it is lifted" in stored.stderr
    address = run("ban", "2001:db8::1:2:3")
    assert "2001:db8::/64 is banned" in address.stderr
    inside = run("unban", "10.0.0.9")
    assert inside.returncode == 1
    assert "but 10.0.0.0/8 is: lift the ban of 10.0.0.0/8" in inside.stderr
    assert "Lifted the ban on 10.0.0.0/8" in run("unban", "10.0.0.9/8").stderr


@pytest.mark.parametrize("target", ["300.1.1.1", "192.0.2.0/33", "10.0.0", "2001:db8:::1"])
@pytest.mark.parametrize("command", ["ban", "unban"])
def test_a_mistyped_address_is_not_taken_for_a_name(run: Run, command: str, target: str) -> None:
    refused = run(command, target)
    assert refused.returncode == 1
    assert f"{target} is not an address or a network, such as 192.0.2.7" in refused.stderr


def test_a_disabled_and_banned_account_shows_both(run: Run) -> None:
    run("user", "add", "mallory")
    assert "state         active\n" in run("user", "show", "mallory").stdout
    run("user", "disable", "mallory")
    run("ban", "mallory", "--reason", "spam")
    assert rows(run("user", "list"))[0][2] == "disabled,banned"
    shown = run("user", "show", "mallory").stdout
    assert "state         disabled and banned until it is lifted (spam)\n" in shown


@pytest.mark.parametrize("command", ["link", "token"])
def test_codes_and_tokens_for_a_stopped_account_come_with_a_warning(run: Run, command: str) -> None:
    run("user", "add", "mallory")
    assert "Warning" not in run(command, "mallory").stderr
    run("user", "disable", "mallory")
    disabled = run(command, "Mallory")
    assert disabled.returncode == 0
    assert len(disabled.stdout.splitlines()) == 1
    assert "Warning: mallory is disabled: " in disabled.stderr
    assert "works only after `chat-server user enable mallory`" in disabled.stderr
    run("ban", "mallory", "--reason", "spam")
    both = run(command, "mallory").stderr
    assert "mallory is disabled and banned until it is lifted (spam)" in both
    assert "`chat-server unban mallory` and `chat-server user enable mallory`" in both


def test_an_account_that_can_still_not_sign_in_comes_with_a_warning(run: Run) -> None:
    run("user", "add", "mallory")
    run("user", "disable", "mallory")
    run("ban", "mallory")
    warning = "Warning: mallory is banned until it is lifted: the account works only after "
    assert warning + "`chat-server unban mallory`" in run("user", "enable", "Mallory").stderr
    run("user", "disable", "mallory")
    warning = "Warning: mallory is disabled: the account works only after "
    assert warning + "`chat-server user enable mallory`" in run("unban", "mallory").stderr
    assert "Warning" not in run("user", "enable", "mallory").stderr


def test_a_ban_of_loopback_needs_force(run: Run) -> None:
    refused = run("ban", "127.0.0.1")
    assert refused.returncode == 1
    assert "add --force to ban it anyway" in refused.stderr
    assert run("ban", "127.0.0.1", "--force").returncode == 0


def test_the_audit_log_records_the_login_name_of_the_operator(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_USER", "olivia")
    server.administer("user", "add", "alice")
    server.administer("user", "erase", "alice", "--yes")
    entries = rows(server.administer("audit"))
    by_command = {row[3]: row[-1] for row in entries if row[4] == "operator" and row[5] != "-"}
    assert by_command == {
        "created": "login=olivia",
        "link_created": "login=olivia",
        "erased": "login=olivia",
    }
    (settings,) = [row for row in entries if row[3] == "settings"]
    assert "login=" not in " ".join(settings)  # the act of the server itself
    server.stop()
    server.administer("user", "add", "bob")
    server.administer("user", "erase", "bob", "--yes")  # no server runs
    assert [row[-1] for row in rows(server.administer("audit", "--act", "erased"))] == [
        "login=olivia",
        "login=olivia",
    ]


@pytest.mark.feature("server.audit")
def test_the_audit_log_records_the_actor_of_each_act(run: Run) -> None:
    run("user", "add", "alice")
    run("user", "role", "alice", "admin")
    entries = rows(run("audit", "--limit", "2"))
    assert len(entries) == 2
    newest = entries[0]
    assert newest[3:6] == ["role", "operator", "alice"]
    assert "role=admin" in newest
    run("ban", "192.0.2.1", "--for", "2h")
    (banned,) = rows(run("audit", "--limit", "1"))
    assert banned[3] == "banned"
    assert any(re.fullmatch(r"until=\d{4}-\d\d-\d\dT\d\d:\d\d", word) for word in banned)
    acts = [row[3] for row in rows(run("audit"))]
    assert "settings" in acts[-2:]  # written by the server meanwhile


def test_the_audit_log_is_filtered(run: Run, tmp_path: Path) -> None:
    for name in ("alice", "bob"):
        run("user", "add", name)
        run("user", "disable", name)
    assert run("user", "export", "bob", str(tmp_path / "bob.jsonl")).returncode == 0
    assert run("backup", str(tmp_path / "copy.db")).returncode == 0

    def acts(*flags: str) -> list[str]:
        return [row[3] for row in rows(run("audit", *flags))]

    assert acts("--account", "BOB") == ["exported", "disabled", "link_created", "created"]
    assert acts("--act", "disabled") == ["disabled", "disabled"]
    assert acts("--act", "disabled", "--account", "alice", "--since", "1h") == ["disabled"]
    assert acts("--limit", "1") == ["backed_up"]
    ((_, _, time, *_),) = rows(run("audit", "--limit", "1"))
    assert re.fullmatch(r"\d\d:\d\d[+-]\d\d:\d\d", time)
    assert "must be one of" in run("audit", "--act", "unknown").stderr


NOBODY = "there is no user “nobody”"
REFUSED = {
    "user show": ("nobody", NOBODY),
    "user add": ("no@name", "letters"),
    "user role": ("nobody admin", NOBODY),
    "user disable": ("nobody", NOBODY),
    "user enable": ("nobody", NOBODY),
    "user devices": ("nobody", NOBODY),
    "user export": ("nobody never-written.jsonl", NOBODY),
    "user erase": ("nobody --yes", NOBODY),
    "user revoke": ("nobody 1", NOBODY),
    "user password": ("nobody --remove", NOBODY),
    "invite revoke": ("9", "no invitation"),
    "link": ("nobody", NOBODY),
    "token": ("nobody", NOBODY),
    "ban": ("nobody", NOBODY),
    "unban": ("nobody", "nobody"),
}
"""For each command that can be refused: arguments with a wrong subject, and the reason."""
NEVER_REFUSED = {"user list", "invite create", "invite list", "bans", "audit"}
OF_FILES = {
    *("backup", "restore", "check", "check-config", "reindex", "expire"),
    *("migrate-store", "new-epochs"),
}
"""Commands on files; they fail with exit code 2, see `test_commands`."""


def test_each_command_is_listed_with_its_refusal() -> None:
    assert set(COMMANDS) == {*REFUSED, *NEVER_REFUSED, *OF_FILES}


@pytest.mark.parametrize("command", REFUSED)
def test_a_refused_command_ends_with_exit_code_1(run: Run, command: str) -> None:
    arguments, reason = REFUSED[command]
    refused = run(*command.split(), *arguments.split())
    assert refused.returncode == 1, refused.stderr
    assert reason in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert refused.stdout == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_flag_ends_with_exit_code_2(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from chat.server.cli import main

    words = [word.upper() for word in COMMANDS[command].positional]
    assert main([*command.split(), *words, "--unknown"]) == 2
    assert "--unknown is not a flag" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("user",), "choose one of: user list"),
        (("user", "lisst"), "user lisst is not a command"),
        (("usr", "list"), "did you mean user?"),
        (("user", "role", "alice"), "ROLE"),
        (("user", "role", "alice", "boss"), "must be admin, member or bot"),
        (("user", "revoke", "alice", "x"), "DEVICE 'x': must be a whole number"),
        (("invite", "create", "--expires", "soon"), "such as 10m, 2h or 7d"),
        (("invite", "create", "--uses", "0"), "must be at least 1"),
        (("ban", "bob", "--for", "1y"), "such as 10m, 2h or 7d"),
        (("audit", "--limit", "x"), "must be a whole number"),
    ],
)
def test_wrong_usage_is_exit_code_2(run: Run, arguments: tuple[str, ...], reason: str) -> None:
    refused = run(*arguments)
    assert refused.returncode == 2
    assert reason in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_without_a_database_nothing_is_created(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    server = ChatServer(tmp_path_factory.mktemp("none") / "data")
    refused = server.administer("user", "list")
    assert refused.returncode == 2
    assert "no chat database" in refused.stderr
    assert "server.toml)" in refused.stderr
    assert not server.data.exists()


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "reindex"])
def test_help_has_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    from chat.server.cli import main

    with pytest.raises(SystemExit) as ended:
        main([*name.split(), "--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert f"\n  chat-server {name}" in printed
