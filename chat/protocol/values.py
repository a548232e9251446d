"""Field types of the protocol, and their limits.

On the server, a field type checks its text with `chat.text`, and its length against the `Limits`
in the validation context. A client validates with `FROM_SERVER`, which checks only the largest
bounds of any server, so that values of a newer server are accepted; text is sanitized
when it is shown. Numbers are always finite and bounded.
"""

# Without `from __future__ import annotations`: pydantic would compile each annotation at the start.

from collections.abc import Callable
from functools import cache
from itertools import islice
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    ValidationInfo,
)
from pydantic_core import PydanticCustomError

from chat import rights
from chat import text as rules
from chat.protocol.limits import (
    LIST_MAX,
    PLACE_MAX,
    REACTIONS_MAX,
    REACTORS_MAX,
    TEXT_MAX,
    TIME_MAX,
    USUAL_LEVEL,
)

__all__ = [
    "CHANNELS_MAX",
    "FROM_SERVER",
    "ID_MAX",
    "Act",
    "Channel",
    "ChannelSettings",
    "Cid",
    "Code",
    "Count",
    "Emoji",
    "Epoch",
    "Flag",
    "Id",
    "Level",
    "Limits",
    "Line",
    "Mid",
    "Moment",
    "Name",
    "Names",
    "Passage",
    "Pinned",
    "Place",
    "Position",
    "Posting",
    "Presence",
    "ReactionCounts",
    "Reactions",
    "Reserved",
    "Retention",
    "Role",
    "Seconds",
    "Secret",
    "Seq",
    "ServerRole",
    "Status",
    "Text",
    "Time",
    "Token",
    "Topic",
    "Wire",
    "Word",
    "at_most",
]


FROM_SERVER = object()
"""Validation context of a client for a server's frames."""
CHANNELS_MAX = 20_000
"""Most channels in a server's frame."""


class Wire(BaseModel):
    """Base of all frames: strict types, immutable, unknown fields are refused."""

    # Each model is built at its first use, under a lock of pydantic: a program uses few of them.
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", defer_build=True)

    @classmethod
    def known(cls, **fields: Any) -> Self:
        """Create an instance from valid fields without validation.

        For frames that the server creates often: it takes half as long as the constructor, and a
        quarter of `model_construct`. Do not use it for untrusted input.
        """
        made = cls.__new__(cls)
        put = object.__setattr__  # bypasses `frozen`
        put(made, "__dict__", _template(cls) | fields)
        put(made, "__pydantic_fields_set__", {*fields})
        put(made, "__pydantic_extra__", None)
        put(made, "__pydantic_private__", None)
        return made


@cache
def _template(model: type[BaseModel]) -> dict[str, Any]:
    """Return the defaults of all fields in order; None for required ones."""
    return {
        name: None if field.is_required() else field.get_default(call_default_factory=True)
        for name, field in model.model_fields.items()
    }


class Limits(Wire):
    """Limits of the server; each is a setting, and `welcome` has its value.

    The defaults suit people and stop floods.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    frame: int = Field(
        65_536,
        ge=4_096,
        le=16_777_216,
        description="Bytes per frame from a client; a longer one closes the connection with 1009.",
    )
    text: int = Field(8_000, ge=1, le=TEXT_MAX, description="Characters per message.")
    topic: int = Field(300, ge=1, le=4_000, description="Characters per topic.")
    name: int = Field(
        rules.NAME_MAX,
        ge=1,
        le=64,
        description="Characters per user name, and per channel name after the `#`.",
    )
    emoji: int = Field(32, ge=1, le=64, description="Characters per reaction.")
    page: int = Field(200, ge=1, le=1_000, description="Items per page of history.")
    rate: float = Field(
        10.0,
        gt=0,
        le=1_000_000_000,
        allow_inf_nan=False,
        description="Frames per second and user; each 4 KiB of a frame counts as one.",
    )
    burst: int = Field(60, ge=1, le=1_000_000_000, description="Frames at once per user.")
    channels: int = Field(
        500,
        ge=1,
        le=1_000_000_000,
        description="Joined channels per user; direct channels that others opened do not count.",
    )
    openings: int = Field(
        60, ge=1, le=1_000_000_000, description="Direct channels opened per user and hour."
    )
    invitations: int = Field(
        60, ge=1, le=1_000_000_000, description="Invitations to channels per user and hour."
    )
    reactions: int = Field(20, ge=1, le=1_000, description="Different reactions per message.")
    own_reactions: int = Field(10, ge=1, le=1_000, description="Reactions per user and message.")
    reactors: int = Field(10_000, ge=1, le=1_000_000, description="Reactions per message.")
    pins: int = Field(50, ge=1, le=1_000, description="Pins per channel.")
    own_pins: int = Field(
        20, ge=1, le=1_000, description="Pins per user in a channel that they do not own."
    )
    members: int = Field(
        100, ge=1, le=1_000, description="Members per `joined` or `members` frame."
    )
    unread: int = Field(1_000, ge=1, le=10_000, description="Maximum unread count.")


def _checked(
    check: Callable[[str, int], str],
    bound: Callable[[Limits], int],
    most: int,
    *,
    least: int = 0,
    signs: str = "",
) -> AfterValidator:
    """Return a validator that calls `check` with a bound from the server's limits.

    In a client, a text only needs `least` to `most` characters and, if `signs` are given, one of
    them at its start.
    """

    def validate(value: str, info: ValidationInfo) -> str:
        limits: Any = info.context
        if limits is None:
            return value
        if limits is FROM_SERVER:
            if not least <= len(value) <= most:
                reason = f"is {len(value):,} characters long; {least} to {most:,} are allowed"
                raise PydanticCustomError("bad_length", "{reason}", {"reason": reason})
            if signs and value[0] not in signs:
                reason = f"must begin with {' or '.join(map(repr, signs))}"
                raise PydanticCustomError("bad_text", "{reason}", {"reason": reason})
            return value
        try:
            if len(value) < least:
                plural = "" if least == 1 else "s"
                raise ValueError(f"must have at least {least} character{plural}")
            return check(value, bound(limits))
        except ValueError as exc:
            kind = "too_long" if isinstance(exc, rules.TooLong) else "bad_text"
            raise PydanticCustomError(kind, "{reason}", {"reason": str(exc)}) from None

    return AfterValidator(validate)


def _is_falsy(value: object) -> bool:
    return not value


def _is_usual_level(value: object) -> bool:
    return value == USUAL_LEVEL


def at_most(entries: int) -> BeforeValidator:
    """Return a validator that refuses an object with more entries, before checking them."""

    def validate(value: object) -> object:
        if isinstance(value, dict) and len(value) > entries:
            reason = f"has {len(value):,} entries; {entries:,} are allowed"
            raise PydanticCustomError("bad_length", "{reason}", {"reason": reason})
        return value

    return BeforeValidator(validate)


def _clipped_names(value: object) -> object:
    """Truncate a list of names."""
    return tuple(value[:LIST_MAX]) if isinstance(value, list | tuple) else value


def _clipped_reactions(value: object) -> object:
    """Truncate reactions."""
    if not isinstance(value, dict):
        return value
    left = REACTORS_MAX
    kept: dict[object, object] = {}
    for emoji, names in islice(value.items(), REACTIONS_MAX):
        if not left:
            break
        kept[emoji] = names
        if isinstance(names, list | tuple):
            kept[emoji] = tuple(names[:left])
            left -= min(left, len(names))
    return kept


Name = Annotated[str, _checked(rules.check_name, lambda limits: limits.name, 64, least=1)]
"""A user's name."""
Channel = Annotated[
    str,
    _checked(rules.check_channel, lambda limits: limits.name, 1_100, least=2, signs="#@"),
]
"""A channel: `#name`, or `@alice,bob`."""
Text = Annotated[str, _checked(rules.check_text, lambda limits: limits.text, TEXT_MAX, least=1)]
"""The text of a message, with a visible character."""
Topic = Annotated[str, _checked(rules.check_topic, lambda limits: limits.topic, 4_000)]
"""A channel's topic, with a visible character; empty means none."""
Emoji = Annotated[str, _checked(rules.check_emoji, lambda limits: limits.emoji, 64, least=1)]
"""A reaction: an emoji or a short word, as normalized by `text.emoji_form`."""
Line = Annotated[str, _checked(rules.check_line, lambda _: 300, 1_000)]
"""A short text on one line."""
ID_MAX = 64
"""Longest id that a command may carry, in characters."""
Id = Annotated[str, _checked(rules.check_line, lambda _: ID_MAX, ID_MAX)]
"""A command's id, chosen by the client, returned in the answer."""
Cid = Annotated[str, _checked(rules.check_line, lambda _: 64, 64, least=1)]
"""A send's id, chosen by the client; each `(author, cid)` is stored at most once."""
Mid = Annotated[str, _checked(rules.check_line, lambda _: 64, 64, least=1)]
"""An event's globally unique id, chosen by the server."""
Epoch = Annotated[str, _checked(rules.check_line, lambda _: 64, 64, least=1)]
"""Identity of a log; seqs of different epochs cannot be compared."""
Token = Annotated[str, _checked(rules.check_name, lambda _: 128, 128, least=32)]
"""A secret of 32 to 128 ASCII letters, digits, `_ - .`."""
Code = Annotated[str, _checked(rules.check_line, lambda _: 64, 64, least=1)]
"""An invitation or link code as typed: case, spaces and hyphens do not matter."""
Secret = Annotated[str, Field(min_length=1, max_length=1_024)]
"""A password, of any characters."""
Flag = Annotated[bool, Field(exclude_if=_is_falsy)]
"""A bool that is omitted from the JSON if it is false."""
Place = Annotated[int, Field(ge=0, le=PLACE_MAX)]
"""Position of a channel among the user's starred ones; 0: not starred."""
Pinned = Annotated[Place, Field(exclude_if=_is_falsy)]
"""A `Place` that is omitted from the JSON if it is 0."""
Word = Annotated[str, Field(max_length=64)]
"""A value of an enumeration that a newer server may extend."""
Level = Annotated[
    Literal["all", "mentions", "none"] | Word,
    Field(union_mode="left_to_right", exclude_if=_is_usual_level),
]
"""The notification level of a channel; omitted if it is the default."""
Moment = Annotated[int, Field(ge=0, le=2**53 - 1)]
"""Milliseconds since 1970 UTC."""
Time = Annotated[int, Field(ge=0, le=TIME_MAX)]
"""Milliseconds since 1970 UTC in a server's frame."""
Count = Annotated[int, Field(ge=0, le=2**53 - 1)]
"""A count."""
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A duration in seconds."""
Passage = Annotated[str, Field(max_length=100_000)]
"""Displayed text that is not a message: an error message, a search snippet."""
Names = Annotated[tuple[Name, ...], FailFast(), BeforeValidator(_clipped_names)]
"""User names, truncated to `LIST_MAX`."""
ReactionCounts = Annotated[
    dict[Emoji, Count], Field(max_length=REACTIONS_MAX), at_most(REACTIONS_MAX)
]
"""Number of reactions by emoji."""
Reactions = Annotated[
    dict[Emoji, Annotated[tuple[Name, ...], FailFast()]], BeforeValidator(_clipped_reactions)
]
"""Names of the users who reacted, by emoji."""
Seq = Annotated[int, Field(ge=1, le=2**53 - 1)]
"""Sequence number of an event in its channel: 1, 2, 3, … without gaps."""
Position = Annotated[int, Field(ge=0, le=2**53 - 1)]
"""A seq, or 0 for the position before the first event."""
Status = Literal["online", "away", "busy"]
"""The status set by a user."""
Presence = Annotated[
    Literal["online", "away", "busy", "offline"] | Word, Field(union_mode="left_to_right")
]
"""The presence shown to others; a newer server may send other values."""
Role = Annotated[Literal["owner", "moderator", "member"] | Word, Field(union_mode="left_to_right")]
"""A member's role in a channel; a newer server may send other values."""
ServerRole = Annotated[
    Literal["admin", "member", "bot"] | Word,
    Field(union_mode="left_to_right", exclude_if=lambda role: role == "member"),
]
"""An account's role on the server; omitted if it is `member`."""


def _is_default(field: str) -> Callable[[object], bool]:
    """Return whether a value is the default of a channel's setting, which the JSON omits."""
    default = getattr(rights.DEFAULT, field)
    return lambda value: bool(value == default)


Posting = Literal["everyone", "moderators"]
"""Who may send messages to a channel."""
Reserved = Literal["members", "moderators"]
"""Who may do something in a channel."""
Retention = Annotated[int, Field(ge=0, le=3_153_600_000)]
"""Seconds after which messages expire; 0: the server's default."""


class ChannelSettings(Wire):
    """The settings of a channel; those with their default are omitted. See `chat.rights`."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    posting: Annotated[Posting | Word, Field(exclude_if=_is_default("posting"))] = "everyone"
    invites: Annotated[Reserved | Word, Field(exclude_if=_is_default("invites"))] = "members"
    topic: Annotated[Reserved | Word, Field(exclude_if=_is_default("topic"))] = "members"
    pins: Annotated[Reserved | Word, Field(exclude_if=_is_default("pins"))] = "members"
    private: Flag = False
    archived: Flag = False
    retention: Annotated[Retention, Field(exclude_if=_is_falsy)] = 0


Act = Word
"""The kind of an entry in the audit log; see `chat.store.accounts.ACTS`."""
