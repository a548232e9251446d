"""All connected servers in one window, and moving between them.

Each server has its own conversation, independent of the others. The sidebar lists the channels of
all servers, server by server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count, islice
from time import monotonic
from urllib.parse import urlsplit

from chat.client.config.paths import ClientPaths
from chat.client.config.settings import ClientSettings, check_url, load, with_added_servers
from chat.client.model.sign_in import SignInWay
from chat.client.model.state import Link
from chat.client.presenter.composer.completion import Sources
from chat.client.presenter.conversation import (
    Conversation,
    jump,
    mark,
    mark_all,
    show_unread_on_arrival,
)
from chat.client.presenter.navigation import (
    Entry,
    Group,
    Location,
    Tour,
    Trail,
    after,
    entries,
    neighbor,
    waits,
)
from chat.client.presenter.view import Choice, Refused
from chat.client.storage.known_servers import urls_of
from chat.client.sync.core import Core, answer
from chat.client.sync.inbox import Unread, urgency
from chat.errors import StartupError
from chat.text import channel_title, check_new_name, fold

__all__ = ["Converse", "Cores", "Workspace", "WorkspaceServer"]

_OFFERED = 200
"""The newest messages offered for number arguments."""


class Cores:
    """One core for each server; the first is always there.

    Args:
        settings: with a name, and with all servers.
        make: makes the core of one server.
    """

    def __init__(self, settings: ClientSettings, make: Callable[[ClientSettings], Core]) -> None:
        self.faults: list[str] = []
        """Errors of servers that did not start, for the user."""
        self._settings = settings
        self._make = make
        self._cores = [(each, make(each)) for each in settings.for_each_server()]
        self._leaving: list[Core] = []

    def __iter__(self) -> Iterator[tuple[ClientSettings, Core]]:
        return iter(list(self._cores))

    @property
    def first(self) -> Core:
        """The core that stores preferences of the whole window."""
        return self._cores[0][1]

    def save_pref(self, key: str, value: str) -> None:
        """Save a preference of the whole window."""
        self.first.save_pref(key, value)

    def pref(self, key: str) -> str:
        """Return a preference of the whole window; empty if there is none."""
        return self.first.pref(key)

    def open(self) -> None:
        """Open the files of all cores; drop the cores whose files cannot be opened.

        Raises:
            StartupError: no core is left.
        """
        for settings, core in self:
            try:
                core.open()
            except StartupError as exc:
                if len(self._cores) == 1:
                    raise
                self._cores.remove((settings, core))
                self.faults.append(f"{settings.url}: {exc}")

    def start(self) -> None:
        """Start all connections."""
        for _, core in self:
            core.start()

    def stop(self, within: float) -> None:
        """Stop all cores, removed ones too, within `within` seconds in total."""
        until = monotonic() + within
        leaving = [*self._leaving, *(core for _, core in self._cores)]
        for core in leaving:
            core.stop(0.0)  # all stop at the same time
        for core in leaving:
            core.stop(max(until - monotonic(), 0.0))

    def unsaved(self) -> list[str]:
        """Return the texts that could not be written to disk; call it after `stop`."""
        cores = [*self._leaving, *(core for _, core in self._cores)]
        return [text for core in cores for text in core.unsaved()]

    def unsent(self) -> int:
        """Return the number of messages in the outboxes on disk; call it after `stop`."""
        return sum(core.unsent() for _, core in self._cores)

    def add(self, url: str, name: str) -> tuple[ClientSettings, Core]:
        """Start a core for another server, also at the next start.

        Raises:
            StartupError: the core cannot start.
        """
        settings = self._settings.but(
            url=url, name=name, servers=(), token_file=None, same_server=False
        )
        core = self._make(settings)
        core.start()
        self._cores.append((settings, core))
        self._places.servers.add(url, name)
        return settings, core

    def renamed(self, settings: ClientSettings, name: str) -> ClientSettings:
        """Save a server's new name for the next start; return the new settings."""
        renamed = settings.but(name=name, token_file=None)
        self._cores = [(renamed if each is settings else each, core) for each, core in self._cores]
        first = self._settings
        if (settings.url, settings.name) == (first.url, first.name):
            self._settings = first.but(name=name)
            self._places.servers.remember_use(first.url, name)
        else:
            self._places.servers.rename(settings.url, settings.name, name)
        return renamed

    def remove(self, settings: ClientSettings) -> bool:
        """Stop a server's core and remove it; return False if the settings will add it again."""
        for each, core in self:
            if each is settings:
                self._cores.remove((each, core))
                core.stop(0.0)
                self._leaving.append(core)
        self._places.servers.remove(settings.url, settings.name)
        next_time = with_added_servers(load({"data": self._settings.data})).for_each_server()
        return all(
            (each.url, fold(each.name)) != (settings.url, fold(settings.name)) for each in next_time
        )

    @property
    def _places(self) -> ClientPaths:
        return ClientPaths(self._settings.data)


@dataclass(frozen=True, slots=True, eq=False)
class WorkspaceServer:
    """One server with one user name, and its conversation."""

    key: int
    settings: ClientSettings
    conversation: Conversation

    def is_for(self, url: str, name: str) -> bool:
        """Whether this is the server with that address and user name."""
        return self.settings.url == url and fold(self.settings.name) == fold(name)

    @property
    def may_rename(self) -> bool:
        """Whether the server refuses the name, so that the user can choose another."""
        return SignInWay.NAME in self.conversation.state.connection.ways

    @property
    def address(self) -> str:
        """The server's host and port."""
        return urlsplit(urls_of(self.settings.url)[0]).netloc

    @property
    def title(self) -> str:
        """The server's own name, or its address before the first connection."""
        return self.conversation.server or self.address


Converse = Callable[[int, ClientSettings, Core], Conversation]
"""Makes the conversation of the server with that key."""


class Workspace:
    """All servers, in their order: one for each of `cores`, once `take` was called."""

    def __init__(self, cores: Cores, converse: Converse) -> None:
        self._cores = cores
        self._converse = converse
        self._keys = count(1)
        self._servers: dict[int, WorkspaceServer] = {}
        self._front = 0
        self._shown: Location | None = None
        self._before: Location | None = None
        self._trail = Trail()
        self._tour = Tour()
        self._is_jumping = False

    def __iter__(self) -> Iterator[WorkspaceServer]:
        return iter(list(self._servers.values()))

    def __len__(self) -> int:
        return len(self._servers)

    @property
    def front(self) -> WorkspaceServer:
        """The shown server."""
        return self._servers[self._front]

    @property
    def here(self) -> Location:
        """The shown channel."""
        return Location(self._front, self.front.conversation.state.current or "")

    def recent(self) -> list[Location]:
        """Return the recently shown channels, latest first."""
        return self._trail.recent()

    def at(self, key: int) -> WorkspaceServer | None:
        """Return the server with that key; None if it was removed."""
        return self._servers.get(key)

    @property
    def have_tried(self) -> bool:
        """Whether any server has connected or failed to."""
        return any(each.conversation.state.connection.link is not Link.CONNECTING for each in self)

    def groups(self) -> tuple[Group, ...]:
        """Return the servers as the sidebar lists them."""
        return tuple(self._group(server) for server in self)

    def entries(self) -> list[Entry]:
        """Return the channels of all servers in sidebar order."""
        return entries(self.groups())

    def count_addressed(self) -> int:
        """Return the number of unread mentions and direct messages on all servers."""
        return sum(server.conversation.state.count_addressed() for server in self)

    def take(self) -> None:
        """Add the servers of all cores; show the first."""
        for settings, core in self._cores:
            self._add(settings, core)

    def _add(self, settings: ClientSettings, core: Core) -> WorkspaceServer:
        key = next(self._keys)
        server = self._servers[key] = WorkspaceServer(
            key, settings, self._converse(key, settings, core)
        )
        if len(self._servers) == 1:
            self._front = key
            server.conversation.view.come_forward()
        else:
            server.conversation.reading.watched(False)
        return server

    def take_in(self) -> None:
        """Apply the pending updates of all cores."""
        for server in self:
            server.conversation.take_in()

    def close(self) -> None:
        """Save all drafts before the program ends."""
        for server in self:
            server.conversation.close()

    # Adding and removing servers.

    def connect(self, url: str, name: str) -> None:
        """Add a server, also for the next start; a server that is already added is shown."""
        name = name or self.front.settings.name
        given = url
        try:
            url = check_url(url)
            given = name
            check_new_name(name)
        except ValueError as exc:
            raise Refused(f"“{given}” {exc}") from None
        there = [each for each in self if each.settings.url == url]
        here = next((each for each in there if each.is_for(url, name)), None)
        refused = next((each for each in there if each.may_rename), None)
        if here is None and refused is not None:
            self.rename(refused.key, name)
        server = here or refused or self._add(*self._cores.add(url, name))
        self.open(Location(server.key, ""))

    def rename(self, key: int, name: str) -> None:
        """Sign in with another name; the present one belongs to another user."""
        server = self._servers[key]
        url, taken = server.settings.url, server.settings.name
        if not server.may_rename:
            raise Refused(
                f"The name {taken} belongs to your account and cannot be changed. To sign in with "
                f"another name as well, use /connect {url} NAME."
            )
        try:
            check_new_name(name)
        except ValueError as exc:
            raise Refused(f"“{name}” {exc}") from None
        if fold(name) == fold(taken):
            raise Refused(f"The name {taken} is taken. Choose another.")
        if any(each.is_for(url, name) for each in self):
            raise Refused(
                f"You already use the name {name} there. Use /server to list your servers."
            )
        server.conversation.view.run_in_background(self._rename(server, name))

    async def _rename(self, server: WorkspaceServer, name: str) -> None:
        with server.conversation.telling(), server.conversation.drafts.carried():
            await answer(server.conversation.core.sign_in(name))
            settings = self._cores.renamed(server.settings, name)
            if server.key in self._servers:  # else the server was removed meanwhile
                self._servers[server.key] = replace(server, settings=settings)

    def disconnect(self, server: str) -> None:
        """Remove a server, also for the next start; its local data is kept."""
        leaving = self._find(server) if server else self.front
        others = [each for each in self if each is not leaving]
        if not others:
            raise Refused("Cannot remove your only server. Use /quit to quit.")
        title = self._title_of(leaving)
        if leaving is self.front:
            self.open(Location(others[0].key, ""))
        leaving.conversation.close()
        del self._servers[leaving.key]
        is_forgotten = self._cores.remove(leaving.settings)
        self.front.conversation.view.redraw()
        again = "" if is_forgotten else " It is in your settings, so it returns at the next start."
        self.front.conversation.view.say(f"Removed {title}.{again}")

    def show(self, server: str) -> None:
        """Show a server; without a name, open a picker."""
        if server:
            self.open(Location(self._find(server).key, ""))
            return
        rows = [
            Choice(
                str(each.key), self._title_of(each), f"{each.settings.name} at {each.settings.url}"
            )
            for each in self
        ]
        add = self.front.conversation.view.list_rows(
            "Servers",
            lambda key: self.open(Location(int(key), "")),
            "Use /server NAME to switch to one",
        )
        add(rows)

    def sources(self) -> Sources:
        """Return the completion sources of the shown server, without themes and languages."""
        state = self.front.conversation.state
        newest = islice(state.log(state.current or "").newest(), _OFFERED)
        said = tuple(
            (each.seq, f"{each.author}: {each.text}")
            for each in newest
            if each.seq is not None and not each.deleted
        )
        return Sources(
            state.names,
            state.channel_names,
            messages=said,
            servers=self.titles(),
            is_admin=state.is_admin,
            rights=state.rights,
        )

    def look_up(self, line: str, then: Callable[[], None]) -> bool:
        """Look up names that could complete `line`; see `NameLookup.ask`."""
        return self.front.conversation.lookup.ask(line, then)

    def titles(self) -> tuple[str, ...]:
        """Return the titles of all servers."""
        return tuple(self._title_of(server) for server in self)

    def title_beside(self, key: int) -> str:
        """Return a server's title; empty if it is the only server."""
        server = self._servers.get(key)
        return self._title_of(server) if server and len(self._servers) > 1 else ""

    def _find(self, word: str) -> WorkspaceServer:
        meant = word.strip().casefold()
        ways: tuple[Callable[[WorkspaceServer], bool], ...] = (
            lambda server: self._title_of(server).casefold() == meant,
            lambda server: meant in (server.address, server.settings.url),
            lambda server: fold(server.settings.name) == meant,
            lambda server: self._title_of(server).casefold().startswith(meant),
        )
        for is_meant in ways:
            found = [server for server in self if is_meant(server)]
            if len(found) > 1:
                titles = " or ".join(self._title_of(server) for server in found)
                raise Refused(f"“{word}” matches {titles}. Type more of the name.")
            if found:
                return found[0]
        raise Refused(f"No server matches “{word}”. Use /server to list them.")

    # Unread messages.

    def show_inbox(self) -> None:
        """Show the inbox of all servers."""
        self.front.conversation.view.run_in_background(self._show_inbox())

    async def _show_inbox(self) -> None:
        found: dict[Location, Unread] = {}
        for server in self:
            with server.conversation.telling():
                for unread in await answer(server.conversation.core.inbox()):
                    found[Location(server.key, unread.channel)] = unread
        if found:
            ordered = sorted(found.items(), key=lambda each: urgency(each[1]))
            self.front.conversation.view.list_unread(dict(ordered))
        else:
            self.front.conversation.view.say("No unread messages.")

    def mark(self, location: Location) -> None:
        """Mark a channel as read."""
        if server := self._servers.get(location.server):
            mark(server.conversation, location.channel)

    def mark_all(self) -> None:
        """Mark all channels of all servers as read."""
        for server in self:
            mark_all(server.conversation)

    def name_of(self, location: Location) -> str:
        """Return a channel's displayed name, with its server if there are several."""
        server = self._servers.get(location.server)
        user = server.conversation.state.user if server else ""
        name = channel_title(location.channel, user)
        return " · ".join(filter(None, (name, self.title_beside(location.server))))

    # Opening channels.

    def came_to(self, location: Location) -> None:
        """Record the channel that the shown conversation opened; ignore hidden ones."""
        if location.server != self._front:
            return
        if location != self._shown:
            self._before, self._shown = self._shown, location
        self._trail.came_to(location)
        if not self._is_jumping:
            self._tour.end()

    def open(self, location: Location) -> None:
        """Show a channel of any server; without a channel, the server's last one."""
        server = self._servers.get(location.server)
        if server is None:
            return
        if server is self.front:
            if location.channel:
                server.conversation.open_channel(location.channel)
            return
        leaving = self.front.conversation
        leaving.step_back()
        self._front = server.key
        server.conversation.come_forward(location.channel, is_watched=leaving.reading.is_watched)
        leaving.reading.watched(False)

    def go(self, step: int) -> None:
        """Show the next (1) or previous (-1) channel of the sidebar."""
        if location := neighbor(self.entries(), self.here, step):
            self.open(location)

    def go_to(self, number: int) -> None:
        """Show the channel at a position of the sidebar, from 1."""
        listed = self.entries()
        if number <= len(listed):
            self.open(listed[number - 1].location)

    def go_along(self, step: int) -> None:
        """Go back (-1) or forward (1) in the history of shown channels."""
        if location := self._trail.step(step, self._known()):
            self.open(location)

    def go_to_last(self) -> None:
        """Switch between the last two channels."""
        if self._before in self._known():
            self.open(self._before)

    def go_to_next_unread(self) -> None:
        """Show the most urgent unread channel; when none is left, return to the start.

        When there is no other, show a thread of this channel that has unread replies.
        """
        location = self._tour.next(self.entries(), self.here)
        if location is None:
            if not self._show_unread_thread():
                self.front.conversation.view.say("No unread messages.")
            return
        self._is_jumping = True
        try:
            self.open(location)
        finally:
            self._is_jumping = False
        info = self.front.conversation.state.info
        if self.here != location or info is None:
            return
        if info.unread:
            show_unread_on_arrival(self.front.conversation, location.channel)
        elif info.threads:
            self.front.conversation.threads.show(location.channel, info.threads[0].root)

    def _show_unread_thread(self) -> bool:
        """Show an unread thread of this channel that is not open; return whether there is one."""
        conversation = self.front.conversation
        info, shown = conversation.state.info, conversation.state.thread
        if info is None or not waits(info):
            return False
        roots = [thread.root for thread in info.threads if thread.unread]
        root = next((root for root in roots if shown is None or root != shown.root), None)
        if root is None:
            return False
        conversation.threads.show(info.name, root)
        return True

    def go_to_mention(self, step: int) -> None:
        """Show the nearest loaded mention in the channels after (1) or before (-1) this one."""
        others = after(self.entries(), self.here)
        for entry in others if step > 0 else reversed(others):
            state = self._servers[entry.location.server].conversation.state
            log = state.log(entry.location.channel)
            start = -1 if step > 0 else len(log)
            seq = log.next_mention(start, step, state.user, state.is_folded)
            if seq is not None:
                self.jump(entry.location, seq)
                return
        self.front.conversation.view.say("No more mentions in the loaded messages.")

    def jump(self, location: Location, seq: int) -> None:
        """Open a channel and scroll to one of its messages."""
        if location.server != self._front:
            self.open(location)
        jump(self.front.conversation, location.channel, seq)

    def _known(self) -> set[Location]:
        return {entry.location for entry in self.entries()}

    def _group(self, server: WorkspaceServer) -> Group:
        state = server.conversation.state
        return Group(
            server.key,
            self._title_of(server),
            state.connection.link,
            tuple(state.channels.values()),
            tuple(each for each in state.invitations.values() if not state.ignores(each.by)),
        )

    def _title_of(self, server: WorkspaceServer) -> str:
        """Return the server's title, with the user name if the title is not unique."""
        is_alone = [each.title for each in self].count(server.title) == 1
        return server.title if is_alone else f"{server.title} · {server.conversation.state.user}"
