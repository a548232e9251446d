"""What lies in the composer of each channel, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from chat.client import slash
from chat.client.slash import Invocation
from chat.client.state import Message
from chat.client.tui import substitution
from chat.client.tui.desk import Desk
from chat.client.tui.port import CorePort
from chat.client.tui.sheet import Aim, Sheet, check_length
from chat.client.tui.view import Refused, View
from chat.errors import ChatError

__all__ = ["Sheets"]


class Sheets:
    """One sheet for each channel; that of the current one is in the composer.

    Args:
        run: does what a slash command says.
        tells_typing: whether others are told that one writes.
    """

    def __init__(
        self,
        core: CorePort,
        desk: Desk,
        view: View,
        run: Callable[[Invocation], None],
        *,
        tells_typing: bool,
    ) -> None:
        self._core = core
        self._desk = desk
        self._view = view
        self._run = run
        self._tells_typing = tells_typing
        self._sheets: dict[str, Sheet] = {}

    @property
    def here(self) -> Sheet:
        """What lies in the composer now."""
        return replace(self._of(self._desk.current or ""), text=self._view.composed())

    # Where one is

    def take_out(self, channel: str) -> None:
        """Have a channel's sheet at hand, with the draft that was kept of it."""
        self._sheets.setdefault(channel, Sheet(self._core.draft(channel)))

    def lay_open(self, channel: str) -> None:
        """Put a channel's sheet into the composer."""
        self._view.compose_with(self._of(channel).text, channel)

    def put_away(self) -> None:
        """Keep what lies in the composer."""
        if self._desk.current is not None:
            sheet = self._sheets[self._desk.current] = self.here
            self._core.save_draft(self._desk.current, sheet.draft)

    # What one writes

    def submit(self, text: str, channel: str) -> None:
        """Send a text, run it as a command, or change a message: what its sheet is for."""
        self._sheets[channel] = replace(self._of(channel), text="")
        try:
            self._submit(text, channel)
        except ChatError as exc:
            self._view.say(str(exc), "warning")
            self.give_back(text, channel)

    def _submit(self, text: str, channel: str) -> None:
        sheet = self._of(channel)
        if sheet.aim is Aim.EDIT:
            self.change(sheet.message, text)
            self._sheets[channel] = Sheet()
            self.give_back(sheet.aside, channel)
            self._view.redraw()
        elif slash.is_command(text):
            self._run(slash.parse(text))
        elif correction := substitution.read(text):
            last = self._desk.recent(channel).latest(self._desk.user) if channel else None
            self.change(last, substitution.corrected(correction, last))
        else:
            self._send(slash.literal(text), channel)
        if channel:
            self._core.save_draft(channel, self._of(channel).draft)

    def change(self, message: Message | None, text: str) -> None:
        """Give a message of one's own another text."""
        check_length(text, self._desk.text_limit)
        if message is not None and message.seq is not None and text != message.text:
            self._core.edit(message.channel, message.seq, text)

    def post(self, text: str, *, me: bool = False, reply_to: int | None = None) -> None:
        """Send a message to the current channel, as an answer if one was begun."""
        self._send(text, self._desk.current or "", me=me, reply_to=reply_to)

    def _send(
        self, text: str, channel: str, *, me: bool = False, reply_to: int | None = None
    ) -> None:
        if not channel:
            raise Refused("You are in no channel yet. /join #general enters one.")
        check_length(text, self._desk.text_limit)
        sheet = self._of(channel)
        if reply_to is None and sheet.message is not None:
            reply_to = sheet.message.seq
        self._core.send(channel, text, me=me, reply_to=reply_to)
        if sheet.aim is Aim.REPLY:
            self._sheets[channel] = Sheet()
            self._view.redraw()

    def begin_reply(self, message: Message) -> None:
        """Let the composer's text answer `message`."""
        if message.seq is None:
            self._view.say("The server has not confirmed that message yet.", "warning")
            return
        self._lay_out(self.here.replying(message), message.channel)

    def begin_edit(self, message: Message) -> None:
        """Put one's own message into the composer, to change it."""
        if message.seq is None or message.erased or message.author != self._desk.user:
            self._view.say("Only your own messages can be changed, once confirmed.", "warning")
            return
        self._lay_out(self.here.editing(message), message.channel)

    def edit_last(self) -> None:
        """Change the last message of one's own."""
        if self._desk.current and (
            message := self._desk.recent(self._desk.current).latest(self._desk.user)
        ):
            self.begin_edit(message)

    def give_up(self) -> None:
        """Answer or change nothing any more; the text stays."""
        if self.here.aim is not Aim.MESSAGE and self._desk.current:
            self._lay_out(self.here.cancelled(), self._desk.current)

    def drafted(self, text: str, channel: str) -> None:
        """Keep what was typed, for the case that the program ends here."""
        if channel:
            sheet = self._sheets[channel] = replace(self._of(channel), text=text)
            self._core.save_draft(channel, sheet.draft)

    def typing(self, active: bool, channel: str) -> None:
        """Tell the others that one is writing to them."""
        is_told = self._tells_typing and self._of(channel).aim is not Aim.EDIT
        if channel and is_told:
            self._core.typing(channel, "start" if active else "stop")

    def _of(self, channel: str) -> Sheet:
        return self._sheets.get(channel, Sheet())

    def _lay_out(self, sheet: Sheet, channel: str) -> None:
        self._sheets[channel] = sheet
        if channel == (self._desk.current or ""):
            if sheet.text != self._view.composed():
                self._view.compose_with(sheet.text, channel)
            self._view.redraw()

    def give_back(self, text: str, channel: str) -> None:
        """Give a text back to where it was written."""
        if not text:
            return
        if channel == (self._desk.current or ""):
            self._view.give_back(text)
        else:
            sheet = self._of(channel)
            together = "\n".join(filter(None, (text, sheet.text)))
            sheet = self._sheets[channel] = replace(sheet, text=together)
            self._core.save_draft(channel, sheet.draft)
