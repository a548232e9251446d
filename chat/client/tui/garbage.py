"""When cycles of objects are looked for: not while the program starts, nor while somebody types.

Left alone, Python's collector goes through everything there is, some 400,000 objects of modules and
style sheets and one more for each line that is loaded, whenever it thinks fit; a key waits 90 ms
for it. So what the start made is set aside, and a full round waits until nobody types.
"""

from __future__ import annotations

import gc

__all__ = ["REST", "hold", "settle", "tidy"]

REST = 5.0
"""Seconds without a key after which nobody types."""
_YOUNG, _MIDDLE, _NEVER = 2_000, 10, 1_000_000_000


def hold() -> None:
    """Look for nothing while the program starts: nearly all that is made stays."""
    gc.disable()


def settle() -> None:
    """Set aside what was made since `hold`; from now on only look at what is new."""
    if not gc.isenabled():
        gc.freeze()
        gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)
        gc.enable()


def tidy(rested: float) -> None:
    """Go through everything, unless somebody typed less than `REST` seconds ago."""
    if rested >= REST and gc.get_threshold()[2] == _NEVER:
        gc.collect()
