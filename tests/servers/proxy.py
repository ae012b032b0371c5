"""A TCP proxy on loopback that a test can make hang, cut, or refuse: a database or network in trouble."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from typing import Self

HOST = "127.0.0.1"


class Proxy:
    """``with Proxy(port) as proxy:`` forwards ``proxy.port`` of 127.0.0.1 to ``port`` of it."""

    def __init__(self, port: int) -> None:
        self._target = (HOST, port)
        self._listener = socket.create_server((HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._hangs = threading.Event()
        self._strands = threading.Event()
        self._stranded: list[socket.socket] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._forward, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(5)
        open_now = [key.fileobj for key in self._selector.get_map().values()]
        for one in [*open_now, *self._stranded]:
            with contextlib.suppress(OSError):
                one.close()  # type: ignore[union-attr]
        self._selector.close()

    def hang(self) -> None:
        """Take and answer nothing any more; connections stay open."""
        self._hangs.set()

    def go_on(self) -> None:
        self._hangs.clear()

    def strand(self) -> None:
        """Pass nothing on any more over the connections there are, and tell nobody; new ones work."""
        self._strands.set()

    def _leave_stranded(self) -> None:
        for key in list(self._selector.get_map().values()):
            if key.fileobj is not self._listener:
                self._selector.unregister(key.fileobj)
                self._stranded.append(key.fileobj)  # kept open
        self._strands.clear()

    def _forward(self) -> None:
        while not self._ended.is_set():
            if self._hangs.is_set():
                self._ended.wait(0.02)
                continue
            if self._strands.is_set():
                self._leave_stranded()
            for key, _events in self._selector.select(0.05):
                if key.fileobj is self._listener:
                    self._connect()
                else:
                    self._pass_on(key)

    def _connect(self) -> None:
        client, _address = self._listener.accept()
        try:
            server = socket.create_connection(self._target)
        except OSError:
            client.close()  # nobody listens there for now
            return
        self._selector.register(client, selectors.EVENT_READ, server)
        self._selector.register(server, selectors.EVENT_READ, client)

    def _pass_on(self, key: selectors.SelectorKey) -> None:
        source, sink = key.fileobj, key.data
        assert isinstance(source, socket.socket)
        try:
            data = source.recv(65536)
            if data:
                sink.sendall(data)
                return
        except OSError:
            pass
        for end in (source, sink):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(end)
            end.close()
