"""Handle `hello`: identify the user and resume channels."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

from chat import __version__
from chat.errors import CloseCode, CommandError, ErrorCode
from chat.protocol import PROTOCOL_VERSION, frames
from chat.protocol.commands import Hello
from chat.protocol.frames import ServerInfo, Welcome
from chat.server.reply import as_refusal
from chat.store.operations import Failure, Membership, SignedIn, SignIn

if TYPE_CHECKING:
    from chat.server.reply import Reply
    from chat.server.session import Session

__all__ = ["hash_token", "hello"]

FEATURES = ("hidden",)
"""See `Welcome.features`."""
BUSY = "so many sign in at this moment that you would wait too long; come back a little later"


def hash_token(token: str) -> bytes:
    """Return what the store keeps of a token: enough to know it again, too little to use it.

    A token is 256 random bits, so a plain SHA-256 cannot be searched; no salt or stretching helps.
    """
    return hashlib.sha256(token.encode()).digest()


def hello(session: Session, command: Hello, reply: Reply) -> None:
    """Sign in: claim the name, or prove that it is one's own."""
    if session.is_signed_in:
        raise CommandError(ErrorCode.ALREADY_SIGNED_IN, f"you are {session.user.name} already")
    if command.v != PROTOCOL_VERSION:
        reply.error(
            CommandError(
                ErrorCode.UNSUPPORTED_VERSION,
                f"this server speaks version {PROTOCOL_VERSION}; update the older side",
                field="v",
            )
        )
        session.connection.end(CloseCode.UNSUPPORTED_VERSION, "unsupported protocol version")
        return
    session.is_signing_in = True
    session.hello_has_come()
    services = session.services
    wait = services.gate.enter(
        session, lambda: _begin(session, command, reply), services.loop.time()
    )
    if wait:
        reply.error(CommandError(ErrorCode.UNAVAILABLE, BUSY, retry_after=wait))
        session.connection.end(CloseCode.OVERLOADED, "too many sign in at once; come back")


def _begin(session: Session, command: Hello, reply: Reply) -> None:
    issued = None if command.token else secrets.token_urlsafe(32)
    given = hash_token(command.token) if command.token else None
    claim = given or hash_token(issued or "")

    def done(signed_in: SignedIn) -> None:
        _welcome(session, command, reply, signed_in, issued if signed_in.claimed else None)

    def failed(failure: Failure) -> None:
        _refuse(session, reply, as_refusal(failure))

    quota = session.services.name_quota(session.connection.source)
    session.services.write(SignIn(command.name, given, claim, quota), done, failed)


def _let_the_next_in(session: Session) -> None:
    session.services.gate.leave(session, session.services.loop.time())


def _refuse(session: Session, reply: Reply, error: CommandError) -> None:
    _let_the_next_in(session)
    if error.code is ErrorCode.INTERNAL:  # an `error` would keep the client from coming back
        session.connection.end(CloseCode.INTERNAL, error.message)
        return
    reply.error(error)
    if error.code is ErrorCode.BAD_TOKEN:
        session.connection.end(CloseCode.BAD_TOKEN, "wrong token for this name")
    else:
        session.await_hello()
        session.hello_is_answered()


def _welcome(
    session: Session, command: Hello, reply: Reply, outcome: SignedIn, token: str | None
) -> None:
    services = session.services

    def welcome(memberships: tuple[Membership, ...]) -> None:
        if session.is_closed:
            return
        held = len(services.hub.sessions_of(outcome.user.name))
        if held >= services.settings.person_connections:
            _let_the_next_in(session)
            session.connection.end(
                CloseCode.TOO_MANY_CONNECTIONS,
                f"{outcome.user.name} has {held} connections, as many as a person may; close one",
            )
            return
        session.signed_in(outcome.user)
        subscriptions = session.subscriptions
        news = services.presence.set(session.user.name, subscriptions, "online")
        for membership in memberships:
            subscriptions.enter(membership.channel.name, membership.channel.head)
        if news is not None:
            services.tell_presence(subscriptions)
        settings = services.settings
        reply.frame(
            Welcome.known(
                id=reply.id,
                v=PROTOCOL_VERSION,
                user=session.user.name,
                token=token,
                session=session.id,
                server=ServerInfo.known(
                    id=services.store.server_id, name=settings.server_name, version=__version__
                ),
                limits=services.limits,
                heartbeat=settings.heartbeat,
                channels=tuple(map(_listed, memberships)),
                features=FEATURES,
            )
        )
        subscriptions.follow_all(command.resume or {}, lambda: _let_the_next_in(session))
        session.hello_is_answered()

    if outcome.memberships is not None:
        welcome(outcome.memberships)
    else:
        services.read_to_welcome(
            lambda reader: reader.memberships(outcome.user),
            welcome,
            lambda error: _refuse(session, reply, error),
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
