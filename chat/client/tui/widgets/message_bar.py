"""What can be done with the message that is chosen, in words to click, each with its key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from textual.content import Content
from textual.events import Click
from textual.reactive import reactive
from textual.style import Style
from textual.widget import Widget

from chat.client.presenter.links import links_of
from chat.client.state import Message
from chat.client.tui.foreign_text import elide
from chat.client.tui.keys import KeyRow
from chat.client.tui.timeline.cursor import may
from chat.client.tui.timeline.keys import ACTIONS
from chat.client.tui.timeline.messages import ActionRequested
from chat.text import fold

__all__ = ["MessageBar", "actions_of"]

_WORDS = {"retry": "send again", "open": "open link"}


class MessageBar(Widget):
    """One line; hidden while no message is chosen.

    Args:
        keys: the actions by their names, each with the key that asks for it.
    """

    DEFAULT_CSS = """
    MessageBar {
        height: 1;
        padding: 0 1;
        background: $panel;
        pointer: pointer;
    }
    """

    chosen: reactive[Message | None] = reactive(None)
    user: reactive[str] = reactive("")
    is_owner: reactive[bool] = reactive(False)
    """Whether one owns the channel, and may delete what others wrote."""
    has_keys: reactive[bool] = reactive(False)
    """Whether keys act on the message; after a click they do not, and only the words are shown."""

    def __init__(self, keys: Mapping[str, str], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._keys = keys
        self.display = False

    def watch_chosen(self) -> None:
        """Show, or step aside."""
        self.display = bool(self._offered())

    def render(self) -> Content:
        """Draw the words; a click on one finds its action in the style."""
        words = [
            Content.assemble(
                (f"{key} " if self.has_keys else "", "bold $text-primary"),
                (_WORDS.get(action, action), "$foreground 80%"),
            ).stylize(Style.from_meta({"action": action}))
            for action, key in self._offered().items()
        ]
        return elide(Content("  ").join([*self._number(), *words]), self.content_size.width)

    def _number(self) -> list[Content]:
        """Return the number that slash commands know the message by; nothing before it has one."""
        seq = self.chosen.seq if self.chosen is not None else None
        return [] if seq is None else [Content.styled(f"No. {seq}", "$foreground 60%")]

    def _offered(self) -> dict[str, str]:
        """Return what can be done with the message, each with its key."""
        message = self.chosen
        if message is None:
            return {}
        found = {may(name, message, self.user): key for name, key in self._keys.items()}
        senseless = set() if links_of(message.text) else {"open"}
        if not self.is_owner and fold(message.author) != fold(self.user):
            senseless.add("delete")
        return {name: key for name, key in found.items() if name and name not in senseless}

    def on_click(self, event: Click) -> None:
        """Ask for what the word under the mouse says."""
        event.stop()
        action = event.style.meta.get("action")
        if self.chosen is not None and isinstance(action, str):
            self.post_message(ActionRequested(action, self.chosen))


def actions_of(keys: Iterable[KeyRow]) -> dict[str, str]:
    """Return what a letter does with a message, by its name, each with the key as it is bound."""
    labels = {row.id: row.keys[0] for row in keys}
    return {name: labels[key] for name, key in ACTIONS.items() if key in labels}
