"""Machines as bytes and back, and what two machines have to have in common to count as the same.

Rules of this file:

- Freezing takes the shipping machine whole, with its caches; a frozen machine is a value, shared by all states in
  which that machine stands so.
- `face` is what the search compares. It leaves out absolute time (what lies ahead or behind is kept, relative to now)
  and the numbers that only name something: link numbers and log ids become their rank. Two states with one face may
  still differ in what is left out here; the search then goes on from one of them only. So it may miss, and cannot
  complain of what is not so.
"""

import copyreg
import io
import math
import pickle
from collections.abc import Callable, Iterable
from hashlib import blake2b
from itertools import chain, compress, count
from types import GeneratorType
from typing import Any

from authagent.core.agent import Agent
from authagent.core.peer import Peer
from protocol.comparison import Comparison
from protocol.digest import _Cut
from protocol.table import Table
from proxyagent.core.client import Client
from proxyagent.core.conversation import Conversation

_HASHERS: dict[int, Any] = {}


def _hasher(number: int) -> Any:
    return _HASHERS[number]


def _keep_hasher(hasher: Any) -> tuple[Callable[[int], Any], tuple[int]]:
    """A keyed hash that only its copies are fed to: every frozen machine may have the same one."""
    _HASHERS[id(hasher)] = hasher
    return _hasher, (id(hasher),)


def _keep_iterator(iterator: Iterable[Any]) -> tuple[Callable[..., Any], tuple[list[Any]]]:
    """What is still to come of a comparison; the machine that is frozen goes no further, so it may be used up."""
    return iter, (list(iterator),)


def _cut(cut_ms: int, contributions: dict[int, int], leaves: dict[int, int], nodes: tuple[Any, ...]) -> _Cut:
    cut = _Cut(cut_ms)
    cut.contributions = contributions
    for leaf, value in leaves.items():
        cut.leaves[leaf] = value
    cut.middle, cut.top, cut.stale = list(nodes[0]), list(nodes[1]), nodes[2]
    return cut


def _keep_cut(cut: _Cut) -> tuple[Callable[..., _Cut], tuple[Any, ...]]:
    """A trie with its 4,096 leaves, of which few are not empty."""
    leaves = {leaf: cut.leaves[leaf] for leaf in compress(count(), cut.leaves)}
    same: dict[bytes, bytes] = {}
    middle = [same.setdefault(node, node) for node in cut.middle]
    top = [same.setdefault(node, node) for node in cut.top]
    return _cut, (cut.cut_ms, cut.contributions, leaves, (middle, top, cut.stale))


ITERATORS = (GeneratorType, type(iter(int, 1)), map, chain)


class _Pickler(pickle.Pickler):
    dispatch_table = {
        **copyreg.dispatch_table,
        type(blake2b()): _keep_hasher,
        **dict.fromkeys(ITERATORS, _keep_iterator),
        _Cut: _keep_cut,
    }


def freeze(machine: object) -> bytes:
    """A machine as a value."""
    buffer = io.BytesIO()
    _Pickler(buffer, pickle.HIGHEST_PROTOCOL).dump(machine)
    return buffer.getvalue()


def thaw(frozen: bytes) -> Any:
    """A machine of its own, as it was when it was frozen."""
    return pickle.loads(frozen)


# -- faces ---------------------------------------------------------------------------------------------------------


class Names:
    """Ranks for numbers that only name something, in the order in which they are met."""

    def __init__(self) -> None:
        self._ranks: dict[tuple[str, object], int] = {}

    def __call__(self, kind: str, number: object) -> int:
        return self._ranks.setdefault((kind, number), len(self._ranks)) if number else -1


def ahead(at_s: float | None, now_s: float) -> float | None:
    """A deadline as what is left until then, in steps of 50 ms."""
    if at_s is None or math.isinf(at_s):
        return None
    return round((at_s - now_s) * 20) / 20


def of_table(table: Table) -> tuple[object, ...]:
    """Every record with its state, in the order of logins, and every barrier."""
    records = []
    for batch in table.slices(0):
        for login_run in batch.logins:
            states = login_run.states or b"\1" * len(login_run.keys)
            records += [(login_run.origin, *each) for each in zip(login_run.sequences, states, strict=True)]
        for end_run in batch.ends:
            records += [(end_run.origin, *each) for each in zip(end_run.sequences, end_run.states, strict=True)]
    return (*sorted(records), *sorted(barrier.user for barrier in table.barriers()))


def of_agent(agent: Agent, now_s: float, names: Names) -> tuple[object, ...]:
    """What counts of an agent."""
    election, duty, replication, resync = agent.election, agent.duty, agent.replication, agent.resync
    return (
        election.role, election.term, election.term_seen, election.partner, election.partner_role,
        election.partner_term, election.refused, election.seeking, election.yielding, election.dialling,
        election._attempts_left, ahead(election.deadline, now_s), ahead(agent._tick_s, now_s),
        ahead(duty.unsure_until_s, now_s), ahead(duty.handover.deadline, now_s), duty.left,
        duty._fence, ahead(duty._fence_until_s, now_s),
        names("log", replication.log.log_id), replication.log.sequence, replication.position - replication.stored,
        names("link", replication.lead), names("log", replication.cursor[0]), replication.cursor[1],
        replication.streaming, replication.complete is None or replication.position - replication.complete,
        tuple(names("link", link) for link in replication.followers), len(replication._window), replication.told,
        tuple((names("link", link), of_comparison(each)) for link, each in sorted(resync._comparisons.items())),
        agent.service.reports, tuple(names("link", link) for link in agent.service._owed),
        tuple(_of_peer(peer, now_s, names) for peer in agent.peers), of_table(agent.table),
    )  # fmt: skip


def _of_peer(peer: Peer, now_s: float, names: Names) -> tuple[object, ...]:
    said = peer.heartbeat
    return (
        names("link", peer.link), peer.kind, peer.id, peer.equal, ahead(peer.unequal_since_s, now_s), peer.stored,
        ahead(peer.heard_s, now_s), peer.ledger.master, peer.ledger.site, peer.ledger.site_told,
        None if said is None else (said.role, said.term, said.sequence, said.pending, said.comparing),
    )  # fmt: skip


def of_comparison(comparison: Comparison) -> tuple[object, ...]:
    """What counts of one side of a comparison."""
    return (
        comparison.initiator, comparison.way, comparison._announcing, comparison._awaits_pages,
        comparison._awaits_wants, comparison._said_compared, comparison._heard_compared,
    )  # fmt: skip


def of_proxy(client: Client, now_s: float, names: Names) -> tuple[object, ...]:
    """What counts of a proxy."""
    outbox, failover = client.outbox, client._failover
    progress = client.progress
    return (
        client.isolated, client.cache.origin, client.cache._sequence, client.cache.clock.is_set,
        ahead(client._upkeep_due_s, now_s),
        outbox.events, outbox.lost, len(outbox._waiting), outbox._unsent, outbox._linked, outbox._held,
        outbox._sent_report, outbox._master_report, outbox._site_serial,
        failover._turn % 2, failover._next, failover._redirects, failover._dialling, ahead(failover.due_s, now_s),
        ahead(failover._alone_since_s, now_s), names("log", progress.log_id), progress.sequence, progress.complete,
        None if client.conversation is None else _of_conversation(client.conversation, now_s, names),
        of_table(client.cache.table),
    )  # fmt: skip


def _of_conversation(talk: Conversation, now_s: float, names: Names) -> tuple[object, ...]:
    return (
        names("link", talk.link), talk.agent, talk.asked, talk.following, talk.equal, talk._position,
        names("log", talk._log_id), talk._own_number > 0, ahead(talk.heartbeat_due_s, now_s),
        ahead(talk._differs_since_s, now_s), ahead(talk._undecided_since_s, now_s) if not talk.asked else None,
        tuple(map(of_comparison, talk._comparisons.values())),
    )  # fmt: skip


def digest(parts: Iterable[object]) -> bytes:
    """Sixteen bytes that stand for all of it."""
    return blake2b(repr(tuple(parts)).encode(), digest_size=16).digest()
