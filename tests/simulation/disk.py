"""The disk of one agent: what is on it, what is on its way there, and how it fails.

Rules of this file:

- Payloads are committed in groups, as the shipping store does: one row a group, whole or not at all. What was given
  and not committed is lost with the process; whether a commit under way survived a crash is chance (a torn row is
  found out by its checksum and is no row).
- A full disk commits nothing until there is room. An error costs the file: a new one is written from the table in
  memory and takes the old one's place at once; until then nothing counts as stored.
- A disk that was lost, or replaced by an older copy of itself, is another disk: `number` counts them.

Source: authagent/store.py, store_disk.py, store_rows.py.
"""

import random
from collections.abc import Callable

import attrs

from protocol import codec
from protocol.item import Item, merge
from protocol.session import LoginId
from tests.simulation.process import Process

MEND_S = 0.3
"""From an error to a new file in the old one's place."""


@attrs.define
class Content:
    """What a file holds: payloads in the order of writing, the term, and the site's time against the boot clock."""

    payloads: list[bytes] = attrs.field(factory=list)
    term: int = 0
    clock_ms: int | None = None

    def copy(self) -> "Content":
        return Content(list(self.payloads), self.term, self.clock_ms)


@attrs.define
class Facts:
    """What the payloads of a file say: the greatest state of each login, the latest barrier of each user, all items."""

    states: dict[LoginId, int] = attrs.field(factory=dict)
    barriers: dict[str, int] = attrs.field(factory=dict)
    items: dict[tuple[str, str], Item] = attrs.field(factory=dict)
    _read: int = 0
    _of: list[bytes] | None = None

    def refresh(self, content: Content) -> None:
        """Read what is new in a file, or all of another one."""
        if self._of is not content.payloads:
            self.states.clear()
            self.barriers.clear()
            self.items.clear()
            self._read, self._of = 0, content.payloads
        for payload in content.payloads[self._read :]:
            self._take(payload)
        self._read = len(content.payloads)

    def _take(self, payload: bytes) -> None:
        changes = codec.decode_changes(payload)
        for run in (*changes.logins, *changes.ends):
            states = run.states or b"\x01" * len(run.sequences)
            for sequence, state in zip(run.sequences, states, strict=True):
                login_id = LoginId(*run.origin, sequence)
                self.states[login_id] = max(state, self.states.get(login_id, 0))
        for user, at in changes.barriers:
            self.barriers[user] = max(at, self.barriers.get(user, 0))
        for item in changes.items:
            self.items[item.name] = merge(item, self.items.get(item.name, item))


class Disk:
    """One agent's disk. `stored(position)` is told in the agent's process; `slices()` gives its table as payloads."""

    def __init__(self, process: Process, commit_s: float) -> None:
        self.process = process
        self.commit_s = commit_s
        self.content = Content()
        self.backup: Content | None = None
        self.facts = Facts()
        self.number = 0
        self.full = False
        self.fails_at: int | None = None
        self.stored: Callable[[int], None]
        self.slices: Callable[[], list[bytes]]
        self._given: list[tuple[int, bytes]] = []
        self._term: int | None = None
        self._clock_ms: int | None = None
        self._writing: tuple[list[tuple[int, bytes]], int | None] | None = None
        self._mending = False
        self._last_position = 0

    # -- what the machine asks ------------------------------------------------------------------------------------

    def opened(self) -> Content:
        """The process starts and reads its file."""
        self._given, self._term, self._writing, self._mending = [], None, None, False
        self._last_position, self._clock_ms = 0, self.content.clock_ms
        return self.content

    def write(self, position: int, payload: bytes) -> None:
        self._given.append((position, payload))
        self._last_position = position
        self._commit_soon()

    def write_term(self, term: int) -> None:
        self._term = term
        self._commit_soon()

    def write_clock(self, clock_ms: int | None) -> None:
        """At once if there is room: what a crash may leave instead is the value before, which is as good."""
        self._clock_ms = clock_ms
        if not self.full:
            self.content.clock_ms = clock_ms

    # -- commits --------------------------------------------------------------------------------------------------

    def _commit_soon(self) -> None:
        if self._writing is None and not self._mending and not self.full and (self._given or self._term is not None):
            self._writing = self._given, self._term
            self._given, self._term = [], None
            self.process.later(self.commit_s, self._committed)

    def _committed(self) -> None:
        if self._writing is None:
            return
        if self.fails_at is not None:
            self.fails_at -= 1
            if self.fails_at <= 0:
                self._fail()
                return
        group, self._writing = self._writing, None
        self._keep(group)
        if group[0]:
            self.stored(group[0][-1][0])
        self._commit_soon()

    def _keep(self, group: tuple[list[tuple[int, bytes]], int | None]) -> None:
        payloads, term = group
        self.content.payloads += [payload for _, payload in payloads]
        if term is not None:
            self.content.term = term

    def _fail(self) -> None:
        """An error: the file cannot be trusted any more; a new one from memory takes its place in a while."""
        assert self._writing is not None, "only a commit fails"
        self.fails_at = None
        term = self._writing[1] if self._writing[1] is not None else self.content.term
        self._writing, self._mending = None, True
        self.process.later(MEND_S, self._mended, term)

    def _mended(self, term: int) -> None:
        """The table as it is now is in a new file, and so is all that was given until now."""
        self._mending = False
        self.content = Content(self.slices(), term if self._term is None else self._term, self._clock_ms)
        self._given, self._term = [], None
        if self._last_position:
            self.stored(self._last_position)

    # -- what befalls it ------------------------------------------------------------------------------------------

    def crash(self, dice: random.Random) -> None:
        """The process is gone: a commit under way may have come through, all else is lost."""
        if self._writing is not None and dice.random() < 0.4:
            self._keep(self._writing)
        self._given, self._term, self._writing, self._mending = [], None, None, False

    def close(self) -> None:
        """The process ends in order: what waits is written, if the disk works."""
        for group in ((self._writing or ([], None)), (self._given, self._term)):
            if not self.full and not self._mending:
                self._keep(group)
        self._given, self._term, self._writing, self._mending = [], None, None, False

    def lose(self) -> None:
        """An empty disk in its place."""
        self.content = Content()
        self.number += 1

    def save(self) -> None:
        """An operator takes a copy of the file."""
        self.backup = self.content.copy()

    def restore(self) -> None:
        """The copy comes back, whatever has happened since; without one the disk is empty."""
        self.content = Content() if self.backup is None else self.backup.copy()
        self.number += 1

    def mend(self) -> None:
        """There is room again, and no call fails."""
        self.full, self.fails_at = False, None
        if self.process.active:
            self.content.clock_ms = self._clock_ms
            self._commit_soon()
