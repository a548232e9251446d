"""Validate text, and sanitize untrusted text for the terminal.

- *Input*: `check_text`, `check_line`, `check_name` and others refuse text that the protocol
  forbids. The protocol's models call them for every string.
- *Output*: `printable` and `printable_line` make any string safe for a terminal. The client trusts
  no server and passes all text from outside through them: widgets in `tui/safe_text.py`, the
  timeline in `tui/timeline/graphemes.py` (`sanitize`), plain mode in `plain/terminal.py`, scripts
  in `model/describe.py`.

`is_number` validates numbers in settings, and `quoted_value` formats values for errors.
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
    "PASSWORD_MIN",
    "UNSHOWABLE",
    "UNSPACED",
    "TooLong",
    "channel_names",
    "channel_title",
    "check_channel",
    "check_emoji",
    "check_line",
    "check_name",
    "check_new_name",
    "check_text",
    "check_topic",
    "counted",
    "direct_channel",
    "emoji_form",
    "fold",
    "is_blank",
    "is_builtin",
    "is_direct",
    "is_invitation_code",
    "is_link_code",
    "is_long_enough",
    "is_number",
    "is_typed_invitation",
    "is_typed_link_code",
    "mentioned_names",
    "password_form",
    "printable",
    "printable_line",
    "quoted_value",
]

_QUOTED_MAX = 80
NAME_MAX = 32
"""Longest name of a user, and of a channel without its `#`, in characters."""
PASSWORD_MIN = 8
"""Fewest characters of a new password."""
DIRECT_MAX = 16
"""Most participants of a direct channel."""

GENERAL = "#general"
COUNTER = "#counter"
ECHO = "#echo"
BUILTIN_CHANNELS = frozenset({COUNTER, ECHO})

_NAME = re.compile(r"[A-Za-z0-9_.\-]+")
# Codes may be typed with O, I and L in place of digits; see `chat.store.codes`.
_LINK_CODE = re.compile(r"([0-9A-TV-Z]{5})-([0-9A-TV-Z]{5})", re.ASCII | re.IGNORECASE)
_INVITATION_CODE = re.compile(r"(?:[0-9A-TV-Z]{5}-){5}[0-9A-TV-Z]", re.ASCII | re.IGNORECASE)
_TYPED_LINK_CODE = re.compile(r"([0-9A-TV-Z]{5})[\s-]*([0-9A-TV-Z]{5})", re.IGNORECASE | re.ASCII)
_TYPED_INVITATION = re.compile(r"(?:[0-9A-TV-Z]{5}[\s-]*){5}[0-9A-TV-Z]", re.IGNORECASE | re.ASCII)
# C0 without \t and \n, DEL, C1, lone surrogates.
_FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_FORBIDDEN_IN_LINE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")
# It begins with a literal, which the engine finds three times as fast as a condition.
_MENTION = re.compile(r"@(?<![A-Za-z0-9_.\-@/]@)([A-Za-z0-9_.\-]+)")

# Characters that control a terminal, or that reorder or hide text: C0, DEL, C1, lone surrogates,
# line and paragraph separators, bidi controls, zero-width and invisible format characters, tags,
# and noncharacters, whose width is undefined. U+200C (Persian spelling) and the variation selectors
# are ordinary text and stay, as does U+200D in emoji.
UNSHOWABLE = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff"
    "\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e007f\ufdd0-\ufdef"
    + "".join(chr(plane + end) for plane in range(0, 0x110000, 0x10000) for end in (0xFFFE, 0xFFFF))
)
"""Characters that `printable` removes or replaces, for use in a regular expression's class."""
_UNSHOWABLE = re.compile(f"[{UNSHOWABLE}]")
_LINE_BREAKS = re.compile("[\n\t\r]+")
_MARKS_MAX = 8  # most marks stacked on one character; no language needs more
_MARKS_FLOOD = re.compile(r"[^\x00-\u02ff]{9,}")

# A zero-width joiner hides the width of the next character, a skin tone its own. Outside emoji they
# are dropped; otherwise a hostile text could be wider than measured.
_SKIN = "\U0001f3fb-\U0001f3ff"
_PICTURE = (
    "\u203c\u2049\u2122\u2139\u2194-\u21aa\u231a-\u23ff\u24c2\u25aa-\u27bf\u2934\u2935"
    "\u2b05-\u2b55\u3030\u303d\u3297\u3299\U0001f000-\U0001f3fa\U0001f400-\U0001faff"
)
_ONE_PICTURE = f"[{_PICTURE}](?:\ufe0f|[{_SKIN}])?"
_JOINED = re.compile(f"({_ONE_PICTURE}(?:\u200d{_ONE_PICTURE}){{0,4}})|\u200d|[{_SKIN}]")
_NEEDS_JOINING = re.compile(f"[\u200d{_SKIN}]")

# Emoji drawn as text unless U+FE0F follows (Unicode: Emoji=Yes,
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
# Invisible characters in a reaction, except joiners and the tags of flags.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0100-\U000e01ef]"
)
_JOINERS = "\u200c\u200d"
_BLANK_KINDS = ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs")
_ARABIC_SIGNS = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u08e2"  # format characters with a glyph

UNSPACED = (
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # 々〆〇, kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese characters
    "\uac00-\ud7a3"  # Korean syllables: words are written together with their endings
)
"""Characters of scripts without spaces, each a word; for a regular expression's class."""


class TooLong(ValueError):
    """A text or a list of names exceeds its limit."""


def check_text(value: str, limit: int) -> str:
    r"""Return `value` if it is a valid message: no control characters except `\n` and `\t`.

    Args:
        value: the text, unchanged on return.
        limit: longest length in characters.

    Raises:
        TooLong: more characters than `limit`.
        ValueError: a character is forbidden, or none is visible; its message is for users.
    """
    if len(value) <= limit and value.isascii() and value.isprintable() and value.strip():
        return value
    _check_length(value, limit)
    if found := _FORBIDDEN.search(value):
        raise ValueError(f"contains the character U+{ord(found[0]):04X}, which is not allowed")
    return _check_visible(value)


def check_line(value: str, limit: int) -> str:
    """Return `value` if it is a valid line (such as an id): no control characters."""
    if len(value) <= limit and value.isascii() and value.isprintable():
        return value
    _check_length(value, limit)
    if found := _FORBIDDEN_IN_LINE.search(value):
        raise ValueError(f"contains the character U+{ord(found[0]):04X}, which is not allowed")
    return value


def check_topic(value: str, limit: int) -> str:
    """Return `value` if it is a valid topic: empty, or a line with a visible character."""
    return _check_visible(check_line(value, limit)) if value else value


def check_emoji(value: str, limit: int) -> str:
    """Return a valid reaction in its normal form; see `emoji_form`."""
    return _check_visible(check_line(emoji_form(check_line(value, limit)), limit))


def _check_visible(value: str) -> str:
    if is_blank(value):
        raise ValueError("has no visible characters")
    return value


def is_blank(text: str) -> bool:
    """Whether a text has no visible character: it is empty, or only blanks and formats."""
    if text.isascii():
        return not text or text.isspace() or not any(map(str.isprintable, text.strip()))
    return not any(map(_is_visible, text))


def _is_visible(char: str) -> bool:
    if char in _ARABIC_SIGNS:
        return True
    return unicodedata.category(char) not in _BLANK_KINDS and not _INVISIBLE.match(char)


def emoji_form(emoji: str) -> str:
    """Return the normal form of a reaction, so that reactions that look the same are equal.

    The form is composed, has the variation selector for emoji presentation where it applies, and
    has no surrounding blanks or invisible characters.
    """
    if emoji.isascii():
        return emoji.strip()
    bare = _INVISIBLE.sub("", unicodedata.normalize("NFC", emoji)).strip()
    return _EMOJI_STYLE.sub("\\g<0>\ufe0f", bare.strip(_JOINERS).strip())


def password_form(password: str) -> str:
    """Return the compatibility form (NFKC): the same for a password typed on another keyboard."""
    return unicodedata.normalize("NFKC", password)


def is_long_enough(password: str) -> bool:
    """Whether a new password has at least `PASSWORD_MIN` characters."""
    return len(password_form(password)) >= PASSWORD_MIN


def check_name(value: str, limit: int = NAME_MAX) -> str:
    """Return `value` if it is a valid user name: 1 to `limit` ASCII letters, digits, `_ - .`."""
    _check_length(value, limit)
    if not _NAME.fullmatch(value):
        raise ValueError("must be one or more ASCII letters, digits, '_', '-' or '.'")
    return value


def is_link_code(text: str) -> bool:
    """Whether `text` has the form of a link code, such as `7K3QX-9MZ2T`.

    One of its two groups has both letters and digits, so `alice-12345` is not a code.
    """
    return _has_mixed_group(_LINK_CODE.fullmatch(text))


def is_typed_link_code(text: str) -> bool:
    """Whether `text` is a link code as people type it: `7k3qx 9mz2t`, or without a hyphen."""
    return _has_mixed_group(_TYPED_LINK_CODE.fullmatch(text.strip()))


def _has_mixed_group(found: re.Match[str] | None) -> bool:
    groups = () if found is None else found.groups()
    return any(not each.isalpha() and not each.isdigit() for each in groups)


def is_invitation_code(text: str) -> bool:
    """Whether `text` has the form of an invitation, such as `0Q8VB-KM4TS-W2XNA-7C9DE-H3JPR-6`."""
    return _INVITATION_CODE.fullmatch(text) is not None


def is_typed_invitation(text: str) -> bool:
    """Whether `text` is an invitation as people type it: with blanks, or without hyphens."""
    found = _TYPED_INVITATION.fullmatch(text.strip())
    return found is not None and any(map(str.isdigit, text))


def check_new_name(value: str, limit: int = NAME_MAX) -> str:
    """Return `value` if it is a valid name for a new user.

    Names are public, so a code that was typed as a name could be used by anyone.
    """
    check_name(value, limit)
    if is_link_code(value) or is_invitation_code(value):
        raise ValueError(
            "looks like a link code or an invitation, not a name: enter your name first, then the "
            "code"
        )
    return value


@lru_cache(maxsize=4_096)  # valid names are short and recur with every message
def check_channel(value: str, limit: int = NAME_MAX) -> str:
    """Return a valid channel name: `#name`, or `@alice,bob` with sorted names."""
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
    """Return the name of the direct channel of `names`, sorted and without duplicates."""
    unique = {fold(name): name for name in names}
    if not 2 <= len(unique) <= DIRECT_MAX:
        refusal = ValueError if len(unique) < 2 else TooLong
        raise refusal(f"must name 2 to {DIRECT_MAX} different people")
    return "@" + ",".join(unique[key] for key in sorted(unique))


def channel_names(channel: str) -> tuple[str, ...]:
    """Return the participants of a direct channel; an empty tuple for a `#name`."""
    return tuple(channel[1:].split(",")) if is_direct(channel) else ()


def channel_title(channel: str, user: str) -> str:
    """Return the title of a channel for `user`: `#tea`, or the other participants, `@bob`."""
    others = [name for name in channel_names(channel) if fold(name) != fold(user)]
    return f"@{', '.join(others)}" if others else channel


def is_direct(channel: str) -> bool:
    """Whether `channel` names a direct channel."""
    return channel.startswith("@")


def is_builtin(channel: str) -> bool:
    """Whether `channel` is `#counter` or `#echo`: sessions join them, and nothing is stored."""
    return fold(channel) in BUILTIN_CHANNELS


def fold(name: str) -> str:
    """Return the case-insensitive key of a user or channel name."""
    return name.lower()


def mentioned_names(text: str) -> tuple[str, ...]:
    """Return the folded names that `text` mentions with `@`, each once, in order.

    A trailing period or hyphen may be punctuation or a part of the name, so both spellings are
    returned; the server keeps those that exist.
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
    """Whether `char` has zero width: a mark, a joiner, a Hangul vowel or final."""
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
    r"""Return `value` without characters that could control or corrupt a terminal.

    `\n` and `\t` stay. Other control characters, bidi controls and invisible format characters
    are replaced by a symbol or their code point. Marks beyond eight on one character are dropped,
    and so are joiners and skin tones outside emoji, so that the text is as wide as measured.
    Ordinary text is returned unchanged.
    """
    if value.isascii() and value.isprintable():
        return value
    value = _UNSHOWABLE.sub(_visible, value)
    if _NEEDS_JOINING.search(value):
        value = _JOINED.sub(lambda match: match[1] or "", value)
    return _MARKS_FLOOD.sub(_thin_marks, value)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 channel`, `2,000 channels`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def is_number(value: str) -> bool:
    """Whether `value`, which Python parses as a number, has a usual form (not `1_0`)."""
    return value.isascii() and "_" not in value


def quoted_value(value: object) -> str:
    """Return an invalid value of a setting for an error: text in quotes, others as JSON."""
    if isinstance(value, str):
        return repr(printable_line(value)[:_QUOTED_MAX])
    return printable_line(json.dumps(value, ensure_ascii=False, default=str))[:_QUOTED_MAX]


def printable_line(value: str) -> str:
    """Return `printable(value)` on one line: line breaks and tabs become a space."""
    return printable(_LINE_BREAKS.sub(" ", value))
