"""The parts of a running server that sessions and handlers use, and its tuning constants."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from chat.rate import Budgets, TokenBuckets
from chat.server.administration import Administration
from chat.server.channels.live import RECENT, LiveChannels
from chat.server.channels.presence import CROWD, PULSE, PresenceBroadcaster
from chat.server.channels.typing import EXPIRY
from chat.server.config.settings import ServerSettings
from chat.server.failed_sign_ins import FailedSignIns
from chat.server.monitoring.metrics import Metrics
from chat.server.passwords import Passwords
from chat.server.reads import Reads
from chat.server.transport.limits import AdmissionQueue
from chat.store.store import Store

__all__ = ["ServerContext", "Tuning"]


@dataclass(frozen=True, slots=True)
class Tuning:
    """Constants that tests change and operators do not."""

    pending_commands: int = 64
    """Unanswered commands of one session above which reading from it is paused."""
    sign_ins: int = 64
    """Concurrent sign-ins: enough to fill group commits, too few to delay other reads."""
    drain_batch: int = 100
    """Connections that a drain sends away at once, at least."""
    pulse: float = PULSE
    crowd: int = CROWD
    typing_expiry: float = EXPIRY
    recent: int = RECENT


@dataclass(slots=True)
class ServerContext:
    """The parts of a server. Built once by `app`, used on the event loop only."""

    settings: ServerSettings
    """Replaced when the server reads its settings again; all else stays."""
    tuning: Tuning
    loop: asyncio.AbstractEventLoop
    store: Store
    """Takes operations; `reads` is for queries."""
    channels: LiveChannels
    presence: PresenceBroadcaster
    reads: Reads
    sign_ins: AdmissionQueue
    """Limits concurrent sign-ins."""
    budgets: Budgets
    """Rate limits of people and addresses."""
    passwords: Passwords
    failed_sign_ins: FailedSignIns
    metrics: Metrics
    administration: Administration
    new_names: TokenBuckets
    """Rate limits of new names, by address."""
