"""Settings: sources, precedence, and error messages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chat.errors import StartupError
from chat.server.config.commands import BackupSettings
from chat.server.config.settings import ServerSettings
from chat.server.config.sources import config_file, load

FOREIGN_WORDS = re.compile(r"pydantic|Input should|type=|list\[|Settings\b|ValidationError", re.I)


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def settings(*flags: str) -> ServerSettings:
    return load(ServerSettings, "chat-server", list(flags))


def refused(*flags: str) -> str:
    with pytest.raises(StartupError) as found:
        settings(*flags)
    message = str(found.value)
    assert not FOREIGN_WORDS.search(message), message
    assert "\n" not in message
    return message


def write_file(text: str) -> None:
    config_file().parent.mkdir(parents=True, exist_ok=True)
    config_file().write_text(text, "utf-8")


@pytest.mark.parametrize(
    "value", ["127.0.0.1,::1", "127.0.0.1, ::1", '["127.0.0.1", "::1"]', " 127.0.0.1 ,, ::1"]
)
def test_a_variable_holds_a_list(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CHAT_HOST", value)
    assert settings().host == ["127.0.0.1", "::1"]


def test_a_variable_with_one_address_is_a_list_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_HOST", "127.0.0.1")
    monkeypatch.setenv("CHAT_EXEMPT_ADDRESS", "10.0.0.0/8")
    found = settings()
    assert found.host == ["127.0.0.1"]
    assert [str(each) for each in found.exempt_address] == ["10.0.0.0/8"]


def test_a_flag_wins_over_a_variable_and_that_over_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_file('port = 1\nserver-name = "file"\nheartbeat = 5\n[limits]\ntext = 7\npage = 8\n')
    monkeypatch.setenv("CHAT_PORT", "2")
    monkeypatch.setenv("chat_server_name", "variable")
    monkeypatch.setenv("CHAT_LIMITS__TEXT", "9")
    found = settings("--port", "3")
    assert (found.port, found.server_name, found.heartbeat) == (3, "variable", 5)
    assert (found.limits.text, found.limits.page) == (9, 8)


def test_an_address_in_brackets_is_no_list() -> None:
    assert settings("--host", "[::1]").host == ["[::1]"]
    assert "JSON list" in refused("--host", '["::1')


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_PORT", "")
    assert settings().port == 3000


def test_limits_as_one_json_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_LIMITS", '{"text": 5}')
    assert settings().limits.text == 5
    monkeypatch.setenv("CHAT_LIMITS", '{"txt": 5}')
    assert "CHAT_LIMITS: 'txt'" in refused()


def test_an_error_names_the_variable_and_not_the_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_PORT", "tcp://10.0.0.1:3000")
    message = refused()
    assert message.startswith("CHAT_PORT 'tcp://10.0.0.1:3000': must be a whole number")
    assert "Kubernetes" in message


def test_variables_that_kubernetes_sets_are_ignored(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable in (
        *("CHAT_SERVICE_HOST", "CHAT_SERVICE_PORT", "CHAT_SERVICE_PORT_HTTP", "CHAT_PORT_3000_TCP"),
        *("CHAT_PORT_3000_TCP_PROTO", "CHAT_PORT_3000_TCP_PORT", "CHAT_PORT_3000_TCP_ADDR"),
        *("CHAT_NAME", "CHAT_URL", "CHAT_TOKEN_FILE", "CHAT_LOG_FILE"),  # and the client's
    ):
        monkeypatch.setenv(variable, "x")
    settings()
    assert capsys.readouterr().err == ""


def test_a_misspelled_variable_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHAT_PROT", "1")
    settings()
    assert "CHAT_PROT is ignored; did you mean CHAT_PORT?" in capsys.readouterr().err
    monkeypatch.setenv("CHAT_LIMITS__TXT", "1")
    assert "CHAT_LIMITS__TXT is not a setting; did you mean CHAT_LIMITS__TEXT?" in refused()


@pytest.mark.parametrize("key", ["allow-origin", "allow_origin"])
def test_keys_of_the_file_have_dashes_or_underscores(key: str) -> None:
    write_file(f'{key} = ["https://x.example"]')
    assert settings().allow_origin == ["https://x.example"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            'allow-origins = ["https://x.org"]',
            "allow-origins is not a setting; did you mean allow_",
        ),
        ("[limits]\ntxt = 5", "limits.txt is not a setting; did you mean limits.text?"),
        ("[limit]\ntext = 5", "limit.text is not a setting; did you mean limits.text?"),
        ("zzz = 1", "zzz is not a setting"),
        ("limits = 5", "limits must be a table"),
        ("[port]\nx = 1", "port.x is not a setting"),
        ("allow-origin = []\nallow_origin = []", "are the same setting"),
        ("port = 'x'", "port in"),
        ("port = true", "must be a number"),
        ("[limits]\nrate = true", "must be a number"),
        ("host = [1]", "must be text"),
        ("log_level = true", "must be debug, info, warning or error"),
        ("= 1", "cannot read"),
    ],
)
def test_an_error_in_the_file_names_key_and_file(text: str, reason: str) -> None:
    write_file(text)
    message = refused()
    assert reason in message
    assert str(config_file()) in message


def test_an_unknown_key_stops_the_other_commands_too() -> None:
    write_file("prot = 1")
    with pytest.raises(StartupError, match="prot is not a setting; did you mean port"):
        load(BackupSettings, "chat-server backup", ["copy.db"])


NUMBERS = [
    *("--port", "--heartbeat", "--hello-timeout", "--sign-in-patience", "--connections"),
    *(
        "--person-connections",
        "--address-connections",
        "--address-rate",
        "--address-burst",
        "--close-timeout",
    ),
    *("--reconnect-window", "--write-timeout", "--queue-bytes", "--resume-window"),
    *("--limits.frame", "--limits.text", "--limits.topic", "--limits.name", "--limits.emoji"),
    *("--limits.page", "--limits.rate", "--limits.burst", "--limits.channels"),
    *("--limits.reactions", "--limits.pins", "--limits.members", "--limits.unread"),
]


@pytest.mark.parametrize("flag", NUMBERS)
@pytest.mark.parametrize(
    "value", ["-1", "nan", "inf", "-inf", "1e400", "9" * 40, "abc", "", "1_0", "٣"]
)
def test_absurd_numbers_are_refused(flag: str, value: str) -> None:
    assert flag in refused(f"{flag}={value}")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("port = [1]", "port in {} [1]: must be a whole number"),
        ("port = true", "port in {} true: must be a number"),
        ('server_name = ["a"]', 'server_name in {} ["a"]: must be text'),
    ],
)
def test_a_wrong_value_of_the_file_is_quoted_as_it_is_written_there(line: str, reason: str) -> None:
    write_file(line)
    assert refused().startswith(reason.format(config_file()))


def test_zero_is_refused_where_it_means_nothing() -> None:
    for flag in set(NUMBERS) - {"--port", "--reconnect-window", "--resume-window"}:
        assert flag in refused(f"{flag}=0")
    settings("--port=0", "--reconnect-window=0", "--resume-window=0")


def test_a_text_limit_that_no_frame_can_carry_is_refused() -> None:
    message = refused("--limits.text", "70000")
    for part in ("--limits.text", "70,000", "71,024", "--limits.frame", "65,536", "64,512"):
        assert part in message
    settings("--limits.text", "70000", "--limits.frame", "80000")
    assert "--limits.topic" in refused(
        "--limits.topic=4000", "--limits.text=9", "--limits.frame=4096"
    )


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--prot", "5"], "did you mean --port?"),
        (["bakcup"], "did you mean backup?"),
        (
            ["--data", "X", "invite", "create"],
            "put flags after the command: chat-server invite create --data X",
        ),
        (["--log-level", "loud"], "must be debug, info, warning or error"),
        (["--exempt-address", "foo"], "must be an address or a network"),
        (["--host="], "must name at least one"),
        (["--data="], "--data '': must be a path"),
        (["--data", "~no-such-user/x"], "home folder"),
        (["--server-name", "\x1b[2J"], "must be printable"),
        (["--tls-cert", "x"], "must be given together"),
        (["--registration", "none"], "must be open, invite or closed"),
        (["--reserved-names", "root,a b"], "must be one or more ASCII letters"),
        (["--limits.burst", "1.5"], "must be a whole number"),
        (["--port"], "expected one argument"),
    ],
)
def test_a_wrong_flag_is_reported_in_one_line(flags: list[str], reason: str) -> None:
    assert reason in refused(*flags)


@pytest.mark.parametrize(
    "folder", ["a?b", "a%41b", "100% sure", "a#b", "ünïcode 😀", "a b", "~x", "a&b=c", "x://y"]
)
def test_data_is_stored_in_the_given_folder(tmp_path: Path, folder: str) -> None:
    from chat.store.sqlite.engine import path_of

    found = settings("--data", str(tmp_path / folder))
    assert found.database == tmp_path / folder / "chat.db"
    assert path_of(found.store_url) == found.database


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CHAT_DATA", "~/chat")
    assert settings().database == tmp_path / "chat" / "chat.db"


@pytest.mark.parametrize("command", ["", "backup", "token"])
def test_help_names_values_and_not_types(capsys: pytest.CaptureFixture[str], command: str) -> None:
    from chat.server.cli import main

    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "FOLDER" in printed
    assert not re.search(r"list\[|\b(int|float|str|Path|None)\b|\[\]|IPv\dNetwork", printed), (
        printed
    )
    if not command:
        for metavar in ("ADDRESS", "FILE", "NETWORK", "SECONDS", "PORT", "ORIGIN", "BYTES"):
            assert f" {metavar}" in printed
        for name in ("backup", "restore", "check", "reindex", "token", "schema"):
            assert re.search(rf"^  {name} ", printed, re.MULTILINE)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("x.org", "scheme"),
        ("https://x.org/path", "no path"),
        ("https://x.org?a", "no path"),
        ("https://x.org https://y.org", "space"),
        ("https://*.x.org", "patterns are not supported"),
        ("*", "patterns are not supported"),
        ("wss://x.org", "starts with https://"),
        ("https://", "no host"),
        ("https://x.org:99999", "port"),
        ("https://x.org:", "port"),
        ("https://me@x.org", "user name"),
        ("Null", "scheme"),
    ],
)
def test_an_origin_that_can_never_match_is_refused_with_the_reason(value: str, why: str) -> None:
    message = refused("--allow-origin", value)
    assert "can never match" in message
    assert why in message


@pytest.mark.parametrize(
    ("value", "origin"),
    [
        ("https://X.Org", "https://x.org"),
        ("HTTPS://x.org:443", "https://x.org"),
        ("http://x.org:80/", "http://x.org"),
        ("https://x.org:8443", "https://x.org:8443"),
        ("https://[0:0::1]:9", "https://[::1]:9"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("chrome-extension://abc", "chrome-extension://abc"),
        ("null", "null"),
    ],
)
def test_an_origin_is_written_as_browsers_do(value: str, origin: str) -> None:
    assert settings("--allow-origin", value).allow_origin == [origin]


def test_store_is_shared_and_its_password_is_refused_and_not_repeated() -> None:
    alone, shared = settings(), settings("--store", "postgresql://10.0.0.5/chat")
    assert (alone.is_shared, shared.is_shared) == (False, True)
    assert alone.store_url.startswith("sqlite:")
    assert "postgresql://" in refused("--store", "mysql://10.0.0.5/chat")
    for url in ("postgresql://chat:secret@db/chat", "postgresql://db/chat?password=secret"):
        message = refused("--store", url)
        assert "PGPASSFILE" in message
        assert "secret" not in message


def test_broker_needs_a_shared_database_and_its_files_need_a_broker() -> None:
    assert "--store" in refused("--broker", "nats://127.0.0.1:4222")
    assert "needs --broker" in refused("--broker-ca", "ca.pem")
    assert "needs --broker" in refused("--broker-credentials", "file")


def test_secrets_in_the_address_of_the_broker_are_refused_and_not_repeated() -> None:
    message = refused("--broker", "nats://chat:secret@127.0.0.1:4222")
    assert "--broker-credentials FILE" in message
    assert "secret" not in message


def test_messages_name_a_store_without_its_user() -> None:
    settings = load(ServerSettings, "chat-server", ["--store", "postgresql://chat@host/chat"])
    assert settings.store_url == "postgresql://chat@host/chat"
    assert settings.store_name == "postgresql://host/chat"
