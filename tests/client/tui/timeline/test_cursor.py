"""The cursor: where it may stand, and what may be asked of which message."""

from __future__ import annotations

import pytest

from chat.client.model.state import Delivery, Message
from chat.client.tui.timeline.log import Log
from chat.client.tui.timeline.widget import may, nearest
from tests.client.tui.timeline.lines import changed, event, say

MINE = say(1, "mine", "Dave")
OTHERS = say(2, "hello", "alice")
FAILED = say(None, "oops", "dave", cid="c", delivery=Delivery.FAILED)
SENDING = say(None, "soon", "dave", cid="c", delivery=Delivery.PENDING)
GONE = say(3, "", "dave", deleted=True)
TICK = say(None, "41", kind="tick")


@pytest.mark.parametrize(
    ("message", "actions"),
    [
        (MINE, "reply react edit delete copy open"),
        (OTHERS, "reply react delete copy open"),
        (FAILED, "retry copy discard"),
        (SENDING, "copy discard"),
        (GONE, ""),
        (TICK, "copy"),
    ],
)
def test_what_may_be_asked(message: Message, actions: str) -> None:
    keys = ("reply", "react", "edit", "delete", "copy", "open", "discard")
    found = [action for key in keys if (action := may(key, message, "dave"))]
    assert found == actions.split()


def test_it_stands_on_messages_only() -> None:
    log = Log()
    log.apply(changed(event(1, "join"), say(2), event(3, "topic"), event(4, "role"), say(5), TICK))
    assert [nearest(log, index, 1) for index in (0, 2, 5, 6)] == [1, 4, 5, None]
    assert [nearest(log, index, -1) for index in (3, 0, -1)] == [1, None, None]
