"""What stands where on the screen of the conversation."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Container, Horizontal, Vertical
from textual.widgets import Static

from chat.client.tui.keys import KeyRow
from chat.client.tui.screens.thread import ThreadSide
from chat.client.tui.timeline import Timeline
from chat.client.tui.widgets.activity import ActivityBar
from chat.client.tui.widgets.bars import Banner, ChannelHeader, ContextBar, StatusBar, TypingLine
from chat.client.tui.widgets.completion_popup import CompletionPopup
from chat.client.tui.widgets.composer import Composer
from chat.client.tui.widgets.empty_state import EmptyState
from chat.client.tui.widgets.members import MemberList
from chat.client.tui.widgets.message_bar import MessageBar, actions_of
from chat.client.tui.widgets.preview import Preview
from chat.client.tui.widgets.sidebar import Sidebar

__all__ = ["CSS", "lay_out"]

CSS = """
MainScreen {
    & #body { height: 1fr; }
    & #work { width: 1fr; layout: horizontal; }
    & #work.-stacked { layout: vertical; }
    & #middle { width: 1fr; height: 1fr; }
    & #stage { height: 1fr; layers: base popup; layout: vertical; }
    & #writing { height: auto; background: $surface; }
    & #prompt {
        width: 2;
        padding-left: 1;
        color: $foreground 40%;
        text-style: bold;
    }
    /* Textual only looks after what has a rule of its own for this. */
    & #writing:focus-within { background: $surface; }
    & #writing:focus-within #prompt { color: $text-primary; }
    & #writing Composer { width: 1fr; }
    & Timeline { height: 1fr; }
}
"""


def lay_out(thread: ThreadSide, keys: Sequence[KeyRow]) -> ComposeResult:
    """Lay out the widgets, with the side that shows a thread."""
    with Horizontal(id="body"):
        yield Sidebar(id="sidebar")
        with Container(id="work"):
            with Vertical(id="middle"):
                yield ChannelHeader(id="header")
                yield Banner(id="banner")
                with Container(id="stage"):
                    yield EmptyState(id="empty")
                    yield Timeline(id="timeline")
                    yield TypingLine(id="typing")
                    yield CompletionPopup(id="popup")
                yield Preview(id="preview")
                yield ContextBar(id="context")
                with Horizontal(id="writing"):
                    yield Static("›", id="prompt", markup=False)
                    yield Composer(id="composer")
            yield thread
        yield MemberList(id="members")
    yield ActivityBar(id="activity")
    yield MessageBar(actions_of(keys), id="actions")
    yield StatusBar(id="status")
