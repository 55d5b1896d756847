"""HAProxy's runtime socket (`stats socket ... level admin`): maps, and sessions that must end.

Rules of this file:

- One connection for each line of commands, as HAProxy's own tools do: a connection that is kept would go on talking
  to the old process after a reload.
- A line stays well under HAProxy's buffer (16 KiB), beyond which HAProxy closes without a word; so much as fits goes
  into one line, separated by `;`.
- Every word is escaped, so that no user name can become a command.
- Everything has a deadline and a bound; whatever goes wrong is one RuntimeFailed.

Source: HAProxy's management guide, section 9.3.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import attrs
import trio

from protocol import addresses

LINE_BYTES_MAX = 8 * 1024
"""Of commands. HAProxy's tune.bufsize is 16 KiB, and may be set lower, to hardly less than this."""

ANSWER_LINE_BYTES_MAX = 64 * 1024
"""One line of an answer: a key, a user and some words."""

CONNECT_TIMEOUT_S = 2.0
SILENCE_TIMEOUT_S = 5.0
"""Between two pieces of an answer; HAProxy answers within a millisecond, but may itself be stopped or swapped out."""

_CHUNK_BYTES = 64 * 1024
_PLAIN = re.compile(r"[A-Za-z0-9_.:/+@=,#-]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MAP_LINE = re.compile(r"0x[0-9a-f]+ (\S+) (.*)")
_SESSION_LINE = re.compile(r"(0x[0-9a-f]+): proto=\S+ src=(\S+) ")


class RuntimeFailed(Exception):
    """HAProxy did not do it; one line that names the socket and says why."""


@attrs.frozen
class Identity:
    """Which process of HAProxy answers: another one has forgotten what it was told."""

    pid: str
    uptime_s: int

    def follows(self, earlier: "Identity") -> bool:
        """Whether this is still the process that was seen before."""
        return self.pid == earlier.pid and self.uptime_s >= earlier.uptime_s


@attrs.frozen
class MapChanges:
    """What makes one map of another: `delete` and `set` are keys that it has, `add` those that it has not."""

    delete: Collection[str] = ()
    set: Mapping[str, str] = attrs.field(factory=dict)
    add: Mapping[str, str] = attrs.field(factory=dict)

    def __bool__(self) -> bool:
        return bool(self.delete or self.set or self.add)


@attrs.frozen
class Runtime:
    """The runtime socket at `place`: the path of a Unix socket, or HOST:PORT."""

    place: str

    # -- maps ------------------------------------------------------------------------------------------------------

    async def map_entries(self, name: str) -> dict[str, str]:
        """All that the map holds. Raises RuntimeFailed, for a map that HAProxy does not know too."""
        found: dict[str, str] = {}

        def take(line: str) -> None:
            entry = _MAP_LINE.fullmatch(line)
            if entry is None:
                raise RuntimeFailed(f"HAProxy at {self.place}: map {name}: {line[:200]}")
            found.setdefault(entry[1], entry[2])  # of two under one key HAProxy takes the first

        await self._ask(_command("show", "map", name), take)
        return found

    async def change_map(self, name: str, changes: MapChanges) -> None:
        """Delete, set and add entries, in this order. Deleting what is not there is done already.

        Raises RuntimeFailed; part of it may have been done then.
        """
        commands = [_command("del", "map", name, key) for key in changes.delete]
        commands += [_command("set", "map", name, *entry) for entry in changes.set.items()]
        commands += [_command("add", "map", name, *entry) for entry in changes.add.items()]
        complaints = [each for each in await self._run(commands) if each != "Key not found."]
        if complaints:
            raise RuntimeFailed(f"HAProxy at {self.place}: map {name}: {complaints[0][:200]}")

    async def identity(self) -> Identity:
        """Which process answers. Raises RuntimeFailed."""
        told: list[str] = []
        await self._ask("show info", told.append)
        named = dict(line.partition(": ")[::2] for line in told)
        try:
            return Identity(named["Pid"], int(named["Uptime_sec"]))
        except (KeyError, ValueError):
            raise RuntimeFailed(f"what answers at {self.place} is no HAProxy") from None

    # -- sessions --------------------------------------------------------------------------------------------------

    async def shut_down_clients(self, clients: Collection[str]) -> int:
        """End the TCP connections and tunnels of these addresses; returns how many. Raises RuntimeFailed."""
        wanted = {addresses.address(each) for each in clients} - {None}
        found: list[str] = []

        def take(line: str) -> None:
            session = _SESSION_LINE.match(line)
            if session and addresses.address(session[2].rpartition(":")[0].strip("[]")) in wanted:
                found.append(f"shutdown session {session[1]}")

        await self._ask("show sess", take)
        return len(found) - len(await self._run(found))  # one that has ended meanwhile is "No such session"

    # -- the socket ------------------------------------------------------------------------------------------------

    async def _run(self, commands: Sequence[str]) -> list[str]:
        """Everything that HAProxy said to these commands, of which each says nothing when it was done."""
        told: list[str] = []
        for batch in _batches(commands):
            await self._ask(batch, told.append)
        return told

    async def _ask(self, line: str, take: Callable[[str], None]) -> None:
        """Send one line of commands, and take each line of the answer that is not empty."""
        try:
            stream = await self._connect()
            async with stream:
                with trio.fail_after(SILENCE_TIMEOUT_S):
                    await stream.send_all(f"{line}\n".encode())
                await self._read(stream, take)
        except trio.TooSlowError:
            raise RuntimeFailed(f"HAProxy at {self.place} does not answer") from None
        except (OSError, trio.BrokenResourceError) as error:
            reason = getattr(error, "strerror", None) or getattr(error.__cause__, "strerror", None) or error
            raise RuntimeFailed(f"HAProxy at {self.place}: {reason}; is `stats socket` set there?") from None

    async def _connect(self) -> trio.SocketStream:
        with trio.fail_after(CONNECT_TIMEOUT_S):
            if "/" in self.place:
                return await trio.open_unix_socket(self.place)
            return await trio.open_tcp_stream(*addresses.split(self.place))

    async def _read(self, stream: trio.SocketStream, take: Callable[[str], None]) -> None:
        rest = b""
        more = True
        while more:
            with trio.fail_after(SILENCE_TIMEOUT_S):
                chunk = await stream.receive_some(_CHUNK_BYTES)
            more = bool(chunk)
            *whole, rest = (rest + (chunk or b"\n")).split(b"\n")
            if len(rest) > ANSWER_LINE_BYTES_MAX:
                raise RuntimeFailed(f"what answers at {self.place} is no HAProxy: a line has no end")
            for line in whole:
                if line.strip():
                    take(line.decode(errors="replace"))


async def shut_down_clients(place: str, clients: Collection[str]) -> int:
    """End all connections, tunnels included, that these client addresses have through the HAProxy at `place`.

    `place` is the path of its runtime socket or HOST:PORT. Returns how many ended. Raises RuntimeFailed.
    """
    return await Runtime(place).shut_down_clients(clients) if clients else 0


def _command(*words: str) -> str:
    return " ".join(map(_escaped, words))


def _escaped(word: str) -> str:
    """As one word: HAProxy splits commands at blanks and semicolons, and takes what follows a backslash as it is.

    But for the end of a line, which ends every command: no user name should hold one, and here none can.
    """
    return "".join(each if ord(each) > 127 or _PLAIN.match(each) else f"\\{each}" for each in _CONTROL.sub("?", word))


def _batches(commands: Sequence[str]) -> Iterator[str]:
    """As few lines as hold all commands."""
    batch: list[str] = []
    size = 0
    for command in commands:
        cost = len(command.encode()) + 1
        if batch and size + cost > LINE_BYTES_MAX:
            yield ";".join(batch)
            batch, size = [], 0
        batch.append(command)
        size += cost
    if batch:
        yield ";".join(batch)
