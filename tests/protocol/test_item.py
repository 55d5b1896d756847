"""One item: what it is asked, and how copies merge. The laws are in tests/laws/test_items.py."""

import attrs
import pytest

from protocol import limits
from protocol.item import SINGLE_USE, SOLE, STRICT, Claim, Fate, Item, claimed, merge, tried

NOW_MS = 1_790_000_000_000
ITEM = Item("provision-code", "c0de", "alice", "lan1", NOW_MS, NOW_MS + 600_000, SINGLE_USE | STRICT, b"", b"l" * 36)


def claim(request: bytes, *, at: int = NOW_MS, final: bool = False) -> Claim:
    return Claim(request, "phone", at, "lan1/authagent-1", final)


def test_flags_are_questions() -> None:
    """Each flag has its property."""
    assert ITEM.single_use and ITEM.strict and not ITEM.sole
    sole = attrs.evolve(ITEM, flags=SOLE)
    assert sole.sole and not sole.single_use and not sole.strict


def test_numbers_are_for_ever() -> None:
    """Flags and fates go over the wire and into files as these numbers."""
    assert (SINGLE_USE, STRICT, SOLE) == (1, 2, 4)
    assert [fate.value for fate in Fate] == [1, 2, 3] and list(Fate) == [Fate.OPEN, Fate.REVOKED, Fate.CONFLICT]


def test_nothing_secret_is_printed() -> None:
    """Neither blob, lock nor requests stand in a repr."""
    text = repr(claimed(attrs.evolve(ITEM, blob=b"secret-blob"), claim(b"secret-request")))

    assert "secret" not in text and "llll" not in text and "alice" in text


def test_a_final_claim_comes_first_whenever_it_was_made() -> None:
    """An earlier claim that never became final does not have the item; the final one does."""
    item = claimed(claimed(ITEM, claim(b"first")), claim(b"second", at=NOW_MS + 9, final=True))

    assert item.consumed is not None and item.consumed.request == b"second"
    assert claimed(ITEM, claim(b"first")).consumed is None


def test_claims_are_bounded() -> None:
    """Of more claims than there may be, the last in rank go; a final one never does."""
    item = ITEM
    for number in range(limits.ITEM_CLAIMS_MAX + 2):
        item = claimed(item, claim(bytes([number + 1]), at=NOW_MS + number))
    item = claimed(item, claim(b"late", at=NOW_MS + 99, final=True))

    assert len(item.claims) == limits.ITEM_CLAIMS_MAX
    assert item.claims[0].request == b"late"


def test_tries_add_up_over_nodes() -> None:
    """Each node counts its own, merging takes the greater of each, and five in all are too many."""
    one = tried(tried(ITEM, "lan1/authagent-1"), "lan1/authagent-1")
    two = tried(tried(tried(ITEM, "lan1/authagent-1"), "lan1/authagent-2"), "lan1/authagent-2")
    both = merge(one, two)

    assert both.tries_made == 4 and not both.exhausted
    assert tried(both, "lan1/authagent-1").exhausted
    assert not attrs.evolve(tried(both, "lan1/authagent-1"), lock=b"").exhausted, "nothing to guess without a lock"


def test_two_contents_are_a_conflict_everywhere() -> None:
    """The lesser is kept, and nobody may redeem it."""
    other = attrs.evolve(ITEM, user="bob")

    assert merge(ITEM, other) == merge(other, ITEM)
    assert merge(ITEM, other).fate is Fate.CONFLICT
    assert merge(ITEM, other).user == "alice"


def test_copies_of_different_items_do_not_merge() -> None:
    """That would be a mistake of the caller."""
    with pytest.raises(AssertionError):
        merge(ITEM, attrs.evolve(ITEM, id="other"))
