"""Handle `hello`: identify the user by a token, a code or a password, and resume channels."""

from __future__ import annotations

import secrets
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple

from chat import __version__
from chat.errors import CloseCode, CommandError, ErrorCode, StoreUnavailable
from chat.protocol import FEATURES, PROTOCOL_VERSION, frames
from chat.protocol.commands import Hello
from chat.protocol.frames import ServerInfo, Welcome
from chat.server.channels.live import invitation_frame
from chat.server.refusals import as_refusal, close_code, close_reason
from chat.server.subscriptions import channel_fields
from chat.server.transport.limits import source_of
from chat.server.writes import commit
from chat.store.accounts import Account, Quota, SignIn
from chat.store.codes import hash_token
from chat.store.operations import Membership, OpenInvitation, User
from chat.store.read.reader import Reader
from chat.text import fold

if TYPE_CHECKING:
    from chat.server.session import Session

__all__ = ["hello"]

BUSY = "too many sign-ins right now; try again later"


class _Found(NamedTuple):
    """What `welcome` tells users of themselves; a new account has only memberships."""

    memberships: tuple[Membership, ...]
    invited: tuple[OpenInvitation, ...] = ()
    ignored: tuple[str, ...] = ()


def _found(reader: Reader, user: User) -> _Found:
    return _Found(reader.memberships(user), reader.channel_invitations(user), reader.ignored(user))


def hello(session: Session, command: Hello) -> Coroutine[Any, Any, None] | None:
    """Sign in to a known name, or claim a new one."""
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

    issued = None if command.token else secrets.token_urlsafe(32)
    try:
        operation = await _operation(session, command, issued)  # a slow hash holds up no other
        if wait := await context.sign_ins.enter(session, context.loop.time()):
            busy = CommandError(ErrorCode.UNAVAILABLE, BUSY, retry_after=wait)
            session.refuse(command.id, busy)
            session.connection.end(
                CloseCode.OVERLOADED, "too many sign-ins at once; reconnect later"
            )
            return
        ended = context.administration.ended
        signed_in = await commit(context.store, operation)
        current = len(context.channels.sessions_of(signed_in.user.name))
        if current >= context.settings.person_connections:
            session.connection.end(
                CloseCode.TOO_MANY_CONNECTIONS,
                f"{signed_in.user.name} has reached the limit of {current} connections; close one",
            )
            return
        session.signed_in(signed_in.user)
        # A ban that was applied before the session was registered has not ended it.
        if signed_in.memberships is None or context.administration.ended != ended:
            found = await context.reads.welcome(lambda reader: _found(reader, signed_in.user))
        else:
            found = _Found(signed_in.memberships)
        token = issued if signed_in.claimed or signed_in.is_new_device else None
        welcome = _welcome(session, command.id, token, signed_in.role, found)
        session.subscriptions.welcomed(found.memberships, lambda: session.answer(welcome))
        session.finish_sign_in()
        context.passwords.remember(fold(session.user.name), source_of(session.connection.address))
        await session.subscriptions.follow_all(command.resume or {}, backed_up=admit_next)
    except (CommandError, StoreUnavailable) as error:
        _refuse(session, command, as_refusal(error))
    finally:
        admit_next()


async def _operation(session: Session, command: Hello, issued: str | None) -> SignIn:
    """Return the operation of a `hello`, after the password was verified, if it is needed.

    Args:
        session: the session.
        command: the `hello`.
        issued: the token of a new device, if the client sent none.
    """
    settings = session.context.settings
    given = hash_token(command.token) if command.token else None
    password_hash = None
    if command.password is not None and command.invite is None and command.link is None:
        password_hash = await _verified(session, command, command.password, given)
    return SignIn(
        command.name,
        given,
        given or hash_token(issued or ""),
        # An invitation bounds the number of names.
        quota=None if command.invite is not None else _name_quota(session),
        label=command.device or command.client or "",
        address=session.connection.address,
        registration=settings.registration,
        reserved=frozenset(map(fold, settings.reserved_names)),
        invitation=command.invite,
        link=command.link,
        password_hash=password_hash,
    )


async def _verified(
    session: Session, command: Hello, password: str, token_hash: bytes | None
) -> str | None:
    """Return the stored hash that `password` matches; None if a valid token makes it needless.

    Raises:
        CommandError: bad_password, or rate_limited after too many attempts.
    """
    context, name = session.context, command.name
    passwords, source = context.passwords, source_of(session.connection.address)
    # A valid token makes the password needless; without one, nothing is read for an attempt that
    # is refused.
    attempt = passwords.attempt(account=fold(name), address=source) if token_hash is None else None

    def query(reader: Reader) -> tuple[Account | None, bool]:
        account = reader.accounts.account_to_verify(name)
        if account is None or token_hash is None:
            return account, False
        return account, reader.accounts.has_token(account.user, token_hash)

    account, has_token = await context.reads.welcome(query)
    if has_token:
        return None
    attempt = attempt or passwords.attempt(account=fold(name), address=source)
    stored = account.password_hash if account is not None else None
    if not await passwords.verify(attempt, stored, password):
        raise CommandError(
            ErrorCode.BAD_PASSWORD,
            f"wrong name or password: try again, or sign in as {name} with a link code from another"
            f" device (`/link`) or from the operator (`chat-server link {name}`)",
            field="password",
        )
    return stored


def _name_quota(session: Session) -> Quota | None:
    """Return the quota of new names for the session's address; None: unlimited."""
    source, new_names = session.connection.source, session.context.new_names
    return None if source is None else lambda: new_names.take(source, time.monotonic())


def _refuse(session: Session, command: Hello, error: CommandError) -> None:
    session.context.failed_sign_ins.add(
        source_of(session.connection.address), command.name, error.code
    )
    if error.code is ErrorCode.INTERNAL:  # after an `error` frame, clients would not reconnect
        session.connection.end(CloseCode.INTERNAL, error.message)
        return
    session.refuse(command.id, error)
    if (code := close_code(error)) is not None:
        session.connection.end(code, close_reason(error.message))
    else:
        session.abort_sign_in()


def _welcome(
    session: Session,
    command_id: str | None,
    token: str | None,
    role: str,
    found: _Found,
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
            id=context.store.server_id, name=settings.server_name, version=__version__
        ),
        limits=settings.limits,
        heartbeat=settings.heartbeat,
        channels=tuple(map(_listed, found.memberships)),
        features=FEATURES,
        role=role,
        invited=tuple(map(invitation_frame, found.invited)),
        ignored=found.ignored,
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
        **channel_fields(membership),
    )
