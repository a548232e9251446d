"""The user's own account: signing in, devices, link codes, the password.

These commands need a server with accounts; `Online.ask` refuses them on others.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from chat.client.model.sign_in import SignInWay
from chat.client.model.slash.parser import Invocation
from chat.client.platform.local_time import local_time
from chat.client.presenter.commands.requests import day, minute, request, run_reported
from chat.client.presenter.commands.users import read_account
from chat.client.presenter.conversation import Conversation, Handler
from chat.client.presenter.view import Choice, Refused
from chat.client.sync.core import answer
from chat.text import PASSWORD_MIN, is_long_enough

if TYPE_CHECKING:
    from chat.protocol.frames import (
        Device,
    )


__all__ = ["HANDLERS"]


def _sign_in(conversation: Conversation, asked: Invocation) -> None:
    match asked.get("how").lower():
        case "":
            conversation.choose_sign_in()
        case "invitation" | "link" | "password" as way:
            conversation.sign_in(SignInWay(way))
        case _:  # it may be a code: do not repeat it
            raise Refused(f"Usage: {asked.command.usage}. A dialog asks for the secret.")


def _devices(conversation: Conversation, asked: Invocation) -> None:
    match asked.get("act").lower(), asked.get("id"):
        case "", "":
            run_reported(conversation, _list_devices(conversation))
        case "revoke", word if word.isascii() and word.isdigit():
            run_reported(conversation, _ask_to_revoke(conversation, int(word[:16])))
        case _:
            raise Refused("Use /devices to list your devices, or /devices revoke ID to revoke one.")


async def _read_devices(conversation: Conversation) -> tuple[Device, ...]:
    from chat.protocol.commands import ListDevices

    return (await answer(conversation.core.ask(ListDevices()))).devices


async def _list_devices(conversation: Conversation) -> None:
    devices = {str(each.id): each for each in await _read_devices(conversation)}
    add = conversation.view.list_rows(
        "Your devices",
        lambda key: _revoke_device(conversation, devices[key]),
        "Use /devices revoke ID to revoke one",
        "choose one to revoke it",
    )
    add(map(_device_choice, devices.values()))


def _device_choice(device: Device) -> Choice:
    seen = f"signed in {minute(device.seen)}" if device.seen else "never signed in"
    notes = ["this device"] if device.current else []
    notes += [seen, f"added {day(device.created)}"]
    return Choice(str(device.id), f"{device.id}. {device.label or 'unnamed'}", " · ".join(notes))


async def _ask_to_revoke(conversation: Conversation, id: int) -> None:
    found = [each for each in await _read_devices(conversation) if each.id == id]
    if not found:
        raise Refused(f"You have no device {id}. Use /devices to list them.")
    _revoke_device(conversation, found[0])


def _revoke_device(conversation: Conversation, device: Device) -> None:
    from chat.protocol.commands import Revoke

    label = f"{device.id} ({device.label or 'unnamed'})"
    what = "You are using it: you" if device.current else "It"
    conversation.view.confirm(
        f"Revoke this device? {what} will be signed out at once.",
        f"Device {label}",
        lambda: request(conversation, Revoke(device=device.id), f"Revoked device {label}."),
    )


def _link(conversation: Conversation, asked: Invocation) -> None:
    async def work() -> None:
        from chat.protocol.commands import CreateLink

        link = await answer(conversation.core.ask(CreateLink()))
        conversation.close_link = conversation.view.show_code(
            f"Link code for {conversation.state.user}",
            link.code,
            (
                f"On the other device, start chat-client with the name {conversation.state.user} "
                "and the address of this server (--url), choose “Use a link code”, and type this "
                "code.",
                f"The code works once, until {local_time(link.expires):%H:%M}.",
            ),
        )

    run_reported(conversation, work())


def _password(conversation: Conversation, asked: Invocation) -> None:
    act = asked.get("act").lower()
    if act not in ("", "set", "change", "remove"):  # it may be the password: do not repeat it
        raise Refused(
            f"Usage: {asked.command.usage}. Do not type the password here: the client asks for it."
        )
    run_reported(conversation, _ask_passwords(conversation, is_removed=act == "remove"))


async def _ask_passwords(conversation: Conversation, *, is_removed: bool) -> None:
    """Ask for the present password, if there is one, then twice for the new one."""
    account = await read_account(conversation, conversation.state.user)
    if is_removed and not account.has_password:
        raise Refused("You have no password.")

    def set_password(current: str | None, new: str | None) -> None:
        from chat.protocol.commands import SetPassword

        done = "Password set." if new is not None else "Password removed."
        request(conversation, SetPassword(password=new, current=current), done)

    def go_on(current: str | None = None) -> None:
        if is_removed:
            set_password(current, None)
        else:
            _ask_new_password(conversation, partial(set_password, current))

    if account.has_password:
        conversation.view.ask_secret("Your current password", go_on)
    else:
        go_on()


def _ask_new_password(
    conversation: Conversation, then: Callable[[str], None], problem: str = ""
) -> None:
    """Ask twice for a new password; ask again, with the `problem`, until it can be used."""

    def again(problem: str) -> None:
        _ask_new_password(conversation, then, problem)

    def typed(new: str) -> None:
        if not is_long_enough(new):
            again("That is too short. ")
            return
        conversation.view.ask_secret(
            "Repeat the new password",
            lambda same: then(new) if same == new else again("The two passwords differ. "),
        )

    question = f"{problem}New password, at least {PASSWORD_MIN} characters"
    conversation.view.ask_secret(question, typed)


HANDLERS: dict[str, Handler] = {
    "signin": _sign_in,
    "devices": _devices,
    "link": _link,
    "password": _password,
}
"""The handlers by command name."""
