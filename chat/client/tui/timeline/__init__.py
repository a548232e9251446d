"""The timeline: a virtualized list of messages, and how each is drawn.

The messages come from a `presenter.log.Log`. `neighbors` finds the rules and groups around a
message, `renderer` turns the message into lines (with `layout`, `syntax` and `graphemes`),
`heights` sums the heights, `viewport` lays out the visible part, `painter` turns it into strips,
and `widget` is the Textual widget.
"""

from chat.client.tui.timeline.syntax import LANGUAGES
from chat.client.tui.timeline.widget import Place, Timeline

__all__ = ["LANGUAGES", "Place", "Timeline"]
