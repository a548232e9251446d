"""Moderation by slash command: kicks, mutes, bans and roles, and where they apply."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from chat.client.model.preferences import PreferenceChange
from chat.client.model.state import (
    ChannelChanged,
    ConnectionChanged,
    IgnoredChanged,
    Link,
    MembersChanged,
)
from chat.client.presenter.commands.users import open_menu
from chat.client.presenter.composer.completion import Sources, complete
from chat.client.presenter.view import Question
from chat.protocol.commands import (
    AccountCommand,
    Ban,
    BaseCommand,
    Ignore,
    Kick,
    ListBans,
    MuteUser,
    SetRole,
    Unban,
    Unignore,
    Unmute,
)
from chat.protocol.frames import BanInfo, Bans, Ok
from chat.protocol.values import Wire
from tests.client.presenter.commands.test_commands import Bench
from tests.client.presenter.fakes import info


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    be(bench, "moderator")
    yield bench
    for work in bench.view.beside:
        work.close()


def be(bench: Bench, role: str, *, server_role: str = "member") -> None:
    """Be a member of #tea with a role, among others, on a server with rooms."""
    bench.core.tell(
        ConnectionChanged(
            Link.ONLINE, user="me", role=server_role, has_accounts=True, has_rooms=True
        ),
        ChannelChanged(info("#tea", role=role)),
    )
    bench.take_in()
    bench.conversation.open_channel("#tea")
    bench.take_in()
    rows = (("me", role, "online"), ("bob", "member", "online"), ("olga", "owner", "online"))
    bench.core.tell(MembersChanged("#tea", rows, 3, frozenset({"bob"})))
    bench.take_in()
    bench.core.calls.clear()
    bench.conversation.state.take_names(("mallory",))


def sent(bench: Bench) -> list[BaseCommand]:
    """Return the commands that the server was asked."""
    return [
        call[1] for call in bench.core.calls if len(call) > 1 and isinstance(call[1], BaseCommand)
    ]


async def run(bench: Bench, text: str, *answers: tuple[BaseCommand, Wire]) -> None:
    bench.core.answers += answers
    bench.run(text)
    if answers:
        await bench.finish()
    else:
        begin(bench)


def begin(bench: Bench) -> None:
    """Begin what waits, up to its request to the server."""
    waiting, bench.view.beside = bench.view.beside, []
    for work in waiting:
        work.send(None)


async def test_a_kick_asks_once_and_says_what_it_did(bench: Bench) -> None:
    kick = Kick(channel="#tea", name="bob", reason="spam and more")
    await run(bench, "/kick @bob spam  and more", (kick, Ok()))
    question = bench.view.done[-1][1]
    assert isinstance(question, Question)
    assert (question.title, question.reason) == ("Remove bob from #tea?", "spam and more")
    assert question.duration is None
    assert bench.view.said == [("Removed bob from #tea.", "information")]


async def test_a_refused_question_does_nothing(bench: Bench) -> None:
    bench.view.agrees = False
    for text in ("/kick bob", "/ban bob 1d"):
        await run(bench, text)
    assert sent(bench) == []


@pytest.mark.parametrize("text", ["/ban bob 7days spam", "/mute @bob 7days", "/ban bob 10 spam"])
async def test_a_number_that_is_no_duration_is_no_reason(bench: Bench, text: str) -> None:
    await run(bench, text)
    assert sent(bench) == []
    assert "is not a duration. Use one such as 10m, 2h or 7d" in bench.view.said[-1][0]
    await run(bench, "/mute @bob 7d 2 warnings")
    assert len(sent(bench)) == 1


async def test_a_member_is_muted_for_a_while(bench: Bench) -> None:
    before = time.time() * 1000
    await run(bench, "/mute @bob 10m spam")
    (command,) = sent(bench)
    assert isinstance(command, MuteUser)
    assert (command.channel, command.name, command.reason) == ("#tea", "bob", "spam")
    assert 599_000 <= (command.until or 0) - before < 660_000
    bench.core.calls.clear()
    await run(bench, "/unmute @bob")
    assert sent(bench) == [Unmute(channel="#tea", name="bob")]


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("/mute", ("#tea", PreferenceChange(muted=True))),
        ("/mute general", ("#general", PreferenceChange(muted=True))),
        ("/mute @alice,me", ("@alice,me", PreferenceChange(muted=True))),
        ("/unmute #general", ("#general", PreferenceChange(muted=False))),
    ],
)
async def test_a_channel_is_muted_for_oneself_as_before(
    bench: Bench, text: str, changes: tuple[str, PreferenceChange]
) -> None:
    await run(bench, text)
    assert bench.core.asked("prefer") == [changes]
    assert sent(bench) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("/mute #tea 10m", "A duration and a reason are for members: /mute @NAME 10m spam."),
        ("/mute @me", "You cannot mute yourself."),
        ("/kick me", "You cannot kick yourself."),
        ("/ban me", "You cannot ban yourself."),
        ("/ban bob 900000000d", "“900000000d” must be between 1 second and 100 years"),
        ("/ban --channel 192.0.2.1", "Only names can be banned from a channel."),
        ("/role bob wizard", "“wizard” is not a role."),
        ("/role --channel bob bot", "“bot” is not a role in a channel."),
        ("/ignore me", "You cannot ignore yourself."),
        ("/ban --server bob", "Only admins of this server can use /ban --server."),
        ("/ban 192.0.2.1", "Only admins of this server can use /ban --server."),
        ("/role bob admin", "Only admins of this server can use /role --server."),
    ],
)
async def test_invalid_acts_are_explained(bench: Bench, text: str, says: str) -> None:
    await run(bench, text)
    assert bench.view.said[-1][0].startswith(says)
    assert sent(bench) == []


async def test_a_moderators_ban_is_from_the_channel(bench: Bench) -> None:
    await run(bench, "/ban bob 1d spam")
    question = bench.view.done[-1][1]
    assert question.title == "Ban bob from #tea?"
    assert question.details == "Duration: 1 day. Reason: spam"
    (command,) = sent(bench)
    assert isinstance(command, Ban)
    assert (command.channel, command.name, command.reason) == ("#tea", "bob", "spam")
    assert command.until is not None


async def test_an_admin_who_moderates_here_is_asked_where_to_ban(bench: Bench) -> None:
    be(bench, "owner", server_role="admin")
    await run(bench, "/ban mallory 7d spam")
    assert bench.view.done[-1] == ("list_rows", "Ban mallory from …")
    assert [(row.label, row.note) for row in bench.view.rows] == [
        ("#tea", "/ban --channel mallory 7d spam"),
        ("This server", "/ban --server mallory 7d spam"),
    ]
    assert sent(bench) == []
    bench.view.choose_row("server")
    begin(bench)
    (command,) = sent(bench)
    assert isinstance(command, Ban)
    assert command.channel is None
    bench.core.calls.clear()
    bench.view.choose_row("channel")
    begin(bench)
    (command,) = sent(bench)
    assert isinstance(command, Ban)
    assert command.channel == "#tea"


@pytest.mark.parametrize(
    ("role", "text", "channel"),
    [
        ("member", "/ban mallory", None),
        ("owner", "/ban --server mallory", None),
        ("owner", "/ban --channel mallory", "#tea"),
        ("owner", "/ban 192.0.2.0/24", None),
    ],
)
async def test_an_admins_ban_is_from_the_server_unless_it_could_be_both(
    bench: Bench, role: str, text: str, channel: str | None
) -> None:
    be(bench, role, server_role="admin")
    await run(bench, text)
    (command,) = sent(bench)
    assert isinstance(command, Ban)
    assert command.channel == channel


async def test_bans_of_a_channel_are_listed_and_lifted(bench: Bench) -> None:
    ban = BanInfo(id=3, created=0, name="mallory", by="olga", reason="spam")
    unban = Unban(channel="#tea", name="mallory")
    listed = (ListBans(channel="#tea"), Bans(channel="#tea", bans=(ban,)))
    await run(bench, "/bans", listed, (unban, Ok()))
    assert bench.view.done[-1] == ("list_rows", "Bans from #tea")
    bench.view.choose_row("3")
    await bench.finish()
    assert unban in sent(bench)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("/role bob moderator", SetRole(channel="#tea", name="bob", role="moderator")),
        ("/role bob owner", SetRole(channel="#tea", name="bob", role="owner")),
        ("/role bob admin", AccountCommand(name="bob", role="admin")),
        ("/role bob bot", AccountCommand(name="bob", role="bot")),
        ("/role --channel bob member", SetRole(channel="#tea", name="bob", role="member")),
        ("/role --server bob member", AccountCommand(name="bob", role="member")),
    ],
)
async def test_a_role_is_of_the_channel_or_of_the_server(
    bench: Bench, text: str, command: BaseCommand
) -> None:
    be(bench, "owner", server_role="admin")
    await run(bench, text)
    assert sent(bench) == [command]
    asks = "owner" in text
    assert ("confirm" in [done[0] for done in bench.view.done]) is asks


async def test_an_ambiguous_role_is_asked_about(bench: Bench) -> None:
    be(bench, "owner", server_role="admin")
    await run(bench, "/role bob member")
    assert bench.view.done[-1] == ("list_rows", "Make bob a member of …")
    assert sent(bench) == []


async def test_an_owner_who_is_no_admin_is_not_asked(bench: Bench) -> None:
    be(bench, "owner")
    await run(bench, "/role bob member")
    assert sent(bench) == [SetRole(channel="#tea", name="bob", role="member")]


async def test_people_are_ignored_and_listed(bench: Bench) -> None:
    await run(bench, "/ignore @mallory")
    assert sent(bench) == [Ignore(name="mallory")]
    await run(bench, "/ignored")
    assert bench.view.said[-1][0] == "You ignore nobody. Use /ignore NAME to ignore someone."
    bench.core.tell(IgnoredChanged(("mallory",)))
    bench.take_in()
    bench.core.calls.clear()
    await run(bench, "/ignored")
    bench.view.choose_row("mallory")
    begin(bench)
    assert sent(bench) == [Unignore(name="mallory")]


@pytest.mark.parametrize(
    ("role", "offered"), [("member", False), ("moderator", True), ("owner", True)]
)
def test_commands_of_moderators_are_listed_for_them_only(
    bench: Bench, role: str, offered: bool
) -> None:
    be(bench, role)
    state = bench.conversation.state
    found = complete("/kic", Sources(is_admin=state.is_admin, rights=state.rights))
    assert (found is not None) is offered


@pytest.mark.parametrize(
    ("role", "name", "rows"),
    [
        ("member", "bob", ["message", "whois", "ignore"]),
        ("moderator", "bob", ["message", "whois", "unmute", "kick", "channel-ban", "ignore"]),
        ("moderator", "olga", ["message", "whois", "ignore"]),
        ("moderator", "eve", ["message", "whois", "channel-ban", "invite", "ignore"]),
        (
            "owner",
            "bob",
            [
                *("message", "whois", "unmute", "kick", "channel-ban", "moderator", "owner"),
                "ignore",
            ],
        ),
    ],
)
async def test_the_menu_of_a_member_follows_the_rights(
    bench: Bench, role: str, name: str, rows: list[str]
) -> None:
    be(bench, role)
    open_menu(bench.conversation, name)
    assert [row.key for row in bench.view.rows] == rows


async def test_a_chosen_act_runs_its_command(bench: Bench) -> None:
    open_menu(bench.conversation, "bob")
    bench.view.choose_row("kick")
    assert bench.view.done[-1][1].title == "Remove bob from #tea?"
    open_menu(bench.conversation, "bob")
    bench.view.choose_row("unmute")
    begin(bench)
    assert Unmute(channel="#tea", name="bob") in sent(bench)
