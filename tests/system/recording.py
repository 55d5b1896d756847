"""Relays that keep every byte that passes through them, and what finds a password among these bytes."""

import html
import json
import socket
import threading
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import quote, quote_plus

import attrs

from tests.ports import free_port

_READ_BYTES = 64 * 1024


@attrs.define
class Recorder:
    """A relay on loopback: whoever dials `port` reaches `target`; `seen` is what went by, both ways."""

    target: int
    port: int = attrs.field(factory=free_port)
    seen: bytearray = attrs.field(factory=bytearray, repr=False)
    connections: int = 0
    _sockets: list[socket.socket] = attrs.field(factory=list)
    _threads: list[threading.Thread] = attrs.field(factory=list)
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    def start(self) -> None:
        """Listen."""
        listener = socket.create_server(("127.0.0.1", self.port))
        self._sockets.append(listener)
        self._run(self._accept, listener)

    def end(self) -> None:
        """Close everything, and wait until nothing runs any more."""
        while self._sockets:
            each = self._sockets.pop()
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            self._sockets.append(near)
            self.connections += 1
            try:
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                near.close()  # nobody listens there yet
                continue
            self._sockets.append(far)
            self._run(self._copy, near, far)
            self._run(self._copy, far, near)

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_READ_BYTES):
                with self._lock:
                    self.seen += data
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _run(self, function: object, *arguments: object) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()


@contextmanager
def recording(*targets: int) -> Iterator[list[Recorder]]:
    """A relay before each of these ports of loopback."""
    made = [Recorder(target) for target in targets]
    for each in made:
        each.start()
    try:
        yield made
    finally:
        for each in made:
            each.end()


def disguises(secret: str) -> set[bytes]:
    """The ways in which a text may stand among bytes: as it is, quoted, escaped, in hex and in base64 at any offset."""
    found = {secret.encode(encoding) for encoding in ("utf-8", "utf-16-le", "latin-1")}
    texts = {quote(secret), quote(secret, safe=""), quote_plus(secret), html.escape(secret), json.dumps(secret)[1:-1]}
    found |= {each.encode() for each in texts}
    plain = secret.encode()
    found |= {plain.hex().encode(), plain.hex().upper().encode()}
    for encode in (b64encode, urlsafe_b64encode):
        for offset in range(3):
            whole = encode(b"\0" * offset + plain)
            found.add(whole[(offset * 4 + 2) // 3 : len(whole) // 4 * 4 - 4])  # without what its neighbours share
    return found


def finds(secret: str, content: bytes) -> bool:
    """Whether a text stands among bytes in any disguise."""
    return any(each in content for each in disguises(secret))
