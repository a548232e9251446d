"""A list of rows to choose from; the highlighted row shows in every theme."""

from __future__ import annotations

from textual.style import Style
from textual.widget import Widget
from textual.widgets import OptionList

__all__ = ["ChoiceList", "with_reverse"]


class ChoiceList(OptionList):
    """An option list without a frame, for dialogs and completion."""

    DEFAULT_CSS = """
    ChoiceList {
        border: none;
        padding: 0;
        background: $panel;
        scrollbar-size-vertical: 1;

        &:focus {
            border: none;
            background: $panel;
            background-tint: transparent;
        }
        & > .option-list--option-disabled { color: $foreground; }
        & > .option-list--option-highlighted, &:focus > .option-list--option-highlighted {
            background: $tint;
            color: $foreground;
            text-style: none;
        }
        &:ansi > .option-list--option-highlighted,
        &:focus:ansi > .option-list--option-highlighted { text-style: reverse; }
    }
    """

    def get_visual_style(self, *component_classes: str, partial: bool = False) -> Style:
        """Return the style of a row, with reverse video."""
        style = super().get_visual_style(*component_classes, partial=partial)
        return with_reverse(style, self, *component_classes)


def with_reverse(style: Style, widget: Widget, *component_classes: str) -> Style:
    """Add reverse video to a style if its component classes have it; Textual leaves it out."""
    found = (widget.get_component_styles(name).text_style for name in component_classes)
    return style + Style(reverse=True) if any(each.reverse for each in found) else style
