"""A proxy on loopback with SOCKS5 and HTTP CONNECT; it resolves every name to 127.0.0.1."""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
from typing import Self

_SOCKS_VERSION = 5


class ForwardProxy(socketserver.ThreadingTCPServer):
    """Forwards connections; `asked` has their targets, `users` their users.

    Args:
        port: the port to listen on; 0 takes a free one.
        password: the password of all users; empty: none is required.
        refuses: whether it refuses every request.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int = 0, password: str = "", refuses: bool = False) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.password = password
        self.refuses = refuses
        self.asked: list[tuple[str, int]] = []
        self.users: list[str] = []
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Handler(socketserver.BaseRequestHandler):
    server: ForwardProxy
    request: socket.socket

    def handle(self) -> None:
        first = self._exactly(1)
        if first == bytes([_SOCKS_VERSION]):
            self._socks()
        elif first:
            self._http(first)

    def _socks(self) -> None:
        methods = self._exactly(self._exactly(1)[0])
        wanted = 2 if self.server.password else 0
        if wanted not in methods:
            self.request.sendall(b"\x05\xff")
            return
        self.request.sendall(bytes([_SOCKS_VERSION, wanted]))
        if wanted and not self._authenticate():
            return
        kind = self._exactly(4)[3]
        if kind == 1:
            host = socket.inet_ntoa(self._exactly(4))
        else:
            host = self._exactly(self._exactly(1)[0]).decode()
        (port,) = struct.unpack("!H", self._exactly(2))
        code = 5 if self.server.refuses else 0
        if not code:
            self._note(host, port)
        self.request.sendall(bytes([5, code, 0, 1, 0, 0, 0, 0, 0, 0]))
        if not code:
            self._forward(port)

    def _authenticate(self) -> bool:
        self._exactly(1)
        user = self._exactly(self._exactly(1)[0]).decode()
        password = self._exactly(self._exactly(1)[0]).decode()
        self.server.users.append(user)
        is_right = password == self.server.password
        self.request.sendall(bytes([1, 0 if is_right else 1]))
        return is_right

    def _http(self, head: bytes) -> None:
        while not head.endswith(b"\r\n\r\n"):
            head += self._exactly(1)
        host, _, port = head.split(b" ")[1].decode().rpartition(":")
        if self.server.refuses:
            self.request.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        self._note(host, int(port))
        self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        self._forward(int(port))

    def _note(self, host: str, port: int) -> None:
        self.server.asked.append((host, port))

    def _forward(self, port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as target:
            back = threading.Thread(target=_copy, args=(target, self.request), daemon=True)
            back.start()
            _copy(self.request, target)
            back.join()

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            chunk = self.request.recv(count - len(data))
            if not chunk:
                return b""
            data += chunk
        return data


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass
