"""Seeded bugs of items and cookies: how they are decided, merged, compared, counted and forgotten.

Rules of this file: see switchboard.py.
"""

from typing import Any

import attrs

from authagent.core.redemptions import Redemptions
from protocol import item, item_acts, items
from protocol.changes import Changes
from protocol.item import Fate, Item
from protocol.item_acts import Step
from protocol.items import Items
from protocol.session import Record
from protocol.stamp import Now
from protocol.supply import Supply
from proxyagent.core.cache import Cache
from proxyagent.core.questions import Questions
from tests.simulation.switchboard import Patch, bug

# -- deciding ----------------------------------------------------------------------------------------------------


@bug
def granted_as_soon_as_claimed(patch: Patch) -> None:
    """A redemption is answered when its claim is noted, before anybody else holds it."""
    patch.set(Redemptions, "_is_held", lambda decided, item, question: True)


@bug
def granted_without_the_slave(patch: Patch) -> None:
    """The master's own disk is enough for a claim."""
    patch.set(Redemptions, "_is_held", lambda decided, item, question: decided._is_own(question))


@bug
def any_witness_will_do(patch: Patch) -> None:
    """Where the slave is gone the witnesses of an item are not asked."""
    patch.set(Redemptions, "_most_witnesses", lambda decided, item, sequence: True)


@bug
def both_halves_redeem(patch: Patch) -> None:
    """In a split each master goes on redeeming what is strict, by its own disk."""
    patch.set(Redemptions, "_may_begin", lambda decided, item: True)
    patch.set(Redemptions, "_is_held", lambda decided, item, question: decided._is_own(question))


@bug
def claims_of_others_overlooked(patch: Patch) -> None:
    """Who redeems looks at what an item is, and not at who has claimed it before."""

    def redeem(table: Any, wanted: Any, **how: Any) -> Any:
        found = right(table, wanted, **how)
        if found.step is Step.REFUSED and found.reason == "used":
            return attrs.evolve(found, step=Step.GRANTED)
        return found

    right = patch.set(item_acts, "redeem", redeem)


@bug
def claims_stay_in_memory(patch: Patch) -> None:
    """What is decided about an item is merged, and neither stored nor relayed."""

    def take(decided: Redemptions, changes: Changes, now_ms: int) -> Any:
        if any(each.claims for each in changes.items):
            decided.table.merge(changes, now_ms)
            return []
        return right(decided, changes, now_ms)

    right = patch.set(Redemptions, "_take", take)


@bug
def made_in_memory(patch: Patch) -> None:
    """An item is acknowledged to its maker before it is on any disk."""
    patch.set(Redemptions, "_is_stored", lambda decided, question: True)


@bug
def asked_of_the_next_master_too(patch: Patch) -> None:
    """Who has had an item taken in by one master, unheard, asks the next for the same: found here, and fixed."""

    def link(questions: Questions) -> None:
        questions._unsent = list(questions._open)

    patch.set(Questions, "link", link)


@bug
def wrong_tries_not_counted(patch: Patch) -> None:
    """A wrong secret is refused, and may be followed by as many as one likes."""
    patch.set(item_acts, "tried", lambda item, node: item)


# -- merging -----------------------------------------------------------------------------------------------------


@bug
def last_claim_wins(patch: Patch) -> None:
    """Of two copies of an item the claims of the one that arrives are kept."""
    patch.set(item, "merge_claims", lambda here, arrives: arrives or here)


@bug
def voided_opens_again(patch: Patch) -> None:
    """A copy that has not heard of the end of an item opens it again."""

    def merged(a: Item, b: Item) -> Item:
        both = right(a, b)
        return attrs.evolve(both, fate=min(a.fate, b.fate)) if both.fate == Fate.REVOKED else both

    right = patch.set(items, "merge", merged)


# -- time --------------------------------------------------------------------------------------------------------


@bug
def expired_items_given_out(patch: Patch) -> None:
    """An item may be had for as long as it is known, whatever its expiry."""

    def state(held: Items, one: Item, now_ms: int) -> str:
        return str(right(held, one, min(now_ms, one.expires_at - 1)))

    right = patch.set(Items, "state", state)


@bug
def items_keep_a_wrong_time(patch: Patch) -> None:
    """What was made before the master's time was known keeps the time that its proxy took for it."""
    patch.set(Items, "shift", lambda held, delta_ms: None)


# -- comparing ---------------------------------------------------------------------------------------------------


@bug
def items_not_in_the_digest(patch: Patch) -> None:
    """Digests do not cover items, so that nobody sees one lack."""
    patch.set(Items, "checksum", lambda held, cut_ms: 0)


@bug
def items_forgotten_at_resync(patch: Patch) -> None:
    """A comparison does not carry items."""
    patch.set(Supply, "owe_items", lambda supply: None)


# -- cookies -----------------------------------------------------------------------------------------------------


@bug
def a_cookie_is_a_new_login(patch: Patch) -> None:
    """A session that its user brings along goes on under another login id, out of reach of its logout."""

    def honour(cache: Cache, brought: Record, key: str, now: Now) -> Any:
        done = right(cache, brought, key, now)
        if done.fresh:
            login = brought.login
            cache.logout_key(key, now)
            return cache.login(key, login.user, login.attributes, login.idle_timeout_s, 3_600_000, now)
        return done

    right = patch.set(Cache, "honour", honour)


@bug
def a_cookie_outlives_its_logout(patch: Patch) -> None:
    """A cookie is believed, whatever is known here of the end of its session."""

    def honour(cache: Cache, brought: Record, key: str, now: Now) -> Any:
        known, now_ms = cache.table.record(brought.login_id), cache.clock.now_ms(now)
        if known is not None and known.state != brought.state and cache.table.view(key, now_ms) is None:
            login = brought.login
            return cache.login(key, login.user, login.attributes, login.idle_timeout_s, 3_600_000, now)
        return right(cache, brought, key, now)

    right = patch.set(Cache, "honour", honour)
