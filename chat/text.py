"""Which text is allowed, and how foreign text is shown without its control characters.

Two doors, for two directions:

- *in*: `check_text`, `check_line`, `check_name` and others refuse what the protocol forbids.
  The protocol's models call them for every string, on both sides of the wire.
- *out*: `printable` and `printable_line` make any string harmless for a terminal. The client
  passes everything through them that it did not write itself: it trusts no server. Widgets do it in
  `tui/safe_text.py`, the timeline in `tui/timeline/graphemes.py` (`sanitize`), plain mode in
  `plain/terminal.py`, scripts in `model/describe.py`.

Values of settings pass `is_number` on their way in, and `quoted_value` on their way into an error.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

__all__ = [
    "BUILTIN_CHANNELS",
    "COUNTER",
    "DIRECT_MAX",
    "ECHO",
    "GENERAL",
    "NAME_MAX",
    "UNSHOWABLE",
    "UNSPACED",
    "TooLong",
    "channel_names",
    "channel_title",
    "check_channel",
    "check_emoji",
    "check_line",
    "check_name",
    "check_text",
    "check_topic",
    "direct_channel",
    "emoji_form",
    "fold",
    "is_blank",
    "is_builtin",
    "is_direct",
    "is_number",
    "mentioned_names",
    "printable",
    "printable_line",
    "quoted_value",
]

_QUOTED_MAX = 80
NAME_MAX = 32
"""Longest name of a user, and of a channel without its `#`, in characters."""
DIRECT_MAX = 16
"""Most participants of a direct channel."""

GENERAL = "#general"
COUNTER = "#counter"
ECHO = "#echo"
BUILTIN_CHANNELS = frozenset({COUNTER, ECHO})

_NAME = re.compile(r"[A-Za-z0-9_.\-]+")
# C0 without \t and \n, DEL, C1, lone surrogates.
_FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_FORBIDDEN_IN_LINE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")
_MENTION = re.compile(r"(?<![A-Za-z0-9_.\-@/])@([A-Za-z0-9_.\-]+)")

# What a terminal may act on, or what may reorder or hide the text around it: C0, DEL, C1, lone
# surrogates, line and paragraph separators, bidi controls, zero-width and invisible format
# characters, tags, and noncharacters, whose width nobody knows. U+200C (Persian spelling) and the
# variation selectors stay: they are ordinary text. So does U+200D in emoji.
UNSHOWABLE = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff"
    "\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e007f\ufdd0-\ufdef"
    + "".join(chr(plane + end) for plane in range(0, 0x110000, 0x10000) for end in (0xFFFE, 0xFFFF))
)
"""The characters of which `printable` leaves none; for a class of a regular expression."""
_UNSHOWABLE = re.compile(f"[{UNSHOWABLE}]")
_LINE_BREAKS = re.compile("[\n\t\r]+")
_MARKS_MAX = 8  # what may be stacked on one character; more is a flood, not a language
_MARKS_FLOOD = re.compile(r"[^\x00-\u02ff]{9,}")

# A zero-width joiner hides the width of what follows it, a skin tone its own. Where they do not
# make up an emoji they are dropped, or a hostile text could be wider than it is measured.
_SKIN = "\U0001f3fb-\U0001f3ff"
_PICTURE = (
    "\u203c\u2049\u2122\u2139\u2194-\u21aa\u231a-\u23ff\u24c2\u25aa-\u27bf\u2934\u2935"
    "\u2b05-\u2b55\u3030\u303d\u3297\u3299\U0001f000-\U0001f3fa\U0001f400-\U0001faff"
)
_ONE_PICTURE = f"[{_PICTURE}](?:\ufe0f|[{_SKIN}])?"
_JOINED = re.compile(f"({_ONE_PICTURE}(?:\u200d{_ONE_PICTURE}){{0,4}})|\u200d|[{_SKIN}]")
_NEEDS_JOINING = re.compile(f"[\u200d{_SKIN}]")

# Pictures that are drawn as letters unless U+FE0F follows (Unicode: Emoji=Yes,
# Emoji_Presentation=No); keycaps come from digits.
_LETTERLIKE = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u2199\u21a9\u21aa\u2328\u23cf\u23ed-\u23ef"
    "\u23f1\u23f2\u23f8-\u23fa\u24c2\u25aa\u25ab\u25b6\u25c0\u25fb\u25fc\u2600-\u2604\u260e"
    "\u2611\u2618\u261d\u2620\u2622\u2623\u2626\u262a\u262e\u262f\u2638-\u263a\u2640\u2642"
    "\u265f\u2660\u2663\u2665\u2666\u2668\u267b\u267e\u2692\u2694-\u2697\u2699\u269b\u269c"
    "\u26a0\u26a7\u26b0\u26b1\u26c8\u26cf\u26d1\u26d3\u26e9\u26f0\u26f1\u26f4\u26f7-\u26f9"
    "\u2702\u2708\u2709\u270c\u270d\u270f\u2712\u2714\u2716\u271d\u2721\u2733\u2734\u2744\u2747"
    "\u2763\u2764\u27a1\u2934\u2935\u2b05-\u2b07\u3030\u303d\u3297\u3299\U0001f170\U0001f171"
    "\U0001f17e\U0001f17f\U0001f202\U0001f237\U0001f321\U0001f324-\U0001f32c\U0001f336"
    "\U0001f37d\U0001f396\U0001f397\U0001f399-\U0001f39b\U0001f39e\U0001f39f"
    "\U0001f3cb-\U0001f3ce\U0001f3d4-\U0001f3df\U0001f3f3\U0001f3f5\U0001f3f7\U0001f43f"
    "\U0001f441\U0001f4fd\U0001f549\U0001f54a\U0001f56f\U0001f570\U0001f573-\U0001f579"
    "\U0001f587\U0001f58a-\U0001f58d\U0001f590\U0001f5a5\U0001f5a8\U0001f5b1\U0001f5b2"
    "\U0001f5bc\U0001f5c2-\U0001f5c4\U0001f5d1-\U0001f5d3\U0001f5dc-\U0001f5de\U0001f5e1"
    "\U0001f5e3\U0001f5e8\U0001f5ef\U0001f5f3\U0001f5fa\U0001f6cb\U0001f6cd-\U0001f6cf"
    "\U0001f6e0-\U0001f6e5\U0001f6e9\U0001f6f0\U0001f6f3"
)
_EMOJI_STYLE = re.compile(f"[{_LETTERLIKE}](?![{_SKIN}])|[0-9#*](?=\u20e3)")
# Invisible in a reaction, but joiners, and the tags that make flags.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0100-\U000e01ef]"
)
_JOINERS = "\u200c\u200d"
_BLANK_KINDS = ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs")
_ARABIC_SIGNS = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u08e2"  # formats that are drawn

UNSPACED = (
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # 々〆〇, kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese characters
    "\uac00-\ud7a3"  # Korean syllables: endings are written together with their words
)
"""Characters of writing without spaces, each a word; for a class of a regular expression."""


class TooLong(ValueError):
    """A text or a list of names is over its limit."""


def check_text(value: str, limit: int) -> str:
    r"""Return `value` if it may be a message: no control characters but `\n` and `\t`.

    Args:
        value: the text, unchanged on return.
        limit: longest length in characters.

    Raises:
        TooLong: more characters than `limit`.
        ValueError: a character is not allowed, or nothing can be seen; the message is for a person.
    """
    _check_length(value, limit)
    if value.isascii() and value.isprintable() and value and not value.isspace():
        return value
    if found := _FORBIDDEN.search(value):
        raise ValueError(f"holds the character U+{ord(found[0]):04X}, which is not allowed")
    return _check_visible(value)


def check_line(value: str, limit: int) -> str:
    """Return `value` if it may stand on one line (an id): no control characters."""
    _check_length(value, limit)
    if value.isascii() and value.isprintable():
        return value
    if found := _FORBIDDEN_IN_LINE.search(value):
        raise ValueError(f"holds the character U+{ord(found[0]):04X}, which is not allowed")
    return value


def check_topic(value: str, limit: int) -> str:
    """Return `value` if it may be a topic: one line with something to see, or empty."""
    return _check_visible(check_line(value, limit)) if value else value


def check_emoji(value: str, limit: int) -> str:
    """Return a reaction in the form under which it is the same as others that look like it."""
    return _check_visible(check_line(emoji_form(check_line(value, limit)), limit))


def _check_visible(value: str) -> str:
    if is_blank(value):
        raise ValueError("has no visible characters")
    return value


def is_blank(text: str) -> bool:
    """Whether nothing of a text can be seen: it is empty, or made of blanks and formats."""
    if text.isascii():
        return not text or text.isspace() or not any(map(str.isprintable, text.strip()))
    return not any(map(_is_visible, text))


def _is_visible(char: str) -> bool:
    if char in _ARABIC_SIGNS:
        return True
    return unicodedata.category(char) not in _BLANK_KINDS and not _INVISIBLE.match(char)


def emoji_form(emoji: str) -> str:
    """Return the one spelling of reactions that look the same: composed, and drawn as a picture.

    A heart with or without the sign that asks for a picture is one reaction, and so is a letter
    with its accent apart; blanks around it and invisible characters are dropped.
    """
    if emoji.isascii():
        return emoji.strip()
    bare = _INVISIBLE.sub("", unicodedata.normalize("NFC", emoji)).strip()
    return _EMOJI_STYLE.sub("\\g<0>\ufe0f", bare.strip(_JOINERS).strip())


def check_name(value: str, limit: int = NAME_MAX) -> str:
    """Return `value` if it may be a user's name: 1 to `limit` ASCII letters, digits, `_ - .`."""
    _check_length(value, limit)
    if not _NAME.fullmatch(value):
        raise ValueError("must be ASCII letters, digits, '_', '-' or '.', and not empty")
    return value


@lru_cache(maxsize=4_096)  # what passes is short, and comes again with every message
def check_channel(value: str, limit: int = NAME_MAX) -> str:
    """Return the channel's name: `#name`, or `@alice,bob` with its names sorted."""
    kind, rest = value[:1], value[1:]
    if kind == "#":
        check_name(rest, limit)
        return value
    if kind == "@":
        _check_length(rest, (limit + 1) * DIRECT_MAX)
        return direct_channel(check_name(name, limit) for name in rest.split(","))
    raise ValueError("must begin with '#' (a channel) or '@' (a direct channel: @alice,bob)")


def _check_length(value: str, limit: int) -> None:
    if len(value) > limit:
        raise TooLong(f"is {len(value):,} characters long; at most {limit:,} are allowed")


def direct_channel(names: Iterable[str]) -> str:
    """Return the name of the direct channel of `names`: sorted, each person once."""
    unique = {fold(name): name for name in names}
    if not 2 <= len(unique) <= DIRECT_MAX:
        refusal = ValueError if len(unique) < 2 else TooLong
        raise refusal(f"a direct channel has 2 to {DIRECT_MAX} different participants")
    return "@" + ",".join(unique[key] for key in sorted(unique))


def channel_names(channel: str) -> tuple[str, ...]:
    """Return the participants that a direct channel's name lists; none for a `#name`."""
    return tuple(channel[1:].split(",")) if is_direct(channel) else ()


def channel_title(channel: str, user: str) -> str:
    """Return how `user` sees a channel named: `#tea`, or by the other people in it, `@bob`."""
    others = [name for name in channel_names(channel) if fold(name) != fold(user)]
    return f"@{', '.join(others)}" if others else channel


def is_direct(channel: str) -> bool:
    """Whether `channel` names a direct channel."""
    return channel.startswith("@")


def is_builtin(channel: str) -> bool:
    """Whether `channel` is `#counter` or `#echo`, whose members are sessions and store nothing."""
    return fold(channel) in BUILTIN_CHANNELS


def fold(name: str) -> str:
    """Return the key under which a user's or a channel's name is unique."""
    return name.lower()


def mentioned_names(text: str) -> tuple[str, ...]:
    """Return the folded names that `text` mentions with `@`, each once, in order.

    A trailing full stop or hyphen belongs to the sentence if the name without it is meant, so both
    spellings are returned and the server keeps those that exist.
    """
    found: dict[str, None] = {}
    for match in _MENTION.finditer(text):
        name = fold(match[1])
        found[name] = None
        if (bare := name.rstrip(".-")) and bare != name:
            found[bare] = None
    return tuple(found)


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if 0xD800 <= code <= 0xDFFF:
        return "\ufffd"
    return f"<U+{code:04X}>"


def _is_stacked(char: str) -> bool:
    """Whether `char` takes no cell of its own: a mark, a joiner, a Hangul vowel or final."""
    return (
        unicodedata.category(char) in ("Mn", "Me")
        or char in "\u200c\u200d"
        or "\u1160" <= char <= "\u11ff"
        or "\ud7b0" <= char <= "\ud7ff"
    )


def _thin_marks(match: re.Match[str]) -> str:
    kept: list[str] = []
    marks = 0
    for char in match[0]:
        marks = marks + 1 if _is_stacked(char) else 0
        if marks <= _MARKS_MAX:
            kept.append(char)
    return "".join(kept)


def printable(value: str) -> str:
    r"""Return `value` with everything made visible that could drive or disorder a terminal.

    `\n` and `\t` stay; every other control character, bidi control and invisible format character
    is replaced by a symbol or by its code point; what is stacked on one character beyond eight
    marks is dropped, and so are joiners and skin tones outside of emoji: what is left is as wide
    as it is measured. Ordinary text is returned as it is.
    """
    if value.isascii() and value.isprintable():
        return value
    value = _UNSHOWABLE.sub(_visible, value)
    if _NEEDS_JOINING.search(value):
        value = _JOINED.sub(lambda match: match[1] or "", value)
    return _MARKS_FLOOD.sub(_thin_marks, value)


def is_number(value: str) -> bool:
    """Whether `value`, which Python takes for a number, is one as people write it: no `1_0`."""
    return value.isascii() and "_" not in value


def quoted_value(value: object) -> str:
    """Return a wrong value of a setting for an error: text in quotes, all else as in JSON."""
    if isinstance(value, str):
        return repr(printable_line(value)[:_QUOTED_MAX])
    return printable_line(json.dumps(value, ensure_ascii=False, default=str))[:_QUOTED_MAX]


def printable_line(value: str) -> str:
    """Return `value` as `printable` does, on one line: line breaks and tabs become one space."""
    return printable(_LINE_BREAKS.sub(" ", value))
