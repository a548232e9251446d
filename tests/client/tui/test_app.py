"""The app after an internal error: what it prints."""

from __future__ import annotations

import pytest

from chat.client.config.settings import ClientSettings
from chat.client.tui.app import ChatApp
from tests.client.presenter.fakes import FakeCore


class FailingApp(ChatApp):
    """Fails as soon as it is ready, with a secret in a local variable."""

    def on_ready(self) -> None:
        def answered(secret: str) -> None:
            assert secret
            raise RuntimeError("a mistake in the program")

        answered("-".join(("correct", "horse")))


async def test_an_internal_error_prints_no_local_variables(
    capsys: pytest.CaptureFixture[str],
) -> None:
    app = FailingApp(ClientSettings(name="me"), make_core=FakeCore)
    with pytest.raises(RuntimeError, match="a mistake"):
        async with app.run_test():
            pass
    printed = capsys.readouterr().err
    assert "a mistake in the program" in printed
    assert "correct-horse" not in printed
