"""The timeline: a virtualized list of messages, and how each is drawn.

The messages are those of a `presenter.log.Log`. `neighbors` knows what surrounds each, `renderer`
turns one into lines (`layout`, `syntax`, `graphemes`), `heights` sums up how tall they are,
`viewport` lays out the visible part, `painter` turns that into strips, and `widget` is the widget
itself.
"""

from chat.client.tui.timeline.syntax import LANGUAGES
from chat.client.tui.timeline.widget import Place, Timeline

__all__ = ["LANGUAGES", "Place", "Timeline"]
