"""Features of the client and the server, each with its keys, commands and settings.

The tables in `chat/docs/features.md` are generated from this list. Tests refer to the ids with
marks: `@pytest.mark.feature("reading.activity")`. `test_features.py` checks that every feature has
a test, and that every name in back-quotes exists.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.marks import marked
from tests.tables import table

__all__ = ["FEATURES", "WISHES", "Feature", "Wish", "features_table", "marked_ids", "wishes_table"]


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature.

    Args:
        id: its name in the tests' marks; the part before the dot is the section.
        what: a description for users.
        how: its keys, slash commands, flags and settings, each in back-quotes.
    """

    id: str
    what: str
    how: str


@dataclass(frozen=True, slots=True)
class Wish:
    """A frequent request to terminal chats, and the features that answer it."""

    what: str
    by: tuple[str, ...]


SECTIONS = {
    "reading": "Reading",
    "writing": "Writing",
    "around": "General",
    "accounts": "Accounts",
    "server": "Server",
}

FEATURES: tuple[Feature, ...] = (
    Feature(
        "reading.activity",
        "Activity: unread channels and drafts while the sidebar is hidden",
        "in the status bar; `F2` shows the sidebar",
    ),
    Feature("reading.rule", "A line that marks the first unread message", "`Alt+U`, `/unread`"),
    Feature(
        "reading.tour",
        "Go to the most important unread message (mention, direct, other), then back",
        "`Alt+A`",
    ),
    Feature("reading.mentions", "Previous and next mention, in all channels", "`Alt+,`, `Alt+.`"),
    Feature(
        "reading.inbox",
        "Inbox: everything unread, mentions and replies first, without marking it as read",
        "`Alt+I`, `/inbox`",
    ),
    Feature(
        "reading.search",
        "Full-text search in all of your channels: words, phrases, prefixes, people, channels, "
        "dates; offline in the local copy",
        "`Alt+S`, `/search`",
    ),
    Feature("reading.mark", "Mark one channel or all as read", "`/mark`, `/mark all`"),
    Feature(
        "reading.seen",
        "Only messages that were visible in a focused terminal count as read; peek marks nothing",
        "`Alt+K`, `/peek`",
    ),
    Feature(
        "reading.order",
        "Starred and muted channels, the same on all devices",
        "`/star`, `/move up`, `Alt+Shift+↑`, `/mute`",
    ),
    Feature("reading.hidden", "Direct channels can be hidden until their next message", "`/hide`"),
    Feature(
        "reading.threads",
        "Threads beside the channel, live, with the number of replies at the first message",
        "`t`, `/thread`, `Esc`",
    ),
    Feature(
        "reading.follow",
        "Replies that stay out of the channel; followed threads with their own unread replies",
        "`/reply`, `/follow`, `/unfollow`",
    ),
    Feature(
        "reading.joins", "Joins and leaves of people who wrote something, in one line", "`joins`"
    ),
    Feature("reading.gaps", "Complete history after an absence", "`PgUp`, `Home`"),
    Feature("reading.sync", "Read state shared by all devices", "automatic"),
    Feature(
        "writing.keys",
        "Send and new line have different keys in every terminal",
        "`Alt+Enter`, `Ctrl+J`",
    ),
    Feature("writing.undo", "Undo; Escape never deletes text", "`Esc`"),
    Feature("writing.history", "Recall sent messages", "`Alt+P`, `Alt+N`"),
    Feature("writing.editor", "Write in your own editor", "`Alt+E`"),
    Feature("writing.paste", "Confirmation before a large paste", "automatic"),
    Feature(
        "writing.drafts",
        "A draft for every channel and thread (new text, reply or edit), saved while you type",
        "automatic",
    ),
    Feature("writing.threads", "A separate composer and draft for the thread", "`Alt+T`"),
    Feature(
        "writing.last", "Edit your last message", "`↑` in an empty line, `/edit`, `s/old/new/`"
    ),
    Feature(
        "writing.completion",
        "Completion with a popup: names, channels, emoji, commands, arguments, languages of code",
        "`Tab`",
    ),
    Feature(
        "writing.editing",
        "Readline keys",
        "`Ctrl+A`, `Ctrl+E`, `Ctrl+W`, `Ctrl+U`, `Ctrl+Y`, `Ctrl+T`, `Alt+B`, `Alt+F`, `Alt+D`",
    ),
    Feature("writing.vi", "vi mode", "`editing`"),
    Feature("writing.caret", "Input methods open at the cursor", "automatic"),
    Feature("writing.preview", "Preview of the formatted message", "`Alt+V`"),
    Feature(
        "writing.select",
        "Select a message, then one letter: reply, react, edit, delete, copy, open",
        "`Ctrl+↑`, then `r` `+` `e` `d` `c` `o`",
    ),
    Feature(
        "writing.mouse",
        "The same with the mouse: click the message, then the action",
        "last line of the screen",
    ),
    Feature(
        "writing.copy",
        "Copy to the system clipboard, also over SSH (OSC 52, tmux)",
        "`c`, `Ctrl+C`, `/copy`",
    ),
    Feature("writing.bare", "Plain text view, to select text with the mouse", "`F4`, `/bare`"),
    Feature(
        "writing.delivery",
        "Pending, sent and failed messages look different; retry or discard in place",
        "`r`, `x`, `/retry`, `/discard`",
    ),
    Feature("writing.outbox", "Messages typed offline are sent later, once", "automatic"),
    Feature(
        "around.switcher", "Fuzzy finder for channels, people and commands", "`Ctrl+K`, `Ctrl+P`"
    ),
    Feature("around.ways", "Last channel, back and forward", "`Alt+L`, `Alt+←`, `Alt+→`"),
    Feature(
        "around.servers",
        "Several servers or names in one window, independent of each other",
        "`/connect`, `/disconnect`, `/server`, `[[servers]]`",
    ),
    Feature("around.keys", "Every key can be changed; conflicts are reported", "`[keys]`, `F1`"),
    Feature(
        "around.themes",
        "Themes: Textual's, high contrast, monochrome, 16 colors, your own",
        "`/theme`, `[themes]`, `NO_COLOR`",
    ),
    Feature(
        "around.narrow",
        "Sidebar and member list hide below 100 columns; everything works at 80×24",
        "`F2`, `F3`",
    ),
    Feature(
        "around.widths",
        "Emoji, CJK, combining marks, Arabic and Hebrew do not break the layout",
        "`emoji_names`",
    ),
    Feature("around.large", "100,000 loaded messages scroll and resize like ten", "automatic"),
    Feature(
        "around.addresses",
        "Several addresses of one server: the client continues at the next one",
        "`chat-client --url`",
    ),
    Feature(
        "around.completion",
        "Your shell completes commands, flags and values",
        "`--print-completion`",
    ),
    Feature("around.plain", "Plain mode for screen readers", "`chat-client --plain`"),
    Feature(
        "around.first",
        "A guided first start, and a demo server",
        "`chat-client`, `chat-client --demo`",
    ),
    Feature(
        "around.pipes",
        "Scripting: exit code 0 means that the server has stored the message",
        "`chat-client send`, `chat-client tail`, `chat-client export`",
    ),
    Feature(
        "around.calls",
        "Notifications for mentions, direct messages and keywords, with a level for each channel; "
        "do not disturb",
        "`notify`, `notify_for`, `keywords`, `/notify all`, `/dnd 30`",
    ),
    Feature("around.typing", "Typing indicators: show, send, both or neither", "`typing`"),
    Feature("around.links", "Open or copy links; a label never hides the target", "`o`, `/open`"),
    Feature("around.pins", "Pinned messages", "`p`, `/pin`, `/unpin`, `/pins`"),
    Feature(
        "around.channels",
        "Private channels, invitations, moderators, announcements, archive",
        "`/create`, `/invite`, `/accept`, `/role`, `/channel`, `/archive`",
    ),
    Feature(
        "around.moderation",
        "Kick, mute and ban with a reason and a duration, after one question",
        "`/kick`, `/mute`, `/ban`, `/bans`",
    ),
    Feature(
        "around.ignore",
        "Ignore people: their messages are folded, and they cannot tell",
        "`/ignore`, `/unignore`, `/ignored`, `/show`",
    ),
    Feature("around.reactions", "Reactions and replies", "`+`, `r`, `/react`, `/reply`"),
    Feature(
        "around.turns",
        "Keys typed ahead over a slow connection take effect in order",
        "automatic",
    ),
    Feature(
        "accounts.sign_in",
        "Sign in with an invitation, a link code or a password, where the server asks for it",
        "`/signin link`, `chat-client --invite-file`",
    ),
    Feature(
        "accounts.devices",
        "List your devices and sign one out at once; a new one is announced on all others",
        "`/devices`, `device`",
    ),
    Feature("accounts.link", "A one-time code signs in another device as you", "`/link`"),
    Feature(
        "accounts.password", "An optional password; typed hidden, stored nowhere", "`/password`"
    ),
    Feature(
        "accounts.menu",
        "A menu of what you may do with a member",
        "click in the member list, `/who`, `/whois bob`",
    ),
    Feature(
        "accounts.invitations",
        "Invitations with uses, time, role and channels (admins)",
        "`/invitations`",
    ),
    Feature(
        "accounts.ban",
        "Ban an account, an address or a network (admins)",
        "`/ban mallory 7d spam`, `/bans`, `/unban mallory`",
    ),
    Feature(
        "accounts.audit",
        "Accounts, their roles, and a log of every act of an admin (admins)",
        "`/users`, `/role bob admin`, `/disable bob`, `/enable bob`, `/audit`",
    ),
    Feature(
        "server.registration",
        "Open, invited people only, or closed; reserved names",
        "`registration`, `reserved_names`",
    ),
    Feature(
        "server.invitations",
        "Invitations that expire, with a number of uses, a role, and channels to join",
        "`chat-server invite create`",
    ),
    Feature(
        "server.devices",
        "Each device has a token of its own, and can be revoked; a lost one is out at once",
        "`chat-server user devices`, `chat-server user revoke`, `chat-server link`",
    ),
    Feature(
        "server.passwords",
        "Optional passwords; a flood of wrong ones delays nobody",
        "automatic",
    ),
    Feature(
        "server.bans",
        "Bans of accounts, addresses and networks, with reason and end, that act at once",
        "`chat-server ban`, `chat-server unban`, `chat-server bans`",
    ),
    Feature(
        "server.accounts",
        "Accounts with roles (admin, member, bot) that can be disabled",
        "`chat-server user role`, `chat-server user disable`, `chat-server user add`",
    ),
    Feature(
        "server.export",
        "All that one user wrote and is, as lines of JSON",
        "`chat-server user export`",
    ),
    Feature(
        "server.erase",
        "Erasing a user's texts and name, while the server runs; the numbers remain",
        "`chat-server user erase`",
    ),
    Feature(
        "server.private",
        "Private channels: outsiders cannot tell that they exist; in by invitation",
        "`/create`, `/invite`, `channel_creation`, `reserved_channels`",
    ),
    Feature(
        "server.moderation",
        "An owner and moderators in each channel: kick, ban, mute, announcements, archive",
        "`/role`, `/kick`, `/ban`, `/mute`, `/channel`, `/archive`",
    ),
    Feature(
        "server.retention",
        "Erasing old messages after a time, for all channels or for one",
        "`retention`, `/channel`, `chat-server expire`",
    ),
    Feature(
        "server.audit",
        "An audit log of every administrative act, whoever did it",
        "`chat-server audit`",
    ),
    Feature(
        "server.reload",
        "New settings and limits, also for connected clients, without a restart",
        "SIGHUP, `chat-server check-config`",
    ),
    Feature(
        "server.certificate",
        "A renewed certificate is loaded while clients stay connected",
        "automatic",
    ),
    Feature(
        "server.drain",
        "A stop answers everything first, and disconnects many clients in batches",
        "`drain`, `reconnect_window`",
    ),
    Feature(
        "server.postgresql",
        "A database on PostgreSQL; an existing one moves there with all accounts and messages",
        "`store`, `chat-server migrate-store`, `chat-server new-epochs`",
    ),
    Feature(
        "server.cluster",
        "Several servers on one database behave as one, with NATS between them",
        "`broker`, `broker_credentials`, `broker_ca`",
    ),
    Feature(
        "server.metrics",
        "Metrics for Prometheus, with alerts and a dashboard; health and readiness",
        "`metrics_listen`",
    ),
    Feature(
        "server.log",
        "A log without texts, as text or JSON, with a line for each connection",
        "`log_format`, `log_level`",
    ),
)

WISHES: tuple[Wish, ...] = (
    Wish("Search in all messages, not only the loaded ones", ("reading.search",)),
    Wish("Complete history after an absence", ("reading.gaps",)),
    Wish("Read state shared by all devices", ("reading.sync",)),
    Wish("Reactions and replies", ("around.reactions", "writing.select")),
    Wish("Unread markers, and a key for the next one", ("reading.rule", "reading.tour")),
    Wish("Real threads", ("reading.threads", "writing.threads")),
    Wish("Losing the network without freezing or losing text", ("writing.outbox",)),
    Wish("Speed with long histories", ("around.large",)),
    Wish("Emoji, CJK and right-to-left text that do not break the layout", ("around.widths",)),
    Wish("Multi-line messages, and input methods", ("writing.keys", "writing.caret")),
    Wish("Copying although the program uses the mouse", ("writing.bare", "writing.copy")),
    Wish("Opening links", ("around.links",)),
    Wish("Several accounts in one window", ("around.servers",)),
    Wish("Custom keys, vi mode", ("around.keys", "writing.vi")),
    Wish("Screen readers", ("around.plain",)),
    Wish("Sending from a pipe", ("around.pipes",)),
    Wish("Drafts that survive a restart", ("writing.drafts",)),
    Wish("A guided first start", ("around.first",)),
    Wish("Mark all as read", ("reading.mark",)),
)


def marked_ids() -> set[str]:
    """Return the feature ids that tests are marked with."""
    return {name for each in marked("feature") for name in each.args}


def features_table() -> str:
    """Return the table of features; the first row of each section names it."""
    sections = [SECTIONS[each.id.partition(".")[0]] for each in FEATURES]
    rows = [
        ("" if section == before else section, each.what, each.how)
        for before, section, each in zip(["", *sections], sections, FEATURES, strict=False)
    ]
    return table(("", "feature", "how"), rows)


def wishes_table() -> str:
    """Return the table of requests, each with the keys and commands of its features."""
    how = {each.id: each.how for each in FEATURES}
    rows = ((each.what, "; ".join(how[name] for name in each.by)) for each in WISHES)
    return table(("request", "here"), rows)
