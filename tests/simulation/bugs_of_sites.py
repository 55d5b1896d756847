"""Seeded bugs of several sites: what crosses, what follows what, what is compared, and who stands in for whom.

Rules of this file: see switchboard.py. These are hunted in runs that have several sites.
"""

from collections.abc import Iterable
from typing import Any

import attrs

from authagent.core.gathering import Gathering, Vouched
from authagent.core.outgoing import Outgoing
from authagent.core.peer import Peer
from authagent.core.resync import Resync
from authagent.core.sites import Sites
from protocol import crossing
from protocol.changes import Changes
from protocol.crossing import Batch
from protocol.filter import Filter
from protocol.session import Record
from protocol.table import Table
from proxyagent.core.conversation import Conversation
from proxyagent.core.failover import Failover
from tests.simulation.switchboard import Patch, bug


@bug
def nothing_crosses(patch: Patch) -> None:
    """What arises at a site is kept to itself until tables are compared."""
    patch.set(Outgoing, "note", lambda outgoing, changes, site: None)


@bug
def outs_are_not_taken_in(patch: Patch) -> None:
    """A receiver passes over every end that is told by its login id alone."""
    patch.set(crossing, "expand", lambda batch, table: batch.changes)


@bug
def outs_of_what_never_crossed(patch: Patch) -> None:
    """Every end is told by its login id alone, whether the other side holds the login or not."""

    def batches(gathering: Gathering, vouched: Vouched, *more: Any) -> Iterable[Batch]:
        return right(gathering, lambda record: True, *more)  # type: ignore[no-any-return]

    right = patch.set(Gathering, "batches", batches)


@bug
def barriers_do_not_cross(patch: Patch) -> None:
    """The logout of a user ends what is known where it was said, and is told to no other site."""

    def expand(batch: Batch, table: Table) -> Changes:
        return attrs.evolve(right(batch, table), barriers=())

    right = patch.set(crossing, "expand", expand)


@bug
def further_ends_do_not_cross(patch: Patch) -> None:
    """What a barrier or a mark from another site ends here besides counts as having arisen there."""

    def note(outgoing: Outgoing, changes: Changes, site: str) -> None:
        only_ends = bool(changes.ends) and not (changes.logins or changes.marks or changes.barriers)
        right(outgoing, changes, "elsewhere" if only_ends else site)

    right = patch.set(Outgoing, "note", note)


@bug
def a_cursor_before_anything_was_compared(patch: Patch) -> None:
    """After a link that was lost in the middle of a comparison the other site is followed from there."""

    def dismiss(sites: Sites, peer: Peer) -> None:
        border = sites.borders.get(peer.link)
        if border is not None and border.log_id:
            border.complete = True
        right(sites, peer)

    right = patch.set(Sites, "dismiss", dismiss)


@bug
def the_filter_is_forgotten(patch: Patch) -> None:
    """What arises at a site crosses, whoever it is about."""

    def batches(gathering: Gathering, vouched: Vouched, *more: Any) -> Iterable[Batch]:
        return right(gathering, vouched)  # type: ignore[no-any-return]

    right = patch.set(Gathering, "batches", batches)


@bug
def whole_tables_are_compared(patch: Patch) -> None:
    """Another site is shown the whole table, whatever the filter says."""
    patch.set(Resync, "disclosed", lambda resync, peer: resync.table)


@bug
def ends_are_filtered_too(patch: Patch) -> None:
    """Of a session that is not shared its end is not either."""

    def shown(filter: Filter, record: Record) -> Record | None:
        return record if record.login.partial or filter.passes(record.login) else None

    patch.set(Filter, "shown", shown)


@bug
def answers_keep_nobody_at_home(patch: Patch) -> None:
    """A proxy turns to another site although an agent of its own has just answered."""
    patch.set(Failover, "answered", lambda failover, agent: None)


@bug
def guests_stay(patch: Patch) -> None:
    """A proxy that another site serves never finds that an agent of its own serves again."""
    patch.set(Conversation, "served_s", lambda talk, now: 0.0)
