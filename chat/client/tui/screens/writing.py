"""Requests of a composer: questions, $EDITOR, preview."""

from __future__ import annotations

from textual.app import SuspendNotSupported
from textual.widget import Widget

from chat.client.presenter.workspace import Workspace
from chat.client.tui.composer import editor
from chat.client.tui.composer.widget import Composer
from chat.client.tui.screens.picker import confirm_paste
from chat.client.tui.widgets.preview import Preview
from chat.errors import ChatError

__all__ = ["Writing"]


class Writing:
    """Serves the composer within `place`: a screen, or a part of one."""

    def __init__(self, place: Widget, seats: Workspace) -> None:
        self._place = place
        self._seats = seats

    def ask_paste(self, text: str) -> None:
        """Ask before a lot of text is inserted."""
        composer = self._composer
        confirm_paste(self._place.screen, text, lambda: composer.take_paste(text, is_meant=True))

    def edit_outside(self) -> None:
        """Give the terminal to the person's editor, and take what they saved."""
        composer = self._composer
        before = composer.text
        after, failure = before, ""
        try:
            with self._place.app.suspend():
                try:
                    after = editor.edit(before)
                except ChatError as exc:  # here: Textual does not resume after an exception
                    failure = str(exc)
        except SuspendNotSupported:
            self._seats.front.conversation.view.say(
                "An editor cannot be started from here.", "warning"
            )
            return
        if failure:
            self._seats.front.conversation.view.say(failure, "warning")
        elif after != before:
            composer.rewrite(after)

    def toggle_preview(self) -> None:
        """Show what the text will look like, or no more."""
        preview = self._place.query_one(Preview)
        preview.display = not preview.display
        self.show_preview()

    def show_preview(self) -> None:
        """Bring the preview up to date, if it is shown."""
        preview = self._place.query_one(Preview)
        if preview.display:
            preview.show(self._composer.text, self._seats.front.conversation.desk.user)

    @property
    def _composer(self) -> Composer:
        return self._place.query_one(Composer)
