"""A failed start after the database was opened: one line, and no leftovers."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from tests.serving import PATIENCE, ChatServer

# Its second address turns out to be dead when it is to be served.
START_BADLY = """
    import sys
    from chat.server import app, cli

    bind = app.bind

    def bind_badly(hosts, port):
        dead, = bind(hosts, 0)
        dead.close()
        return [*bind(hosts, port), dead]

    app.bind = bind_badly
    sys.exit(cli.main(sys.argv[1:]))
"""


def test_failed_listen_prints_one_line_and_releases_everything(
    tmp_path: Path,
) -> None:
    server = ChatServer(tmp_path / "data")
    place = ("--host", "127.0.0.1", "--port", str(server.port), "--data", str(server.data))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(START_BADLY), *place],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env=server.environment(),
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines() == ["chat-server: cannot listen: Bad file descriptor"]
    assert done.stdout == ""
    assert sorted(path.name for path in server.data.iterdir()) == ["chat.db", "chat.db.lock"]
    with server:
        assert server.health()["status"] == "ok"
