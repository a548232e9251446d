"""The inbox: unread messages from the cache."""

from __future__ import annotations

from chat.client.model.coverage import Coverage
from chat.client.model.state import Message
from chat.client.storage.account import Account
from chat.client.sync.inbox import unread_of


def add(account: Account, name: str, read: int, *lines: Message, unread: int = 0) -> None:
    channel = account.ensure_channel(name)
    channel.is_member = True
    view, seqs = channel.view, [line.seq or 0 for line in lines]
    view.coverage = Coverage([(seqs[0], seqs[-1])])
    view.position = seqs[-1]
    view.changed.update({line.seq or 0: line for line in lines})
    view.apply_mark(read, unread or len(lines), 0)


def test_the_inbox_lists_mentions_and_replies_first_oldest_first_in_a_channel(
    account: Account,
) -> None:
    add(account, "#a", 1, *(Message("#a", n, None, "bob", n) for n in (1, 2, 3)))
    add(account, "@bob,me", 0, Message("@bob,me", 1, None, "bob", 1))
    add(
        account,
        "#z",
        1,
        Message("#z", 1, None, "me", 1),
        Message("#z", 2, None, "bob", 2, reply_to=1, mentions=("me",)),
        Message("#z", 3, None, "bob", 3, mentions=("Me",)),
        Message("#z", 4, None, "bob", 4, reply_to=2),
    )
    found = [
        (each.channel, [(one.message.seq, one.why) for one in each.waiting])
        for each in unread_of(account)
    ]
    assert found == [
        ("#z", [(2, "reply"), (3, "mention"), (4, "message")]),
        ("@bob,me", [(1, "direct")]),
        ("#a", [(2, "message"), (3, "message")]),
    ]


def test_own_deleted_and_non_message_lines_are_not_in_the_inbox(account: Account) -> None:
    add(
        account,
        "#a",
        0,
        Message("#a", 1, None, "ME", 1),
        Message("#a", 2, None, "bob", 2, deleted=True),
        Message("#a", 3, None, "bob", 3, kind="join"),
        Message("#a", 4, None, "bob", 4),
        unread=1,
    )
    (found,) = unread_of(account)
    assert [one.message.seq for one in found.waiting] == [4]
    assert found.earlier == 0


def test_uncached_unread_messages_are_counted(account: Account) -> None:
    lines = (Message("#a", n, None, "bob", n) for n in range(50, 60))
    add(account, "#a", 0, *lines, unread=40)
    (found,) = unread_of(account)
    assert (len(found.waiting), found.earlier) == (10, 30)
