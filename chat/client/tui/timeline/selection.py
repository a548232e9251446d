"""Text selected with the mouse: which row is which, and what is copied.

A selection's rows are counted in a way that does not change while messages come and go around it:
by the message's number, and by the row within its text (what stands above counts backwards).
"""

from __future__ import annotations

from textual.geometry import Offset
from textual.selection import Selection

from chat.client.tui.timeline.cells import snap
from chat.client.tui.timeline.sheet import Row, Sheet

__all__ = ["row_number", "selected_text"]

_ROWS = 1 << 20  # more than the rows of any message
_UNNUMBERED = 1 << 53  # above every seq: what has no number stands below


def row_number(row: Row) -> int:
    """Return the number of a row for selections: it grows from row to row."""
    return _number(row.message.seq, row.at, row.number - row.block.lead)


def _number(seq: int | None, at: int, row: int) -> int:
    return (_UNNUMBERED + at if seq is None else seq) * _ROWS + _ROWS // 2 + row


def selected_text(sheet: Sheet, selection: Selection) -> str:
    """Return the selected text: wrapped lines joined again, rules and gutters left out.

    A selection that is open at one end reaches as far as the window shows.
    """
    rows = sheet.window.rows
    if not rows:
        return ""
    start = selection.start or Offset(0, row_number(rows[0]))
    end = selection.end or Offset(1 << 30, row_number(rows[-1]))
    copied: list[str] = []
    at = _index(sheet, start.y)
    while at < len(sheet.log) and _number(sheet.log[at].seq, at, -sheet.block(at).lead) <= end.y:
        block = sheet.block(at)
        for number, line in enumerate(block.lines):
            row, text = _number(sheet.log[at].seq, at, number - block.lead), line.text
            if not start.y <= row <= end.y or (number < block.lead and not text):
                continue
            first = snap(text, start.x) if row == start.y else 0
            last = snap(text, end.x, up=True) if row == end.y else len(text)
            if copied:
                copied.append(line.join)
            if line.gutter and not first:
                copied.append(f"{line.gutter} ")
            copied.append(text[first:last])
        at += 1
    return "".join(copied)


def _index(sheet: Sheet, row: int) -> int:
    """Return the index of the message that has a row, or of the next one."""
    seq = row // _ROWS
    return seq - _UNNUMBERED if seq >= _UNNUMBERED else sheet.log.index_from(seq)
