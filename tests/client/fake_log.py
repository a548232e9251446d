"""A server's log in memory: the reference for the client's view.

It shares no code with the client: it keeps events, and computes each item from them.
"""

from __future__ import annotations

from typing import Any

from chat.protocol.frames import Joined, Member, Page
from chat.protocol.items import Event, Item
from chat.protocol.limits import FOLDED_KINDS


class FakeLog:
    """One channel's log."""

    def __init__(self, channel: str, epoch: str = "e1") -> None:
        self.channel = channel
        self.epoch = epoch
        self.events: list[Event] = []
        self.read: dict[str, int] = {}

    @property
    def head(self) -> int:
        return len(self.events)

    def append(self, author: str, kind: str = "message", **body: Any) -> Event:
        seq = self.head + 1
        event = Event(
            channel=self.channel,
            seq=seq,
            mid=f"{self.epoch}-{seq}",
            ts=1_000 * seq,
            author=author,
            kind=kind,
            **body,
        )
        self.events.append(event)
        return event

    def item(self, seq: int, head: int | None = None) -> Item:
        """Return the entry `seq` as it was when the log ended at `head`."""
        head = self.head if head is None else head
        event = self.events[seq - 1]
        fields = event.model_dump(exclude={"type", "channel"})
        about = [e for e in self.events[:head] if e.target == seq and e.kind in FOLDED_KINDS]
        if event.kind in ("edit", "react") and event.target is not None:
            later = [e for e in self.events[seq:head] if e.target == event.target]
            overtaken = {"delete", "edit"} if event.kind == "edit" else {"delete"}
            if any(e.kind in overtaken for e in later):
                fields |= {"text": None, "emoji": None, "mentions": (), "erased": True}
        erasing = [
            e
            for e in self.events[:head]
            if (e.kind == "expire" and (e.up_to or 0) >= seq)
            or (e.kind == "delete" and e.target == seq)
        ]
        if event.kind != "message":
            if erasing and event.kind == "topic":
                fields |= {"topic": None, "erased": True}
            elif erasing:
                fields |= {"reason": None}
            return Item(**fields, rev=seq)
        if erasing:
            fields |= {"text": None, "erased": True, "mentions": (), "me": False, "reply_to": None}
            return Item(**fields, rev=erasing[0].seq)
        return Item(**{**fields, **self._folded(event, about)})

    def _folded(self, event: Event, about: list[Event]) -> dict[str, Any]:
        rev = max([event.seq, *(e.seq for e in about)])
        if any(e.kind == "delete" for e in about):
            return {
                "rev": rev, "text": None, "erased": True, "mentions": (),
                "me": False, "reply_to": None,
            }  # fmt: skip
        texts = [event, *(e for e in about if e.kind == "edit")]
        reacted: dict[str, dict[str, None]] = {}
        for e in about:
            if e.kind == "react" and e.emoji:
                names = reacted.setdefault(e.emoji, {})
                if e.remove:
                    names.pop(e.author, None)
                else:
                    names[e.author] = None
                if not names:
                    del reacted[e.emoji]
        return {
            "rev": rev,
            "text": texts[-1].text,
            "mentions": texts[-1].mentions,
            "edited": len(texts) > 1,
            "pinned": next((not e.remove for e in reversed(about) if e.kind == "pin"), False),
            "reactions": {emoji: tuple(names) for emoji, names in reacted.items()},
        }

    def shown(self, below: int, limit: int, head: int | None = None) -> tuple[Item, ...]:
        """Return the last items below `below` that a timeline shows."""
        head = self.head if head is None else head
        seqs = [e.seq for e in self.events[:head] if e.seq < below and e.kind not in FOLDED_KINDS]
        return tuple(self.item(seq, head) for seq in seqs[-limit:])

    def page_before(self, before: int, limit: int = 50, head: int | None = None) -> Page:
        items = self.shown(before, limit, head)
        return self._page(items, not items or items[0].seq == 1, head)

    def page_after(self, after: int, limit: int = 50, head: int | None = None) -> Page:
        top = self.head if head is None else head
        seqs = range(after + 1, min(after + limit, top) + 1)
        return self._page(tuple(self.item(seq, top) for seq in seqs), after + limit >= top, head)

    def joined(
        self,
        name: str,
        after: int | None = None,
        limit: int = 50,
        members: tuple[Member, ...] = (),
    ) -> Joined:
        """Return the entries after a position, or the newest page without one."""
        page = self.page_after(after, limit) if after is not None else None
        items = page.items if page else self.shown(self.head + 1, limit)
        read = self.read.get(name, 0)
        unread, mentions = self.counts(name, read)
        return Joined(
            channel=self.channel,
            epoch=self.epoch,
            head=self.head,
            topic=next((e.topic or "" for e in self.events[::-1] if e.kind == "topic"), ""),
            role="member",
            read=read,
            unread=unread,
            mentions=mentions,
            members=members,
            member_count=len(members),
            recovered=page is not None,
            items=items,
            complete=page.complete if page else True,
        )

    def counts(self, name: str, read: int, head: int | None = None) -> tuple[int, int]:
        """Return unread messages and mentions above `read`."""
        top = self.head if head is None else head
        items = [self.item(seq, top) for seq in range(read + 1, top + 1)]
        unread = [
            item
            for item in items
            if item.kind == "message"
            and item.author != name
            and not item.erased
            and not item.thread_only
        ]
        return len(unread), sum(name in item.mentions for item in unread)

    def _page(self, items: tuple[Item, ...], complete: bool, head: int | None) -> Page:
        return Page(
            channel=self.channel,
            epoch=self.epoch,
            items=items,
            complete=complete,
            head=self.head if head is None else head,
        )
