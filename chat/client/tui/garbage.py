"""When cycles of objects are looked for: not while the program starts, and not in what stays.

Left alone, Python's collector goes through some 400,000 objects of modules, style sheets and
widgets again and again, and a key waits 90 ms for it. Set aside, only what came later is gone
through. With 100,000 lines loaded that takes 100 ms too, so it is done rarely: at 200 messages a
second every other minute.
"""

from __future__ import annotations

import gc

__all__ = ["hold", "settle"]

_YOUNG, _MIDDLE, _OLD = 2_000, 10, 100


def hold() -> None:
    """Look for nothing while the program starts: nearly all that is made stays."""
    gc.disable()


def settle() -> None:
    """Set aside what was made since `hold`; from now on only look at what is new."""
    if not gc.isenabled():
        gc.freeze()
        gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
        gc.enable()
