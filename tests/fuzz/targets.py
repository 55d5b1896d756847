"""What is fuzzed: each target makes hostile inputs of its kind, and takes them as the program would.

Rules of this file:

- `make` draws an input, as bytes, so that it can be kept; `take` gives it to the shipping code.
- `take` lets out nothing but what the code documents for bad input, which it catches; anything else is a finding. What
  is let in must also be consistent: it can be sent on, and comes back the same.
- What is given to a machine that lives on is given to a fresh one every FRESH inputs, so that a finding is replayable
  from its own input where possible, and else from the seed.
"""

import json
import random
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import msgpack
import zstandard

from protocol import acts, crossing, limits
from protocol.codec import decode, decode_changes, encode, encode_changes
from protocol.errors import RemoteProtocolError
from protocol.framing import FrameReader, frame
from protocol.io.control import Request, _parse
from protocol.io.control_client import ControlError
from protocol.messages import ALL, Message
from protocol.table import Table
from proxyagent.control import Control
from proxyagent.testing import FakeProxyAgent
from tests.fuzz import (
    auth_cfg,
    cookies,
    directories,
    files,
    forms,
    fronts,
    inputs,
    lines,
    login_page,
    machines,
    operators,
    papers,
    passwords,
    services,
    status_page,
    terminals,
)
from tests.wire import samples
from tests.wire.pair import NOW, Pair, opened

FRESH = 500

TREES = [list(msgpack.unpackb(encode(sample))) for sample in samples.MESSAGES]
NUMBERS = [kind.number for kind in ALL]
PAYLOAD = list(msgpack.unpackb(encode_changes(samples.CHANGES)))
FRAMES = [frame(encode(sample)) for sample in samples.MESSAGES]


@attrs.define
class Target:
    """One kind of input. `share` is its part of a campaign, in thousandths."""

    name: str
    share: int
    make: Callable[[random.Random], bytes]
    take: Callable[[bytes], None]


# -- the wire ------------------------------------------------------------------------------------------------------


def _make_message(chance: random.Random) -> bytes:
    if chance.random() < 0.1:
        return chance.choice((chance.randbytes(chance.randrange(60)), inputs.bomb(chance)))
    tree = inputs.wrong_somewhere(chance.choice(TREES), chance)
    if chance.random() < 0.1:
        tree[:1] = [chance.choice(NUMBERS)]
    return inputs.packed(tree, chance)


def _take_message(data: bytes) -> None:
    try:
        message = decode(data)
    except RemoteProtocolError:
        return
    assert isinstance(message, Message)
    assert decode(encode(message)) == message, "what is let in comes back the same"


def _make_payload(chance: random.Random) -> bytes:
    tree = inputs.wrong_somewhere(PAYLOAD, chance)
    if chance.random() < 0.3:
        tree = inputs.wrong_somewhere(tree, chance)
    return inputs.packed(tree, chance)


class _Payloads:
    """Payloads go into a table, as they do at every agent and proxy."""

    def __init__(self) -> None:
        self._left = 0
        self._table: Table

    def __call__(self, data: bytes) -> None:
        try:
            changes = decode_changes(data)
        except RemoteProtocolError:
            return
        assert decode_changes(encode_changes(changes)) == changes, "what is let in comes back the same"
        if not self._left:
            self._left, self._table = FRESH, Table(digest_key=b"k" * 32, records_max=5_000)
        self._left -= 1
        self._table.merge(changes, samples.NOW_MS)
        self._table.merge(acts.marked(self._table, changes), samples.NOW_MS)
        assert not self._table.merge(changes, samples.NOW_MS).changed, "a merge that is repeated changes nothing"
        if not self._left:
            self._table.root(samples.NOW_MS // 60_000)
            self._table.sweep(samples.NOW_MS + 8 * 86_400_000, 1_000_000)


_LOGIN = samples.CHANGES.logins[0]
BATCH = [
    PAYLOAD,
    [[*_LOGIN.origin, 5, 3, [2, b"\x00\x07"], 3]],
    [[*_LOGIN.origin, _LOGIN.sequences[0], 1, 0, 3]],
    samples.NOW_MS,
]
"""What crosses between sites, before it is compressed."""


def _make_batch(chance: random.Random) -> bytes:
    """A batch with something wrong in it, well compressed or not."""
    tree = inputs.wrong_somewhere(BATCH, chance)
    if chance.random() < 0.3:
        tree = inputs.wrong_somewhere(tree, chance)
    raw = inputs.packed(tree, chance) if chance.random() < 0.95 else bytes(chance.randrange(1 << 20))
    whole = zstandard.ZstdCompressor(level=1, write_content_size=chance.random() < 0.95).compress(raw)
    return inputs.spoiled(whole, chance) if chance.random() < 0.3 else whole


class _Batches:
    """Batches go into a table, their outs filled up from it, as they do at the master of another site."""

    def __init__(self) -> None:
        self._left = 0
        self._table: Table

    def __call__(self, data: bytes) -> None:
        try:
            batch = crossing.decode(data)
        except RemoteProtocolError:
            return
        if not self._left:
            self._left, self._table = FRESH, Table(digest_key=b"k" * 32, records_max=5_000)
            self._table.merge(samples.CHANGES, samples.NOW_MS)
        self._left -= 1
        changes = crossing.expand(batch, self._table)
        self._table.merge(changes, samples.NOW_MS)
        assert not self._table.merge(changes, samples.NOW_MS).changed, "a merge that is repeated changes nothing"
        again = [crossing.decode(payload) for payload in crossing.encode(batch)]
        assert sum(map(len, again)) == len(batch), "what is let in can be sent on"


def _make_stream(chance: random.Random) -> bytes:
    """Frames in any order, some of them spoiled, some with a wrong length."""
    parts = []
    for _ in range(chance.randrange(1, 5)):
        part = chance.choice(FRAMES) if chance.random() < 0.6 else frame(_make_message(chance) or b"\0")
        parts.append(inputs.spoiled(part, chance) if chance.random() < 0.3 else part)
    return b"".join(parts)


def _holds(condition: bool) -> None:
    assert condition


def _take_stream(data: bytes) -> None:
    """Cut at a place that the data chooses, into a reader and into both ends of an open link."""
    cut = (data[-1] * 7) % len(data) if data else 0
    reader = FrameReader(limits.FRAME_BYTES_MAX)
    try:
        found = reader.feed(data[:cut]) + reader.feed(data[cut:])
        assert sum(map(len, found)) + reader.waiting_bytes <= len(data)
    except RemoteProtocolError:
        _holds(reader.failure is not None)


class _Links:
    """An open link takes anything; after a breach it stays closed, and another takes its place."""

    def __init__(self) -> None:
        self._pair: Pair | None = None

    def __call__(self, data: bytes) -> None:
        _take_stream(data)
        if self._pair is None or self._pair.listener.failure is not None:
            self._pair = opened()
        connection = self._pair.listener
        try:
            connection.receive_data(data, NOW)
            connection.replies()
        except RemoteProtocolError:
            assert connection.phase.value == "CLOSED" and connection.failure is not None


def _handshakes() -> list[tuple[bytes, ...]]:
    pair = Pair()
    pair.shake_hands()
    return [tuple(pair.sent)]


def _make_handshake(chance: random.Random) -> bytes:
    """A recorded handshake's words, one of them spoiled, as one side hears them."""
    words = [*chance.choice(_handshakes.recorded)]  # type: ignore[attr-defined]
    place = chance.randrange(len(words))
    if chance.random() < 0.5:
        tree = inputs.wrong_somewhere(list(msgpack.unpackb(words[place][4:])), chance)
        words[place] = frame(inputs.packed(tree, chance) or b"\0")
    else:
        words[place] = inputs.spoiled(words[place], chance)
    return msgpack.packb([chance.randrange(2), words])  # type: ignore[no-any-return]


_handshakes.recorded = _handshakes()  # type: ignore[attr-defined]


def _take_handshake(data: bytes) -> None:
    side, words = msgpack.unpackb(data)
    pair = Pair()
    pair.dialler.start(NOW)
    connection = (pair.dialler, pair.listener)[side]
    for word in words:
        try:
            connection.receive_data(word, NOW)
            if connection.replies() and connection.phase.value == "DECISION":
                connection.welcome()
        except RemoteProtocolError:
            assert connection.failure is not None and connection.phase.value == "CLOSED"
            return


# -- control sockets -----------------------------------------------------------------------------------------------

REQUESTS: list[dict[str, Any]] = [
    {"verb": "status"},
    {"verb": "login", "key": "10.0.0.1", "user": "alice", "attributes": {"g": ["a"], "m": "x"}, "wait": "local"},
    {"verb": "login", "key": "10.0.0.2", "user": "bob", "idle_timeout_s": 60, "lifetime_s": 3_600, "within_s": 1},
    {"verb": "lookup", "key": "10.0.0.1", "touch": True},
    {"verb": "logout", "key": "10.0.0.1"},
    {"verb": "logout", "user": "alice", "deadline_s": 5},
    {"verb": "touch", "key": "10.0.0.1"},
    {"verb": "sessions", "user": "alice", "limit": 3},
    {"verb": "reload"},
    {"verb": "code_create", "user": "alice", "validity_s": 600, "within_s": 1},
    {"verb": "code_redeem", "user": "alice", "code": "12345678", "device": "phone-1", "request": "r"},
    {"verb": "code_revoke", "user": "alice"},
    {"verb": "code_list", "user": "alice"},
]
NAMES = sorted({name for request in REQUESTS for name in request})


ODD_ARGUMENTS = (*inputs.ODD[:20], *inputs.BOUNDS, "10.0.0.1", "local", "site", ["x"], [["x"]], {"a": ["b"]})


def _make_request(chance: random.Random) -> bytes:
    request = dict(chance.choice(REQUESTS))
    for _ in range(chance.randrange(1, 3)):
        odd = chance.choice(ODD_ARGUMENTS)
        request[chance.choice(NAMES)] = odd.decode("latin-1") if isinstance(odd, bytes) else odd
    line = json.dumps(request).encode()
    return inputs.spoiled(line, chance) if chance.random() < 0.3 else line


class _Requests:
    """A proxy's control socket, without the socket: what is asked is parsed and carried out."""

    def __init__(self) -> None:
        self._left = 0
        self._control: Control

    def __call__(self, data: bytes) -> None:
        if not self._left:
            self._left, self._control = FRESH, Control(FakeProxyAgent(), _reload, list, bool)
        self._left -= 1
        try:
            verb, arguments, _ = _parse(data.partition(b"\n")[0])
            if verb not in ("watch", "resync"):
                answer = _run(self._control.handle(Request(verb, arguments, True, 0)))
                if isinstance(answer, Mapping):
                    json.dumps(answer, allow_nan=False)
        except ControlError:
            pass


async def _reload() -> str:
    return "done"


def _run(coroutine: Any) -> Any:
    """Carry out what needs no loop; whatever would wait is given up."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    except RuntimeError as error:
        if "must be called from async context" not in str(error):
            raise
    finally:
        coroutine.close()
    return None


def targets() -> dict[str, Target]:
    """Every target by its name."""
    stores = files.Stores()
    made = (
        Target("message", 240, _make_message, _take_message),
        Target("payload", 235, _make_payload, _Payloads()),
        Target("batch", 40, _make_batch, _Batches()),
        Target("machine", 120, lambda chance: machines.make(TREES, chance), machines.Machines()),
        Target("stream", 180, _make_stream, _Links()),
        Target("handshake", 3, _make_handshake, _take_handshake),
        Target("request", 25, _make_request, _Requests()),
        Target("question", 20, fronts.make, fronts.Fronts()),
        Target("operator", 6, operators.make, operators.Operators()),
        Target("cookie", 15, cookies.make, cookies.Cookies()),
        Target("line", 18, lines.make, lines.Proxy()),
        Target("form", 19, forms.make, forms.Forms()),
        Target("login", 1, login_page.make, login_page.Pages()),
        Target("page", 1, status_page.make, status_page.Pages()),
        Target("directory", 3, directories.make, directories.Directories()),
        Target("terminal", 5, terminals.make, terminals.Verbs()),
        Target("paper", 3, papers.make, papers.Papers()),
        Target("htpasswd", 5, passwords.make, passwords.Passwords()),
        Target("answer", 15, services.make, services.Services()),
        Target("configuration", 12, files.make_configuration, files.Configurations()),
        Target("auth_cfg", 4, auth_cfg.make, auth_cfg.Imports()),
        Target("secret", 4, files.make_secret, files.take_secret),
        Target("row", 25, files.make_row, files.take_row),
        Target("store", 1, stores.make, stores.take),
    )
    assert sum(target.share for target in made) == 1_000
    return {target.name: target for target in made}
