"""The timeline: a channel's messages, virtualised, and how each of them looks.

`log` holds the loaded lines in order, `around` tells what stands beside each, `render` lays one out
(`markdown`, `code`, `events`, in cells by `ink`), `heights` sums them up, `sheet` keeps a window on
them, and `canvas` puts that on the screen (`frame`, `painting`, `palette`). `widget` is a canvas
that knows a cursor, the mouse and what is unread (`cursor`, `pointing`, `selection`, `unread`).
"""

from chat.client.tui.timeline.canvas import Place
from chat.client.tui.timeline.code import LANGUAGES
from chat.client.tui.timeline.widget import Timeline

__all__ = ["LANGUAGES", "Place", "Timeline"]
