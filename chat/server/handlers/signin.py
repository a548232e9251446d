"""Handle `hello`: identify the user and resume channels."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from chat import __version__
from chat.errors import CloseCode, CommandError, ErrorCode, StoreUnavailable
from chat.protocol import FEATURES, PROTOCOL_VERSION, frames
from chat.protocol.commands import Hello
from chat.protocol.frames import ServerInfo, Welcome
from chat.server.refusals import as_refusal
from chat.store.accounts import Quota, SignIn
from chat.store.operations import Membership

if TYPE_CHECKING:
    from chat.server.session import Session

__all__ = ["hash_token", "hello"]

BUSY = "too many sign-ins at this moment; try again later"


def hash_token(token: str) -> bytes:
    """Return the hash of a token that the store keeps.

    A token is 256 random bits, so a plain SHA-256 is enough: no salt, no stretching.
    """
    return hashlib.sha256(token.encode()).digest()


def hello(session: Session, command: Hello) -> Coroutine[Any, Any, None] | None:
    """Sign in: claim a new name, or check the token of a known one."""
    if session.is_signed_in:
        raise CommandError(ErrorCode.ALREADY_SIGNED_IN, f"already signed in as {session.user.name}")
    if command.v != PROTOCOL_VERSION:
        session.refuse(
            command.id,
            CommandError(
                ErrorCode.UNSUPPORTED_VERSION,
                f"this server uses protocol version {PROTOCOL_VERSION}; update the older program",
                field="v",
            ),
        )
        session.connection.end(CloseCode.UNSUPPORTED_VERSION, "unsupported protocol version")
        return None
    session.begin_sign_in()
    return _sign_in(session, command)


async def _sign_in(session: Session, command: Hello) -> None:
    context = session.context

    def admit_next() -> None:
        context.sign_ins.leave(session, context.loop.time())

    try:
        if wait := await context.sign_ins.enter(session, context.loop.time()):
            busy = CommandError(ErrorCode.UNAVAILABLE, BUSY, retry_after=wait)
            session.refuse(command.id, busy)
            session.connection.end(
                CloseCode.OVERLOADED, "too many sign-ins at once; reconnect later"
            )
            return
        issued = None if command.token else secrets.token_urlsafe(32)
        given = hash_token(command.token) if command.token else None
        claim = given or hash_token(issued or "")
        signed_in = await context.writes.commit(
            SignIn(command.name, given, claim, _name_quota(session))
        )
        current = len(context.channels.sessions_of(signed_in.user.name))
        if current >= context.settings.person_connections:
            session.connection.end(
                CloseCode.TOO_MANY_CONNECTIONS,
                f"{signed_in.user.name} has reached the limit of {current} connections; close one",
            )
            return
        session.signed_in(signed_in.user)
        memberships = signed_in.memberships
        if memberships is None:
            memberships = await context.reads.welcome(
                lambda reader: reader.memberships(signed_in.user)
            )
        token = issued if signed_in.claimed else None
        session.subscriptions.welcomed(
            memberships, lambda: session.answer(_welcome(session, command.id, token, memberships))
        )
        session.finish_sign_in()
        await session.subscriptions.follow_all(command.resume or {}, backed_up=admit_next)
    except (CommandError, StoreUnavailable) as error:
        _refuse(session, command, as_refusal(error))
    finally:
        admit_next()


def _name_quota(session: Session) -> Quota | None:
    """Return the quota of new names for the session's address; None: unlimited."""
    source, new_names = session.connection.source, session.context.new_names
    return None if source is None else lambda: new_names.take(source, time.monotonic())


def _refuse(session: Session, command: Hello, error: CommandError) -> None:
    if error.code is ErrorCode.INTERNAL:  # after an `error` frame, clients would not reconnect
        session.connection.end(CloseCode.INTERNAL, error.message)
        return
    session.refuse(command.id, error)
    if error.code is ErrorCode.BAD_TOKEN:
        session.connection.end(CloseCode.BAD_TOKEN, "wrong token for this name")
    else:
        session.abort_sign_in()


def _welcome(
    session: Session,
    command_id: str | None,
    token: str | None,
    memberships: tuple[Membership, ...],
) -> Welcome:
    context = session.context
    settings = context.settings
    return Welcome.known(
        id=command_id,
        v=PROTOCOL_VERSION,
        user=session.user.name,
        token=token,
        session=session.id,
        server=ServerInfo.known(
            id=context.server_id, name=settings.server_name, version=__version__
        ),
        limits=settings.limits,
        heartbeat=settings.heartbeat,
        channels=tuple(map(_listed, memberships)),
        features=FEATURES,
    )


def _listed(membership: Membership) -> frames.Membership:
    state, preference = membership.channel, membership.preference
    return frames.Membership.known(
        channel=state.name,
        epoch=state.epoch,
        head=state.head,
        role=membership.role,
        topic=state.topic,
        read=membership.read,
        unread=membership.unread,
        mentions=membership.mentions,
        pinned=preference.pinned,
        muted=preference.muted,
        level=preference.level,
    )
