"""A comparison: two nodes on one link find out where their tables differ, and make them equal with few bytes.

Rules of this file:

- A machine, symmetric but for who opens and who announces. It reads the table and never changes it: Bulk that
  arrives is the owner's to merge, log and relay, who then says so here (`received_bulk`).
- Absence never means deletion. What one side lacks, the other sends; nothing is taken away from anybody.
- Every step shrinks what is left or ends it: nodes go down (protocol.descent), leaves only ascend, a page is wanted
  once. A peer that breaks this costs bounded work and its link.
- Whatever waits is made only when `more` is called, about 64 KiB at a time. Live changes go first; that is for the
  owner to see to. They do no harm in between: what they do to one table, they travel to do to the other.

Theory. Both sides say Compare, which tells what each needs to choose the same way without another word:

    EQUAL     one root at one cut: nothing but activity is exchanged
    SNAPSHOT  one side holds nothing: the other sends everything; no roots are needed for that
    TRIE      differing roots at one cut: they descend by turns, each sending the children (Nodes) of what differed
    WHOLE     roots under different secrets, or forced at different cuts: nothing can be told from roots, so each
              announces all its pages; 1,000,000 sessions cost about 0.4 MB so, and a secret is changed seldom
    NEITHER   different cuts, not forced: Compared(comparable=False); the owner tries again

In TRIE the side that opened comes to the leaves first. It announces their pages (Pages); the other sees both what it
lacks, which it asks for (Want), and what the opener lacks, which it sends (Bulk). In WHOLE each asks for itself.
Besides, both send barriers, and items, if their hashes differ, and the activity since their last comparison, which is
in no digest, less twice the clock offset. A side says Compared when it has heard and sent the last of everything:

    opener                    answerer                   opener                    answerer
    Compare           ->                                 Compare           ->
                      <-      Compare                                      <-      Compare, Nodes (top)
    Compared          <->     Compared                   Nodes (middle)    ->
                                                                           <-      Nodes (lowest)
    EQUAL: less than 1 KiB                               Pages .. (last)   ->
                                                                           <-      Want .. (last), Bulk .., Compared
                                                         Bulk .., Compared ->

The cut is the opener's current minute of cluster time. The answerer takes it if it is one of its own last three
minutes, or the next one, as clocks differ; else it answers with its own.

Source: DESIGN section 4 (Resync); reference/reliability.md section 2.3.
"""

import enum
from collections.abc import Iterable
from typing import NoReturn

from protocol.descent import Descent
from protocol.digest import HASH_BYTES, LEAVES, MINUTE_MS
from protocol.disclosure import Disclosure
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.messages import Compare, Compared, Message, Nodes, Pages, SnapshotWait, Want
from protocol.session import Origin
from protocol.states import NOTHING, lacking, pack, unpack
from protocol.supply import Debt, Supply

CUTS_BACK = 2
"""With the current minute, the last three cuts can be answered (DESIGN section 2, digest)."""

PAGES_A_MESSAGE = 256
"""Pages are announced at least so many at a time: at most 32 KiB, and a few milliseconds for the receiver."""


class Way(enum.Enum):
    """How two tables are made equal; see the theory above."""

    EQUAL = "equal"
    SNAPSHOT = "snapshot"
    TRIE = "trie"
    WHOLE = "whole"
    NEITHER = "neither"


class Comparison:
    """One side of comparison `number` on one link.

    The opener (`initiator`) calls `start`; the answerer makes its machine when it hears a Compare of a number it does
    not know. Both hand in every message of families 24 to 29 with this number, and call `more` whenever little is
    queued on the link, until it returns nothing; then again after each message received. A link that is lost takes
    its comparison with it; what was merged remains, and a new comparison goes on from there.

    All times are cluster time. `since_ms` is `began_ms` of the last comparison with this peer that finished, or 0.
    `moved_ms` is when anything last came or went: by it the owner gives up on a peer that lives but never answers.
    """

    def __init__(
        self, table: Disclosure, number: int, initiator: bool, secret_id: bytes, forced: bool = False,
        *, since_ms: int = 0,
    ) -> None:  # fmt: skip
        self.number = number
        self.initiator = initiator
        self.way: Way | None = None
        self.began_ms = 0
        self.moved_ms = 0
        self.received = 0
        self._table = table
        self._secret_id = secret_id
        self._forced = forced
        self._since_ms = since_ms
        self._supply = Supply(table, number)
        self._mine: Compare | None = None
        self._descent: Descent | None = None
        self._announcing = False  # we owe Pages, the last not sent
        self._leaves: list[int] | None = None  # of them, those not announced yet, the next one last
        self._unasked: set[tuple[Origin, int]] = set()  # pages we announced that the peer has not asked for
        self._awaits_pages = False  # the peer owes the last Pages
        self._awaits_wants = False  # the peer owes the last Want
        self._leaf_heard = -1
        self._said_compared = False
        self._heard_compared = False

    # -- what the owner reads ------------------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """Whether both sides have said Compared."""
        return self._said_compared and self._heard_compared

    @property
    def equal(self) -> bool:
        """Whether the roots were equal when the comparison began. Not equal says nothing if not `comparable`."""
        return self.way is Way.EQUAL

    @property
    def comparable(self) -> bool:
        """Whether the roots meant anything to each other."""
        return self.way not in (Way.WHOLE, Way.NEITHER)

    @property
    def serves_snapshot(self) -> bool:
        """Whether this side has a whole table to send. The owner may say SnapshotWait and call `more` later."""
        return self.way is Way.SNAPSHOT and self._mine is not None and self._mine.records > 0

    @property
    def sent(self) -> int:
        """Changes given out in Bulk."""
        return self._supply.sent

    @property
    def sent_bytes(self) -> int:
        """The payloads of those changes."""
        return self._supply.sent_bytes

    # -- what the owner calls ------------------------------------------------------------------------------------

    def start(self, now_ms: int) -> list[Message]:
        """Open the comparison."""
        if not self.initiator or self._mine is not None:
            raise LocalProtocolError("a comparison is opened once, by the side that began it")
        return [self._compare(now_ms // MINUTE_MS, now_ms)]

    def receive(self, message: Message, now_ms: int) -> list[Message]:
        """Take in one message of the peer and return what must be answered at once.

        Raises RemoteProtocolError when the message is out of turn or impossible. The codec's checks are relied on for
        the bounds of single fields.
        """
        self.moved_ms = now_ms
        match message:
            case Compare():
                return self._receive_compare(message, now_ms)
            case Nodes():
                return self._receive_nodes(message)
            case Pages():
                return self._receive_pages(message)
            case Want():
                return self._receive_want(message)
            case Compared():
                return self._receive_compared()
            case SnapshotWait():
                return []
            case _:
                raise LocalProtocolError(f"{type(message).__name__} is not a comparison's to receive")

    def more(self, now_ms: int) -> list[Message]:
        """What to send next when little is queued on the link: one message, or none while there is nothing to send."""
        message = None if self.way is None or self._said_compared else self._next()
        if message is None:
            return []
        self.moved_ms = now_ms
        return [message]

    def _next(self) -> Message | None:
        if self._announcing and self._leaves is not None:
            return self._announce()
        bulk = self._supply.next()
        if bulk is not None:
            return bulk
        if self._announcing or self._awaits_pages or self._awaits_wants:
            return None
        self._said_compared = True
        return Compared(self.number, self.sent, self.comparable)

    def received_bulk(self, changes: int) -> None:
        """The owner has merged a Bulk of this comparison with so many changes."""
        self.received += changes

    # -- choosing the way ----------------------------------------------------------------------------------------

    def _compare(self, cut_min: int, now_ms: int) -> Compare:
        self.began_ms = self.moved_ms = now_ms
        root = self._table.root(cut_min)
        barriers = self._table.barriers_hash(cut_min)
        self._mine = Compare(
            self.number, cut_min, self._secret_id, root, barriers, self._table.records, self._since_ms, self._forced,
            self._table.items_hash(cut_min),
        )  # fmt: skip
        return self._mine

    def _receive_compare(self, theirs: Compare, now_ms: int) -> list[Message]:
        if self.way is not None:
            _refuse("a second Compare")
        if not len(theirs.root) == len(theirs.barriers) == HASH_BYTES or len(theirs.items) not in (0, HASH_BYTES):
            _refuse("a root of the wrong size")
        answer: list[Message] = []
        if self._mine is None:
            if self.initiator:
                raise LocalProtocolError("a comparison hears nothing before it is opened")
            now_min = now_ms // MINUTE_MS
            answerable = now_min - CUTS_BACK <= theirs.cut_min <= now_min + 1
            answer.append(self._compare(theirs.cut_min if answerable else now_min, now_ms))
        assert self._mine is not None
        self.way = _way(self._mine, theirs)
        return answer + self._set_out(self._mine, theirs, now_ms)

    def _set_out(self, mine: Compare, theirs: Compare, now_ms: int) -> list[Message]:
        """Take on what the way makes us owe and await."""
        if self.way is Way.NEITHER:
            return []
        if self.way is not Way.EQUAL and (mine.barriers != theirs.barriers or mine.secret_id != theirs.secret_id):
            self._supply.owe_barriers()
        other_items = mine.items != theirs.items or mine.secret_id != theirs.secret_id
        if self.way is not Way.EQUAL and other_items and not self.serves_snapshot:  # which has them in it
            self._supply.owe_items()
        if self.way is Way.SNAPSHOT:
            if mine.records > 0:
                self._supply.owe_everything(now_ms)
            return []
        self._supply.owe_activity(max(0, theirs.since_ms - 2 * self._table.max_clock_offset_ms))
        if self.way is Way.WHOLE:
            self._announcing = self._awaits_wants = self._awaits_pages = True
            self._leaves = list(reversed(range(LEAVES)))
        elif self.way is Way.TRIE and self.initiator:
            self._announcing = self._awaits_wants = True
            self._descent = Descent(self._table, mine.cut_min, self.number, 0)
        elif self.way is Way.TRIE:
            self._awaits_pages = True
            self._descent = Descent(self._table, mine.cut_min, self.number, 1)
            return [self._descent.top()]
        return []

    def _receive_nodes(self, theirs: Nodes) -> list[Message]:
        if self._descent is None:
            _refuse("Nodes out of turn")
        answer = self._descent.receive(theirs)
        if self.initiator:
            self._leaves = self._descent.leaves
        return [] if answer is None else [answer]

    # -- announcing pages ----------------------------------------------------------------------------------------

    def _announce(self) -> Pages:
        """The next leaves' pages."""
        assert self._mine is not None
        assert self._leaves is not None
        leaves: list[int] = []
        found: list[tuple[Origin, int, bytes]] = []
        while self._leaves and len(found) < PAGES_A_MESSAGE:
            leaves.append(self._leaves.pop())
            found += self._table.pages(self._mine.cut_min, leaves[-1])
        self._announcing = bool(self._leaves)
        self._unasked.update((origin, page) for origin, page, _ in found)
        proxies, epochs, origins = _columns(origin for origin, _, _ in found)
        pages, states = tuple(page for _, page, _ in found), tuple(pack(states) for _, _, states in found)
        last = not self._announcing
        return Pages(self.number, tuple(leaves), proxies, epochs, origins, pages, states, last)

    def _receive_pages(self, theirs: Pages) -> list[Message]:
        if not self._awaits_pages:
            _refuse("Pages out of turn")
        self._descent = None  # the opener is at the leaves
        self._check_leaves(theirs)
        pushes = self.way is Way.TRIE
        ours = self._ours(theirs.leaves) if pushes else {}
        wanted: list[Debt] = []
        for (origin, page), packed in zip(_pages_of(theirs), theirs.states, strict=True):
            states = unpack(packed)
            own = self._own_states(ours, origin, page)
            wanted += _debts(origin, page, own, states)
            if pushes:
                self._owe(_debts(origin, page, states, own))
        for (origin, page), own in ours.items():  # pages that the peer does not have
            self._owe(_debts(origin, page, NOTHING, own))
        self._awaits_pages = not theirs.last
        return [_want(self.number, wanted, theirs.last)] if wanted or theirs.last else []

    def _check_leaves(self, theirs: Pages) -> None:
        """Leaves ascend, so that there is an end, and pages come with leaves."""
        for leaf in theirs.leaves:
            if not self._leaf_heard < leaf < LEAVES:
                _refuse("Pages of leaves that do not ascend")
            self._leaf_heard = leaf
        if not theirs.leaves and (theirs.pages or not theirs.last):
            _refuse("Pages of no leaf")

    def _ours(self, leaves: Iterable[int]) -> dict[tuple[Origin, int], bytes]:
        assert self._mine is not None
        found = (each for leaf in leaves for each in self._table.pages(self._mine.cut_min, leaf))
        return {(origin, page): states for origin, page, states in found}

    def _own_states(self, ours: dict[tuple[Origin, int], bytes], origin: Origin, page: int) -> bytes:
        """Our states of a page that the peer named; under another secret it lies in another leaf than the peer says."""
        assert self._mine is not None
        own = ours.pop((origin, page), None)
        return self._table.states(origin, page, self._mine.cut_min) if own is None else own

    def _owe(self, debts: Iterable[Debt]) -> None:
        for debt in debts:
            self._supply.owe(debt)

    def _receive_want(self, theirs: Want) -> list[Message]:
        if not self._awaits_wants:
            _refuse("Want out of turn")
        if theirs.last and self._announcing:
            _refuse("the last Want before the last Pages")
        masks = zip(theirs.masks, theirs.end_masks, strict=True)
        for (origin, page), (mask, end_mask) in zip(_pages_of(theirs), masks, strict=True):
            if (origin, page) not in self._unasked:
                _refuse("Want of a page that was not announced, or once more")
            self._unasked.remove((origin, page))
            self._supply.owe(Debt(origin, page, mask, end_mask))
        if theirs.last:
            self._awaits_wants = False
            self._unasked.clear()
        return []

    def _receive_compared(self) -> list[Message]:
        if self.way is None or self._heard_compared:
            _refuse("Compared out of turn")
        if self._awaits_pages or self._awaits_wants:
            _refuse("Compared before the last Pages or Want")
        self._heard_compared = True
        return []


def _way(mine: Compare, theirs: Compare) -> Way:
    """The same for both sides, whoever is called mine."""
    same_secret = mine.secret_id == theirs.secret_id
    comparable = same_secret and mine.cut_min == theirs.cut_min
    if comparable and mine.root == theirs.root:
        return Way.EQUAL
    if mine.records == 0 or theirs.records == 0:
        return Way.SNAPSHOT
    if comparable:
        return Way.TRIE
    return Way.WHOLE if not same_secret or mine.forced or theirs.forced else Way.NEITHER


def _debts(origin: Origin, page: int, low: bytes, high: bytes) -> list[Debt]:
    """What whoever holds `low` lacks of a page: at most one debt."""
    if low == high:
        return []
    mask, end_mask = lacking(low, high)
    return [Debt(origin, page, mask, end_mask)] if mask or end_mask else []


def _want(number: int, wanted: list[Debt], last: bool) -> Want:
    proxies, epochs, origins = _columns(debt.origin for debt in wanted)
    return Want(
        number,
        proxies,
        epochs,
        origins,
        tuple(debt.page for debt in wanted),
        tuple(debt.mask for debt in wanted),
        tuple(debt.end_mask for debt in wanted),
        last,
    )


def _columns(origins: Iterable[Origin]) -> tuple[tuple[str, ...], tuple[int, ...], tuple[int, ...]]:
    """Each origin once, as proxies and epochs, and which of them each page is of."""
    numbers: dict[Origin, int] = {}
    column = tuple(numbers.setdefault(origin, len(numbers)) for origin in origins)
    return tuple(origin.proxy for origin in numbers), tuple(origin.epoch for origin in numbers), column


def _pages_of(message: Pages | Want) -> list[tuple[Origin, int]]:
    """The pages that a message names, each once."""
    origins = [Origin(proxy, epoch) for proxy, epoch in zip(message.proxies, message.epochs, strict=True)]
    if any(number >= len(origins) for number in message.origins):
        _refuse("a page of an origin that is not listed")
    pages = [(origins[number], page) for number, page in zip(message.origins, message.pages, strict=True)]
    if len(set(pages)) != len(pages):
        _refuse("a page named twice")
    return pages


def _refuse(text: str) -> NoReturn:
    raise RemoteProtocolError(f"comparison: {text}")
