"""Making, redeeming and revoking, as changes to one table."""

import attrs
import pytest

from protocol import codes, item_acts, limits
from protocol.changes import Changes
from protocol.item import SINGLE_USE, SOLE, STRICT, Claim, Fate, Item, claimed
from protocol.item_acts import Step
from protocol.messages import Redemption
from protocol.table import Table

NOW_MS = 1_790_000_000_000
KEY, LINE = codes.key_of(b"k" * 32), b"LINE"
CODE = "BCDFGHJK"
NODE = "lan1/authagent-1"


def code_item(id: str = "c0de", user: str = "alice", *, code: str = CODE) -> Item:
    lock = codes.lock(LINE, id, codes.proof(KEY, codes.PROVISION_CODE, user, code))
    flags = SINGLE_USE | STRICT | SOLE
    return Item(codes.PROVISION_CODE, id, user, "lan1", NOW_MS, NOW_MS + 600_000, flags, b"", lock)


def wanted(
    code: str = CODE, *, request: bytes = b"r1", holder: str = "phone", user: str = "alice", id: str = ""
) -> Redemption:
    proof = codes.proof(KEY, codes.PROVISION_CODE, user, code)
    return Redemption(1, codes.PROVISION_CODE, id, user, request, holder, (LINE,), (proof,))


class Book:
    """A table, and acts done on it one after another."""

    def __init__(self, *made: Item) -> None:
        self.table = Table(digest_key=b"k" * 32)
        for each in made:
            self.make(each)

    def make(self, item: Item, at_ms: int = NOW_MS) -> Item:
        changes = item_acts.make(self.table, item, at_ms)
        self.table.merge(changes, at_ms)
        return changes.items[0]

    def redeem(self, redemption: Redemption, at_ms: int = NOW_MS) -> tuple[Step, str]:
        done = item_acts.redeem(self.table, redemption, node=NODE, now_ms=at_ms)
        self.table.merge(done.changes, at_ms)
        return done.step, done.reason

    def finish(self, request: bytes = b"r1") -> None:
        item = self.item()
        self.table.merge(item_acts.final(item, request), NOW_MS)

    def item(self, id: str = "c0de") -> Item:
        found = self.table.items.get(codes.PROVISION_CODE, id)
        assert found is not None
        return found


def test_a_right_code_is_claimed_then_granted_and_granted_again() -> None:
    """The claim waits to be made final; after that the same request gets the same answer until expiry."""
    book = Book(code_item())

    assert book.redeem(wanted()) == (Step.CLAIMED, "")
    assert book.redeem(wanted()) == (Step.GOING_ON, "")
    book.finish()
    assert book.redeem(wanted()) == (Step.GRANTED, "")
    assert book.redeem(wanted(), NOW_MS + 599_999) == (Step.GRANTED, "")
    assert book.redeem(wanted(), NOW_MS + 600_000) == (Step.REFUSED, "used")


@pytest.mark.parametrize(
    "again",
    [wanted(request=b"r2"), wanted(request=b"r2", holder="tablet"), wanted(holder="tablet"), wanted("BCDFGHJL")],
    ids=["another request", "another request and device", "the same request, another device", "a wrong code"],
)
def test_a_used_code_is_for_nobody_else(again: Redemption) -> None:
    """Whatever else comes after it, claimed or final, is refused as used, and counts no try."""
    book = Book(code_item())
    book.redeem(wanted())
    claimed_only = book.redeem(again)
    book.finish()

    assert claimed_only == book.redeem(again) == (Step.REFUSED, "used")
    assert book.item().tries_made == 0


def test_five_wrong_codes_void_the_right_one() -> None:
    """Each is counted at once, so that no number of them at the same time gets a sixth."""
    book = Book(code_item())

    assert [book.redeem(wanted("BCDFGHJL")) for _ in range(5)] == [(Step.REFUSED, "wrong")] * 5
    assert book.redeem(wanted()) == (Step.REFUSED, "exhausted")
    assert book.item().tries_made == limits.CODE_TRIES_MAX


def test_a_new_code_voids_the_old_one() -> None:
    """It is later than the old one even within one millisecond; the old code is wrong from then on."""
    book = Book(code_item("old", code="BCDFGHJL"))
    fresh = book.make(code_item("new"))

    assert fresh.made_at == NOW_MS + 1
    assert book.item("old").fate is Fate.REVOKED
    assert book.redeem(wanted("BCDFGHJL")) == (Step.REFUSED, "wrong")
    assert book.redeem(wanted()) == (Step.CLAIMED, "")


def test_an_older_code_that_surfaces_again_is_not_current() -> None:
    """One made in a split, and never revoked, is void all the same once a later one is known."""
    book = Book(code_item("new"))
    book.table.merge(Changes(items=(attrs.evolve(code_item("old"), made_at=NOW_MS - 5),)), NOW_MS)

    assert book.redeem(wanted(id="old")) == (Step.REFUSED, "superseded")


def test_making_the_same_item_again_changes_nothing() -> None:
    """A question that was sent twice."""
    book = Book(code_item())
    again = item_acts.make(book.table, code_item(), NOW_MS + 50)

    assert not book.table.merge(again, NOW_MS + 50).changed


@pytest.mark.parametrize(
    ("redemption", "at_ms", "reason"),
    [
        (wanted(user="bob"), NOW_MS, "unknown_user"),
        (wanted(id="other"), NOW_MS, "unknown"),
        (wanted(user="bob", id="c0de"), NOW_MS, "unknown"),
        (wanted(), NOW_MS + 600_000, "expired"),
        (wanted("BCDFGHJL"), NOW_MS + 600_000, "expired"),
    ],
)
def test_what_is_refused_has_its_reason_for_the_log(redemption: Redemption, at_ms: int, reason: str) -> None:
    """Nobody but the log is told which."""
    assert Book(code_item()).redeem(redemption, at_ms) == (Step.REFUSED, reason)


def test_a_revoked_item_is_void_but_not_for_whoever_has_it() -> None:
    """Revoking ends what is open; a claim that was noted before may still be decided."""
    book, taken = Book(code_item()), Book(code_item())
    taken.redeem(wanted())
    for each in (book, taken):
        each.table.merge(item_acts.revoke(each.table, codes.PROVISION_CODE, user="alice"), NOW_MS)

    assert book.redeem(wanted()) == (Step.REFUSED, "revoked")
    assert taken.redeem(wanted()) == (Step.GOING_ON, "")
    assert not item_acts.revoke(book.table, codes.PROVISION_CODE, id="c0de"), "nothing is left to revoke"


def test_one_item_is_revoked_by_its_id() -> None:
    """It, and no other of the same user; for an id that nobody knows there is nothing to revoke."""
    one, other = (attrs.evolve(code_item(name), flags=SINGLE_USE) for name in ("one", "other"))
    table = Book(one, other).table
    changes = item_acts.revoke(table, codes.PROVISION_CODE, id="one", user="alice")

    assert [(each.id, each.fate) for each in changes.items] == [("one", Fate.REVOKED)]
    assert not item_acts.revoke(table, codes.PROVISION_CODE, id="unknown", user="alice")


def test_two_undecided_claims_are_nobodys() -> None:
    """After a split in which each side noted one and neither got enough: neither may go on."""
    book = Book(code_item())
    item = book.item()
    for request in (b"r1", b"r2"):
        item = claimed(item, Claim(request, "phone", NOW_MS, NODE, False))
    book.table.merge(Changes(items=(item,)), NOW_MS)

    assert book.redeem(wanted()) == book.redeem(wanted(request=b"r2")) == (Step.REFUSED, "used")


def test_a_proof_under_a_missing_line_is_not_judged() -> None:
    """It is neither right nor wrong, and no try."""
    book = Book(code_item())

    assert book.redeem(attrs.evolve(wanted(), key_ids=(b"OTHR",)))[0] is Step.OTHER_SECRET
    assert book.item().tries_made == 0


def test_an_item_without_single_use_may_be_redeemed_by_many() -> None:
    """Until it expires, and nothing is noted."""
    book = Book()
    book.make(Item("page", "p1", "alice", "lan1", NOW_MS, NOW_MS + 60_000, 0))
    asks = [Redemption(1, "page", "p1", "", bytes([n + 1]), "", (), ()) for n in range(3)]

    assert [book.redeem(each) for each in asks] == [(Step.GRANTED, "")] * 3
    assert book.redeem(asks[0], NOW_MS + 60_000) == (Step.REFUSED, "expired")
