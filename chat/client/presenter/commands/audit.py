"""The audit log: read it page by page, as sentences.

These commands need a server with accounts; `Online.ask` refuses them on others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat.client.model.slash.parser import Invocation
from chat.client.platform.local_time import local_time
from chat.client.presenter.commands.requests import minute, run_reported
from chat.client.presenter.conversation import Conversation, Handler
from chat.client.presenter.view import Choice, Refused
from chat.client.sync.core import answer

if TYPE_CHECKING:
    from chat.protocol.frames import (
        AuditEntry,
    )


__all__ = ["HANDLERS", "entry_text"]


_AUDIT_PAGE = 200


def _audit(conversation: Conversation, asked: Invocation) -> None:
    word = asked.get("before")
    if word and not (word.isascii() and word.isdigit() and int(word[:16]) > 0):
        raise Refused(
            f"“{word}” is not an entry number. Use /audit, or /audit NUMBER for older entries."
        )
    run_reported(conversation, _list_audit(conversation, int(word[:16]) if word else None))


async def _list_audit(conversation: Conversation, before: int | None) -> None:
    from chat.protocol.commands import ReadAudit

    page = await answer(conversation.core.ask(ReadAudit(before=before, limit=_AUDIT_PAGE)))
    entries = {str(each.seq): each for each in page.entries}

    def chosen(key: str) -> None:
        if key == "older":
            conversation.run_command(f"/audit {page.entries[-1].seq}")
        else:
            conversation.view.say(_whole_entry(entries[key]))

    add = conversation.view.list_rows(
        "Audit log, newest first", chosen, "Use /audit NUMBER for older entries"
    )
    add(_entry_choice(each) for each in page.entries)
    if page.entries and not page.complete:
        add([Choice("older", "Older entries…", f"/audit {page.entries[-1].seq}")])
    if not page.entries:
        add([Choice("", "No entries")])


def _entry_choice(entry: AuditEntry) -> Choice:
    details = _details(entry)
    more = f" ({details})" if details else ""
    when = f"{local_time(entry.ts):%d %b %H:%M}"
    return Choice(str(entry.seq), f"{entry.seq}  {when}  {entry_text(entry)}{more}")


def _whole_entry(entry: AuditEntry) -> str:
    details = filter(None, (f"from {entry.address}" if entry.address else "", _details(entry)))
    more = f" ({', '.join(details)})"
    told = f"{entry.seq}. {minute(entry.ts)}: {entry_text(entry)}"
    return told if more == " ()" else told + more


_SENTENCES = {
    "created": "{by} created the account {user}",
    "role": "{by} set the role of {user} to {role}",
    "disabled": "{by} disabled {user}",
    "enabled": "{by} enabled {user}",
    "erased": "{by} erased {user}",
    "device_added": "{by} added {label} for {user}",
    "device_revoked": "{by} revoked {label} of {user}",
    "link_created": "{by} created a link code for {user}",
    "password_set": "{user} set a password",
    "password_removed": "{by} removed the password of {user}",
    "invitation_created": "{by} created invitation {invitation}",
    "invitation_used": "{user} used invitation {invitation}",
    "invitation_revoked": "{by} revoked invitation {invitation}",
    "banned": "{by} banned {banned}",
    "unbanned": "{by} lifted the ban on {banned}",
    "settings": "the settings changed",
    "exported": "{by} exported the data of {user}",
    "backed_up": "{by} made a backup",
    "restored": "{by} restored a backup",
    "expiry_forced": "{by} erased all expired messages",
}
"""A sentence for each act."""


_OWN_ACTS = {
    "created": "{user} signed up",
    "device_added": "{user} added {label}",
    "device_revoked": "{by} revoked {label}",
    "link_created": "{by} created a link code",
    "password_removed": "{by} removed the password",
}
"""A shorter sentence for acts of users on their own accounts."""


_SAID = ("role", "label", "invitation", "network", "login")
"""Details that the sentence has already."""


_MOMENTS = ("until", "expires")


_HOW = {
    "open": "without an invitation",
    "invitation": "with an invitation",
    "operator": "on the command line",
    "link": "with a link code",
    "password": "with a password",
}
"""Ways to create an account or add a device."""


_DETAILS = {"before": "previously"}


def entry_text(entry: AuditEntry) -> str:
    """Return what an audit entry says, as a short sentence."""
    details, user = entry.details, entry.user or "?"
    operator = f"the operator ({details['login']})" if "login" in details else "the operator"
    by = entry.by or operator
    sentence = _SENTENCES.get(entry.act)
    if entry.by is not None and entry.by == entry.user:
        sentence = _OWN_ACTS.get(entry.act, sentence)
    if sentence is None:
        return f"{by}: {entry.act.replace('_', ' ')}"
    return sentence.format(
        by=by,
        user=user,
        role=details.get("role", "?"),
        label=f"the device “{details['label']}”" if details.get("label") else "a device",
        invitation=details.get("invitation", "?"),
        banned=entry.user or details.get("network", "?"),
    )


def _details(entry: AuditEntry) -> str:
    said = _SAID if entry.act in _SENTENCES else ("login",)
    left = {key: value for key, value in entry.details.items() if key not in said}
    return ", ".join(_detail(key, value) for key, value in left.items())


def _detail(key: str, value: str) -> str:
    if key in _MOMENTS and value.isascii() and value.isdigit():
        return f"{key} {minute(int(value))}"
    if key == "how":
        return _HOW.get(value, value)
    return f"{_DETAILS.get(key, key)}: {value}"


HANDLERS: dict[str, Handler] = {
    "audit": _audit,
}
"""The handlers by command name."""
