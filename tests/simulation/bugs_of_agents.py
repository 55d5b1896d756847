"""Seeded bugs of the agent: election, acknowledgement, replication, comparisons of a pair.

Rules of this file: see switchboard.py.
"""

from typing import Any

from authagent.core import commands as do
from authagent.core.acknowledgements import Ledger
from authagent.core.commands import Command
from authagent.core.duty import Duty
from authagent.core.election import Election, Verdict
from authagent.core.peer import Peer
from authagent.core.pulse import Pulse
from authagent.core.replication import Replication
from authagent.core.resync import Resync
from authagent.core.service import Service
from protocol.messages import Following, Heartbeat
from protocol.stamp import Now
from tests.simulation.agents import DIGEST_KEY
from tests.simulation.switchboard import Patch, bug

# -- acknowledgements --------------------------------------------------------------------------------------------


@bug
def acknowledged_from_memory(patch: Patch) -> None:
    """Level site is told as soon as a report is in memory."""

    def settle(ledger: Ledger, stored: int, slave_stored: int | None) -> None:
        ledger.site = ledger.master
        ledger._pending.clear()

    patch.set(Ledger, "settle", settle)


@bug
def acknowledged_without_the_slave(patch: Patch) -> None:
    """Level site names the slave, and does not wait for it."""

    def settle(ledger: Ledger, stored: int, slave_stored: int | None) -> None:
        right(ledger, stored, None)

    right = patch.set(Ledger, "settle", settle)


@bug
def acknowledged_one_too_many(patch: Patch) -> None:
    """The report behind the last one that is stored is acknowledged too."""

    def settle(ledger: Ledger, stored: int, slave_stored: int | None) -> None:
        right(ledger, stored, slave_stored)
        if ledger.site and ledger._pending:
            ledger.site = ledger._pending.popleft().report

    right = patch.set(Ledger, "settle", settle)


@bug
def slave_stores_in_memory(patch: Patch) -> None:
    """A slave says Stored of what it has merged, before its disk has it."""

    def answer_stored(replication: Replication) -> int | None:
        stored, replication.stored = replication.stored, replication.position
        try:
            answer: int | None = right(replication)
        finally:
            replication.stored = stored
        return answer

    right = patch.set(Replication, "answer_stored", answer_stored)


@bug
def slave_counts_before_it_is_complete(patch: Patch) -> None:
    """A slave counts from its first Update on, before it has compared its table with the master's."""

    def begin(replication: Replication, log_id: int, sequence: int) -> None:
        right(replication, log_id, sequence)
        replication.completed()

    right = patch.set(Replication, "begin", begin)


@bug
def slave_stored_in_an_older_log(patch: Patch) -> None:
    """What a slave has stored of another mastership's log counts for this one's."""

    def stored(service: Service, peer: Peer, message: Any) -> None:
        if peer.is_partner:
            peer.stored = max(message.sequence, service.replication.log.sequence)

    patch.set(Service, "stored", stored)


@bug
def yields_and_acknowledges(patch: Patch) -> None:
    """A master that is unsure, yields or leaves goes on acknowledging."""
    patch.set(Duty, "may_acknowledge", property(lambda duty: bool(duty.replication.log.log_id)))


# -- replication -------------------------------------------------------------------------------------------------


@bug
def updates_not_stored(patch: Patch) -> None:
    """A slave does not write what its master tells it, and says that it has."""

    def update(service: Service, peer: Peer, message: Any, now_ms: int) -> list[Command]:
        commands = right(service, peer, message, now_ms)
        service.replication.stored = service.replication.position
        return [command for command in commands if not isinstance(command, do.Persist)]

    right = patch.set(Service, "update", update)


@bug
def bulk_not_stored(patch: Patch) -> None:
    """What a comparison brings is merged and not written."""

    def take(service: Service, *given: Any) -> list[Command]:
        return [command for command in right(service, *given) if not isinstance(command, do.Persist)]

    right = patch.set(Service, "take", take)


@bug
def nothing_relayed_to_proxies(patch: Patch) -> None:
    """A change is passed on to the follower that came first, and to nobody else."""

    def flush(replication: Replication) -> list[Command]:
        commands = right(replication)
        first = next(iter(replication.followers), None)
        relays = [command for command in commands if isinstance(command, do.Relay)]
        return [do.Relay((first,), relay.frames) for relay in relays if first in relay.links]

    right = patch.set(Replication, "flush", flush)


@bug
def slave_never_compares(patch: Patch) -> None:
    """Who follows a master compares no tables, and takes itself for complete."""

    def following(duty: Duty, peer: Peer, message: Following, now: Now) -> list[Command]:
        if peer.link == duty.replication.lead:
            duty.replication.begin(message.log_id, message.sequence)
            duty.replication.completed()
        return []

    def judge_lead(pulse: Pulse, peer: Peer, message: Heartbeat, now: Now) -> list[Command]:
        return []

    patch.set(Duty, "following", following)
    patch.set(Pulse, "judge_lead", judge_lead)


@bug
def comparison_never_ends(patch: Patch) -> None:
    """A comparison that is over is not noticed."""

    def more(resync: Resync, peer: Peer, now_ms: int) -> Any:
        commands, _ = right(resync, peer, now_ms)
        return commands, False

    right = patch.set(Resync, "more", more)


# -- who serves --------------------------------------------------------------------------------------------------


@bug
def discard_on_demotion(patch: Patch) -> None:
    """A master that meets a greater one drops what it has and follows, instead of giving it first."""

    def act(duty: Duty, verdict: Verdict, now: Now) -> list[Command]:
        if verdict is not Verdict.YIELD or duty.peers.partner is None:
            return list(right(duty, verdict, now))
        duty.table.__init__(digest_key=DIGEST_KEY)  # type: ignore[misc]
        return duty._follow(duty.peers.partner, now)

    right = patch.set(Duty, "_act", act)


@bug
def stale_term(patch: Patch) -> None:
    """An agent that starts does not heed the term on its disk."""

    def started(election: Election, term: int, now_s: float) -> Verdict:
        return Verdict(right(election, 0, now_s))

    right = patch.set(Election, "started", started)


@bug
def partner_term_unheard(patch: Patch) -> None:
    """What the partner's heartbeats say of its term is not taken in, so that of two masters neither yields."""

    def partner_heard(election: Election, role: Any, term: int) -> Verdict:
        return Verdict(right(election, role, 0))

    right = patch.set(Election, "partner_heard", partner_heard)


@bug
def both_yield(patch: Patch) -> None:
    """Of two masters each thinks that it is the lesser."""
    patch.set(Election, "loses", property(lambda election: True))


@bug
def nobody_yields(patch: Patch) -> None:
    """Of two masters each thinks that it is the greater."""
    patch.set(Election, "loses", property(lambda election: False))


@bug
def never_unsure(patch: Patch) -> None:
    """An agent that has slept goes on as if nothing had happened."""
    patch.set(Duty, "slept", lambda duty, slept_s, now: [])


@bug
def sure_by_an_old_word(patch: Patch) -> None:
    """After a pause a word that the partner said before it is taken for an answer."""

    def heartbeat(duty: Duty, peer: Peer, message: Heartbeat, now: Now) -> list[Command]:
        duty._woke_ms = 0
        return list(right(duty, peer, message, now))

    right = patch.set(Duty, "heartbeat", heartbeat)


@bug
def one_attempt_only(patch: Patch) -> None:
    """A slave that has lost its master tries it once and waits for ever."""

    def again(election: Election, now_s: float) -> Verdict:
        election.deadline = None
        return Verdict.NOTHING

    patch.set(Election, "_again", again)


@bug
def no_probing(patch: Patch) -> None:
    """A master whose partner is silent does not look for it any more."""

    def probe(election: Election, now_s: float) -> Verdict:
        election.deadline = None
        return Verdict.NOTHING

    patch.set(Election, "_probe", probe)
