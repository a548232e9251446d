"""A channel with a user in each role, for the tests of rights and moderation."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from chat.errors import CommandError
from chat.protocol.items import Item
from chat.store.channels import CreateChannel, InviteToChannel, SetChannelRole
from chat.store.operations import JoinChannel, Operation, User
from tests.store.opened import OpenStore


@dataclass(frozen=True)
class Room:
    """A channel, and users in each role."""

    store: OpenStore
    name: str
    owner: User
    moderator: User
    second_moderator: User
    member: User
    outsider: User

    @property
    def people(self) -> dict[str, User]:
        """The users by the name of their field."""
        return {
            "owner": self.owner,
            "moderator": self.moderator,
            "second moderator": self.second_moderator,
            "member": self.member,
            "outsider": self.outsider,
        }

    def roles(self) -> dict[str, str]:
        """Return the roles of the members by name, as the owner sees them, or the first member."""
        page = self.store.read(
            lambda reader: reader.members(self._reader(), self.name, cursor=None, limit=100)
        )
        return {row.name: row.role for row in page.rows}

    def last(self) -> Item:
        """Return the last item of the log."""
        return self.store.log(self._reader(), self.name)[-1]

    def _reader(self) -> User:
        for user in self.people.values():
            try:
                self.store.membership(user, self.name)
            except CommandError:
                continue
            return user
        raise AssertionError("nobody is a member")

    def refusal(self, operation: Operation[object]) -> CommandError:
        """Run an operation that must be refused; return the error."""
        outcome = self.store.outcome(operation)
        assert isinstance(outcome, CommandError), outcome
        return outcome


def furnish(store: OpenStore, name: str, *, is_private: bool) -> Room:
    """Create a channel with an owner, two moderators and a member."""
    names = ("owner", "mod", "second", "member", "outsider")
    owner, mod, second, member, outsider = (store.sign_in(each) for each in names)
    store.do(CreateChannel(owner, name, is_private))
    for user in (mod, second, member):
        store.do(InviteToChannel(owner, name, user.name))
        store.do(JoinChannel(user, name))
    for user in (mod, second):
        store.do(SetChannelRole(owner, name, user.name, "moderator"))
    return Room(store, name, owner, mod, second, member, outsider)


@pytest.fixture
def room(store: OpenStore) -> Room:
    """Return a public channel."""
    return furnish(store, "#room", is_private=False)


@pytest.fixture
def private(store: OpenStore) -> Room:
    """Return a private channel."""
    return furnish(store, "#private", is_private=True)
