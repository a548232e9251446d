"""Notification rules: which message notifies, and the notification's text.

`sync/channel_sync.py` applies the rules to each new message; `presenter/notifier.py` decides when
to notify. For a while after a notification, further messages are only counted (`Burst`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from unicodedata import normalize

from chat.client.model.preferences import Preference
from chat.client.model.state import NotificationDue
from chat.text import UNSPACED, channel_names, channel_title, fold, is_direct, printable_line

if TYPE_CHECKING:
    from chat.protocol.items import Event, Item

__all__ = ["REASONS", "SPACING", "Burst", "Notification", "NotificationRules", "Way"]

REASONS = ("mention", "direct", "keyword")
"""The reasons that a user can choose for notifications."""
Way = Literal["bell", "osc9", "osc777", "command", "none"]
"""How notifications are delivered."""

SPACING = 5.0
"""Seconds between two notifications."""
_TITLE_MAX, _TEXT_MAX = 80, 160
_NAMED_MAX = 3


class NotificationRules:
    """Rules for which messages notify the user.

    Args:
        reasons: a subset of `REASONS`.
        keywords: words that notify, ignoring case.
    """

    def __init__(self, reasons: Iterable[str], keywords: Iterable[str]) -> None:
        self._reasons = frozenset(reasons)
        words = "|".join(_alone(_folded(word)) for word in keywords if word)
        self._keywords = re.compile(words) if words else None

    def notifies(
        self,
        channel: str,
        entry: Item | Event,
        me: str,
        preference: Preference,
        *,
        follows: bool = False,
    ) -> bool:
        """Whether an entry of `channel` notifies `me`, given the channel's preferences.

        `follows`: whether the user follows its thread; a reply that is only in a thread notifies
        its followers as a mention does, and nobody else.
        """
        is_text = entry.kind == "message" and entry.text is not None
        if not is_text or fold(entry.author) == fold(me) or preference.level == "none":
            return False
        if any(fold(name) == fold(me) for name in entry.mentions):
            return "mention" in self._reasons or preference.level == "all"
        if preference.muted:
            return False
        if entry.thread_only:
            return follows and ("mention" in self._reasons or preference.level == "all")
        if preference.level == "all" or (is_direct(channel) and "direct" in self._reasons):
            return True
        return "keyword" in self._reasons and self._is_named(entry.text or "")

    def _is_named(self, text: str) -> bool:
        return self._keywords is not None and self._keywords.search(_folded(text)) is not None


def _folded(text: str) -> str:
    return text.lower() if text.isascii() else normalize("NFC", text).casefold()


def _alone(word: str) -> str:
    """Return a pattern for `word` as a whole word, or anywhere in scripts without spaces."""
    begin = "" if re.match(f"[{UNSPACED}]", word[0]) else rf"(?<![^\W{UNSPACED}])"
    end = "" if re.match(f"[{UNSPACED}]", word[-1]) else rf"(?![^\W{UNSPACED}])"
    return begin + re.escape(word) + end


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification: two short lines of text that is safe for a terminal."""

    title: str
    text: str


class Burst:
    """Merges notifications that come close together; times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._waiting: list[tuple[NotificationDue, Callable[[], bool]]] = []
        self._notified_at = float("-inf")

    def add(self, due: NotificationDue, is_seen: Callable[[], bool]) -> None:
        """Add a message; it is left out if `is_seen` returns true when the notification is due."""
        self._waiting.append((due, is_seen))

    def wait(self, now: float) -> float | None:
        """Return the seconds until the next notification, or None if there is none."""
        return max(0.0, self._notified_at + SPACING - now) if self._waiting else None

    def take(self, now: float) -> Notification | None:
        """Return the notification if it is due."""
        if self.wait(now) != 0.0:
            return None
        waiting = [due for due, is_seen in self._waiting if not is_seen()]
        self._waiting.clear()
        if not waiting:
            return None
        self._notified_at = now
        return _notification(waiting)


def _notification(waiting: list[NotificationDue]) -> Notification:
    last = waiting[-1]
    if len(waiting) == 1:
        is_private = len(channel_names(last.channel)) == 2
        title = last.author if is_private else f"{last.author} in {_place(last)}"
        return Notification(_short(title, _TITLE_MAX), _short(last.text, _TEXT_MAX))
    counts = Counter(_place(due) for due in waiting)
    places = ", ".join(list(counts)[:_NAMED_MAX])
    more = f" and {len(counts) - _NAMED_MAX} more" if len(counts) > _NAMED_MAX else ""
    title = f"{len(waiting)} new in {places}{more}"
    return Notification(_short(title, _TITLE_MAX), _short(f"{last.author}: {last.text}", _TEXT_MAX))


def _place(due: NotificationDue) -> str:
    return channel_title(due.channel, due.user)


def _short(text: str, most: int) -> str:
    text = printable_line(text[: 2 * most])
    return text if len(text) <= most else f"{text[: most - 1]}…"
