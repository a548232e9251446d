"""Lines that plain mode prints: each once, and many at once as a summary."""

from __future__ import annotations

from dataclasses import replace

from chat.client.model.state import Delivery, Message, Moderation, Reaction, TimelineChanged
from chat.client.plain.view import Announcer, is_waiting
from chat.client.presenter.log import Log, Splices
from chat.text import channel_title


def line(seq: int | None, text: str = "", author: str = "alice", **more: object) -> Message:
    message = Message("#ops", seq, f"cid-{seq}", author, 0, text=text, rev=seq or 0)
    return replace(message, **more)  # type: ignore[arg-type]  # as `Message` takes them


def changed(*lines: Message, reset: bool = False) -> TimelineChanged:
    return TimelineChanged("#ops", upserts=lines, reset=reset)


class Listener:
    """An announcer of one channel's log."""

    def __init__(self) -> None:
        self.log = Log()
        self.announcer = Announcer(is_folded=lambda line: line.author == "mallory")
        self.kept = False
        """Whether the latest change added a message that waits to be sent."""

    def announce(self, change: TimelineChanged, only_for: str | None = None) -> list[str]:
        done = self.log.apply(change)
        self.kept = is_waiting(done)
        return self.announcer.announce(done, only_for)


def listening(*lines: Message) -> Listener:
    listener = Listener()
    listener.announce(changed(*(lines or (line(1, "before"),)), reset=True))
    return listener


def test_loaded_lines_are_not_printed_and_new_ones_are() -> None:
    listener = Listener()
    assert listener.announce(changed(line(1, "old"), reset=True)) == []
    assert listener.announce(changed(line(2, "new"))) == ["2. alice in #ops: new"]
    assert listener.announce(changed(line(2, "new"))) == []
    assert listener.announcer.newest(listener.log) == ["1. alice: old", "2. alice: new"]


def test_a_reset_prints_only_missed_lines() -> None:
    listener = listening()
    assert listener.announce(changed(line(1, "before"), line(2, "missed"), reset=True)) == [
        "2. alice in #ops: missed"
    ]


def test_joins_and_parts_are_folded() -> None:
    names = ("a", "b", "c", "d", "e")
    joins = [line(seq, author=name, kind="join") for seq, name in enumerate(names, 2)]
    assert listening().announce(changed(*joins, line(9, author="a", kind="leave"))) == [
        "a, b, c and 2 more joined #ops.",
        "a left #ops.",
    ]


def test_many_lines_are_abridged_to_the_last_ones() -> None:
    said = listening().announce(changed(*(line(seq, f"n{seq}") for seq in range(2, 52))))
    assert said[0] == "30 lines in #ops are not shown."
    assert said[1:] == [f"{seq}. alice in #ops: n{seq}" for seq in range(32, 52)]


def test_changes_of_printed_messages_are_printed() -> None:
    listener = listening(line(1, "helo"))
    edited = line(1, "hello", rev=2, edited=True)
    assert listener.announce(changed(edited)) == [
        "Message 1 was edited. alice in #ops: hello  (edited)"
    ]
    reacted = replace(edited, rev=3, reactions=(Reaction("👍", ("bob",)),))
    assert listener.announce(changed(reacted)) == ["Reactions to message 1 in #ops: 👍 bob."]
    assert listener.announce(changed(line(1, "", rev=4, deleted=True))) == [
        "Message 1 in #ops was deleted."
    ]


def test_own_changes_are_printed_once_confirmed() -> None:
    listener = listening(line(1, "tea?"))
    mine = line(1, "tea?", reactions=(Reaction("👍", ("me",)),), delivery=Delivery.PENDING)
    assert listener.announce(changed(mine)) == []
    done = replace(mine, rev=2, delivery=Delivery.SENT)
    assert listener.announce(changed(done)) == ["Reactions to message 1 in #ops: 👍 me."]


def test_own_messages_are_printed_only_if_they_fail() -> None:
    listener = listening()
    pending = line(None, "mine", author="me", cid="c", delivery=Delivery.PENDING)
    assert listener.announce(changed(pending)) == []
    assert listener.kept
    failed = replace(pending, delivery=Delivery.FAILED, reason="it is too long")
    assert listener.announce(changed(failed)) == [
        "Not sent in #ops: mine. it is too long. Use /retry to resend it, /discard to discard it."
    ]
    assert listener.announce(changed(failed)) == []
    assert listener.announce(changed(pending)) == []
    assert listener.announce(changed(line(2, "mine", author="me", cid="c"))) == []
    assert not listener.kept


def test_own_messages_from_another_device_are_printed() -> None:
    assert listening().announce(changed(line(2, "from my phone", author="me"))) == [
        "2. me in #ops: from my phone"
    ]


def test_a_muted_channel_prints_only_mentions() -> None:
    listener = listening(line(1, "before"))
    change = changed(
        line(2, "chatter"),
        line(3, "hi @me", mentions=("me",)),
        line(4, author="carol", kind="join"),
    )
    assert listener.announce(change, "me") == ["3. alice in #ops: hi @me"]
    assert listener.announcer.last("#ops") == 4


def test_messages_of_a_replaced_log_are_printed_despite_lower_numbers() -> None:
    listener = listening(line(90, "before"))
    assert listener.announce(changed(line(1, "restored"), reset=True)) == []
    assert listener.announce(changed(line(2, "new"))) == ["2. alice in #ops: new"]


def test_a_direct_channel_is_named_by_the_other_person() -> None:
    announcer, log = Announcer(lambda channel: channel_title(channel, "me")), Log()

    def told_directly(*lines: Message) -> Splices:
        there = tuple(replace(line, channel="@alice,me") for line in lines)
        return log.apply(TimelineChanged("@alice,me", there, reset=lines[0].seq == 1))

    announcer.announce(told_directly(line(1, "before")))
    assert announcer.announce(told_directly(line(2, "tea?"))) == ["2. alice in @alice: tea?"]
    phone = line(3, "from my phone", author="me")
    assert announcer.announce(told_directly(phone)) == ["3. me in @alice: from my phone"]


def test_messages_of_ignored_users_are_counted_and_printed_once_in_a_row() -> None:
    listener = listening()
    told_by = [line(seq, "noise", author="mallory") for seq in (2, 3, 4)]
    assert listener.announce(changed(*told_by[:2])) == [
        "2. 2 messages from mallory (ignored) in #ops. Use /show 2 to read it."
    ]
    assert listener.announce(changed(told_by[2])) == []
    assert listener.announce(changed(line(5, "quiet"))) == ["5. alice in #ops: quiet"]
    assert listener.announcer.newest(listener.log) == [
        "1. alice: before",
        "2. 3 messages from mallory (ignored)",
        "5. alice: quiet",
    ]


def test_an_ignored_mention_is_not_printed_in_a_muted_channel() -> None:
    mention = line(2, "@me", author="mallory", mentions=("me",))
    assert listening().announce(changed(mention), "me") == []


def test_replies_in_followed_threads_are_printed_once() -> None:
    listener = listening()
    reply = line(2, "yes", author="bob", reply_to=1, thread=1, thread_only=True)
    other = replace(reply, seq=3, text="elsewhere")
    change = TimelineChanged("#ops", replies=(reply, other), waiting=frozenset({2}))
    assert listener.announce(change) == [
        "2. bob in #ops: yes  (reply to message 1, only in its thread)"
    ]
    assert [each.seq for each in listener.announcer.replies] == [2]
    assert listener.announce(change) == []


def test_a_kick_is_no_ordinary_departure() -> None:
    kick = Moderation("kick", "olga", reason="spam")
    assert listening().announce(changed(line(2, author="bob", kind="leave", moderation=kick))) == [
        "2. In #ops, bob was kicked by olga: spam"
    ]
