"""Where one has been: in the order in which one came there, and where in it one is."""

from __future__ import annotations

from collections.abc import Container

from chat.client.presenter.spots import Spot

__all__ = ["Trail"]

_MOST = 100


class Trail:
    """Back and forward as in a browser: going somewhere new forgets what lay ahead."""

    def __init__(self) -> None:
        self._stops: list[Spot] = []
        self._at = -1

    def came_to(self, spot: Spot) -> None:
        """Note where one is now; a step along the trail is none of its own."""
        if self._stops and self._stops[self._at] == spot:
            return
        self._stops = [*self._stops[: self._at + 1], spot][-_MOST:]
        self._at = len(self._stops) - 1

    def step(self, step: int, known: Container[Spot]) -> Spot | None:
        """Go back (-1) or forward (1) to the next stop that is still there; None: there is none."""
        here, at = self._stops[self._at] if self._stops else None, self._at + step
        while 0 <= at < len(self._stops):
            if self._stops[at] in known and self._stops[at] != here:
                self._at = at
                return self._stops[at]
            at += step
        return None
