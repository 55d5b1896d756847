"""Who may have an item: the master decides, one redemption after another, and answers when enough others hold it.

Rules of this file:

- Only a master that may acknowledge decides, on revoking too; whoever else is asked says UNAVAILABLE, or hands it on
  to its master.
- A redemption is noted as a claim, stored, relayed, and made final only when the claim is held by a quorum: both
  agents, or one agent and most of the item's witnesses. Two quorums have a member in common, and a member that holds
  a claim never helps another one. So at most one claim of a strict item is ever final, whatever is cut or killed.
- In a split strict items are refused before anything is noted: a refusal for want of a partner uses nothing up.
- An item that is not strict needs the slave only where there is one; it is granted without it after DECIDED_WITHIN_S.
- Every "no" is answered REFUSED_AFTER_S after the question, whatever the reason, and never says the reason. The
  wrong try that it counted is stored on both sides by then.

Theory. A follower holds what its cursor has passed: the slave says so with Stored, a proxy in its heartbeat. Both
first compare their tables with this master's, both ways; so what they know of an item is known here, and a cursor
past the claim, with no other claim known here, says that they hold this one alone. Why no vote and no ballots are
needed beyond that is in docs/decisions/0008.

Source: reference/tokens.md 5.3 and 5.4; DESIGN section 4 (acknowledgement levels, two masters).
"""

from collections.abc import Iterator
from typing import TypeAlias

import attrs

from authagent.core import commands as do
from authagent.core.commands import Command
from authagent.core.election import Election
from authagent.core.item_log import ItemLog
from authagent.core.peer import Peer, Peers
from authagent.core.replication import Replication
from authagent.core.resync import Resync
from authagent.core.service import Service
from authagent.core.settings import Settings
from protocol import codec, item_acts, limits
from protocol.changes import Changes
from protocol.errors import RemoteProtocolError
from protocol.item import Item, Witness
from protocol.item_acts import Step
from protocol.messages import Creation, Message, Redemption, Revocation, Role, Ruling, Verdict
from protocol.stamp import Now
from protocol.table import Table

Asked: TypeAlias = Creation | Redemption | Revocation

REFUSED_AFTER_S = 0.25
"""When a "no" is said: later than any replication takes, and slow enough for whoever guesses."""

DECIDED_WITHIN_S = 3.0
"""How long a decision waits for those who must hold it: the connection timeout of the source, 3,000 ms."""

WITNESSES = 3
"""An odd number: one of them may be gone."""


@attrs.define(eq=False)
class Question:
    """One question under way. `link` None: it came from this agent's own control socket, as request `number`.

    `position` and `sequence` say where in the own store and in the log stands what must be held.
    """

    link: int | None
    number: int
    log_id: int
    position: int
    sequence: int
    due_s: float
    not_before_s: float
    until_s: float
    ruling: Ruling
    items: tuple[Item, ...] = ()
    claims: bytes | None = None  # the request whose claim waits to become final


@attrs.define(eq=False)
class Redemptions:
    """The questions about items at one agent."""

    settings: Settings
    table: Table
    peers: Peers
    election: Election
    replication: Replication
    resync: Resync
    service: Service
    log: ItemLog = attrs.field(factory=ItemLog)
    _open: list[Question] = attrs.field(factory=list)
    _handed_on: dict[int, int] = attrs.field(factory=dict)  # request of the control socket -> link of the lead

    @property
    def name(self) -> str:
        return f"authagent-{self.settings.id}"

    @property
    def deadline(self) -> float | None:
        """When to look again, in monotonic seconds; news of stores and cursors comes as events."""
        return min(each.due_s for each in self._open) if self._open else None

    @property
    def under_way(self) -> bool:
        """Whether anything is asked and not answered."""
        return bool(self._open or self._handed_on)

    # -- asking ---------------------------------------------------------------------------------------------------

    def asked(
        self, link: int | None, message: Asked, now: Now, now_ms: int, *, decides: bool
    ) -> list[Command]:
        """A question from a follower, or from the control socket. `decides`: this is a master that may acknowledge."""
        lead = self.replication.lead
        if link is None and self.election.role != Role.MASTER and lead is not None:
            self._handed_on[message.question] = lead
            return [do.Send((lead,), message)]
        if not decides or len(self._open) >= limits.QUESTIONS_MAX:
            return [self._answer(link, message.question, Ruling.UNAVAILABLE)]
        if isinstance(message, Creation):
            return self._create(link, message, now, now_ms)
        if isinstance(message, Revocation):
            return self._revoke(link, message, now, now_ms)
        return self._redeem(link, message, now, now_ms)

    def answered(self, message: Verdict) -> list[Command]:
        """The master's word about what this agent handed on."""
        if self._handed_on.pop(message.question, None) is None:
            return []
        return [do.Answer(message.question, message.payload, ruling=message.ruling)]

    def _create(self, link: int | None, message: Creation, now: Now, now_ms: int) -> list[Command]:
        made = codec.decode_changes(message.payload).items
        if len(made) != 1:
            raise RemoteProtocolError("a Creation of not one item")
        if self.table.items.full:
            return [self._answer(link, message.question, Ruling.FULL)]
        if self.election.split:
            return [self._answer(link, message.question, Ruling.UNAVAILABLE)]
        fresh = attrs.evolve(made[0], site=self.settings.site, witnesses=tuple(self._witnesses()), tries=(), claims=())
        changes = item_acts.make(self.table, fresh, now_ms)
        commands = self._take(changes, now_ms)
        commands += self.log.made(changes.items[0], now)
        self._await(link, message.question, Ruling.GRANTED, changes.items[:1], now)
        return commands

    def _revoke(self, link: int | None, message: Revocation, now: Now, now_ms: int) -> list[Command]:
        changes = item_acts.revoke(self.table, message.kind, id=message.item, user=message.user)
        commands = self._take(changes, now_ms)
        for item in changes.items:
            commands += self.log.revoked(item, now)
        self._await(link, message.question, Ruling.GRANTED, changes.items, now)
        return commands

    def _redeem(self, link: int | None, message: Redemption, now: Now, now_ms: int) -> list[Command]:
        item = item_acts.find(self.table, message)
        whose = message.user if item is None else item.user
        if not self._may_begin(item):
            told = self.log.unavailable(message, whose, now)
            return [*told, self._answer(link, message.question, Ruling.UNAVAILABLE)]
        redeemed = item_acts.redeem(self.table, message, node=self._node, now_ms=now_ms)
        items = () if redeemed.item is None else (redeemed.item,)
        commands = self._take(redeemed.changes, now_ms)
        match redeemed.step:
            case Step.GRANTED:
                self._await(link, message.question, Ruling.GRANTED, items, now)
            case Step.CLAIMED | Step.GOING_ON:
                self._await(link, message.question, Ruling.GRANTED, items, now, claims=message.request)
            case Step.REFUSED:
                commands += self.log.refused(message, whose, redeemed.reason, now)
                self._await(link, message.question, Ruling.REFUSED, (), now)
            case Step.OTHER_SECRET:
                commands += self.log.unavailable(message, whose, now)
                commands.append(self._answer(link, message.question, Ruling.UNAVAILABLE))
        return commands

    def _await(
        self, link: int | None, number: int, ruling: Ruling, items: tuple[Item, ...], now: Now,
        claims: bytes | None = None,
    ) -> None:  # fmt: skip
        """Answer when what was taken in just now is where it must be."""
        log = self.replication.log
        refused_s = REFUSED_AFTER_S if ruling == Ruling.REFUSED else 0.0
        self._open.append(
            Question(
                link, number, log.log_id, self.replication.position, log.sequence,
                now.monotonic_s, now.monotonic_s + refused_s, now.monotonic_s + DECIDED_WITHIN_S, ruling, items, claims,
            )
        )  # fmt: skip

    # -- deciding -------------------------------------------------------------------------------------------------

    def settle(self, now: Now, now_ms: int, *, decides: bool) -> list[Command]:
        """After any event: make final what is held by enough, answer what is due."""
        commands: list[Command] = []
        if self._handed_on:
            commands += self._left_by_lead()
        if not self._open:
            return commands
        waiting, self._open = self._open, []
        for question in waiting:
            over = self._look_at(question, now, now_ms, decides)
            if not over:
                question.due_s = question.until_s if now.monotonic_s >= question.not_before_s else question.not_before_s
                self._open.append(question)
            commands += over
        return commands

    def _look_at(self, question: Question, now: Now, now_ms: int, decides: bool) -> list[Command]:
        """What one question comes to now; nothing while it waits."""
        late = now.monotonic_s >= question.until_s
        if question.log_id != self.replication.log.log_id or (late and not decides):
            return [self._answer(question.link, question.number, Ruling.UNAVAILABLE)]
        return self._settle(question, late, now, now_ms) if decides else []

    def _settle(self, question: Question, late: bool, now: Now, now_ms: int) -> list[Command]:
        if question.claims is not None:
            return self._decide(question, late, now, now_ms)
        if now.monotonic_s < question.not_before_s or not (self._is_stored(question) or late):
            return []
        ruling = question.ruling
        if ruling == Ruling.GRANTED and not self._is_stored(question):
            ruling = Ruling.UNAVAILABLE  # a creation that is not where it must be: asked again, it is the same item
        return [self._answer(question.link, question.number, ruling, question.items)]

    def _decide(self, question: Question, late: bool, now: Now, now_ms: int) -> list[Command]:
        assert question.items and question.claims is not None, "a claim is an item's"
        item = self.table.items.get(*question.items[0].name)
        if item is None:  # it has expired and was forgotten
            return [self._answer(question.link, question.number, Ruling.REFUSED)]
        held = self._is_held(item, question)
        if not held and not (late and not item.strict):
            return [self._answer(question.link, question.number, Ruling.UNAVAILABLE)] if late else []
        if item.consumed is None and len(item.claims) == 1:
            changes = item_acts.final(item, question.claims)
            commands = self._take(changes, now_ms)
            item = changes.items[0]
            commands += self.log.redeemed(item, now, alone=not held)
        else:
            commands = []  # decided meanwhile: for this request, or by another one on another side of a split
        mine = item.consumed is not None and item.consumed.request == question.claims
        ruling = Ruling.GRANTED if mine else Ruling.REFUSED
        return [*commands, self._answer(question.link, question.number, ruling, (item,))]

    def _is_stored(self, question: Question) -> bool:
        """Whether it is on level `site`."""
        slave = self._slave
        return self._is_own(question) and (slave is None or (slave.stored or 0) >= question.sequence)

    def _is_own(self, question: Question) -> bool:
        return self.replication.stored >= question.position

    def _is_held(self, item: Item, question: Question) -> bool:
        """Whether enough hold the claim, stored here included."""
        slave = self._slave
        if not self._is_own(question):
            return False
        if slave is not None:
            return (slave.stored or 0) >= question.sequence
        if self.settings.partner is None or not item.strict:
            return True
        return not self.election.split and self._most_witnesses(item, question.sequence)

    def _may_begin(self, item: Item | None) -> bool:
        """Whether a redemption has a chance: else nothing is looked at, counted or noted."""
        if item is not None and item.strict and item.site != self.settings.site:
            return False  # the agents of another site decide: two sites would be two quorums
        if self.settings.partner is None or self._slave is not None:
            return True
        if item is not None and not item.strict:
            return True
        return not self.election.split and (item is None or self._most_witnesses(item, 0))

    def _most_witnesses(self, item: Item, sequence: int) -> bool:
        """Whether most of the item's witnesses are here and hold the log up to `sequence`."""
        here = sum(self._holds(witness, sequence) for witness in item.witnesses)
        return 2 * here > len(item.witnesses)

    def _holds(self, witness: Witness, sequence: int) -> bool:
        if not witness.incarnation:
            return witness.id == self.name
        peer = self.peers.named("proxy", self.settings.site, witness.id)
        return peer is not None and peer.incarnation == witness.incarnation and self._has_passed(peer, sequence)

    def _has_passed(self, peer: Peer, sequence: int) -> bool:
        heartbeat = peer.heartbeat
        if heartbeat is None or heartbeat.log_id != self.replication.log.log_id:
            return False
        return (
            peer.link in self.replication.followers
            and heartbeat.sequence >= sequence
            and self.resync.knows_items(peer)
        )

    def _witnesses(self) -> Iterator[Witness]:
        """Whose word will count for an item made now: proxies linked here, filled up by an agent to an odd number.

        The agent is the slave: it is there when the master is gone.
        """
        own = (peer for peer in self.peers if peer.is_proxy and not peer.away)
        here = [peer for peer in own if self._has_passed(peer, 0)][:WITNESSES]
        for peer in here:
            yield Witness(peer.id, peer.incarnation)
        if len(here) % 2 == 0:
            yield Witness(self.name if self._slave is None else self._slave.name, 0)

    @property
    def _slave(self) -> Peer | None:
        """The partner, where it counts and keeps items: one of an earlier version holds no claim."""
        slave = self.service.slave
        return slave if slave is not None and self.resync.knows_items(slave) else None

    # -- within ---------------------------------------------------------------------------------------------------

    @property
    def _node(self) -> str:
        """Who counts wrong tries here."""
        return f"{self.settings.site}/{self.name}"

    def _take(self, changes: Changes, now_ms: int) -> list[Command]:
        if not changes:
            return []
        return self.replication.take(changes, None, self.settings.site, None, self.name, now_ms)

    def _answer(self, link: int | None, number: int, ruling: Ruling, items: tuple[Item, ...] = ()) -> Command:
        payload = codec.encode_changes(Changes(items=items)) if ruling == Ruling.GRANTED else b""
        if link is None:
            return do.Answer(number, payload, ruling=ruling)
        message: Message = Verdict(number, ruling, payload)
        return do.Send((link,), message)

    def _left_by_lead(self) -> list[Command]:
        """Nobody will answer what was handed on to a master that is gone."""
        left = [number for number, link in self._handed_on.items() if link != self.replication.lead]
        for number in left:
            del self._handed_on[number]
        return [do.Answer(number, ruling=Ruling.UNAVAILABLE) for number in left]
