"""What is offered for the word under the cursor, which offer is chosen, and what was waved away."""

from __future__ import annotations

from chat.client.presenter.completing import Candidate, Completion

__all__ = ["Offers"]


class Offers:
    """The offers of completion, from one keystroke to the next."""

    def __init__(self) -> None:
        self.found: Completion | None = None
        """What is offered; None: nothing."""
        self.index = 0
        """Which offer is taken next."""
        self._is_chosen = False
        self._row = 0
        self._waved_away: tuple[int, int] | None = None

    def __bool__(self) -> bool:
        return self.found is not None

    @property
    def is_meant(self) -> bool:
        """Whether Enter takes the offer rather than sending the text."""
        return self.found is not None and (self._is_chosen or self.found.is_meant)

    @property
    def begins_so(self) -> bool:
        """Whether the first offer begins with what was typed."""
        return self.found is not None and self.found.candidates[0].is_prefix

    def take_in(self, found: Completion | None, row: int) -> bool:
        """Take what could be offered in a row now; return whether the offers changed."""
        if found and self._waved_away == (row, found.start):
            found = None
        else:
            self._waved_away = None
        if found == self.found:
            return False
        self._row = row
        self.found, self.index, self._is_chosen = found, 0, False
        return True

    def choose(self, step: int) -> bool:
        """Choose another offer; False if there is none."""
        if self.found is None:
            return False
        self.index = (self.index + step) % len(self.found.candidates)
        self._is_chosen = True
        return True

    def candidate(self, index: int) -> tuple[Candidate, tuple[int, int]] | None:
        """Return an offer, and where the word begins whose place it takes."""
        if self.found is None or not 0 <= index < len(self.found.candidates):
            return None
        return self.found.candidates[index], (self._row, self.found.start)

    def wave_away(self) -> None:
        """Offer nothing more for this word."""
        if self.found is not None:
            self._waved_away = (self._row, self.found.start)

    def welcome(self) -> None:
        """Offer again what was waved away."""
        self._waved_away = None

    def clear(self) -> bool:
        """Offer nothing for now; return whether anything was offered."""
        was = self.found is not None
        self.found, self.index, self._is_chosen = None, 0, False
        return was
