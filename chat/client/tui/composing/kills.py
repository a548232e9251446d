"""What was cut with the shell's keys, to be put in again: cuts in a row make one text."""

from __future__ import annotations

__all__ = ["Kills"]


class Kills:
    """The last text that was cut; `place` is whatever tells that nothing happened in between."""

    def __init__(self) -> None:
        self.text = ""
        self._place: object = None

    def add(self, text: str, *, backwards: bool, before: object, after: object) -> None:
        """Keep a cut.

        Args:
            text: what was cut out.
            backwards: whether it stood before the cursor.
            before: the place before the cut; if the last cut led there, both are one.
            after: the place after it.
        """
        if before != self._place:
            self.text = ""
        self.text = text + self.text if backwards else self.text + text
        self._place = after
