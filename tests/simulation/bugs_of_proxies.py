"""Seeded bugs of the proxy: its copy, its outbox, its links.

Rules of this file: see switchboard.py.
"""

from typing import Any

from protocol.messages import Message
from protocol.stamp import Now
from proxyagent.core import cache
from proxyagent.core.cache import Cache
from proxyagent.core.client import Client
from proxyagent.core.conversation import Conversation
from proxyagent.core.failover import Failover
from proxyagent.core.outbox import Level, Outbox
from proxyagent.core.shown import Shown
from tests.simulation.switchboard import Patch, bug

# -- identity ----------------------------------------------------------------------------------------------------


@bug
def epoch_reused(patch: Patch) -> None:
    """A proxy that starts anew mints its login ids under the epoch that it had before."""

    def init(cache: Cache, settings: Any, outbox: Outbox, epoch: int) -> None:
        right(cache, settings, outbox, 7)

    right = patch.set(Cache, "__init__", init)


# -- the copy ----------------------------------------------------------------------------------------------------


@bug
def look_ups_stay_quiet(patch: Patch) -> None:
    """A session at hand is shown until its quiet time is over, whatever the table has learnt meanwhile."""
    patch.set(Shown, "unsettle", lambda shown, keys: None)


@bug
def quiet_again_after_its_end(patch: Patch) -> None:
    """Reporting what was seen makes a session quiet that has ended since: found by this simulation, and fixed."""

    def settle_seen(shown: Shown, session: Any, now: Now, now_ms: int) -> None:
        seen_s, quiet_until_s = session.seen_s, session.quiet_until_s
        session.quiet_until_s = quiet_until_s or -1.0
        right(shown, session, now, now_ms)
        if session.quiet_until_s == -1.0 and (not seen_s or session.seen_s):
            session.quiet_until_s = quiet_until_s

    right = patch.set(Shown, "settle_seen", settle_seen)


@bug
def suspend_makes_younger(patch: Patch) -> None:
    """What was seen before the machine was suspended counts as seen after it: found by this simulation, and fixed."""
    patch.set(Shown, "slept", lambda shown, before, now: None)


@bug
def touches_not_reported(patch: Patch) -> None:
    """Activity stays where it was seen."""
    patch.set(Outbox, "put_touch", lambda outbox, origin, sequence, active_at: None)


@bug
def times_not_fixed(patch: Patch) -> None:
    """What was stamped before the master's time was known is reported as it was stamped."""

    patch.set(cache, "shifted", lambda changes, *how: changes)


# -- the outbox --------------------------------------------------------------------------------------------------


@bug
def lost_is_acknowledged(patch: Patch) -> None:
    """What was lost with a full outbox counts as acknowledged when later reports are: found here, and fixed."""

    def reached(outbox: Outbox, serial: int) -> Level | None:
        if serial < outbox._first_serial:
            return "site" if serial <= outbox._site_serial else None
        level: Level | None = right(outbox, serial)
        return level

    right = patch.set(Outbox, "reached", reached)


@bug
def not_sent_again(patch: Patch) -> None:
    """What was sent on a link that was lost is not sent again on the next."""

    def link(outbox: Outbox) -> None:
        right(outbox)
        outbox._unsent = 0

    right = patch.set(Outbox, "link", link)


@bug
def level_master_is_enough(patch: Patch) -> None:
    """A report leaves the outbox, and counts as acknowledged at level site, once the master has it in memory."""

    def acknowledge(outbox: Outbox, master: int, site: int) -> bool:
        return bool(right(outbox, master, max(master, site)))

    right = patch.set(Outbox, "acknowledge", acknowledge)


@bug
def dropped_at_level_master(patch: Patch) -> None:
    """When a link is lost, what the master had in memory is taken for safe."""

    def unlink(outbox: Outbox) -> None:
        outbox.acknowledge(outbox._master_report, outbox._master_report)
        right(outbox)

    right = patch.set(Outbox, "unlink", unlink)


# -- links -------------------------------------------------------------------------------------------------------


@bug
def cursor_before_complete(patch: Patch) -> None:
    """A proxy's cursor moves though its copy is not complete, and it never compares."""

    def compare(conversation: Conversation, now: Now, *, forced: bool = False) -> list[Message]:
        conversation._progress.log_id = conversation._log_id
        conversation._progress.sequence = conversation._position
        return []

    patch.set(Conversation, "compare", compare)


@bug
def updates_skipped_while_comparing(patch: Patch) -> None:
    """While it compares, a proxy drops live updates, and digests are not looked at."""

    def update(conversation: Conversation, message: Any, now: Now) -> None:
        if conversation.comparing:
            conversation._advance(message.sequence)
        else:
            right(conversation, message, now)

    right = patch.set(Conversation, "_update", update)
    patch.set(Conversation, "_judge", lambda conversation, heartbeat, now: [])


@bug
def redirect_forgotten(patch: Patch) -> None:
    """A proxy that was sent to the other agent does not go there, nor anywhere."""

    def redirected(failover: Failover, *given: Any) -> None:
        failover.due_s = None

    patch.set(Failover, "redirected", redirected)


@bug
def silence_unnoticed(patch: Patch) -> None:
    """A proxy waits for ever for an agent that has fallen silent."""

    def due(client: Client, now: Now) -> Any:
        talk = client.conversation
        if talk is not None:
            talk.liveness.heard(now)
        return right(client, now)

    right = patch.set(Client, "_due", due)
