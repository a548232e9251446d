"""Log failed sign-ins: the first of an address at once, the others as one line a minute."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field

from chat.errors import ErrorCode
from chat.server.monitoring.metrics import LabeledCounter
from chat.text import counted, is_invitation_code, is_link_code, printable_line

__all__ = ["FailedSignIns"]

log = logging.getLogger(__name__)

FAILURES = frozenset(
    {
        *(ErrorCode.BAD_TOKEN, ErrorCode.BAD_PASSWORD, ErrorCode.LINK_INVALID),
        *(ErrorCode.INVITATION_INVALID, ErrorCode.RATE_LIMITED),
        *(ErrorCode.BANNED, ErrorCode.DISABLED, ErrorCode.REVOKED),
    }
)
"""The errors of a `hello` that may interest an operator; others are mistakes, such as a taken
name."""
INTERVAL = 60.0
"""Seconds for which further failures of an address are counted before they are logged."""
NEWCOMERS_MAX = 1_000
"""Most unknown tokens in one interval that are not counted."""
ADDRESSES_MAX = 100
"""Most addresses in one interval that are logged one by one."""
NAMES_MAX = 5
"""Most names of one address that are logged."""
OTHERS = "other addresses"


@dataclass(slots=True)
class _Failures:
    """The failures of an address that were not logged yet."""

    names: dict[str, None] = field(default_factory=dict)
    codes: Counter[ErrorCode] = field(default_factory=Counter)


class FailedSignIns:
    """Counts and logs failed sign-ins; used on the event loop.

    At most two lines per address and interval are logged, and at most `addresses_max` addresses.
    Names are logged as they were given, without any proof.

    Args:
        loop: the event loop.
        counter: counts them by error.
        interval: seconds between two lines about the same address.
        addresses_max: most addresses in one interval that are logged one by one.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        counter: LabeledCounter,
        *,
        interval: float = INTERVAL,
        addresses_max: int = ADDRESSES_MAX,
    ) -> None:
        self._loop = loop
        self._counter = counter
        self._interval = interval
        self._addresses_max = addresses_max
        self._failures: dict[str, _Failures] = {}
        self._newcomers: set[tuple[str, str]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, address: str, name: str, code: ErrorCode) -> None:
        """Count a refused `hello`, unless its error is a mere mistake.

        Args:
            address: the address of the peer, or its network.
            name: the name as given.
            code: the error.
        """
        if code not in FAILURES or self._is_newcomer(address, name, code):
            return
        self._counter.add(code.value)
        self._start_timer()
        shown = _shown(name)
        if address not in self._failures and len(self._failures) < self._addresses_max:
            self._failures[address] = _Failures()
            log.warning("%s: failed sign-in as %s: %s", address, shown, code.value)
            return
        key = address if address in self._failures else OTHERS
        failures = self._failures.setdefault(key, _Failures())
        failures.codes[code] += 1
        if len(failures.names) <= NAMES_MAX:
            failures.names[shown] = None

    def _is_newcomer(self, address: str, name: str, code: ErrorCode) -> bool:
        """Whether a device has only learned that a name is taken.

        A new device shows a token of its own, which claims the name if it is free. So the first
        unknown token of an address for a name is no failure.
        """
        key = (address, name)
        if code is not ErrorCode.BAD_TOKEN or key in self._newcomers:
            return False
        if len(self._newcomers) >= NEWCOMERS_MAX:
            return False
        self._newcomers.add(key)
        self._start_timer()
        return True

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(self._interval, self.flush)

    def flush(self) -> None:
        """Log what was counted, and forget the addresses."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._newcomers.clear()
        failures, self._failures = self._failures, {}
        for address, each in failures.items():
            if each.codes:
                names = list(each.names)
                if len(names) > NAMES_MAX:
                    names[NAMES_MAX:] = ["…"]
                log.warning(
                    "%s: %s as %s: %s",
                    address,
                    counted(each.codes.total(), "more failed sign-in"),
                    ", ".join(names),
                    ", ".join(f"{code.value} {count}" for code, count in each.codes.most_common()),
                )


def _shown(name: str) -> str:
    """Return a name for the log; a code that was typed as a name is a secret."""
    if is_link_code(name) or is_invitation_code(name):
        return "(a code)"
    return printable_line(name)
