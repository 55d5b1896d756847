"""What changes the table here, and where it goes: into the store, the log, to every follower, and back as answers.

Rules of this file:

- One way in for all changes, `take`: merge, persist, number, relay, in this order. What changes nothing goes nowhere,
  which is also what stops echoes.
- Payloads travel as they came: stored, logged and relayed as the same bytes.
- A follower never gets back what it told us. So a follower's cursor may skip numbers; heartbeats carry the log end.
- What arose at this site is also noted for other sites (outgoing.py); what came from one of them is not.
- Relaying waits for a window only where followers are many: with each further one a wake-up costs more than it tells.

Source: DESIGN section 4, Replication and Acknowledgement levels.
"""

from collections import deque

import attrs

from authagent.core.commands import Command, Persist, Relay, Tell
from authagent.core.log import Entry, Log
from authagent.core.outgoing import Outgoing
from protocol import acts, codec
from protocol.changes import Changes
from protocol.table import Table

WINDOW_S_MAX = 0.05
"""The longest that a change waits to be relayed together with others; below what promise 7 allows."""

WINDOW_S_EACH = 0.00005
"""The wait that each follower adds: about what queueing bytes on one link costs."""

FOLLOWERS_AT_ONCE = 32
"""Up to so many followers nothing waits."""


@attrs.define
class Replication:
    """The stream of changes through one agent.

    `position` numbers what was given to the store, whoever is master; `stored` is how far it has come. `lead` is the
    link of the master that this agent follows (of the partner in a split), `cursor` its (log id, sequence) there.
    """

    table: Table
    outgoing: Outgoing
    log: Log = attrs.field(factory=lambda: Log(0))
    position: int = 0
    stored: int = 0
    lead: int | None = None
    cursor: tuple[int, int] = (0, 0)
    streaming: bool = False  # the lead has said Following
    complete: int | None = None  # the position at which the first comparison with the lead had been merged
    followers: dict[int, None] = attrs.field(factory=dict)  # links, in the order in which they came
    deadline: float | None = None
    told: set[int] = attrs.field(factory=set)  # of many followers, those relayed to since the last regular heartbeat
    _window: list[Entry] = attrs.field(factory=list)
    _heard: deque[tuple[int, int]] = attrs.field(factory=deque)  # (position, sequence of the lead)
    _answered: int = 0

    # -- changes --------------------------------------------------------------------------------------------------

    def take(
        self,
        changes: Changes,
        payload: bytes | None,
        site: str,
        source: int | None,
        name: str,
        now_ms: int | None,
        message: str = "",
    ) -> list[Command]:
        """Merge a batch and pass on what was news.

        `payload` is the encoded batch where it came encoded, `source` the link it came over (None: made here), `name`
        who said it and `message` in which words, for the log.
        """
        merged = self.table.merge(changes, now_ms)
        commands: list[Command] = []
        if merged.changed:
            pieces = (payload,) if payload is not None else tuple(codec.encode_payloads(changes))
            commands += [self._keep(piece, site, source) for piece in pieces]
            commands.append(Tell(name, changes, message, pieces))
            self.outgoing.note(changes, site)
        if self.log.log_id and (changes.marks or changes.barriers):  # one agent of a site is enough, and it serves
            further = acts.marked(self.table, changes)
            if further:
                commands += self.take(further, None, self.outgoing.site, None, name, now_ms, message)
        return commands

    def _keep(self, payload: bytes, site: str, source: int | None) -> Command:
        self.position += 1
        if self.log.log_id:
            self._window.append(self.log.append(site, payload, source))
        return Persist(self.position, payload)

    # -- as master ------------------------------------------------------------------------------------------------

    def lead_off(self, log_id: int) -> None:
        """A mastership begins: a new log."""
        self.log = Log(log_id)
        self.unfollow()

    def resign(self) -> None:
        """The mastership is over: no log, no followers."""
        self.log = Log(0)
        self.followers.clear()
        self.told.clear()
        self._window.clear()
        self.deadline = None

    @property
    def relayed(self) -> int:
        """The end of the log as followers have it: a heartbeat must not promise what waits in the window."""
        return self._window[0].sequence - 1 if self._window else self.log.sequence

    def follow(self, link: int) -> None:
        """Whoever is behind the link gets everything from here on. The caller has flushed the window."""
        self.followers[link] = None

    def leave(self, link: int) -> None:
        self.followers.pop(link, None)

    @property
    def crowded(self) -> bool:
        """Whether followers are so many that words to them must be saved."""
        return len(self.followers) > FOLLOWERS_AT_ONCE

    def due(self, now_s: float) -> bool:
        """Whether what waits in the window must be relayed now; sets the deadline if not."""
        if not self._window:
            return False
        if not self.crowded:
            return True
        if self.deadline is None:
            self.deadline = now_s + min(WINDOW_S_MAX, WINDOW_S_EACH * len(self.followers))
        return now_s >= self.deadline

    def flush(self) -> list[Command]:
        """Relay the window: one joined send for each follower, its own words left out."""
        window, self._window, self.deadline = self._window, [], None
        if not window:
            return []
        sources = {entry.source for entry in window if entry.source is not None} & self.followers.keys()
        others = tuple(link for link in self.followers if link not in sources)
        commands: list[Command] = []
        if self.crowded:
            self.told.update(others)
        if others:
            commands.append(Relay(others, b"".join(entry.frame for entry in window)))
        for source in sources:
            frames = b"".join(entry.frame for entry in window if entry.source != source)
            if frames:
                commands.append(Relay((source,), frames))
        return commands

    def replay(self, link: int, sequence: int) -> list[Command]:
        """The entries behind a cursor, for one link."""
        frames = b"".join(entry.frame for entry in self.log.after(sequence))
        return [Relay((link,), frames)] if frames else []

    # -- as follower ----------------------------------------------------------------------------------------------

    def attach(self, link: int) -> tuple[int, int]:
        """Begin to follow the agent behind the link; returns the cursor to ask for."""
        self.unfollow()
        self.lead = link
        return self.cursor

    def unfollow(self) -> None:
        self.lead, self.complete, self.streaming, self._answered = None, None, False, 0
        self._heard.clear()

    def begin(self, log_id: int, sequence: int) -> None:
        """The lead has told where its updates begin."""
        self.cursor, self.streaming = (log_id, sequence), True

    def heard(self, log_id: int, sequence: int) -> None:
        """Everything of the lead's log up to here has been merged."""
        if self.streaming and log_id == self.cursor[0] and sequence > self.cursor[1]:
            self.cursor = (log_id, sequence)
            self._heard.append((self.position, sequence))

    def completed(self) -> None:
        """The first comparison with the lead is over, and all that it brought is merged."""
        if self.complete is None:
            self.complete = self.position
            self._heard.append((self.position, self.cursor[1]))

    def answer_stored(self) -> int | None:
        """The lead's sequence that is on stable storage here, if that is news to it.

        Nothing before what the first comparison brought is stored too: the first answer says "complete".
        """
        if self.complete is None or self.stored < self.complete:
            return None
        reached = None
        while self._heard and self._heard[0][0] <= self.stored:
            reached = self._heard.popleft()[1]
        if reached is None:
            return None
        self._answered = max(self._answered, reached)
        return self._answered
