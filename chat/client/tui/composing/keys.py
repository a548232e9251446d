"""The keys of the composer; their ids are those by which a person rebinds them."""

from __future__ import annotations

from textual.binding import Binding, BindingType
from textual.widgets import TextArea

__all__ = ["KEYS"]

# Nobody wants to read of these, or to have them otherwise.
_INHERITED = frozenset(
    {
        *("up", "down", "left", "right", "shift+up", "shift+down", "shift+left", "shift+right"),
        *("ctrl+shift+left", "ctrl+shift+right", "shift+home", "shift+end"),
        *("backspace", "delete,ctrl+d"),
    }
)


def _key(keys: str, action: str, help: str, name: str) -> Binding:
    return Binding(keys, action, help, show=False, id=f"composer.{name}")


KEYS: list[BindingType] = [
    *(
        binding
        for binding in TextArea.BINDINGS
        if isinstance(binding, Binding) and binding.key in _INHERITED
    ),
    _key("enter", "send", "send", "send"),
    _key("alt+enter,shift+enter,ctrl+j", "new_line", "new line", "new_line"),
    _key("tab", "complete", "complete the word", "complete"),
    _key("escape", "dismiss", "close the offers; give up a reply or an edit", "dismiss"),
    _key("alt+p", "older", "call back what you sent before", "older"),
    _key("alt+n", "newer", "call back what you sent after that", "newer"),
    _key("alt+e", "edit_outside", "write on in your editor ($EDITOR)", "editor"),
    _key("alt+v", "preview", "show what it will look like, or no more", "preview"),
    _key("pageup", "scroll_timeline(-1)", "scroll back while writing", "scroll_back"),
    _key("pagedown", "scroll_timeline(1)", "scroll on while writing", "scroll_on"),
    _key("home,ctrl+a", "cursor_line_start", "to the beginning of the line", "line_start"),
    _key("end,ctrl+e", "cursor_line_end", "to the end of the line", "line_end"),
    _key("ctrl+left,alt+b", "cursor_word_left", "a word back", "word_left"),
    _key("ctrl+right,alt+f", "cursor_word_right", "a word on", "word_right"),
    _key("ctrl+u", "kill_to_start", "cut to the beginning of the line", "kill_to_start"),
    _key("ctrl+shift+k,alt+shift+k", "kill_to_end", "cut to the end of the line", "kill_to_end"),
    _key(
        "ctrl+w,ctrl+backspace,alt+backspace", "kill_word_left", "cut the word before", "kill_left"
    ),
    _key("alt+d,ctrl+delete,alt+delete", "kill_word_right", "cut the word after", "kill_right"),
    _key("ctrl+y", "yank", "put in what was cut so", "yank"),
    _key("ctrl+t", "transpose", "swap two characters", "transpose"),
    _key("ctrl+z,ctrl+underscore", "undo", "undo", "undo"),
    _key("alt+z,ctrl+shift+z", "redo", "redo", "redo"),
    _key("f7", "select_all", "select all", "select_all"),
    _key("ctrl+c", "copy", "copy what is selected", "copy"),
    _key("ctrl+x", "cut", "cut what is selected, or the line, to the clipboard", "cut"),
    _key("ctrl+v", "paste", "put in what was copied in the program", "paste"),
]
