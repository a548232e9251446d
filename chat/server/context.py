"""The parts of a running server, by name, and the constants that its tests change."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from chat.rate import Budgets, TokenBuckets
from chat.server.channels.live import RECENT, LiveChannels
from chat.server.channels.presence import CROWD, PULSE, PresenceBroadcaster
from chat.server.channels.typing import EXPIRY
from chat.server.config import ServerSettings
from chat.server.reads import Reads
from chat.server.transport.limits import AdmissionQueue
from chat.server.writes import Writes

__all__ = ["ServerContext", "Tuning"]


@dataclass(frozen=True, slots=True)
class Tuning:
    """Constants that no operator has a reason to set, and tests have."""

    under_way: int = 64
    """Commands of one session that may await their answers before reading from it is paused."""
    sign_ins: int = 64
    """Sign-ins under way at once: enough to fill group commits, too few to hold up other reads."""
    pulse: float = PULSE
    crowd: int = CROWD
    typing_expiry: float = EXPIRY
    recent: int = RECENT


@dataclass(frozen=True, slots=True)
class ServerContext:
    """What sessions and handlers work with; built once by `app`, used on the event loop."""

    settings: ServerSettings
    tuning: Tuning
    loop: asyncio.AbstractEventLoop
    server_id: str
    channels: LiveChannels
    presence: PresenceBroadcaster
    reads: Reads
    writes: Writes
    sign_ins: AdmissionQueue
    """Admits sign-ins, so that thousands who return at once do not undo each other."""
    budgets: Budgets
    """What each person, and each address, may send."""
    new_names: TokenBuckets
    """The names that each address may claim."""
