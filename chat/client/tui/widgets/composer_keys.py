"""The keys of the composer; their ids are those by which a person rebinds them."""

from __future__ import annotations

from textual.binding import Binding, BindingType
from textual.widgets import TextArea

__all__ = ["KEYS"]

# Bound otherwise here: the switcher, and F6 and F7 which few would miss.
_NOT_INHERITED = frozenset({"ctrl+k", "f6", "f7", "pageup", "pagedown"})


def _key(keys: str, action: str, help: str, name: str) -> Binding:
    return Binding(keys, action, help, show=False, id=f"composer.{name}")


KEYS: list[BindingType] = [
    *(
        binding
        for binding in TextArea.BINDINGS
        if isinstance(binding, Binding) and binding.key not in _NOT_INHERITED
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
]
