"""Edit a text in $EDITOR, in a private temporary file."""

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
    """Return the editor's command: `$VISUAL`, `$EDITOR`, or an installed common editor.

    Raises:
        ChatError: no editor was found, or a variable cannot be parsed.
    """
    for variable in ("VISUAL", "EDITOR"):
        try:
            words = shlex.split(os.environ.get(variable, ""))
        except ValueError as exc:
            raise ChatError(f"Cannot parse ${variable}: {exc}.") from exc
        if words:
            return words
    for name in _USUAL:
        if shutil.which(name):
            return [name]
    raise ChatError("No editor found. Set $EDITOR.")


def edit(text: str) -> str:
    """Run the editor on `text`; return the saved text. The terminal must be free.

    If a signal ends the editor, as when the terminal closes, the last saved text is returned.

    Raises:
        ChatError: the editor cannot be started, or failed; the text is unchanged.
    """
    words = command()
    try:
        with tempfile.TemporaryDirectory(prefix="chat-") as folder:  # mode 0700
            return _edit_in(Path(folder), words, text)
    except OSError as exc:
        reason = f"{exc.filename or 'the temporary file'}: {exc.strerror or exc}"
        raise ChatError(f"Cannot edit in $EDITOR: {reason}.") from exc


def _edit_in(folder: Path, words: list[str], text: str) -> str:
    file = folder / "message.md"
    file.write_text(text, "utf-8")
    try:
        # No shell: the command is the user's own $EDITOR, the file name is our own.
        code = subprocess.run([*words, str(file)], check=False).returncode  # noqa: S603
    except OSError as exc:
        raise ChatError(f"{words[0]} cannot be started: {exc.strerror or exc}.") from exc
    if code > 0:
        raise ChatError(f"{Path(words[0]).name} exited with code {code}; the text is unchanged.")
    return file.read_text("utf-8", errors="replace").removesuffix("\n")
