"""Pickers: a filtered list, and the dialogs that use it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from chat.client.model.emoji import OFTEN, all_names
from chat.client.model.fuzzy import rank
from chat.client.model.sign_in import Credential, SignInWay
from chat.client.model.state import ConnectionChanged, Delivery, Message
from chat.client.presenter.switcher import Switcher
from chat.client.presenter.view import Choice
from chat.client.tui.choice_list import ChoiceList
from chat.client.tui.safe_text import elide, kind_signs, line
from chat.client.tui.screens import NARROW
from chat.client.tui.screens.confirm import Confirm, TypingPause
from chat.text import check_new_name, fold, is_typed_invitation, is_typed_link_code

__all__ = [
    "Picker",
    "ask",
    "confirm_deletion",
    "confirm_discard",
    "confirm_paste",
    "pick",
    "pick_emoji",
    "pick_link",
    "pick_sign_in",
    "switch",
]


_MOST_SHOWN = 200
_SIGNS = "#@/:"
_PAUSING = "Stop typing to continue"
_LOW = 20
"""Rows of the terminal below which blank lines are left out."""
_MOST_ROWS = 20
_TITLE_ROWS = 2
"""Rows of the title of an unrequested dialog, which says why it opens."""
_AROUND, _AROUND_LOW = 8, 3
"""Rows of the dialog besides the list: margin, border, title and field."""
_DETAIL_ROWS = 3
"""Most rows below the list for the whole text of a highlighted row that is cut."""


class _Field(Input):
    """The field of a picker; with a `pause`, it drops keys until a pause in typing."""

    def __init__(self, pause: TypingPause | None, *, placeholder: str, compact: bool) -> None:
        super().__init__(placeholder=placeholder, compact=compact)
        self._typing_pause = pause

    def on_key(self, event: events.Key) -> None:
        """Drop a key pressed while typing."""
        if self._typing_pause is not None and not self._typing_pause.drops(event):
            self._typing_pause = None


class Picker(ModalScreen[str | None]):
    """A filtered list; returns the key of the chosen row, or None.

    Args:
        find: returns the rows for a query; by default it filters `choices`.
        hint: placeholder of the field.
        opens_by_itself: whether to drop keys until a pause in typing, for an unrequested dialog.
        chosen: the key of the row to highlight first; None: the first row.
        moved: called with the key of each highlighted row; the list is then narrow, at the right,
            and the screen below is not dimmed.
        look_up: requests more rows for a query; calls the given function when they arrive.
        has_detail: whether to show a row that is cut in full below the list.
    """

    DEFAULT_CSS = """
    Picker {
        align: center top;
        background: $background 60%;

        & > Vertical {
            width: 75%;
            max-width: 100;
            height: auto;
            max-height: 80%;
            margin-top: 2;
            padding: 0 1 1 1;
            background: $panel;
            border-top: tall $primary;
        }
        & Input {
            border: none;
            height: 1;
            padding: 0;
            margin-bottom: 1;
            background: $panel;
        }
        & #title {
            text-style: bold;
            margin-bottom: 1;
        }
        & ChoiceList { height: auto; }
        & #detail { display: none; margin-top: 1; color: $text-muted; }
        &.-low #detail { margin-top: 0; }
        &.-cut #detail { display: block; }
        &.-low > Vertical { max-height: 100%; margin-top: 0; padding: 0 1; }
        &.-low #title, &.-low Input { margin-bottom: 0; }
        &.-narrow > Vertical { width: 100%; max-width: 100%; }
        &.-preview { align: right top; background: transparent; }
        &.-preview > Vertical { width: 32; max-width: 50%; }
        /* Low, so that the banner, which says why, stays visible. */
        &.-unrequested { align: center bottom; background: transparent; }
        &.-unrequested > Vertical { margin: 0 0 2 0; }
        &.-unrequested.-low > Vertical { margin: 0; }
    }
    """

    HORIZONTAL_BREAKPOINTS = NARROW
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close", show=False),
        Binding("down,ctrl+n", "move(1)", "Down", show=False),
        Binding("up,ctrl+p", "move(-1)", "Up", show=False),
        Binding("pagedown", "move(10)", "Further down", show=False),
        Binding("pageup", "move(-10)", "Further up", show=False),
    ]

    def __init__(
        self,
        title: str,
        choices: Iterable[Choice],
        find: Callable[[str], list[Choice]] | None = None,
        hint: str = "Type to filter",
        *,
        opens_by_itself: bool = False,
        chosen: str | None = None,
        moved: Callable[[str], None] | None = None,
        look_up: Callable[[str, Callable[[], None]], object] | None = None,
        has_detail: bool = False,
    ) -> None:
        super().__init__()
        self._has_detail = has_detail
        self._cut: dict[str, Content] = {}
        """The whole text of each row that is cut, by its key."""
        self._pause = TypingPause(self, self._tell_pause) if opens_by_itself else None
        self._chosen = chosen
        self._moved = moved
        self.set_class(moved is not None, "-preview")
        self.set_class(opens_by_itself, "-unrequested")
        self._look_up = look_up
        self._title = title
        self._find = find or self._by_letters
        self._hint = hint
        self._choices = {choice.key: choice for choice in choices}

    def compose(self) -> ComposeResult:
        """Lay out title, filter and list."""
        with Vertical():
            yield Static(id="title", markup=False)
            yield _Field(self._pause, placeholder=self._hint, compact=True)
            rows = ChoiceList(markup=False)
            rows.can_focus = False
            yield rows
            yield Static(id="detail", markup=False)

    def on_mount(self, event: events.Mount) -> None:
        """Wait for a pause in typing."""
        if self._pause is not None:
            self._pause.begin(event.time)

    def _tell_pause(self, is_over: bool) -> None:
        pausing = _PAUSING if self._pause is not None and self._pause.has_typed else ""
        self.query_one(Input).placeholder = self._hint if is_over else pausing

    def on_resize(self, event: events.Resize) -> None:
        """Fit the list to the height, so that all rows can be reached."""
        is_low = event.size.height < _LOW
        self.set_class(is_low, "-low")
        self.call_after_refresh(self.refill)

    def _fit(self) -> None:
        """Leave room for the rows around the list."""
        is_low, height = self.has_class("-low"), self.size.height
        around = _AROUND_LOW if is_low else _AROUND
        if self._cut:
            width = self.query_one(Vertical).content_size.width
            needed = max(each.get_height({}, width) for each in self._cut.values())
            rows = min(_DETAIL_ROWS, needed)
            self.query_one("#detail").styles.height = rows
            around += rows if is_low else rows + 1  # with the blank line above
        most = height if is_low else height * 4 // 5
        self.query_one(OptionList).styles.max_height = max(1, min(_MOST_ROWS, most - around))

    def add(self, choices: Iterable[Choice]) -> None:
        """Show more rows at the end."""
        self._choices.update({choice.key: choice for choice in choices})
        self.refill()

    def refill(self) -> None:
        """Update the rows; the same row stays highlighted."""
        if self.is_mounted:
            option = self.query_one(OptionList).highlighted_option
            self._fill(self._chosen if option is None else option.id)

    def action_move(self, step: int) -> None:
        """Move the highlight."""
        rows = self.query_one(OptionList)
        if rows.option_count:
            last = rows.option_count - 1
            rows.highlighted = min(max((rows.highlighted or 0) + step, 0), last)

    @on(Input.Changed)
    def _filter(self, event: Input.Changed) -> None:
        self._fill(None)
        if self._look_up is not None:
            self._look_up(event.value, self.refill)

    @on(OptionList.OptionHighlighted)
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        whole = self._cut.get(event.option_id or "", Content(""))
        self.query_one("#detail", Static).update(whole)
        self.set_class(bool(whole), "-cut")
        # Ignore events that arrive after the picker was closed.
        if self._moved is not None and event.option_id is not None and self.is_current:
            self._moved(event.option_id)

    @on(Input.Submitted)
    def _take(self) -> None:
        option = self.query_one(OptionList).highlighted_option
        if option is not None and option.id is not None:
            self.dismiss(option.id)

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_id)

    def _fill(self, chosen: str | None) -> None:
        rows = self.query_one(OptionList)
        title = self.query_one("#title", Static)
        rows_of_title = 1 if self._pause is None else _TITLE_ROWS
        title.update(elide(line(self._title), rows_of_title * title.content_size.width))
        written = self.query_one(Input).value.strip()
        found = self._find(written)[:_MOST_SHOWN]
        width = max(self.query_one(Vertical).content_size.width - 3, 10)
        notes = max((line(each.note).cell_length for each in found), default=0)
        longest = max((_label(each).cell_length for each in found), default=0)
        column = min(longest, max(width // 2, width - notes - 2))
        self._cut = {
            each.key: Content.assemble(_label(each), "  ", line(each.note)).rstrip()
            for each in found
            if self._has_detail and _is_cut(each, column, width)
        }
        self._fit()
        rows.set_options(
            Option(_row(each, column, width), id=each.key or None, disabled=not each.key)
            for each in found
        )
        if found:
            keys = [each.key for each in found]
            rows.highlighted = keys.index(chosen) if chosen in keys else 0
        elif written:
            rows.add_option(Option("No matches", disabled=True))

    def _by_letters(self, written: str) -> list[Choice]:
        choices = list(self._choices.values())
        names = [choice.label.lstrip(_SIGNS) for choice in choices]
        return [choices[place] for place in rank(written.strip(_SIGNS), names)]


def _row(choice: Choice, column: int, width: int) -> Content:
    if not choice.note:
        return elide(_label(choice), width)
    label = elide(_label(choice), column)
    gap = " " * (column - label.cell_length + 2)
    note = line(choice.note, "$text-muted")
    return elide(Content.assemble(label, gap, note), width)


def _label(choice: Choice) -> Content:
    signs = kind_signs(choice.kinds)
    return Content.assemble(f"{signs} " if signs else "", line(choice.label))


def _is_cut(choice: Choice, column: int, width: int) -> bool:
    label, note = _label(choice).cell_length, line(choice.note).cell_length
    return label > (column if note else width) or (note > 0 and column + 2 + note > width)


def pick(
    screen: Screen[Any],
    title: str,
    choices: list[Choice],
    then: Callable[[str], object],
    find: Callable[[str], list[Choice]] | None = None,
    hint: str = "Type to filter",
    *,
    opens_by_itself: bool = False,
    has_detail: bool = False,
) -> Picker:
    """Open a picker; `then` gets the key of the chosen row. See `Picker`."""
    picker = Picker(
        title, choices, find, hint, opens_by_itself=opens_by_itself, has_detail=has_detail
    )

    def chosen(key: str | None) -> None:
        if key is not None:
            then(key)

    screen.app.push_screen(picker, chosen)
    return picker


def pick_emoji(screen: Screen[Any], then: Callable[[str], object]) -> None:
    """Open a picker of emoji names; the most used ones come first."""
    known = all_names()
    names = dict.fromkeys((*OFTEN, *(each for each in known if "skin_tone" not in each)))
    choices = [Choice(name, name, known[name]) for name in names]
    pick(screen, "React", choices, lambda name: then(known[name]))


def pick_link(screen: Screen[Any], urls: Sequence[str], then: Callable[[str], object]) -> None:
    """Open a picker of a message's links."""
    pick(screen, "Open a link", [Choice(url, url) for url in urls], then)


_WAYS = {
    SignInWay.LINK: ("Use a link code", "from /link on another device, or from your operator"),
    SignInWay.PASSWORD: ("Use your password", "if you set one"),
    SignInWay.INVITATION: ("Use an invitation", "a code from an admin"),
}
"""Label and note of each credential."""


def _codes(written: str) -> Iterable[tuple[SignInWay, str]]:
    """Return which codes a text can be."""
    if is_typed_invitation(written):
        yield SignInWay.INVITATION, "invitation"
    if is_typed_link_code(written):
        yield SignInWay.LINK, "link code"


def pick_sign_in(
    screen: Screen[Any],
    refused: ConnectionChanged,
    server: str,
    then: Callable[[SignInWay | Credential | str], object],
) -> None:
    """Ask for a credential or another name after a refused sign-in; `server` tells where.

    `then` gets a way, whose credential is asked for next, a typed code, or a name.
    """
    ways = [Choice(f" {way}", *_WAYS[way]) for way in _WAYS if way in refused.ways]
    may_rename = SignInWay.NAME in refused.ways

    def offer(written: str) -> list[Choice]:
        if not written or not may_rename:
            return ways
        codes = [
            Choice(f" {way} {written}", f"Use this {kind} for {refused.user}")
            for way, kind in _codes(written)
            if way in refused.ways
        ]
        try:
            check_new_name(written)
        except ValueError as exc:
            return codes or [Choice("", "A name", str(exc))]
        if fold(written) == fold(refused.user):
            return [Choice("", written, "was refused")]
        return [*codes, Choice(written, f"Sign in as {written}")]

    def chosen(key: str) -> None:
        name, *rest = key.split(" ", 2)
        match rest:
            case [way]:
                then(SignInWay(way))
            case [way, code]:
                then(Credential(SignInWay(way), code))
            case _:
                then(name)

    reason = refused.reason.partition(". ")[0]
    title = f"{server}: {reason}" if server else f"{reason[:1].upper()}{reason[1:]}"
    if refused.ways[0] is SignInWay.NAME and ways:  # the name is in use
        title += ". Is it you? Use a link code or your password. If not, choose another name."
    hint = "Type another name" if may_rename else "Choose how to sign in"
    pick(screen, title, ways, chosen, offer, hint, opens_by_itself=True)


def confirm_deletion(screen: Screen[Any], message: Message, then: Callable[[], object]) -> None:
    """Ask whether to delete a message."""
    ask(screen, "Delete this message? This cannot be undone.", message.text, then)


def confirm_discard(screen: Screen[Any], message: Message, then: Callable[[], object]) -> None:
    """Ask whether to discard a failed or unsent message."""
    kind = "failed" if message.delivery is Delivery.FAILED else "unsent"
    ask(screen, f"Discard this {kind} message? This cannot be undone.", message.text, then)


def confirm_paste(screen: Screen[Any], text: str, then: Callable[[], object]) -> None:
    """Ask whether to insert a large paste."""
    lines = text.removesuffix("\n").count("\n") + 1
    size = f"{len(text):,} characters"
    size = f"{lines:,} lines ({size})" if lines > 1 else size

    def refused() -> None:
        screen.app.notify("Nothing was inserted.")

    ask(screen, f"Paste {size} into your message?", text, then, refused)


def ask(
    screen: Screen[Any],
    question: str,
    what: str,
    then: Callable[[], object],
    otherwise: Callable[[], object] = lambda: None,
) -> None:
    """Ask a yes/no question; call `then` for yes and `otherwise` for no."""

    def answered(is_agreed: bool | None) -> None:
        (then if is_agreed else otherwise)()

    screen.app.push_screen(Confirm(question, what), answered)


def switch(screen: Screen[Any], switcher: Switcher) -> None:
    """Open the switcher: channels, people and commands."""
    title = "Go to a channel or person, or run a command"
    picker = Picker(title, [], switcher.find, look_up=switcher.look_up)

    def chosen(key: str | None) -> None:
        if key is not None:
            switcher.choose(key)

    screen.app.push_screen(picker, chosen)
