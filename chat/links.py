"""Links in text: their start, end and target. Pure.

Shared by the client, which shows, lists and opens links, and by the server, which indexes messages
with links. A link starts with `http://` or `https://` and has a host; `mailto:` is accepted only as
a link target (`[label](mailto:…)`).
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from chat.text import UNSHOWABLE

__all__ = ["as_ascii", "destination", "has_link", "is_link", "is_web_link", "link_end"]

# These characters always end a link: blanks, quotes, brackets not used in URLs, CJK punctuation,
# invisible characters, and the backslash, which browsers treat as a slash.
_ENDS = (
    r"\s<>|\"`\\«»‘’“”„‚‹›…"
    "\u3000-\u3004\u3008-\u303f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
    f"\u200c\u200d{UNSHOWABLE}"
)
_WEB = re.compile(rf"https?://[^{_ENDS}/?#]+[^{_ENDS}]*", re.IGNORECASE)
_HEAD = re.compile(
    rf"https?://(?:[^{_ENDS}/?#()\[\]{{}}@]*@)?(?:\[[\w:.%]+\]|[^\W_])[^{_ENDS}/?#()\[\]{{}}@]*",
    re.IGNORECASE,
)
_PART = re.compile(rf"[^{_ENDS}()\[\]{{}}]+|[()\[\]{{}}]")
_MAIL = re.compile(rf"mailto:(?!/)[^{_ENDS}]+", re.IGNORECASE)
_BEGIN = re.compile(r"(?<![A-Za-z0-9])https?://", re.IGNORECASE)
_USUAL = re.compile(r"(?<![A-Za-z0-9])https?://[a-z0-9][a-z0-9.\-]*(?=[/?#\s]|\Z)", re.IGNORECASE)
_OPENERS = {")": "(", "]": "[", "}": "{"}
_PUNCTUATION = ".,;:!?'*_~([{"
"""Allowed inside a link; at its end, it belongs to the sentence."""
_WRAPPER = re.compile(r"('|\*+|~+)\Z")
"""Markup directly before a link that also ends it: `**https://example.org**text`."""
_IN_ASCII = "!#$%&'()*+,/:;=?@[]~"


def link_end(text: str, start: int) -> int:
    """Return the end of the web link at `start`, or `start` if there is none."""
    head = _HEAD.match(text, start)
    if head is None or not _host(head[0]):
        return start
    end, limit = head.end(), len(text)
    if wrapper := _WRAPPER.search(text, max(0, start - 3), start):
        wrapped = text.find(wrapper[0], start)
        limit = wrapped if wrapped >= 0 else limit
    if text[end : end + 1] not in ("/", "?", "#"):
        limit = min(limit, end)
    open_brackets: list[str] = []
    while part := _PART.match(text, end, limit):
        opener = _OPENERS.get(part[0])
        if part[0] in "([{":
            open_brackets.append(part[0])
        elif opener and open_brackets[-1:] == [opener]:
            open_brackets.pop()
        elif opener:
            break  # it closes a bracket opened before the link
        end = part.end()
    return start + len(text[start : min(end, limit)].rstrip(_PUNCTUATION))


def is_web_link(url: str) -> bool:
    """Whether `url` is an `http` or `https` URL with a host, not a file or a script."""
    return _WEB.fullmatch(url) is not None and _host(url) != ""


def is_link(url: str) -> bool:
    """Whether `url` is a web or mail address."""
    return is_web_link(url) or _MAIL.fullmatch(url) is not None


def has_link(text: str) -> bool:
    """Whether a text contains a web link."""
    if "://" not in text:
        return False
    return _USUAL.search(text) is not None or any(
        link_end(text, begin.start()) > begin.start() for begin in _BEGIN.finditer(text)
    )


def destination(url: str) -> str:
    """Return the host of a web link, or the address of a mail link."""
    return _host(url) or urlsplit(url).path


def as_ascii(url: str) -> str:
    """Return an equivalent URL in printable ASCII."""
    return quote(url, safe=_IN_ASCII)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
