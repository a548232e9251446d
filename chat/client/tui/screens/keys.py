"""The keys of the conversation's screen; their ids are those by which a person rebinds them."""

from __future__ import annotations

from textual.binding import Binding, BindingType

__all__ = ["KEYS"]


def _key(keys: str, action: str, help: str, id: str) -> Binding:
    return Binding(keys, action, help, show=False, id=id)


KEYS: list[BindingType] = [
    _key("ctrl+k", "switch", "go to a channel or a person, or run a command", "channel.switch"),
    _key("alt+a,ctrl+n", "unread", "go where somebody waits, and back", "channel.unread"),
    _key("alt+down", "go(1)", "next channel", "channel.next"),
    _key("alt+up", "go(-1)", "previous channel", "channel.previous"),
    _key("alt+left", "find('back')", "back to the channel before", "channel.back"),
    _key("alt+right", "find('forward')", "forward again", "channel.forward"),
    _key("alt+l", "find('last')", "the last channel, and back", "channel.last"),
    _key("alt+shift+up", "find('up')", "move this starred channel up", "channel.up"),
    _key("alt+shift+down", "find('down')", "move this starred channel down", "channel.down"),
    *(
        _key(f"alt+{n}", f"go_to({n})", f"channel {n} of the list", f"channel.{n}")
        for n in range(1, 10)
    ),
    _key("alt+i", "find('inbox')", "what is unread, in all channels", "reading.inbox"),
    _key("alt+s", "find('search')", "search, and back to what was found", "reading.search"),
    _key("alt+k", "find('peek')", "look without marking as read, or read", "reading.peek"),
    _key("alt+u", "find('first_unread')", "to the first unread message", "reading.first_unread"),
    _key("alt+comma", "find('mention_before')", "to the mention before", "reading.mention_before"),
    _key("alt+full_stop", "find('mention_after')", "to the next mention", "reading.mention_after"),
    _key("alt+t", "find('thread')", "between the thread and its channel", "thread.focus"),
    _key("ctrl+up", "focus_timeline", "choose a message in the timeline", "timeline.focus"),
    _key("ctrl+end", "bottom", "to the newest message", "timeline.bottom"),
    _key("f2", "toggle_pane('sidebar')", "show or hide the channel list", "pane.sidebar"),
    _key("f3", "toggle_pane('members')", "show or hide the member list", "pane.members"),
    Binding("escape", "write", "back to writing", show=False, priority=True),
]
