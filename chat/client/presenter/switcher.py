"""The switcher: channels, people and commands in one list, found by a few letters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from chat.client.model.fuzzy import spread
from chat.client.model.slash.commands import available
from chat.client.model.state import ChannelInfo
from chat.client.presenter.commands.channels import member_count
from chat.client.presenter.commands.own_channel import open_invitation
from chat.client.presenter.navigation import Entry, waits, weight
from chat.client.presenter.state import kinds_of, title_of
from chat.client.presenter.view import Choice
from chat.client.presenter.workspace import Workspace
from chat.text import check_channel

__all__ = ["Switcher"]

_SIGNS = "#@/"
_WORD = re.compile(r"\w+")
_WORDS_FROM = 3
"""Minimum letters to search the help of commands; fewer match nearly all of them."""


@dataclass(frozen=True, slots=True)
class _Offer:
    """A row and its action; it is found by `names`, a command also by `words` of its help."""

    choice: Choice
    run: Callable[[], object]
    names: tuple[str, ...]
    words: tuple[str, ...] = ()

    def rank(self, word: str) -> tuple[int, int] | None:
        """Return the sort key of the row for a search word; None if it does not match.

        Channels and people with the letters close together come first, then commands, then
        channels and people with the letters far apart.
        """
        distances = [_distance(word, name) for name in self.names]
        far = min((each for each in distances if each is not None), default=None)
        is_close = far is not None and far <= len(word)
        if not self.words:
            return None if far is None else (0 if is_close else 2, far)
        if far is not None and is_close:
            return 1, far
        if len(word) < _WORDS_FROM:
            return None
        begins = all(any(each.startswith(w) for each in self.words) for w in word.split())
        return (1, len(word) + 1) if begins else None


def _distance(word: str, name: str) -> int | None:
    """Return the spread of a word's letters in a name (see `spread`); -1 for an exact match."""
    return -1 if word == name.lower() else spread(word, name)


class Switcher:
    """The switcher's rows, as of its creation.

    Without a search word, unread channels come first, then recently shown ones, then the other
    channels, people and commands.

    Args:
        begin: puts a command that needs arguments into the composer.
        keys: key bindings by command name.
    """

    def __init__(
        self, workspace: Workspace, begin: Callable[[str], None], keys: Mapping[str, str]
    ) -> None:
        self._workspace = workspace
        self._conversation = workspace.front.conversation
        offers = (
            *self._invitations(),
            *self._channels(),
            *self._people(),
            *self._commands(begin, keys),
        )
        self._offers = {offer.choice.key: offer for offer in offers}

    def find(self, written: str) -> list[Choice]:
        """Return the matching rows, best first.

        A first `#`, `@` or `/` limits the rows to channels, people or commands. Channels that the
        user is not in are found by prefix, after `look_up`. An unknown `#name` gets a row that
        creates the channel.
        """
        sign = written[:1] if written[:1] in tuple(_SIGNS) else ""
        word = written.strip().lstrip(_SIGNS).lower()
        listed = [each for each in self._offers.values() if each.choice.label.startswith(sign)]
        if not word:
            return [offer.choice for offer in listed]
        listed += self._to_join(word) if sign in ("", "#") else ()
        ranks = ((offer.rank(word), place) for place, offer in enumerate(listed))
        found = sorted((rank, place) for rank, place in ranks if rank is not None)
        return [listed[place].choice for _, place in found] or _new(written)

    def look_up(self, written: str, then: Callable[[], None]) -> None:
        """Look up channels on the server by prefix; `then` is called after the answer."""
        word = written.strip().removeprefix("#")
        if not word.startswith(("@", "/")):
            self._conversation.lookup.ask(f"#{word}", then)

    def choose(self, key: str) -> None:
        """Open the channel of a row, or run its command."""
        if key in self._offers:
            self._offers[key].run()
        else:
            self._conversation.join(key)

    def _invitations(self) -> Iterator[_Offer]:
        conversation = self._conversation
        for invitation in conversation.state.invitations.values():
            channel = invitation.channel
            kinds = ("private",) if invitation.private else ()
            note = " · ".join(filter(None, [f"invited by {invitation.by}", invitation.topic]))
            choice = Choice(f"invitation {channel}", channel, note, kinds)
            yield _Offer(choice, partial(open_invitation, conversation, channel), (channel[1:],))

    def _channels(self) -> Iterator[_Offer]:
        workspace = self._workspace
        titles = {group.server: group.title for group in workspace.groups()}
        shown = {location: place for place, location in enumerate(workspace.recent())}

        def order(entry: Entry) -> tuple[bool, int, int]:
            urgency = -weight(entry.info) if waits(entry.info) else 1
            return entry.location == workspace.here, urgency, shown.get(entry.location, len(shown))

        for entry in sorted(workspace.entries(), key=order):
            label = title_of(entry.info)
            server = titles[entry.location.server] if len(titles) > 1 else ""
            note = _note(entry.info, server)
            choice = Choice(f"{entry.location.server} {label}", label, note, kinds_of(entry.info))
            yield _Offer(choice, partial(workspace.open, entry.location), (label.lstrip(_SIGNS),))

    def _to_join(self, word: str) -> Iterator[_Offer]:
        """Yield the looked-up channels that the user is not in."""
        for name, listing in self._conversation.lookup.directory.items():
            if name not in self._conversation.state.channels and name[1:].lower().startswith(word):
                note = " · ".join(
                    filter(None, ("Enter to join", member_count(listing), listing.topic))
                )
                join = partial(self._conversation.join, name)
                yield _Offer(Choice(name, name, note), join, (name[1:],))

    def _people(self) -> Iterator[_Offer]:
        """Yield the people without a direct channel."""
        conversation = self._conversation
        known = {title_of(each) for each in conversation.state.channels.values() if each.direct}
        for name in conversation.state.names:
            if f"@{name}" not in known:
                choice = Choice(f"@{name}", f"@{name}", "direct message")
                yield _Offer(choice, partial(conversation.write_to, name), (name,))

    def _commands(self, begin: Callable[[str], None], keys: Mapping[str, str]) -> Iterator[_Offer]:
        state = self._conversation.state
        for command in available(is_admin=state.is_admin, rights=state.rights):
            text = f"/{command.name}"
            note = "  ".join(filter(None, (keys.get(command.name), command.help)))
            names = (command.name, *command.aliases)
            words = (*_WORD.findall(command.help.lower()), *command.keywords)
            act = self._conversation.run_command if command.runs_at_once else begin
            written = text if command.runs_at_once else f"{text} "
            choice = Choice(text, command.usage, note)
            yield _Offer(choice, partial(act, written), names, words)


def _new(written: str) -> list[Choice]:
    """Return a row that joins or creates the channel `written`, with or without its `#`."""
    name = written.strip()
    if name.startswith(("@", "/")):
        return []
    try:
        name = check_channel(name if name.startswith("#") else f"#{name}")
    except ValueError:
        return []
    return [Choice(name, name, "join or create channel")]


def _note(info: ChannelInfo, server: str) -> str:
    counts = []
    if info.mentions:
        counts.append(f"@{info.mentions}")
    if info.unread:
        counts.append(f"{info.unread} unread")
    if info.unread_replies:
        counts.append(f"{info.unread_replies} in threads")
    return " · ".join(filter(None, [server, *counts, info.topic]))
