"""A very small master in memory, for tests: it takes reports, passes them on, answers comparisons, and never fails.

Rules of this file: what crosses between it and the proxies is encoded and decoded as on the wire. It keeps no store
and has no slave: `site` is reached when it has a report.
"""

from collections.abc import Awaitable, Callable

import attrs
import trio

from protocol import acts, codec, item_acts
from protocol import messages as wire
from protocol.changes import Changes
from protocol.comparison import Comparison
from protocol.errors import Code
from protocol.io.link import LinkClosed, LinkFailed
from protocol.item import Item
from protocol.item_acts import Step
from protocol.messages import Message, Role, Ruling
from protocol.stamp import ClusterClock, Now, OffsetEstimator
from protocol.table import Table
from proxyagent.dialling import AgentLink

HEARTBEAT_S = 0.2
LOG_ID = 0x5EED


class MemoryLink:
    """One end of a link in memory, where nothing ever waits to leave."""

    queued_bytes = 0

    def __init__(self) -> None:
        self.closed: LinkClosed | None = None
        self.other: MemoryLink | None = None
        self._arrived: list[Message] = []
        self._parked = trio.lowlevel.ParkingLot()

    async def receive(self) -> list[Message]:
        """As protocol.io.link.Link."""
        await trio.lowlevel.checkpoint()
        while not self._arrived:
            if self.closed is not None:
                raise self.closed
            await self._parked.park()
        arrived, self._arrived = self._arrived, []
        return arrived

    def send(self, message: Message) -> None:
        """As protocol.io.link.Link: encoded here, decoded there."""
        if self.closed is None and self.other is not None:
            self.other.arrive(codec.decode(codec.encode(message)))

    def arrive(self, message: Message) -> None:
        self._arrived.append(message)
        self._parked.unpark_all()

    def end(self, closed: LinkClosed) -> None:
        """This end is gone, for this reason."""
        if self.closed is None:
            self.closed = closed
            self._parked.unpark_all()

    def close(self, code: Code, text: str, elsewhere: str = "") -> None:
        """Both ends are gone."""
        self.end(LinkClosed(code, text, elsewhere))
        if self.other is not None:
            self.other.end(LinkClosed(code, text, elsewhere, by_peer=True))

    def cut(self) -> None:
        """Both ends are gone without a word."""
        for end in (self, self.other):
            if end is not None:
                end.end(LinkClosed(None, "connection lost (cut)", by_peer=True))

    async def wait_room(self, below_bytes: int) -> None:
        """There is always room."""
        await trio.lowlevel.checkpoint()

    async def wait_closed(self) -> None:
        """Memory closes at once."""
        await trio.lowlevel.checkpoint()


def memory_links() -> tuple[MemoryLink, MemoryLink]:
    """Both ends of a link."""
    one, other = MemoryLink(), MemoryLink()
    one.other, other.other = other, one
    return one, other


@attrs.define(eq=False)
class Follower:
    """One proxy at the master."""

    id: str
    link: MemoryLink
    estimator: OffsetEstimator = attrs.field(factory=OffsetEstimator)
    comparisons: dict[int, Comparison] = attrs.field(factory=dict)
    follows: bool = False


class FakeMaster:
    """Agent 1 of a site; agent 2 is a slave that names it. `read` reads the clocks."""

    def __init__(self, site: str, digest_key: bytes, digest_key_id: bytes, read: Callable[[], Now]) -> None:
        self.table = Table(digest_key=digest_key)
        self.reports = 0
        self._site = site
        self._digest_key_id = digest_key_id
        self._read = read
        self._clock = ClusterClock()
        self._sequence = 0
        self._log: list[bytes] = []
        self._followers: list[Follower] = []
        self._cut: set[str] = set()
        self._all_cut = False
        self._nursery: trio.Nursery | None = None

    def now_ms(self) -> int:
        """The master's cluster time."""
        return self._clock.now_ms(self._read())

    # -- links -----------------------------------------------------------------------------------------------------

    def dialler(self, id: str) -> Callable[[int, float], Awaitable[AgentLink]]:
        """What the proxy `id` dials with."""

        async def dial(agent: int, timeout_s: float) -> AgentLink:
            await trio.lowlevel.checkpoint()
            if self._all_cut or id in self._cut or self._nursery is None:
                raise LinkFailed("refused", "connection refused (cut)")
            near, far = memory_links()
            if agent:
                far.close(Code.NOT_MASTER, "this agent is the slave", elsewhere="1")
            else:
                self._nursery.start_soon(self._serve, Follower(id, far))
            return near

        return dial

    def cut(self, id: str | None) -> None:
        """Cut the links of one proxy, or of all."""
        if id is None:
            self._all_cut = True
        else:
            self._cut.add(id)
        for follower in self._followers:
            if id in (None, follower.id):
                follower.link.cut()

    def heal(self) -> None:
        """Let links come about again."""
        self._all_cut = False
        self._cut.clear()

    # -- serving ---------------------------------------------------------------------------------------------------

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        self._clock.lead(self._read())
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            while True:
                await trio.sleep(HEARTBEAT_S)
                self._clock.lead(self._read())
                for follower in self._followers:
                    follower.link.send(self._heartbeat(follower))

    async def _serve(self, follower: Follower) -> None:
        self._followers.append(follower)
        follower.link.send(self._heartbeat(follower))
        try:
            while True:
                for message in await follower.link.receive():
                    self._receive(follower, message)
        except LinkClosed:
            self._followers.remove(follower)

    def _heartbeat(self, follower: Follower) -> wire.Heartbeat:
        now = self._read()
        now_ms = self._clock.now_ms(now)
        echo_ms, held_ms = follower.estimator.echo(now)
        return wire.Heartbeat(
            role=Role.MASTER,
            term=1,
            unsure=False,
            log_id=LOG_ID,
            sequence=self._sequence,
            cut_min=now_ms // 60_000,
            root=self.table.root(now_ms // 60_000),
            secret_id=self._digest_key_id,
            cluster_ms=now_ms,
            wall_ms=now.wall_ms,
            sent_ms=now.boot_ms,
            echo_ms=echo_ms,
            held_ms=held_ms,
            pending=0,
            sessions=self.table.alive,
        )

    def _receive(self, follower: Follower, message: Message) -> None:
        match message:
            case wire.Heartbeat():
                follower.estimator.heard(message, self._read())
            case wire.Follow():
                self._follow(follower, message)
            case wire.Report():
                self.reports += 1
                self._take(message.payload, follower)
                follower.link.send(wire.Acknowledgement(message.report, message.report, ("1",)))
            case wire.IdleQuestion():
                answer = codec.encode_changes(acts.idle_answer(self.table, message))
                follower.link.send(wire.IdleAnswer(message.question, answer))
            case wire.Creation() | wire.Redemption():
                changes, verdict = decide(self.table, message, self.now_ms())
                if changes and self.table.merge(changes, self.now_ms()).changed:
                    self._relay(codec.encode_changes(changes), None)
                follower.link.send(verdict)
            case wire.Bulk():
                comparison = follower.comparisons[message.comparison]
                comparison.received_bulk(len(codec.decode_changes(message.payload)))
                self._take(message.payload, follower)
            case wire.Compare() | wire.Nodes() | wire.Pages() | wire.Want() | wire.Compared():
                self._compare(follower, message)

    def _follow(self, follower: Follower, message: wire.Follow) -> None:
        follower.follows = True
        replay = message.log_id == LOG_ID and message.sequence <= self._sequence
        start = message.sequence if replay else self._sequence
        follower.link.send(wire.Following(LOG_ID, start, replay))
        for sequence in range(start, self._sequence):
            follower.link.send(wire.Update(sequence + 1, self._site, self._log[sequence]))

    def _take(self, payload: bytes, source: Follower) -> None:
        """Merge what a follower said, and pass it on if it was news, with what its marks end here."""
        changes = codec.decode_changes(payload)
        now_ms = self.now_ms()
        if self.table.merge(changes, now_ms).changed:
            self._relay(payload, source)
        further = acts.marked(self.table, changes)
        if further and self.table.merge(further, now_ms).changed:
            self._relay(codec.encode_changes(further), None)

    def _relay(self, payload: bytes, source: Follower | None) -> None:
        self._sequence += 1
        self._log.append(payload)
        for follower in self._followers:
            if follower is not source and follower.follows:
                follower.link.send(wire.Update(self._sequence, self._site, payload))

    def _compare(
        self, follower: Follower, message: wire.Compare | wire.Nodes | wire.Pages | wire.Want | wire.Compared
    ) -> None:
        comparison = follower.comparisons.get(message.comparison)
        if comparison is None:
            comparison = Comparison(self.table, message.comparison, False, self._digest_key_id)
            follower.comparisons[message.comparison] = comparison
        for answer in comparison.receive(message, self.now_ms()):
            follower.link.send(answer)
        while more := comparison.more(self.now_ms()):
            follower.link.send(more[0])


def decide(table: Table, asked: wire.Creation | wire.Redemption, now_ms: int) -> tuple[Changes, wire.Verdict]:
    """What a master alone in the world says about an item, at once, and what that changes."""
    if isinstance(asked, wire.Creation):
        changes = item_acts.make(table, codec.decode_changes(asked.payload).items[0], now_ms)
        return changes, _verdict(asked.question, Ruling.GRANTED, changes.items[0])
    redeemed = item_acts.redeem(table, asked, node="authagent-1", now_ms=now_ms)
    changes, item = redeemed.changes, redeemed.item
    if redeemed.step in (Step.CLAIMED, Step.GOING_ON) and item is not None:
        changes = item_acts.final(item, asked.request)
        item = changes.items[0]
    elif redeemed.step is not Step.GRANTED:
        return changes, _verdict(asked.question, Ruling.REFUSED, None)
    return changes, _verdict(asked.question, Ruling.GRANTED, item)


def _verdict(question: int, ruling: Ruling, item: Item | None) -> wire.Verdict:
    payload = b"" if item is None else codec.encode_changes(Changes(items=(item,)))
    return wire.Verdict(question, ruling, payload)
