"""A text in the person's own editor, in a file that only they can read."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from chat.errors import ChatError

__all__ = ["command", "edit"]

_USUAL = ("vi", "nano", "notepad")


def command() -> list[str]:
    """Return how to start the editor: `$VISUAL`, `$EDITOR`, or one that is usually there.

    Raises:
        ChatError: there is none; the message says what to set.
    """
    for variable in ("VISUAL", "EDITOR"):
        if words := shlex.split(os.environ.get(variable, "")):
            return words
    for name in _USUAL:
        if shutil.which(name):
            return [name]
    raise ChatError("No editor was found. Set $EDITOR to the one you use.")


def edit(text: str) -> str:
    """Let the person edit `text`; the terminal must be free. Return what they saved.

    Raises:
        ChatError: the editor cannot be started, or failed; the text is as it was.
    """
    words = command()
    with tempfile.TemporaryDirectory(prefix="chat-") as folder:  # mode 0700
        file = Path(folder) / "message.md"
        file.write_text(text, "utf-8")
        try:
            # No shell: the command is the user's own $EDITOR, the file name is our own.
            code = subprocess.run([*words, str(file)], check=False).returncode  # noqa: S603
        except OSError as exc:
            raise ChatError(f"{words[0]} cannot be started: {exc.strerror or exc}.") from exc
        if code:
            raise ChatError(f"{words[0]} ended with code {code}; the text is as it was.")
        return file.read_text("utf-8", errors="replace").removesuffix("\n")
