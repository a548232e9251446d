"""The manual's examples work: commands print what the page says, settings are accepted."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from chat.client.config import settings as client_settings
from chat.server.config import sources as server_sources
from chat.server.config.settings import ServerSettings
from tests.serving import PATIENCE, ChatServer, Peer
from tests.test_repository import ROOT

MANUAL = ROOT / "chat" / "docs"
SCRIPTING = MANUAL / "scripting.md"
SERVER = MANUAL / "server.md"
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d"
NUMBER = r"\d[\d,]*"


def examples(page: Path) -> list[tuple[str, str]]:
    """Return the commands after `$ ` in the page's `console` blocks, each with its output."""
    blocks = re.findall(r"^```console\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)
    found = []
    for block in blocks:
        for example in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, output = example.partition("\n")
            found.append((command, output))
    return found


def pattern(output: str, *, any_number: bool = False) -> str:
    """Return what an output must match: `…` stands for anything in a line, a time for any time.

    With `any_number` a number stands for any number.
    """
    varying = {"…": ".*", TIME: TIME} | ({NUMBER: NUMBER} if any_number else {})
    pieces = re.split(f"({'|'.join(varying)})", output)
    return "".join(
        next((fit for what, fit in varying.items() if re.fullmatch(what, piece)), re.escape(piece))
        for piece in pieces
    )


def environment(home: Path, **variables: str) -> dict[str, str]:
    """Return an environment with the programs and without this machine's settings."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("CHAT_")},
        **dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), str(home)),
        "PATH": f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}",
        **variables,
    }


def run(command: str, home: Path, **variables: str) -> str:
    """Run a command in a shell; return what it printed, errors included."""
    done = subprocess.run(
        ["bash", "-c", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        env=environment(home, **variables),
        cwd=home,
        timeout=3 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, (command, done.stdout)
    return done.stdout


@pytest.mark.timeout(300)  # a dozen programs start, on a busy machine
def test_the_examples_of_the_scripting_page_print_the_documented_output(
    server: ChatServer, tmp_path: Path
) -> None:
    assert examples(SCRIPTING)
    for command, output in examples(SCRIPTING):
        printed = run(command, tmp_path, CHAT_NAME="ci", CHAT_URL=server.url)
        assert re.fullmatch(pattern(output), printed), (command, printed)


@pytest.mark.timeout(300)
async def test_the_examples_of_the_server_page_print_the_documented_output(
    start_server: Callable[..., ChatServer], tmp_path: Path
) -> None:
    server = start_server(data=tmp_path / "chat-server")
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#general")
        await alice.join("#tea")
    commands = dict(examples(SERVER))
    running = ("chat-server", "curl http://127.0.0.1:3000/healthz")
    for command, output in commands.items():
        if command in running:
            continue
        if command.startswith("chat-server restore"):
            assert server.stop() == 0
        printed = run(command, tmp_path, CHAT_PUBLIC_URL="wss://chat.example.org:3000")
        assert re.fullmatch(pattern(output, any_number=True), printed), (command, printed)
    assert set(running) <= set(commands)


@pytest.mark.timeout(300)
def test_clients_trust_the_certificate_authority_of_the_server_page(
    start_server: Callable[..., ChatServer], tmp_path: Path
) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", SERVER.read_text("utf-8"), re.M | re.S)
    (create,) = [block for block in blocks if "openssl" in block]
    here = create.replace("DNS:chat.example.org,IP:192.0.2.10", "DNS:localhost,IP:127.0.0.1")
    assert here != create
    run(f"set -e\n{here}", tmp_path)
    files = ("--tls-cert", "fullchain.pem", "--tls-key", "privkey.pem")
    server = start_server(
        *(str(tmp_path / each) if each.endswith(".pem") else each for each in files)
    )
    assert server.url.startswith("wss://")
    send = f"chat-client send --name ci --url {server.url} general hello"
    run(f"{send} --ca ca.pem", tmp_path)
    run(send, tmp_path, SSL_CERT_FILE="ca.pem")
    refused = run(f"{send} --timeout 3 || true", tmp_path)
    assert "chat-client --ca ca.pem" in refused
    wrong = run(f"{send} --ca privkey.pem || true", tmp_path)
    assert "'privkey.pem': is not a certificate in PEM format" in wrong
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("printed", "fits"),
    [
        ("[4 2027-01-02 10:00] ci: hi\n", True),
        ("[5 2027-01-02 10:00] ci: hi\n", False),
        ("[4 2027-01-02 10:00] ci: hi\nmore\n", False),
    ],
)
def test_an_example_fits_only_its_output(printed: str, fits: bool) -> None:
    assert bool(re.fullmatch(pattern("[4 2026-11-24 09:30] ci: hi\n"), printed)) == fits


def settings_in(page: str) -> list[str]:
    """Return the `toml` blocks of a page."""
    text = (MANUAL / page).read_text("utf-8")
    return re.findall(r"^```toml\n(.*?)^```$", text, re.M | re.S)


@pytest.mark.parametrize("block", settings_in("client.md"))
def test_the_clients_settings_in_the_manual_are_accepted(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    write(client_settings.config_file(), block)
    assert client_settings.load({}).given


@pytest.mark.parametrize("block", [*settings_in("server.md"), *settings_in("deploy/README.md")])
def test_the_servers_settings_in_the_manual_are_accepted(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    write(server_sources.config_file(), block)
    settings = server_sources.load(ServerSettings, "chat-server", [])
    assert settings.model_fields_set


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
