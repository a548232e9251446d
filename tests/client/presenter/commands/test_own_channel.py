"""Creating and running a channel by slash command: invitations, settings, archive, deletion."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chat.client.model.membership import Invitation
from chat.client.model.state import ChannelChanged, InvitationsChanged
from chat.protocol.commands import (
    Archive,
    BaseCommand,
    ChangeChannel,
    Create,
    Decline,
    DeleteChannel,
    Follow,
    Invite,
    Join,
    Leave,
    Uninvite,
)
from chat.rights import ChannelSettings
from tests.client.presenter.commands.test_commands import Bench
from tests.client.presenter.commands.test_moderation import be, begin, run, sent
from tests.client.presenter.fakes import info


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    be(bench, "owner")
    yield bench
    for work in bench.view.beside:
        work.close()


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("/create new", Create(channel="#new")),
        (
            "/create --private #new  what we do",
            Create(channel="#new", private=True, topic="what we do"),
        ),
        ("/invite @bob", Invite(channel="#tea", name="bob")),
        ("/invite bob general", Invite(channel="#general", name="bob")),
        ("/uninvite bob", Uninvite(channel="#tea", name="bob")),
        ("/channel posting moderators", ChangeChannel(channel="#tea", posting="moderators")),
        ("/channel INVITES Moderators", ChangeChannel(channel="#tea", invites="moderators")),
        ("/channel private", ChangeChannel(channel="#tea", private=True)),
        ("/channel retention 30d", ChangeChannel(channel="#tea", retention=2_592_000)),
        ("/channel retention off", ChangeChannel(channel="#tea", retention=0)),
        ("/archive", Archive(channel="#tea")),
        ("/unarchive #tea", Archive(channel="#tea", remove=True)),
        ("/delete-channel", DeleteChannel(channel="#tea")),
    ],
)
async def test_a_command_asks_the_server(bench: Bench, text: str, command: BaseCommand) -> None:
    await run(bench, text)
    assert sent(bench) == [command]


@pytest.mark.parametrize(
    "text", ["/channel private", "/channel retention 30d", "/archive", "/delete-channel", "/leave"]
)
async def test_what_cannot_be_undone_is_asked_first(bench: Bench, text: str) -> None:
    bench.view.agrees = False
    await run(bench, text)
    assert bench.view.done[-1][0] == "confirm"
    assert sent(bench) == []


async def test_leaving_is_asked_first_if_joining_again_does_not_undo_it(bench: Bench) -> None:
    def asked(role: str, *, is_private: bool = False) -> str:
        bench.core.tell(
            ChannelChanged(info("#tea", role=role, settings=ChannelSettings(private=is_private)))
        )
        bench.take_in()
        bench.core.calls.clear()
        bench.view.done.clear()
        bench.run("/leave #tea")
        assert sent(bench) == [Leave(channel="#tea")]
        return " ".join(bench.view.done[-1][1:]) if bench.view.done else ""

    assert asked("moderator") == ""
    assert "Another member becomes the owner" in asked("owner")
    assert "You need an invitation to return." in asked("member", is_private=True)
    assert "becomes the owner" in asked("owner", is_private=True)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("/create #tea", "#tea already exists."),
        ("/invite bob #none", "You are not in #none."),
        ("/invite bob @alice,me", "/invite is not for direct and built-in channels."),
        ("/channel colors red", "“colors” is not a setting."),
        ("/channel posting nobody", "“nobody” is not valid. Use everyone or moderators."),
        ("/channel retention 1h", "The retention must be 1 day or longer."),
        ("/channel retention soon", "“soon” must be a duration such as 10m, 2h or 7d, or off"),
        ("/accept", "You have no invitations."),
        ("/decline #none", "You have no invitation to #none."),
    ],
)
async def test_invalid_commands_are_explained(bench: Bench, text: str, says: str) -> None:
    await run(bench, text)
    assert bench.view.said[-1][0].startswith(says)
    assert sent(bench) == []


async def test_settings_are_listed_and_chosen(bench: Bench) -> None:
    settings = ChannelSettings(posting="moderators", retention=86_400)
    bench.conversation.state.channels["#tea"] = info("#tea", role="owner", settings=settings)
    await run(bench, "/channel")
    labels = [row.label for row in bench.view.rows]
    assert labels == [
        "Who may write: moderators",
        "Who may invite people: members",
        "Who may set the topic: members",
        "Who may pin messages: members",
        "Privacy: public",
        "Messages are kept: 1 day",
        "Bans…",
        "Archive…",
        "Delete the channel…",
    ]
    bench.view.choose_row("posting")
    begin(bench)
    assert sent(bench) == [ChangeChannel(channel="#tea", posting="everyone")]


async def test_a_retention_is_chosen_from_a_list(bench: Bench) -> None:
    bench.conversation.state.channels["#tea"] = info("#tea", role="owner")
    await run(bench, "/channel")
    bench.view.choose_row("retention")
    assert [row.label for row in bench.view.rows][-2:] == ["365 days", "Server default"]
    bench.view.choose_row("7d")
    begin(bench)
    assert sent(bench) == [ChangeChannel(channel="#tea", retention=7 * 86_400)]


async def test_only_the_owner_can_change_a_listed_setting(bench: Bench) -> None:
    be(bench, "moderator")
    await run(bench, "/channel")
    bench.view.choose_row("posting")
    assert bench.view.said[-1][0] == "Only the owner of the channel can change its settings."


async def test_invitations_are_told_accepted_and_declined(bench: Bench) -> None:
    new = Invitation("#plans", "olga", 1, private=True)
    bench.core.tell(InvitationsChanged((new,), new))
    bench.take_in()
    assert bench.view.said[-1][0] == (
        "olga invited you to the private channel #plans. Use /accept #plans or /decline #plans."
    )
    await run(bench, "/decline")
    assert sent(bench) == [Decline(channel="#plans")]
    bench.core.calls.clear()
    await run(bench, "/accept #plans")
    assert sent(bench) == [Join(channel="#plans")]


async def test_with_several_invitations_the_channel_must_be_named(bench: Bench) -> None:
    bench.core.tell(InvitationsChanged((Invitation("#a", "x", 1), Invitation("#b", "x", 1))))
    bench.take_in()
    assert bench.view.said == [], "they are not new"
    await run(bench, "/accept")
    assert bench.view.said[-1][0] == "You have several invitations. Name the channel: #a, #b."


async def test_a_thread_is_followed_and_unfollowed(bench: Bench) -> None:
    bench.conversation.open_channel("#general")
    bench.take_in()
    bench.core.calls.clear()
    await run(bench, "/follow 5")
    await run(bench, "/unfollow 5")
    assert sent(bench) == [
        Follow(channel="#general", thread=5),
        Follow(channel="#general", thread=5, remove=True),
    ]
