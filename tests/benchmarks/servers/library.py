"""Chat with `websockets` and its own `broadcast()`, on uvloop. Stores nothing.

python library.py PORT chat|echo
"""

from __future__ import annotations

import asyncio
import json
import sys
from itertools import count

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

ROOMS: dict[str, set[ServerConnection]] = {}
IDS = count(1)


async def chat(socket: ServerConnection) -> None:
    """Let one connection join a room and talk there."""
    room: set[ServerConnection] = set()
    user = ""
    async for data in socket:
        command = json.loads(data)
        if command["type"] == "join":
            user = command["user"]
            room = ROOMS.setdefault(command["room"], set())
            room.add(socket)
            await socket.send(json.dumps({"type": "joined", "room": command["room"]}))
        else:
            event = {
                "type": "msg",
                "room": command["room"],
                "user": user,
                "id": next(IDS),
                "text": command["text"],
            }
            broadcast(room, json.dumps(event, separators=(",", ":")))
    room.discard(socket)


async def echo(socket: ServerConnection) -> None:
    """Echo the messages of one connection."""
    async for data in socket:
        await socket.send(data)


async def main(port: int, mode: str) -> None:
    """Serve until killed."""
    handler = echo if mode == "echo" else chat
    async with serve(handler, "127.0.0.1", port, compression=None, backlog=4096):
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
