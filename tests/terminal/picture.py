"""Makes the README's picture: the real client, a real conversation, a real server.

python -m tests.terminal.picture [WIDTH HEIGHT [THEME [FILE]]]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from chat.client.config.settings import ClientSettings
from chat.client.tui.app import ChatApp
from chat.client.tui.themes import by_name
from chat.protocol.commands import Edit, Join, React, Send, SetStatus, SetTopic, Typing
from tests.serving import PATIENCE, ChatServer, Peer

WIDTH, HEIGHT = 120, 32
FILE = Path(__file__).parents[2] / ".github" / "client.svg"
CODE = """the retry is only this:
```python
while not acknowledged:
    await append(message, cid=message.cid)
```"""


async def talk(server: ChatServer, stack: AsyncExitStack) -> None:
    """Send some messages as several users."""
    people = {
        name: await stack.enter_async_context(Peer.signed_in(server.url, name))
        for name in ("bob", "carol", "dave", "erin")
    }
    bob, carol, dave, erin = people.values()
    for channel in ("#general", "#ops", "#tea"):
        for peer in people.values():
            await peer.join(channel)
    await bob.call(SetTopic(channel="#general", topic="Everything that concerns all of us"))
    await bob.say("Morning! Who broke the build?")
    asked = await carol.say("Not me. But the log of `#ops` tells: *disk full*, **twice**.")
    await bob.call(Send(channel="#general", text="And nothing was lost?", reply_to=asked.seq))
    lost = await carol.say("Nothing. Every `ok` was on disk before it was said.")
    await carol.say(CODE)
    typo = await dave.say("I unplugged teh router in the middle of a sentence")
    assert typo.seq is not None
    fixed = "I unplugged the router in the middle of a sentence"
    await dave.call(Edit(channel="#general", seq=typo.seq, text=fixed))
    await dave.say("… and here it is, sent by itself when the cable was back")
    assert lost.seq is not None
    for peer, emoji in ((bob, "🎉"), (dave, "🎉"), (erin, "👍")):
        await peer.call(React(channel="#general", seq=lost.seq, emoji=emoji))
    await erin.call(Send(channel="#general", text="pours tea for everybody ☕", me=True))
    await bob.say("@alice have a look at https://example.org/postmortem when you are up")
    await carol.say("@alice the disk is back", "#ops")
    await dave.say("Darjeeling or Assam?", "#tea")
    await erin.call(SetStatus(status="away"))


async def say_directly(server: ChatServer, stack: AsyncExitStack) -> None:
    """Send alice a direct message, and let a user type."""
    frank = await stack.enter_async_context(Peer.signed_in(server.url, "frank"))
    await frank.join("#general")
    await frank.say("lunch at noon?", "@alice,frank")
    await frank.call(Typing(channel="#general"))


async def make(width: int, height: int, theme: str, file: Path) -> None:
    """Run the client on a screen of this size, and save its picture."""
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(ChatServer(home / "data", "--limits.burst", "1000"))
        await talk(server, stack)
        app = ChatApp(ClientSettings(name="alice", url=server.url, data=home / "client"))
        async with app.run_test(size=(width, height)) as pilot:
            app.theme = by_name(theme)
            await _until(pilot, lambda: "postmortem" in app.export_screenshot())
            for channel in ("#ops", "#tea"):
                await asyncio.wrap_future(app.cores.first.ask(Join(channel=channel)))
            await say_directly(server, stack)
            await _until(pilot, lambda: "frank" in app.export_screenshot())
            await pilot.pause(1)
            file.write_text(app.export_screenshot(title="chat-client"))
        app.cores.first.stop(PATIENCE)


async def _until(pilot, condition) -> None:  # type: ignore[no-untyped-def]
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await pilot.pause(0.1)


def main() -> None:
    """Read the arguments, and make the picture."""
    arguments = sys.argv[1:]
    width, height = map(int, arguments[:2]) if arguments else (WIDTH, HEIGHT)
    theme = arguments[2] if len(arguments) > 2 else "dark"
    file = Path(arguments[3]) if len(arguments) > 3 else FILE
    asyncio.run(make(width, height, theme, file))


if __name__ == "__main__":
    main()
