"""The timeline: a channel's messages, virtualised, and how each of them looks.

`log` holds the loaded lines in order, `around` tells what stands beside each, `render` lays one out
(`markdown`, `code`, `events`, in cells by `ink`), `heights` sums them up, `sheet` keeps a window on
them, and `widget` puts that on the screen (`painting`, `selection`, `cursor`, `palette`).
"""

from chat.client.tui.timeline.code import LANGUAGES
from chat.client.tui.timeline.widget import Place, Timeline

__all__ = ["LANGUAGES", "Place", "Timeline"]
