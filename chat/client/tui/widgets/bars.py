"""Single-line bars: header, message actions, composer context, status with activity.

Each bar shows its reactive values, truncated to its width.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from textual.content import Content
from textual.events import Click, MouseDown
from textual.message import Message as TextualMessage
from textual.reactive import reactive
from textual.style import Style
from textual.widget import Widget
from textual.widgets import Static

from chat.client.model.state import ChannelInfo, ConnectionChanged, Link, Message
from chat.client.platform.local_time import local_time
from chat.client.presenter.composer.draft import Aim, Draft
from chat.client.presenter.markdown import gist, links_of
from chat.client.presenter.navigation import NOWHERE, Group, Location, entries, waits, weight
from chat.client.presenter.state import kinds_of, title_of
from chat.client.tui.keymap import MESSAGE_ACTIONS, KeyRow
from chat.client.tui.safe_text import elide, kind_signs, line, lines
from chat.client.tui.timeline.messages import ActionRequested
from chat.client.tui.timeline.widget import may
from chat.client.tui.widgets.sidebar import LINKS, Sidebar, has_badge
from chat.text import is_direct

__all__ = [
    "Banner",
    "ChannelHeader",
    "ContextBar",
    "MessageBar",
    "StatusBar",
    "ThreadHeader",
    "TypingLine",
    "actions_of",
]


_PEEKING = "◉ peeking: messages stay unread"


def _between(bar: Widget, left: Content, right: Content) -> Content:
    """Return a bar's left and right part; where panes have one background, with a rule between."""
    width = max(bar.content_size.width - left.cell_length - right.cell_length, 0)
    if not bar.app.has_class("-flat") or width < len(" ─ "):
        return Content.assemble(left, " " * width, right)
    before, behind = (" " if part else "" for part in (left, right))
    rule = "─" * (width - len(before + behind))
    return Content.assemble(left, before, (rule, "$text-muted"), behind, right)


class ChannelHeader(Widget):
    """The channel's name and its topic, on one line."""

    DEFAULT_CSS = """
    ChannelHeader {
        height: 1;
        padding: 0 1;
        background: $surface;
    }
    """

    channel: reactive[ChannelInfo | None] = reactive(None)
    server: reactive[str] = reactive("")
    """The server's title."""
    is_one_of_several: reactive[bool] = reactive(False)
    """Whether to show the channel's server, because there are several."""
    is_peeking: reactive[bool] = reactive(False)
    """Whether peek is on: visible messages are not marked as read."""

    def render(self) -> Content:
        """Draw the line."""
        info = self.channel
        if info is None:
            return elide(line(self.server or "chat", "bold"), self.content_size.width)
        signs = kind_signs(kinds_of(info))
        kind = Content(f"{signs} " if signs else "")
        name = Content.assemble(kind, line(title_of(info), "bold $text-primary"))
        server = line(f" on {self.server}" if self.is_one_of_several else "", "$text-muted")
        topic = line(info.topic, "$text-muted")
        gap = "  " if info.topic else ""
        notes = self._notes(info)
        width = self.content_size.width - notes.cell_length - 1
        return _between(self, elide(Content.assemble(name, server, gap, topic), width), notes)

    def _notes(self, info: ChannelInfo) -> Content:
        """Return the channel's state, for the right side."""
        quiet = ["archived"] if info.settings.archived else []
        quiet += [f"{info.pins} pinned"] if info.pins else []
        quiet += ["muted"] if info.muted else []
        notes = [Content.styled(note, "$text-muted") for note in quiet]
        if self.is_peeking:
            notes.append(Content.styled(_PEEKING, "bold $text-warning"))
        return Content(" · ").join(notes)


class ThreadHeader(Widget):
    """The channel of the open thread, whether the user follows it, and the key that closes it."""

    DEFAULT_CSS = """
    ThreadHeader {
        height: 1;
        padding: 0 1;
        background: $surface;
    }
    """

    channel: reactive[str] = reactive("")
    """The channel's title, with its server if there are several."""
    is_followed: reactive[bool | None] = reactive(None)
    """Whether the user follows the thread; None if the server knows no followed threads."""

    @dataclass
    class FollowToggled(TextualMessage):
        """Whether the user follows the thread was clicked."""

        is_followed: bool
        """The state before the click."""

    def render(self) -> Content:
        """Draw the line."""
        title = line(self.channel, "$text-muted")
        name = Content.assemble(("Thread", "bold $text-primary"), (" in ", "$text-muted"), title)
        width = self.content_size.width
        follow = self._follow()
        is_long = name.cell_length + follow.cell_length + len(" Esc close") > width
        close = Content.styled("Esc" if is_long else "Esc close", "$text-muted")
        right = Content.assemble(follow, close)
        return _between(self, elide(name, width - right.cell_length - 1), right)

    def _follow(self) -> Content:
        if self.is_followed is None:
            return Content("")
        text, style = (
            ("following", "$text-primary") if self.is_followed else ("follow", "$text-muted")
        )
        word = Content.styled(text, style).stylize(Style.from_meta({"follow": True}))
        return Content.assemble(word, (" · ", "$text-muted"))

    def on_click(self, event: Click) -> None:
        """Report a click on the word that says whether the thread is followed."""
        if "follow" in event.style.meta and self.is_followed is not None:
            event.stop()
            self.post_message(self.FollowToggled(self.is_followed))


class TypingLine(Widget):
    """A line that shows who is typing; always displayed, so the layout does not shift."""

    DEFAULT_CSS = """
    TypingLine {
        height: 1;
        padding: 0 1;
        color: $text-muted;
        text-style: italic;
    }
    """

    names: reactive[tuple[str, ...]] = reactive(())
    below: reactive[int | None] = reactive(None)
    """Messages below what the timeline shows; 0: more lines of the last one; None: nothing."""

    def __init__(self, newest: str = "", *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._newest = newest
        """The key that goes to the newest message."""

    def render(self) -> Content:
        """Draw the line; the key is left out where there is no room for it."""
        typing, below = self._typing(), self._below(self._newest)
        if typing.cell_length + below.cell_length + 1 > self.content_size.width:
            below = self._below("")
        width = self.content_size.width - below.cell_length - 1
        return _between(self, elide(typing, width), below)

    def _below(self, key: str) -> Content:
        if self.below is None:
            return Content("")
        count = f"↓ {self.below:,} below" if self.below else "↓ more"
        hint = f" · {key}" if key else ""
        return Content.assemble((count, "bold $text-accent"), (hint, "$text-muted"))

    def _typing(self) -> Content:
        names = [line(name, "bold") for name in self.names]
        if not names:
            return Content("")
        if len(names) > 3:
            return Content(f"{len(names)} people are typing…")
        if len(names) == 1:
            return Content.assemble(names[0], " is typing…")
        first = Content(", ").join(names[:-1])
        return Content.assemble(first, " and ", names[-1], " are typing…")


class ContextBar(Widget):
    """The message to which the draft replies, or that it edits; whether a reply is in the channel.

    It is hidden for a new message in a channel.

    Args:
        key: the key that switches whether the reply also appears in the channel.
    """

    DEFAULT_CSS = """
    ContextBar {
        display: none;
        height: 1;
        padding: 0 1;
        background: $tint;
    }
    ContextBar.-shown {
        display: block;
    }
    """

    @dataclass
    class Dismissed(TextualMessage):
        """The bar was clicked."""

    @dataclass
    class PlaceToggled(TextualMessage):
        """The choice whether the reply also appears in the channel was clicked."""

    def __init__(self, key: str = "", *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._key = key
        self._text = Content("")
        self._way_out = Content("")
        self._channel = ""
        self._is_in_channel = False

    def show(self, draft: Draft, channel: str = "") -> None:
        """Show the target of a draft, and whether it also appears in `channel`.

        Args:
            draft: the draft.
            channel: the title of the channel, if the user can choose.
        """
        message = draft.message if draft.aim is not Aim.MESSAGE else None
        self.set_class(message is not None or bool(channel), "-shown")
        before = self._text, self._way_out, self._channel, self._is_in_channel
        self._channel, self._is_in_channel = channel, draft.in_channel
        self._text = self._way_out = Content("")
        if message is not None:
            is_reply = draft.aim is Aim.REPLY
            verb, name = (
                ("Replying to ", message.author) if is_reply else ("Editing your message", "")
            )
            quoted = line(gist(message.text))
            self._text = Content.assemble((verb, "bold"), line(name, "bold"), ": ", quoted)
            self._way_out = Content.styled("  Esc to cancel", "$text-muted")
        if before != (self._text, self._way_out, self._channel, self._is_in_channel):
            self.refresh()

    def render(self) -> Content:
        """Draw the line, with the keys; without room, it drops the key of the choice first."""
        width = self.content_size.width
        choice = self._choice(self._key)
        least = width // 3 if self._text.cell_length else 0
        if choice.cell_length + self._way_out.cell_length + least > width:
            choice = self._choice("")
        right = Content.assemble(choice, self._way_out)
        if not self._text.cell_length:
            return elide(choice, width)
        text = elide(self._text, width - right.cell_length - 2)
        gap = max(width - text.cell_length - right.cell_length, 0)
        return Content.assemble(text, " " * gap, right)

    def _choice(self, key: str) -> Content:
        if not self._channel:
            return Content("")
        box = "[x]" if self._is_in_channel else "[ ]"
        style = "bold $text-primary" if self._is_in_channel else "$text-muted"
        words = line(f"{box} also send to {self._channel}", style)
        hint = (f"  {key}" if key else "", "$text-muted")
        return Content.assemble(words, hint).stylize(Style.from_meta({"toggle": True}))

    def on_click(self, event: Click) -> None:
        """Switch the choice if it was clicked; treat a click elsewhere as Escape."""
        event.stop()
        is_choice = "toggle" in event.style.meta
        if is_choice:
            self.post_message(self.PlaceToggled())
        elif self._text.cell_length:
            self.post_message(self.Dismissed())


class Banner(Static):
    """The reason for a lost connection, and the time of the next attempt."""

    DEFAULT_CSS = """
    Banner {
        display: none;
        height: auto;
        max-height: 8;
        padding: 0 1;
        background: $warning 15%;
    }
    Banner.-shown {
        display: block;
    }
    Banner.-refused {
        background: $error 20%;
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)

    def show(self, problem: ConnectionChanged | None) -> None:
        """Show a problem; None hides the banner."""
        self.set_class(problem is not None, "-shown")
        if problem is not None:
            self.set_class(problem.link in (Link.REFUSED, Link.STOPPED), "-refused")
            self.update(lines(problem.detail))


class StatusBar(Widget):
    """The connection, the user's name and the server; then activity, or the most important keys.

    Activity is shown while the sidebar is hidden.
    """

    DEFAULT_CSS = """
    StatusBar {
        height: 1;
        padding: 0 1;
        background: $panel;
    }
    """

    connection: reactive[ConnectionChanged] = reactive(ConnectionChanged(Link.CONNECTING))
    user: reactive[str] = reactive("")
    server: reactive[str] = reactive("")
    status: reactive[str] = reactive("online")
    do_not_disturb: reactive[str] = reactive("")
    """The state of do not disturb, and its end; empty if it is off."""
    hints: reactive[tuple[tuple[str, str], ...]] = reactive(())
    next_unread: reactive[str] = reactive("")
    """The key that goes to the next unread message; shown beside activity."""
    remaining: reactive[float] = reactive(0.0)
    mode: reactive[str] = reactive("")
    """The composer's vi mode; empty without vi keys."""
    has_activity: reactive[bool] = reactive(False)
    """Whether to show activity."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._groups: tuple[Group, ...] = ()
        self._here = NOWHERE
        self._drawn = Content("")

    def show_activity(self, groups: tuple[Group, ...], here: Location) -> None:
        """Show activity in the channels of all servers; repaint only if the line changed."""
        self._groups, self._here = groups, here
        if self.has_activity and self.display and self._draw() != self._drawn:
            self.refresh()

    def render(self) -> Content:
        """Draw the line."""
        self._drawn = self._draw()
        return self._drawn

    def _draw(self) -> Content:
        """Return the line; without room, it drops hints first, then the server, then activity."""
        width = self.content_size.width
        groups = self._groups if self.has_activity else ()
        parts, count = _activity(groups, self._here, width // len(_GAP))
        left, right = self._left(), Content("")
        if parts:
            is_roomy, brief = width >= _ROOMY, self._link(is_short=True)
            key = self._key_to_unread(groups) if is_roomy else Content("")
            wanted = Content(_GAP).join(parts).cell_length + key.cell_length + 2
            kept = 2 + bool(self.mode) if is_roomy else 1
            while len(left) > kept and _joined(left).cell_length + wanted > width:
                left.pop()
            taken = _joined(left) if is_roomy else brief
            right = _fitting(parts, count, width - taken.cell_length - key.cell_length - 2) + key
            if _joined(left).cell_length + 2 + right.cell_length > width:
                left = [brief]
        before = _joined(left)
        if not parts:
            right = self._hints(width - before.cell_length - 2)
        before = elide(before, width - right.cell_length)
        gap = " " * max(width - before.cell_length - right.cell_length, 0)
        return Content.assemble(before, gap, right)

    def on_click(self, event: Click) -> None:
        """Go to the channel that was clicked."""
        meta = event.style.meta
        if isinstance(location := meta.get("location"), tuple):
            self.post_message(Sidebar.ChannelChosen(Location(*location)))
        elif isinstance(invited := meta.get("invited"), tuple):
            self.post_message(Sidebar.InvitationChosen(Location(*invited)))

    def _key_to_unread(self, groups: tuple[Group, ...]) -> Content:
        """Return the key that goes to the next unread message, if there is one elsewhere."""
        listed = entries(groups)
        if any(waits(each.info) and each.location != self._here for each in listed):
            return Content.assemble(_GAP, _hint(self.next_unread, "next"))
        return Content("")

    def _hints(self, width: int) -> Content:
        hints = [_hint(key, label) for key, label in self.hints]
        while hints and sum(hint.cell_length + 3 for hint in hints) - 3 > width:
            hints.pop()
        return Content("   ").join(hints)

    def _left(self) -> list[Content]:
        parts = [self._link()]
        if self.mode:
            parts.append(line(self.mode, "$text-muted"))
        if self.user:
            parts.append(line(self.user, "bold"))
        if self.server:
            parts.append(line(self.server, "$text-muted"))
        return parts

    def _link(self, *, is_short: bool = False) -> Content:
        """Return the connection's state; the short form leaves out text that the sign implies."""
        sign, color, text = LINKS[self.connection.link]
        if self.connection.link is Link.WAITING and self.connection.retry_in is not None:
            seconds = math.ceil(self.remaining)
            text = f"offline, retrying in {seconds} s" if seconds > 0 else "offline, retrying now"
        said = [self.status] if self.status != "online" else []
        said += [self.do_not_disturb] if self.do_not_disturb else []
        is_online = self.connection.link is Link.ONLINE
        if is_online and said:
            sign, color, text = "◐", "$text-warning", ", ".join(said)
        elif is_online and is_short:
            text = ""
        return Content.assemble((sign, color), " " if text else "", text)


def _joined(parts: list[Content]) -> Content:
    return Content.styled("  ·  ", "$text-muted").join(parts)


def _hint(key: str, label: str) -> Content:
    return Content.assemble((key, "bold $text-primary"), " ", (label, "$text-muted"))


_LONGEST, _SERVER_LONGEST = 20, 10
_GAP = "   "
_ROOMY = 60
"""Minimum width for the name, and the key to the next unread message, beside activity."""


def _activity(groups: tuple[Group, ...], here: Location, most: int) -> tuple[list[Content], int]:
    """Return up to `most` parts of the activity, most important first, and their number.

    Mentions come first, then direct messages, then others. Servers other than the current one are
    named; those that are not connected come first.
    The style of a part holds the location to open on a click.
    """
    behind = {each.server: each for each in groups if each.server != here.server}
    active = [each for each in entries(groups) if each.location != here and has_badge(each.info)]
    active.sort(key=lambda each: -_severity(each.info))
    lost = [
        (Location(each.server, ""), _server(each))
        for each in behind.values()
        if each.link is not Link.ONLINE
    ]
    parts = lost + [
        (entry.location, _part(entry.info, behind.get(entry.location.server)))
        for entry in active[:most]
    ]
    invited = [
        (Location(each.server, invitation.channel), _invited(invitation.channel))
        for each in groups
        for invitation in each.invitations
    ]
    drawn = [
        part.stylize(Style.from_meta({key: tuple(location)}))
        for key, found in (("invited", invited), ("location", parts))
        for location, part in found
    ]
    return drawn, len(invited) + len(lost) + len(active)


def _fitting(parts: list[Content], count: int, width: int) -> Content:
    """Return the parts that fit, and the number of those left out of `count`."""
    whole = Content(_GAP).join(parts)
    if whole.cell_length <= width and len(parts) == count:
        return whole
    for kept in range(len(parts) - 1, -1, -1):
        more = f"and {count - kept} more" if kept else f"{count} active"
        shown = Content(_GAP).join([*parts[:kept], Content.styled(more, "$text-muted")])
        if shown.cell_length <= width:
            return shown
    return Content("")


def _severity(info: ChannelInfo) -> int:
    return weight(info) + 1 if waits(info) else 0


def _server(group: Group) -> Content:
    sign, color, _ = LINKS[group.link]
    return Content.assemble((sign, color), " ", elide(line(group.title), _SERVER_LONGEST))


def _invited(channel: str) -> Content:
    name = elide(line(channel), _LONGEST)
    return Content.assemble(name, " ", ("invitation", "bold $text-accent"))


def _part(info: ChannelInfo, behind: Group | None) -> Content:
    """Return a channel's name and its most urgent activity: `#ops 2 mentions`."""
    name = elide(line(title_of(info)), _LONGEST)
    server = line(behind.title, "$text-muted") if behind else Content("")
    on_server = Content.assemble((" on ", "$text-muted"), elide(server, _SERVER_LONGEST))
    return Content.assemble(name, on_server if behind else "", " ", _news(info))


def _news(info: ChannelInfo) -> Content:
    if info.failed:
        return Content.styled(f"{info.failed:,} not sent", "bold $text-error")
    if info.mentions:
        text = "1 mention" if info.mentions == 1 else f"{info.mentions:,} mentions"
        return Content.styled(text, "bold $text-accent")
    if waits(info) and info.unread:
        style = "bold $text-accent" if is_direct(info.name) else "$text-muted"
        return Content.styled(f"{info.unread:,} new", style)
    if waits(info):
        return Content.styled(_replies(info.unread_replies), "$text-muted")
    return Content.styled("draft", "$text-warning")


def _replies(count: int) -> str:
    return "1 reply" if count == 1 else f"{count:,} replies"


_WORDS = {"retry": "resend", "open": "open link"}


class MessageBar(Widget):
    """The actions on the selected message, on one line; hidden without one.

    Args:
        keys: the key of each action, by the action's name.
        select: the key that focuses the timeline, so that keys act on the message.
    """

    DEFAULT_CSS = """
    MessageBar {
        height: 1;
        padding: 0 1;
        background: $panel;
        pointer: pointer;
    }
    """

    chosen: reactive[Message | None] = reactive(None)
    thread: int | None = None
    """The root of the thread in which the message was selected; None for the channel."""
    user: reactive[str] = reactive("")
    acts: reactive[frozenset[str]] = reactive(frozenset[str]())
    """What the user may do with the message: the keys of `message_acts`."""
    has_keys: reactive[bool] = reactive(False)
    """Whether keys act on the message; after a click they do not, and the bar hides their keys."""

    def __init__(self, keys: Mapping[str, str], select: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._keys = keys
        self._select = select
        self.display = False

    def watch_acts(self) -> None:
        """Hide the bar if it has no actions."""
        self.watch_chosen()

    def watch_chosen(self) -> None:
        """Hide the bar if it has no actions."""
        self.display = bool(self._offered())

    def render(self) -> Content:
        """Draw the actions; the style of each holds its name, for clicks."""
        offered, width = self._offered(), self.content_size.width
        counts = range(len(offered), -1, -1)
        # Where keys act, the ends are shortened last; after a click only words that show act.
        whole = counts[:-1] if self.has_keys else counts[:1]
        ways = [(count, False) for count in whole] + [(count, True) for count in counts]
        for count, is_short in ways:
            drawn = self._drawn(offered, count, is_short=is_short)
            if drawn.cell_length <= width:
                break
        return elide(drawn, width)

    def _drawn(self, offered: dict[str, str], count: int, *, is_short: bool) -> Content:
        """Return the line with the first `count` actions, and a sign if others are left out."""
        parts = [self._heading(is_short=is_short)]
        parts += [self._word(action, offered[action]) for action in [*offered][:count]]
        if count < len(offered):
            parts.append(Content.styled("…", "$text-muted"))
        if not self.has_keys:
            parts.append(self._word("select", self._select))
        parts.append(self._word("leave", "Esc", "" if is_short else "back"))
        return Content("  ").join(part for part in parts if part)

    def _word(self, action: str, key: str, word: str | None = None) -> Content:
        word = _WORDS.get(action, action) if word is None else word
        key = key if self.has_keys or action in ("leave", "select") else ""
        ink = (key, "bold $text-primary"), (" " if key and word else ""), (word, "$text-muted")
        return Content.assemble(*ink).stylize(Style.from_meta({"action": action}))

    def _heading(self, *, is_short: bool) -> Content:
        """Return the message's number, for slash commands, and its time.

        An unsent message has no number. If keys do not act on the message, the short form is empty
        to leave room for the key that selects it.
        """
        if self.chosen is None or (is_short and not self.has_keys):
            return Content("")
        time = f"{local_time(self.chosen.ts):%H:%M}"
        seq = self.chosen.seq
        number = "" if seq is None else f"{seq} " if is_short else f"No. {seq} · "
        return Content.styled(f"{number}{time}", "$text-muted")

    def _offered(self) -> dict[str, str]:
        """Return the actions on the message, each with its key."""
        message = self.chosen
        if message is None:
            return {}
        if "show" in self.acts:
            return {"show": self._keys["author"]}
        found = {may(name, message, self.user): key for name, key in self._keys.items()}
        allowed = {*self.acts, "copy", *(["open"] if links_of(message.text) else [])}
        if self.has_keys:  # a click on the author does the same
            allowed.add("author")
        return {name: key for name, key in found.items() if name in allowed and name}

    def on_mouse_down(self, event: MouseDown) -> None:
        """Keep the focus: a change of focus would move the actions before the click ends."""
        event.stop()

    def on_click(self, event: Click) -> None:
        """Request the action that was clicked."""
        event.stop()
        action = event.style.meta.get("action")
        if action == "leave":
            self.call_later(self.screen.run_action, "write")
        elif action == "select":
            self.call_later(self.screen.run_action, "focus_timeline")
        elif self.chosen is not None and isinstance(action, str):
            self.post_message(ActionRequested(action, self.chosen, self.thread))


def actions_of(keys: Iterable[KeyRow]) -> dict[str, str]:
    """Return the label of the bound key of each action on a message, by the action's name."""
    labels = {row.id: row.keys[0] for row in keys}
    return {name: labels[key] for name, key in MESSAGE_ACTIONS.items() if key in labels}
