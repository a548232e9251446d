"""The table of slash commands: names, arguments, help.

`/help`, completion and the manual's table are generated from it. Each command is implemented by
the handler with its name in `presenter/commands/`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from chat.rights import Right

__all__ = ["COMMANDS", "Argument", "Command", "Kind", "available", "find", "near"]


class Kind(StrEnum):
    """The kind of an argument; determines its completions."""

    TEXT = "text"  # the rest of the text, line breaks included
    CHANNEL = "channel"
    NAMES = "names"  # one name or several, with commas between them
    EMOJI = "emoji"
    NUMBER = "number"  # a message's number, or `last`
    DURATION = "duration"  # such as `2h`; may be left out before a text
    WORD = "word"
    SERVER = "server"  # a server of this window; the rest of the line, because titles have spaces
    CHOICE = "choice"  # one of the argument's `choices`
    FLAG = "flag"  # one of the argument's `choices`; may be left out before any other argument
    THEME = "theme"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument; `label` is its spelling in the help, and in lower case its key."""

    label: str
    kind: Kind
    optional: bool = False
    choices: tuple[str, ...] = ()
    """All allowed words, which the help lists, and examples of numbers."""

    @property
    def key(self) -> str:
        """The key of the value in an `Invocation`."""
        return self.label.lower()

    def __str__(self) -> str:
        words = (self.label if each.isdigit() else each for each in self.choices)
        shown = "|".join(dict.fromkeys(words)) or self.label
        return f"[{shown}]" if self.optional else shown


@dataclass(frozen=True, slots=True)
class Command:
    """A row of the table; `name` and `aliases` have no slash."""

    name: str
    arguments: tuple[Argument, ...]
    help: str
    example: str
    aliases: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    """Other words for it: the help and the switcher find it by them."""
    is_risky: bool = False
    """Whether it removes something: choosing it from a list only fills the composer."""
    is_for_admins: bool = False
    """Whether admins of the server see it in lists; others only see it by its `right`."""
    right: Right | None = None
    """The right in the current channel that someone needs to see it in lists."""
    help_in_plain: str = ""
    """The help for plain mode, if the command does something else there."""

    @property
    def runs_at_once(self) -> bool:
        """Whether choosing it from a list runs it; otherwise it is inserted into the composer."""
        return not self.is_risky and all(argument.optional for argument in self.arguments)

    def help_line(self, *, is_plain: bool = False) -> str:
        """Return the usage, the help and an example, for the screens or for plain mode."""
        text = self.help_in_plain if is_plain and self.help_in_plain else self.help
        return f"{self.usage}: {text}. Example: {self.example}"

    @property
    def usage(self) -> str:
        """The usage line: `/topic [TEXT]`."""
        return " ".join((f"/{self.name}", *map(str, self.arguments)))


_CHANNEL = Argument("CHANNEL", Kind.CHANNEL)
_CHANNEL_OR_HERE = Argument("CHANNEL", Kind.CHANNEL, optional=True)
_NUMBER = Argument("NUMBER", Kind.NUMBER, optional=True)
_TEXT = Argument("TEXT", Kind.TEXT)
_SERVER = Argument("SERVER", Kind.SERVER, optional=True)
_EMOJI = Argument("EMOJI", Kind.EMOJI)
_NAME = Argument("NAME", Kind.NAMES)
_NAME_OR_ADDRESS = Argument("NAME|ADDRESS", Kind.NAMES)
_WHERE = Argument("WHERE", Kind.FLAG, optional=True, choices=("--channel", "--server"))
_CHANNEL_OR_NAME = Argument("CHANNEL|@NAME", Kind.CHANNEL, optional=True)
_DURATION = Argument("DURATION", Kind.DURATION, optional=True)
_REASON = Argument("REASON", Kind.TEXT, optional=True)

COMMANDS: tuple[Command, ...] = (
    Command("join", (_CHANNEL,), "join or create a channel", "/join #tea", ("j",)),
    Command(
        "create",
        (
            Argument("PRIVATE", Kind.FLAG, optional=True, choices=("--private",)),
            _CHANNEL,
            Argument("TOPIC", Kind.TEXT, optional=True),
        ),
        "create a channel that you own; only invited people see a private one",
        "/create --private #plans What we do next",
    ),
    Command("accept", (_CHANNEL_OR_HERE,), "accept an invitation to a channel", "/accept #plans"),
    Command(
        "decline", (_CHANNEL_OR_HERE,), "decline an invitation to a channel", "/decline #plans"
    ),
    Command(
        "leave",
        (_CHANNEL_OR_HERE,),
        "leave this or another channel",
        "/leave",
        ("part",),
        is_risky=True,
    ),
    Command(
        "hide",
        (_CHANNEL_OR_HERE,),
        "hide a direct channel until its next message",
        "/hide",
        ("close",),
    ),
    Command(
        "msg",
        (Argument("NAMES", Kind.NAMES), Argument("TEXT", Kind.TEXT, optional=True)),
        "send a direct message; separate several names with commas",
        "/msg bob,carol lunch?",
        ("dm", "query"),
        keywords=("private", "whisper", "pm"),
    ),
    Command("me", (_TEXT,), "send an action", "/me waves"),
    Command(
        "topic",
        (Argument("TEXT", Kind.TEXT, optional=True),),
        "show or set the topic (`-` clears it)",
        "/topic green tea only",
    ),
    Command(
        "edit",
        (_NUMBER, Argument("TEXT", Kind.TEXT, optional=True)),
        "edit a message (default: your last one)",
        "/edit Lunch at noon",
        ("e",),
    ),
    Command(
        "delete",
        (_NUMBER,),
        "delete a message (default: your last one)",
        "/delete",
        ("del",),
        is_risky=True,
    ),
    Command(
        "reply",
        (
            Argument("ALSO", Kind.FLAG, optional=True, choices=("--channel",)),
            _NUMBER,
            _TEXT,
        ),
        "reply to a message (default: the latest) in its thread; --channel also sends it to the "
        "channel",
        "/reply 42 agreed",
        ("r",),
    ),
    Command(
        "thread",
        (_NUMBER,),
        "open the thread of a message (default: the latest)",
        "/thread 42",
        ("t",),
    ),
    Command("follow", (_NUMBER,), "follow the thread of a message", "/follow 42"),
    Command("unfollow", (_NUMBER,), "stop following the thread of a message", "/unfollow 42"),
    Command(
        "react",
        (_EMOJI, _NUMBER),
        "react to a message (default: the latest)",
        "/react :+1:",
    ),
    Command(
        "unreact",
        (_EMOJI, _NUMBER),
        "remove your reaction from a message (default: the latest)",
        "/unreact :+1:",
    ),
    Command("pin", (_NUMBER,), "pin a message (default: the latest)", "/pin 42"),
    Command("unpin", (_NUMBER,), "unpin a message (default: the latest)", "/unpin 42"),
    Command(
        "copy",
        (_NUMBER,),
        "copy a message (default: the latest)",
        "/copy 42",
    ),
    Command(
        "open",
        (_NUMBER,),
        "open the link of a message (default: the latest)",
        "/open 42",
    ),
    Command("pins", (), "list the pinned messages of this channel", "/pins"),
    Command(
        "who",
        (_CHANNEL_OR_HERE,),
        "list the members of this channel",
        "/who",
        ("names",),
    ),
    Command(
        "whois",
        (_NAME,),
        "show an account: roles, creation date, last sign-in",
        "/whois bob",
    ),
    Command(
        "ignore",
        (_NAME,),
        "ignore someone: their messages are folded and do not notify you",
        "/ignore mallory",
        keywords=("block",),
    ),
    Command("unignore", (_NAME,), "stop ignoring someone", "/unignore mallory"),
    Command("ignored", (), "list ignored people", "/ignored"),
    Command("show", (_NUMBER,), "show a message from an ignored person", "/show 42"),
    Command("channels", (), "browse all channels and join one", "/channels", ("list",)),
    Command(
        "mark",
        (Argument("ALL", Kind.CHOICE, optional=True, choices=("all",)),),
        "mark this channel as read, or all channels",
        "/mark all",
        ("read",),
    ),
    Command("inbox", (), "list unread messages in all channels", "/inbox"),
    Command(
        "search",
        (Argument("QUERY", Kind.TEXT, optional=True),),
        "search messages: words, a phrase in quotes, prefix*, from: in: before: after: has:link",
        '/search "release notes" from:bob in:#tea after:2026-11-01',
        ("find",),
    ),
    Command(
        "peek",
        (_CHANNEL_OR_HERE,),
        "toggle peek (do not mark the channel as read)",
        "/peek #tea",
    ),
    Command("unread", (), "jump to the first unread message of this channel", "/unread"),
    Command("star", (_CHANNEL_OR_HERE,), "star this channel (listed first)", "/star"),
    Command("unstar", (_CHANNEL_OR_HERE,), "remove the star of this channel", "/unstar"),
    Command(
        "move",
        (Argument("WHERE", Kind.CHOICE, choices=("up", "down")),),
        "move this starred channel up or down",
        "/move up",
    ),
    Command(
        "mute",
        (_CHANNEL_OR_NAME, _DURATION, _REASON),
        "mute this channel for yourself (mentions still notify you); or, as a moderator, a member",
        "/mute #random",
    ),
    Command(
        "unmute",
        (_CHANNEL_OR_NAME,),
        "unmute this channel for yourself; or, as a moderator, a member",
        "/unmute",
    ),
    Command(
        "notify",
        (Argument("LEVEL", Kind.CHOICE, optional=True, choices=("all", "mentions", "none")),),
        "show or set the notification level of this channel",
        "/notify all",
        keywords=("highlight",),
    ),
    Command(
        "dnd",
        (Argument("MINUTES", Kind.CHOICE, optional=True, choices=("on", "off", "30", "60")),),
        "do not disturb: on, off, or minutes",
        "/dnd 30",
    ),
    Command("away", (), "set your status to away", "/away"),
    Command("busy", (), "set your status to busy", "/busy"),
    Command("back", (), "set your status to online", "/back"),
    Command(
        "status",
        (Argument("STATUS", Kind.CHOICE, choices=("online", "away", "busy")),),
        "set your status: online, away or busy",
        "/status away",
    ),
    Command("retry", (), "resend the failed messages of this channel", "/retry"),
    Command(
        "discard", (), "discard the failed messages of this channel", "/discard", is_risky=True
    ),
    Command("reconnect", (), "reconnect now, without waiting", "/reconnect"),
    Command(
        "connect",
        (Argument("URL", Kind.WORD), Argument("NAME", Kind.WORD, optional=True)),
        "add a server",
        "/connect wss://chat.example.org alice",
    ),
    Command(
        "name",
        (Argument("NAME", Kind.WORD, optional=True),),
        "sign in with another name if yours is taken on this server",
        "/name alice2",
        keywords=("nick",),
    ),
    Command(
        "signin",
        (Argument("HOW", Kind.CHOICE, optional=True, choices=("link", "invitation", "password")),),
        "sign in with an invitation, a link code or your password, if the server asks for it",
        "/signin link",
        ("login",),
    ),
    Command(
        "devices",
        (
            Argument("ACT", Kind.CHOICE, optional=True, choices=("revoke",)),
            Argument("ID", Kind.WORD, optional=True),
        ),
        "list your devices, or revoke one: it is signed out at once",
        "/devices revoke 7",
        ("sessions",),
        keywords=("logout", "lost"),
    ),
    Command(
        "link",
        (),
        "show a link code to sign in on another device",
        "/link",
    ),
    Command(
        "password",
        (Argument("ACT", Kind.CHOICE, optional=True, choices=("set", "change", "remove")),),
        "set, change or remove your password (do not type it in the command)",
        "/password",
        ("passwd",),
    ),
    Command(
        "disconnect",
        (_SERVER,),
        "remove a server from this window (local data is kept)",
        "/disconnect",
        is_risky=True,
    ),
    Command("server", (_SERVER,), "switch to another server, or list the servers", "/server work"),
    Command(
        "invite",
        (_NAME, _CHANNEL_OR_HERE),
        "invite someone to this or another channel",
        "/invite bob #plans",
        right="invite",
    ),
    Command(
        "uninvite",
        (_NAME, _CHANNEL_OR_HERE),
        "withdraw an invitation to a channel",
        "/uninvite bob #plans",
        right="invite",
    ),
    Command(
        "kick",
        (_NAME, _REASON),
        "remove a member from this channel; they may join again",
        "/kick mallory spam",
        is_risky=True,
        right="moderate",
    ),
    Command(
        "channel",
        (
            Argument(
                "SETTING",
                Kind.CHOICE,
                optional=True,
                choices=("posting", "invites", "topic", "pins", "private", "retention"),
            ),
            Argument("VALUE", Kind.WORD, optional=True),
        ),
        "show or change the settings of this channel",
        "/channel posting moderators",
        keywords=("settings", "mode"),
    ),
    Command(
        "archive",
        (_CHANNEL_OR_HERE,),
        "make a channel read-only",
        "/archive #old",
        is_risky=True,
        right="settings",
    ),
    Command(
        "unarchive",
        (_CHANNEL_OR_HERE,),
        "let people write in an archived channel again",
        "/unarchive #old",
        right="settings",
    ),
    Command(
        "delete-channel",
        (_CHANNEL_OR_HERE,),
        "delete a channel with all its messages, for everyone",
        "/delete-channel #old",
        is_risky=True,
        right="settings",
    ),
    Command(
        "users",
        (),
        "list all accounts of this server",
        "/users",
        ("accounts",),
        is_for_admins=True,
    ),
    Command(
        "invitations",
        (
            Argument("ACT", Kind.CHOICE, optional=True, choices=("create", "revoke")),
            Argument("DETAILS", Kind.TEXT, optional=True),
        ),
        "list invitations; create one (uses, duration, role, channels), or revoke one",
        "/invitations create 10 2d #team",
        is_for_admins=True,
    ),
    Command(
        "ban",
        (_WHERE, _NAME_OR_ADDRESS, _DURATION, _REASON),
        "ban someone from this channel; or, as an admin, an account, an address or a network from "
        "this server",
        "/ban mallory 7d spam",
        is_risky=True,
        is_for_admins=True,
        right="moderate",
    ),
    Command(
        "unban",
        (_WHERE, _NAME_OR_ADDRESS),
        "lift a ban",
        "/unban mallory",
        is_for_admins=True,
        right="moderate",
    ),
    Command(
        "bans",
        (_WHERE,),
        "list the current bans",
        "/bans",
        is_for_admins=True,
        right="moderate",
    ),
    Command(
        "role",
        (
            _WHERE,
            _NAME,
            Argument("ROLE", Kind.CHOICE, choices=("owner", "moderator", "member", "admin", "bot")),
        ),
        "set a role: owner, moderator or member of this channel; admin, member or bot of this "
        "server",
        "/role bob moderator",
        is_for_admins=True,
        right="roles",
    ),
    Command(
        "disable",
        (_NAME,),
        "disable an account: it is signed out and cannot sign in",
        "/disable bob",
        is_risky=True,
        is_for_admins=True,
    ),
    Command("enable", (_NAME,), "enable a disabled account", "/enable bob", is_for_admins=True),
    Command(
        "audit",
        (Argument("BEFORE", Kind.WORD, optional=True),),
        "show the audit log, newest first, or the entries before a number",
        "/audit",
        is_for_admins=True,
    ),
    Command(
        "theme",
        (Argument("THEME", Kind.THEME, optional=True),),
        "change the theme (colors): dark, light, or another one",
        "/theme light",
    ),
    Command(
        "members",
        (),
        "show or hide the member list",
        "/members",
        help_in_plain="list the members of this channel",
    ),
    Command(
        "sidebar",
        (),
        "show or hide the sidebar",
        "/sidebar",
        help_in_plain="list your channels",
    ),
    Command(
        "bare",
        (),
        "show messages as plain text, to select them with the mouse",
        "/bare",
        help_in_plain="print the latest messages of this channel with their numbers",
    ),
    Command(
        "help",
        (Argument("COMMAND", Kind.COMMAND, optional=True),),
        "show keys and commands, or help for one command",
        "/help msg",
        ("h", "?"),
    ),
    Command("quit", (), "quit (unsent messages are kept)", "/quit", ("q", "exit")),
)

_SHORT, _LONG = 3, 8
"""Minimum number of letters to correct one typo, and to correct two."""
_BY_NAME = {name: row for row in COMMANDS for name in (row.name, *row.aliases)}
_BY_KEYWORD = {word: row.name for row in COMMANDS for word in row.keywords}


def available(*, is_admin: bool, rights: Collection[Right] = ()) -> list[Command]:
    """Return the commands to list for a user with these rights in the current channel."""
    return [
        row
        for row in COMMANDS
        if (row.right in rights)
        or (row.is_for_admins and is_admin)
        or (row.right is None and not row.is_for_admins)
    ]


def find(name: str) -> Command | None:
    """Return the command with this name or alias, with or without its slash."""
    return _BY_NAME.get(name.removeprefix("/").lower())


def near(word: str) -> str | None:
    """Return the command with this keyword or the closest name: one typo, two in a long word."""
    word = word.lower()
    if word in _BY_KEYWORD:
        return _BY_KEYWORD[word]
    most = 1 if len(word) < _LONG else 2
    names = (name for name in _BY_NAME if min(len(name), len(word)) >= _SHORT)
    found = min(names, key=lambda name: slips(word, name), default="")
    return found if found and slips(word, found) <= most else None


def slips(word: str, name: str) -> int:
    """Return the edit distance: letters added, removed, changed, or swapped with the next one."""
    before: list[int] = []
    row = list(range(len(name) + 1))
    for at, letter in enumerate(word, 1):
        before, last, row = row, before, [at]
        for place, other in enumerate(name, 1):
            cost = min(before[place] + 1, row[-1] + 1, before[place - 1] + (letter != other))
            if last and place > 1 and (letter, word[at - 2]) == (name[place - 2], other):
                cost = min(cost, last[place - 2] + 1)
            row.append(cost)
    return row[-1]
