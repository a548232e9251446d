"""What the terminal client can do, by which key, command or setting, and which tests hold it.

The tables in `chat/docs/features.md` are made of this list. Tests carry its ids as marks:
`@pytest.mark.feature("reading.activity")`. Whatever a row names in back-quotes exists, or the walk
through the table (`test_features.py`) fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.marks import marked

__all__ = ["FEATURES", "WISHES", "Feature", "Wish", "features_table", "held_by", "wishes_table"]


@dataclass(frozen=True, slots=True)
class Feature:
    """One thing the client can do.

    Args:
        id: what the tests' marks call it; the part before the dot is the section.
        what: it, in a person's words.
        how: keys, slash commands, flags and settings, each in back-quotes.
    """

    id: str
    what: str
    how: str


@dataclass(frozen=True, slots=True)
class Wish:
    """Something that users of terminal chats have asked for, and the features that are it."""

    what: str
    by: tuple[str, ...]


SECTIONS = {"reading": "Reading", "writing": "Writing", "around": "Around"}

FEATURES: tuple[Feature, ...] = (
    Feature(
        "reading.activity",
        "activity bar: where something happened, by weight; signs for drafts, refused texts and "
        "lines below",
        "under the timeline while the channel list is hidden; `F2`",
    ),
    Feature("reading.rule", "a line before what is new", "`Alt+U`, `/unread`"),
    Feature(
        "reading.tour",
        "go to what matters most (mention, direct, message), then back to where one began",
        "`Alt+A`",
    ),
    Feature("reading.mentions", "previous and next mention, in all channels", "`Alt+,`, `Alt+.`"),
    Feature(
        "reading.inbox",
        "all that is unread, mentions and answers first, read without marking",
        "`Alt+I`, `/inbox`",
    ),
    Feature(
        "reading.search",
        "full-text search over all one may read, by words, phrases, prefixes, people, places and "
        "times, each hit between its neighbors; there and back; offline, what is on this computer",
        "`Alt+S`, `/search`",
    ),
    Feature("reading.mark", "mark one channel read, or all", "`/mark`, `/mark all`"),
    Feature(
        "reading.seen",
        "read is what was visible on a focused terminal; a look that marks nothing",
        "`Alt+K`, `/peek`",
    ),
    Feature(
        "reading.order",
        "channels put first in one's own order, others muted, on all devices",
        "`/star`, `/move up`, `Alt+Shift+↑`, `/mute`",
    ),
    Feature(
        "reading.hidden",
        "a direct channel hidden on all devices until its next message",
        "`/hide`",
    ),
    Feature(
        "reading.threads",
        "a thread beside its channel, live; under each first message, how many replies it has",
        "`t`, `/thread`, `Esc`",
    ),
    Feature("reading.joins", "joins and parts in one line, of people who spoke", "`joins`"),
    Feature("reading.gaps", "history after an absence, without holes", "`PgUp`, `Home`"),
    Feature("reading.sync", "what one has read, in step on all devices", "by itself"),
    Feature(
        "writing.keys", "newline and send told apart, in every terminal", "`Alt+Enter`, `Ctrl+J`"
    ),
    Feature("writing.undo", "undo; Escape never destroys text", "`Esc`"),
    Feature("writing.history", "what was sent, called back", "`Alt+P`, `Alt+N`"),
    Feature("writing.editor", "one's own editor", "`Alt+E`"),
    Feature(
        "writing.paste", "a question before a large paste, by lines and characters", "by itself"
    ),
    Feature(
        "writing.drafts",
        "a draft for each channel and thread (new text, reply or edit), saved while one types",
        "by itself",
    ),
    Feature(
        "writing.threads", "a composer of its own for the thread, with its own draft", "`Alt+T`"
    ),
    Feature(
        "writing.last", "change one's last message", "`↑` in an empty line, `/edit`, `s/old/new/`"
    ),
    Feature(
        "writing.completion",
        "completion with a popup: names, channels, emoji, commands and their arguments, and the "
        "language of code",
        "`Tab`",
    ),
    Feature(
        "writing.editing",
        "the shell's editing keys",
        "`Ctrl+A`, `Ctrl+E`, `Ctrl+W`, `Ctrl+U`, `Ctrl+Y`, `Ctrl+T`, `Alt+B`, `Alt+F`, `Alt+D`",
    ),
    Feature("writing.vi", "vi's modes, if one wants", "`editing`"),
    Feature("writing.caret", "input methods open at the caret", "by itself"),
    Feature("writing.preview", "a preview of what it will look like", "`Alt+V`"),
    Feature(
        "writing.select",
        "a message chosen, then one letter: reply, react, edit, delete, copy, open",
        "`Ctrl+↑`, then `r` `+` `e` `d` `c` `o`",
    ),
    Feature(
        "writing.mouse",
        "the same by mouse alone: a click on the message, one on the word",
        "at the foot of the screen",
    ),
    Feature(
        "writing.copy",
        "copies reach the system's clipboard, from afar too (OSC 52, tmux)",
        "`c`, `Ctrl+C`, `/copy`",
    ),
    Feature(
        "writing.bare",
        "texts alone, for the terminal's own selection",
        "`F4`, `/bare`",
    ),
    Feature(
        "writing.delivery",
        "pending, sent and refused look different; send again or discard in place",
        "`r`, `x`, `/retry`, `/discard`",
    ),
    Feature("writing.outbox", "what is typed without a network is sent later, once", "by itself"),
    Feature(
        "around.switcher", "fuzzy switcher over channels, people and commands", "`Ctrl+K`, `Ctrl+P`"
    ),
    Feature("around.ways", "last channel, back and forward", "`Alt+L`, `Alt+←`, `Alt+→`"),
    Feature(
        "around.servers",
        "several servers, or names, in one window: each a group in the list, none disturbs another",
        "`/connect`, `/disconnect`, `/server`, `[[servers]]`",
    ),
    Feature("around.keys", "every key another one; conflicts are told", "`[keys]`, `F1`"),
    Feature(
        "around.themes",
        "themes: Textual's, contrast, gray, 16 colors, one's own",
        "`/theme`, `[themes]`, `NO_COLOR`",
    ),
    Feature(
        "around.narrow", "lists step aside below 100 columns; all works at 80×24", "`F2`, `F3`"
    ),
    Feature(
        "around.widths",
        "emoji, CJK, combining marks, Arabic and Hebrew keep the layout",
        "`emoji_names`",
    ),
    Feature("around.large", "100,000 messages loaded scroll and resize like ten", "by itself"),
    Feature("around.plain", "whole lines for screen readers", "`chat-client --plain`"),
    Feature(
        "around.first",
        "a first run that asks, and a server to play with",
        "`chat-client`, `chat-client --demo`",
    ),
    Feature(
        "around.pipes",
        "for scripts: acknowledged before exit 0",
        "`chat-client send`, `chat-client tail`, `chat-client export`",
    ),
    Feature(
        "around.calls",
        "called for mentions, direct messages, keywords, a level for each channel; bursts in one; "
        "do not disturb",
        "`notify`, `notify_for`, `keywords`, `/notify all`, `/dnd 30`",
    ),
    Feature("around.typing", "who types: shown, told, both or neither", "`typing`"),
    Feature(
        "around.links",
        "links opened or copied, hyperlinks of the terminal; a label never hides the target",
        "`o`, `/open`",
    ),
    Feature(
        "around.pins",
        "messages pinned in a channel, listed and gone to",
        "`p`, `/pin`, `/unpin`, `/pins`",
    ),
    Feature("around.reactions", "reactions and replies", "`+`, `r`, `/react`, `/reply`"),
    Feature(
        "around.turns",
        "what is typed in one go, as a slow line brings it, goes where the key before it leads",
        "by itself",
    ),
)

WISHES: tuple[Wish, ...] = (
    Wish("search beyond the lines that happen to be loaded", ("reading.search",)),
    Wish("history after an absence, without holes", ("reading.gaps",)),
    Wish("what I have read, in step on every device", ("reading.sync",)),
    Wish(
        "reactions and replies: a way to address a message", ("around.reactions", "writing.select")
    ),
    Wish("unread marks, and a key to the next", ("reading.rule", "reading.tour")),
    Wish("real threads", ("reading.threads", "writing.threads")),
    Wish("losing the network without freezing or losing text", ("writing.outbox",)),
    Wish("start-up and memory", ("around.large",)),
    Wish("emoji, CJK and right-to-left that keep the layout", ("around.widths",)),
    Wish("Enter against newline, and input methods", ("writing.keys", "writing.caret")),
    Wish("copying although the program has the mouse", ("writing.bare", "writing.copy")),
    Wish("links", ("around.links",)),
    Wish("several accounts in one window", ("around.servers",)),
    Wish("one's own keys; vi mode", ("around.keys", "writing.vi")),
    Wish("screen readers", ("around.plain",)),
    Wish("sending from a pipe", ("around.pipes",)),
    Wish("drafts that survive", ("writing.drafts",)),
    Wish("a guide at the first run", ("around.first",)),
    Wish("mark all as read", ("reading.mark",)),
)


def held_by() -> Mapping[str, list[str]]:
    """Return, by feature, the tests that carry its mark: paths below `tests`, with the name."""
    found: dict[str, list[str]] = {}
    for each in marked("feature"):
        for name in each.args:
            found.setdefault(name, []).append(f"{each.path}::{each.test}")
    return found


def features_table() -> str:
    """Return what the client can do as a Markdown table, a heading row for each section."""
    lines = ["| | what | how |", "|---|---|---|"]
    told = ""
    for each in FEATURES:
        section = SECTIONS[each.id.partition(".")[0]]
        lines.append(f"| {section if section != told else ''} | {each.what} | {each.how} |")
        told = section
    return "\n".join(lines)


def wishes_table() -> str:
    """Return what people have asked other programs for, and where it is here."""
    how = {each.id: each.how for each in FEATURES}
    lines = ["| long asked for elsewhere | here |", "|---|---|"]
    lines += [f"| {each.what} | {'; '.join(how[name] for name in each.by)} |" for each in WISHES]
    return "\n".join(lines)
