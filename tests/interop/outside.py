"""External programs that may be missing: found, or the test is skipped.

With `CHAT_REQUIRE_INTEROP=1`, a missing program is a failure, so a complete run cannot pass by
skipping tests.
"""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

__all__ = ["find", "is_required", "unavailable"]


def is_required() -> bool:
    """Whether a missing program is a failure."""
    return os.environ.get("CHAT_REQUIRE_INTEROP") == "1"


def unavailable(reason: str) -> NoReturn:
    """Skip the test for `reason`, or fail it if everything is required."""
    if is_required():
        pytest.fail(reason)
    pytest.skip(reason)


def find(*names: str) -> str:
    """Return the path of the first of these programs that is installed."""
    for name in names:
        if path := shutil.which(name):
            return path
    unavailable(f"not installed: {' or '.join(names)}")
