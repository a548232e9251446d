"""Settings: their sources, which source wins, and the errors of invalid values."""

from __future__ import annotations

from pathlib import Path

import pytest

from chat.client.config.flags import flags_of
from chat.client.config.settings import (
    ClientSettings,
    Server,
    config_file,
    invitation_of,
    load,
    misspelled,
)
from chat.errors import StartupError


def write_file(text: str) -> None:
    config_file().parent.mkdir(parents=True, exist_ok=True)
    config_file().write_text(text)


def test_defaults_apply_without_any_input() -> None:
    settings = load({})
    assert (settings.name, settings.url) == ("", "ws://127.0.0.1:3000")
    assert settings.token_file is None
    assert settings.data.is_absolute()


def test_a_flag_overrides_a_variable_and_a_variable_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_file('name = "file"\nurl = "ws://file:1"\nlog_level = "info"\n')
    monkeypatch.setenv("CHAT_NAME", "variable")
    monkeypatch.setenv("CHAT_URL", "ws://variable:1")
    settings = load({"name": "flag"})
    assert (settings.name, settings.url) == ("flag", "ws://variable:1")
    assert settings.log_level == "info"


def test_variables_of_the_server_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_PORT", "3000")
    assert load({}).url == "ws://127.0.0.1:3000"


@pytest.mark.parametrize(
    "url",
    [
        "wss://chat.example.org",
        "ws://[::1]:3000",
        "ws://127.0.0.1:3000/",
        "wss://example.org/chat",
        "wss://a.example.org,wss://b.example.org:3000",
    ],
)
def test_valid_server_addresses_are_accepted(url: str) -> None:
    assert load({"url": url}).url == url.rstrip("/")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("localhost:4100", "ws://localhost:4100"),
        ("localhost", "ws://localhost"),
        ("127.0.0.1:3000", "ws://127.0.0.1:3000"),
        ("[::1]:3000", "ws://[::1]:3000"),
        ("chat.example.org", "wss://chat.example.org"),
        ("chat:4100", "wss://chat:4100"),
        ("chat.example.org/base/", "wss://chat.example.org/base/"),
    ],
)
def test_an_address_without_a_scheme_gets_one(given: str, meant: str) -> None:
    assert load({"url": given}).url == meant


@pytest.mark.parametrize("path", ["/chat/", "/a/b/", "/chat"])
def test_a_base_path_stays_unchanged(path: str) -> None:
    assert load({"url": f"wss://example.org{path}"}).url == f"wss://example.org{path}"


def test_spaces_between_addresses_separate_servers() -> None:
    settings = load({"url": "wss://a,wss://b wss://c", "name": "me"})
    assert [each.url for each in settings.for_each_server()] == ["wss://a,wss://b", "wss://c"]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("foo", "localhost:3000"),
        ("http://example.org", "not http://"),
        ("ws://alice:secret@example.org", "--token-file"),
        ("ws://", "host"),
        ("ws://exa mple.org", "ws://"),
        ("ws://a:1,b:1", "ws://"),
        ("ws://a:1,", "ws://"),
        ("ws://example.org:99999", "ort"),
        ("ws://example.org?token=x", "'?'"),
        ("ws://[::1", ""),
    ],
)
def test_an_invalid_address_is_rejected_in_one_line(url: str, says: str) -> None:
    with pytest.raises(StartupError) as caught:
        load({"url": url})
    assert str(caught.value).startswith("--url")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_invalid_value_names_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StartupError, match=r"--name 'böb': must be one or more ASCII"):
        load({"name": "böb"})
    monkeypatch.setenv("CHAT_LOG_LEVEL", "loud")
    with pytest.raises(StartupError, match="CHAT_LOG_LEVEL 'loud'"):
        load({})
    monkeypatch.delenv("CHAT_LOG_LEVEL")
    write_file('log-level = "loud"')
    with pytest.raises(StartupError, match=r"log-level in .*client\.toml 'loud': must be one of"):
        load({})


@pytest.mark.parametrize(
    ("written", "says"),
    [
        (
            "notify-comand = []",
            "client.toml: notify-comand is not a setting; did you mean notify_",
        ),
        ("zzz = 1", "client.toml: zzz is not a setting"),
        ("[zzz]\nname = 1", "client.toml: zzz is not a setting"),
        ('log-level = "info"\nlog_level = "info"', "log-level and log_level are the same setting"),
    ],
)
def test_an_unknown_key_in_the_file_is_rejected(written: str, says: str) -> None:
    write_file(written)
    with pytest.raises(StartupError) as caught:
        load({})
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_keys_in_the_file_may_use_dashes_and_apply_to_every_command() -> None:
    write_file('log-level = "info"\nemoji_names = true\ntimeout = 5')
    assert (load({}).log_level, load({}).emoji_names) == ("info", True)


def test_variables_of_other_programs_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("CHAT_PORT", "tcp://10.0.0.1:3000"),
        ("CHAT_SERVICE_HOST", "10.0.0.1"),
        ("CHAT_HOST", "127.0.0.1"),
        ("CHAT_KEYWORDS", "tea, kettle"),
    ):
        monkeypatch.setenv(name, value)
    assert load({}).keywords == ("tea", "kettle")


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = load({})
    for name in ("CHAT_DATA", "CHAT_URL", "CHAT_NAME", "CHAT_TOKEN_FILE", "CHAT_KEYWORDS"):
        monkeypatch.setenv(name, "")
    assert load({}) == usual


def test_an_empty_path_is_rejected() -> None:
    with pytest.raises(StartupError, match="--data '': must not be empty"):
        load({"data": ""})


def test_an_authority_must_be_a_certificate(tmp_path: Path) -> None:
    missing, other = tmp_path / "none.pem", tmp_path / "other.pem"
    other.write_text("a shopping list", "utf-8")
    with pytest.raises(StartupError, match=r"--ca .*: cannot be read: No such file"):
        load({"ca": str(missing)})
    with pytest.raises(StartupError, match=r"--ca .*: is not a certificate in PEM format"):
        load({"ca": str(other)})


def test_a_misspelled_variable_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CHAT_KEYWORD", "CHAT_PORT", "CHAT_SERVER_NAME", "CHAT_LOG_FORMAT", "CHAT_HOST"):
        monkeypatch.setenv(name, "x")
    assert misspelled() == ["CHAT_KEYWORD is ignored; did you mean CHAT_KEYWORDS?"]


def test_a_file_with_invalid_toml_is_named_in_the_error() -> None:
    write_file("name = ")
    with pytest.raises(StartupError, match=r"client\.toml"):
        load({})


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("name = 5", "name in {} 5: must be text"),
        ("url = true", "url in {} true: must be text"),
        ('url = ["ws://a"]', 'url in {} ["ws://a"]: must be text'),
        ("keywords = 2026-11-24", 'keywords in {} "2026-11-24": must be words'),
        ("keys = [1]", "keys in {} [1]: must be a table of keys"),
        ("plain = { a = false }", 'plain in {} {"a": false}: must be true or false'),
        ("servers = [{}]", "servers.0 in {} {}: must be a table with a url"),
        ('data = ""', "data in {} '': must not be empty"),
    ],
)
def test_an_invalid_value_in_the_file_is_quoted_as_written(line: str, says: str) -> None:
    write_file(line)
    with pytest.raises(StartupError) as caught:
        load({})
    assert str(caught.value).startswith(says.replace("{}", str(config_file()), 1))


def test_a_tilde_in_paths_is_the_home_directory(tmp_path: Path) -> None:
    write_file('data = "~/chats"\n')
    assert load({}).data == Path("~/chats").expanduser()


def test_further_servers_in_the_file_have_their_own_names() -> None:
    write_file(
        'name = "me"\n[[servers]]\nurl = "wss://office/"\nname = "walter"\n[[servers]]\nurl = "ws://tea"'
    )
    each = load({}).for_each_server()
    assert [(one.url, one.name) for one in each] == [
        ("ws://127.0.0.1:3000", "me"),
        ("wss://office", "walter"),
        ("ws://tea", "me"),
    ]
    assert all(one.for_each_server() == (one,) for one in each)


def test_a_server_named_twice_counts_once_and_tokens_are_for_the_first(tmp_path: Path) -> None:
    again = [{"url": "ws://tea", "name": "ME"}, {"url": "ws://tea", "name": "you"}]
    token = tmp_path / "token"
    settings = load({"name": "me", "url": "ws://tea", "servers": again, "token_file": token})
    each = settings.for_each_server()
    assert [(one.name, one.token_file) for one in each] == [("me", token), ("you", None)]


@pytest.mark.parametrize(
    ("line", "says"), [('url = "http://x"', "servers.0.url"), ('token = "x"', "servers.0")]
)
def test_an_invalid_server_in_the_file_is_named_in_the_error(line: str, says: str) -> None:
    write_file(f"[[servers]]\n{line}\n")
    with pytest.raises(StartupError, match=says):
        load({})


@pytest.mark.parametrize("given", ['"deploy, outage,"', '["deploy", "outage"]'])
def test_words_are_a_list_or_comma_separated_text(given: str) -> None:
    reasons = given.replace("deploy", "mention").replace("outage", "direct")
    write_file(f"keywords = {given}\nnotify_for = {reasons}\n")
    settings = load({})
    assert settings.keywords == ("deploy", "outage")
    assert settings.notify_for == ("mention", "direct")
    assert load({"keywords": "other", "notify_for": ""}).notify_for == ()


def test_a_command_is_split_like_in_a_shell() -> None:
    settings = load({"notify": "command", "notify_command": "notify-send --app 'my chat'"})
    assert settings.notify_command == ("notify-send", "--app", "my chat")


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"notify": "loud"}, "--notify 'loud'"),
        ({"notify": "command"}, "notify_command: notify=command needs a program"),
        ({"notify_for": "mention,rain"}, "“rain” is not one of mention, direct, keyword"),
        ({"keywords": "x" * 65}, "at most 100 words"),
        ({"notify_command": "'open"}, "--notify-command"),
    ],
)
def test_invalid_notification_settings_are_rejected(flags: dict[str, str], says: str) -> None:
    with pytest.raises(StartupError) as caught:
        load(flags)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_invitation_comes_from_a_variable_or_a_file_and_never_from_a_flag(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "invite" not in flags_of(ClientSettings)
    monkeypatch.setenv("CHAT_INVITE", " 0Q8VB-KM4TS ")
    settings = load({})
    assert invitation_of(settings) == "0Q8VB-KM4TS"
    assert "0Q8VB" not in repr(settings)
    file = tmp_path / "invitation"
    file.write_text("7C9DE-H3JPR\n")
    assert invitation_of(load({"invite_file": file})) == "7C9DE-H3JPR"
    further = settings.but(servers=(Server("ws://further:1"),)).for_each_server()
    assert [each.invite for each in further] == ["0Q8VB-KM4TS", ""]


def test_an_invalid_invitation_is_not_repeated_in_the_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CHAT_INVITE", "secret" * 20)
    with pytest.raises(StartupError, match="CHAT_INVITE") as error:
        load({})
    assert "secretsecret" not in str(error.value)
    monkeypatch.delenv("CHAT_INVITE")
    write_file('invite = "0Q8VB-KM4TS"\n')
    with pytest.raises(StartupError, match="use CHAT_INVITE") as error:
        load({})
    assert "0Q8VB" not in str(error.value)
    file = tmp_path / "empty"
    file.write_text("\n")
    with pytest.raises(StartupError, match="contains no invitation"):
        invitation_of(ClientSettings(invite_file=file))
