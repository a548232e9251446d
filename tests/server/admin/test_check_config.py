"""`chat-server check-config`: the printed settings, and each problem with its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from chat.server.cli import main
from chat.server.config.settings import ServerSettings
from chat.server.config.sources import config_file, load
from tests.certificates import certificate_flags, certify, expire
from tests.serving import PATIENCE

SETTINGS = """
server_name = 'Tea "room"'
retention = "36h"
public_url = ["wss://chat.example.org"]
trusted_proxy = "10.0.0.0/8"
metrics_listen = "[::1]:3001"
[limits]
text = 4000
rate = 2.5
"""


@dataclass
class Printed:
    code: int
    output: str
    errors: str


Check = Callable[..., Printed]


@pytest.fixture
def check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Check:
    """Return a function that runs the command with a data folder of its own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def run(*flags: str) -> Printed:
        code = main(["check-config", "--data", str(tmp_path / "data"), *flags])
        return Printed(code, *capsys.readouterr())

    return run


def write(text: str) -> None:
    config_file().parent.mkdir(parents=True, exist_ok=True)
    config_file().write_text(text, "utf-8")


def test_all_settings_are_printed_as_a_file_that_can_be_used(
    check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(SETTINGS)
    monkeypatch.setenv("CHAT_PORT", "4100")
    printed = check("--limits.burst", "7")
    assert printed.code == 0
    assert printed.errors == f"{config_file()}: no problems\n"
    assert "\nport = 4100\n" in printed.output
    assert "\nburst = 7\n" in printed.output
    assert "\n# connections is not set\n" in printed.output
    assert "\n# heartbeat = 20.0\n" in printed.output
    given = load(
        ServerSettings, "chat-server", ["--data", str(tmp_path / "data"), "--limits.burst", "7"]
    )
    monkeypatch.delenv("CHAT_PORT")
    lines = printed.output.splitlines()
    every = [line.removeprefix("# ") for line in lines if not line.endswith("not set")]
    write("\n".join(every))
    assert load(ServerSettings, "chat-server", []) == given
    assert len(tomllib.loads("\n".join(every))["limits"]) == len(type(given.limits).model_fields)


def test_an_unknown_key_is_named_with_the_nearest_setting(check: Check) -> None:
    write("[limits]\ntxt = 5\n")
    printed = check()
    assert printed.code == 2
    assert printed.output == ""
    assert printed.errors.endswith(
        f"{config_file()}: limits.txt is not a setting; did you mean limits.text?\n"
    )


def test_another_file_is_checked(check: Check, tmp_path: Path) -> None:
    new = tmp_path / "new.toml"
    write("port = 1\n")
    new.write_text("port = 4100\n")
    printed = check("--config", str(new))
    assert printed.code == 0
    assert "\nport = 4100\n" in printed.output
    assert printed.errors == f"{new}: no problems\n"
    new.unlink()
    printed = check("--config", str(new))
    assert printed.code == 2
    assert printed.errors == f"chat-server: cannot read {new}: No such file or directory\n"


def test_a_good_certificate_is_accepted_and_its_key_is_not_printed(
    check: Check, tmp_path: Path
) -> None:
    certify(tmp_path)
    printed = check(*certificate_flags(tmp_path))
    assert printed.code == 0
    assert "no problems" in printed.errors
    body = (tmp_path / "key.pem").read_text().splitlines()[1]
    assert body not in printed.output + printed.errors


def test_a_certificate_that_expires_soon_is_a_warning(check: Check, tmp_path: Path) -> None:
    certify(tmp_path, days=13)
    printed = check(*certificate_flags(tmp_path))
    assert printed.code == 0
    assert "chat-server: warning: the certificate" in printed.errors
    assert "expires on" in printed.errors
    assert printed.errors.endswith("1 warning\n")


def test_an_expired_certificate_is_a_problem(check: Check, tmp_path: Path) -> None:
    certify(tmp_path)
    expire(tmp_path)
    printed = check(*certificate_flags(tmp_path))
    assert printed.code == 1
    assert "clients refuse it" in printed.errors


def test_a_key_of_another_certificate_is_a_problem(check: Check, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    certify(other)
    certify(tmp_path)
    (other / "key.pem").replace(tmp_path / "key.pem")
    printed = check(*certificate_flags(tmp_path))
    assert printed.code == 2
    assert f"the key {tmp_path / 'key.pem'} does not belong to the cert" in printed.errors


def test_a_missing_file_of_the_certificate_is_named(check: Check, tmp_path: Path) -> None:
    certify(tmp_path)
    (tmp_path / "key.pem").unlink()
    printed = check(*certificate_flags(tmp_path))
    assert printed.code == 2
    assert f"cannot read {tmp_path / 'key.pem'}: No such file" in printed.errors


def test_a_key_with_a_passphrase_is_a_problem(check: Check, tmp_path: Path) -> None:
    certify(tmp_path)
    encrypt = ("openssl", "rsa", "-aes128", "-passout", "pass:secret", "-in", "key.pem")
    subprocess.run([*encrypt, "-out", "locked.pem"], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "locked.pem").replace(tmp_path / "key.pem")
    printed = check(*certificate_flags(tmp_path))
    assert printed.code == 2
    assert "needs a passphrase: store it without one" in printed.errors


def test_a_data_folder_that_cannot_be_created_is_a_problem(check: Check, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    printed = check("--data", str(tmp_path / "file" / "data"))
    assert printed.code == 2
    assert "is not a folder" in printed.errors


CHECK = """
    import os, sys
    import chat.server.admin.commands  # another user may not read Python's modules
    from chat.server.cli import main
    if os.getuid() == 0:  # root may write everywhere
        os.setgid(65534)
        os.setuid(65534)
    sys.exit(main(["check-config", "--data", sys.argv[1]]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
def test_a_data_folder_without_permission_is_a_problem() -> None:
    with tempfile.TemporaryDirectory() as name:  # others have no access to pytest's own folders
        folder = Path(name)
        folder.chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(CHECK), name],
            env={key: each for key, each in os.environ.items() if not key.startswith("CHAT_")}
            | {"XDG_CONFIG_HOME": name},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        folder.chmod(0o700)
    assert done.returncode == 2, done.stderr
    assert f"the data folder {folder} cannot be used: no permission to write" in done.stderr
