"""The keys of the timeline; their ids are those by which a person rebinds them."""

from __future__ import annotations

from textual.binding import Binding, BindingType

__all__ = ["ACTIONS", "KEYS"]

KEYS: list[BindingType] = [
    Binding("up,k", "cursor(-1)", "Previous message", show=False, id="message.previous"),
    Binding("down,j", "cursor(1)", "Next message", show=False, id="message.next"),
    Binding("pageup", "page(-1)", "Page up", show=False, id="timeline.page_up"),
    Binding("pagedown", "page(1)", "Page down", show=False, id="timeline.page_down"),
    Binding("home,g", "end(-1)", "To the oldest loaded", show=False, id="timeline.first"),
    Binding("end,G", "end(1)", "To the newest", show=False, id="timeline.last"),
    Binding("r", "act('reply')", "Reply, or send again", show=False, id="message.reply"),
    Binding("t", "act('thread')", "Show the thread", show=False, id="message.thread"),
    Binding("e", "act('edit')", "Edit", show=False, id="message.edit"),
    Binding("d", "act('delete')", "Delete", show=False, id="message.delete"),
    Binding("plus", "act('react')", "React", show=False, id="message.react"),
    Binding("p", "act('pin')", "Pin, or unpin", show=False, id="message.pin"),
    Binding("c", "act('copy')", "Copy", show=False, id="message.copy"),
    Binding("o", "act('open')", "Open the link", show=False, id="message.open"),
    Binding("x", "act('discard')", "Discard unsent", show=False, id="message.discard"),
    Binding("enter,escape", "leave", "Leave the messages", show=False, id="message.leave"),
]
"""Letters do something with the message under the cursor; without a cursor they are left alone."""

ACTIONS = {
    each.action.removeprefix("act('").removesuffix("')"): each.id
    for each in KEYS
    if isinstance(each, Binding) and each.id and each.action.startswith("act(")
}
"""Which binding each of these is, by the name of what it asks for."""
