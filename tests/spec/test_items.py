"""Section 12 of docs/reference/protocol.md: items, who may redeem them, and what is said to those who may not."""

import hmac

import attrs
import msgpack
import pytest

from authagent.core import commands as do
from authagent.core import events as on
from protocol import codec, limits
from protocol.changes import Changes
from protocol.errors import RemoteProtocolError
from protocol.item import SINGLE_USE, SOLE, STRICT, Claim, Fate, Item, claimed
from protocol.messages import Compare, Creation, Follow, Message, Redemption, Revocation, Role, Ruling, Stored, Verdict
from protocol.table import Table
from tests.spec.speakers import DIGEST_KEY, NOW_MS, SECRET_ID, LoneAgent, closes, heartbeat, sent

PROXY, PARTNER = 1, 9
KIND = "provision-code"
CODE_KEY = hmac.digest(DIGEST_KEY, b"code key", "sha256")
REFUSED_S = 0.25


def proof(code: str, user: str = "alice") -> bytes:
    return hmac.digest(CODE_KEY, f"{KIND}\0{user}\0{code}".encode(), "sha256")


def item(id: str = "c0de", *, code: str = "BCDFGHJK", flags: int = SINGLE_USE | STRICT | SOLE) -> Item:
    lock = SECRET_ID + hmac.digest(proof(code), id.encode(), "sha256")
    return Item(KIND, id, "alice", "lan1", NOW_MS, NOW_MS + 600_000, flags, b"", lock)


def creation(made: Item, question: int = 1) -> Creation:
    return Creation(question, codec.encode_changes(Changes(items=(made,))))


def redemption(
    code: str = "BCDFGHJK", *, question: int = 2, request: bytes = b"r1", user: str = "alice", holder: str = "phone"
) -> Redemption:
    return Redemption(question, KIND, "", user, request, holder, (SECRET_ID,), (proof(code, user),))


COMPARE = Compare(1, NOW_MS // 60_000, SECRET_ID, bytes(8), bytes(8), 1, 0, False, bytes(8))
"""What a peer says that keeps items."""


class Site:
    """An agent with a proxy, and with a slave where one is asked for."""

    def __init__(self, *, partner: bool = False) -> None:
        self.lone = LoneAgent(2 if partner else None)
        self.sequence = 0
        if partner:
            self.lone.open(PARTNER, "2", "agent")
            self.hear_partner()
            self.lone.hear(PARTNER, Follow(0, 0), COMPARE)
        self.lone.open(PROXY, "proxy1")
        self.lone.hear(PROXY, Follow(0, 0), COMPARE)
        self.pass_here()

    @property
    def log_id(self) -> int:
        return self.lone.agent.replication.log.log_id

    @property
    def table(self) -> Table:
        return self.lone.table

    def hear_partner(self) -> None:
        self.lone.hear(PARTNER, heartbeat(Role.STARTING, self.lone.at_s))

    def pass_here(self) -> list[do.Command]:
        """The proxy has everything so far, and its heartbeat says so."""
        sequence = self.lone.agent.replication.log.sequence
        return self.lone.hear(PROXY, heartbeat(Role.PROXY, self.lone.at_s, log_id=self.log_id, sequence=sequence))

    def slave_stores(self) -> list[do.Command]:
        """The slave has everything so far on stable storage."""
        return self.lone.hear(PARTNER, Stored(self.log_id, self.lone.agent.replication.log.sequence))

    def ask(self, *messages: Message) -> list[do.Command]:
        return self.lone.hear(PROXY, *messages)

    def make(self, made: Item) -> Item:
        """Have an item made, and see it acknowledged."""
        done = self.ask(creation(made)) + self.lone.stored()
        if self.lone.agent.settings.partner is not None:
            done += self.slave_stores()
        (verdict,) = verdicts(done)
        assert verdict.ruling == Ruling.GRANTED
        return codec.decode_changes(verdict.payload).items[0]


def verdicts(commands: list[do.Command]) -> list[Verdict]:
    return [message for message in sent(commands, Verdict, PROXY) if isinstance(message, Verdict)]


def rulings(commands: list[do.Command]) -> list[int]:
    return [verdict.ruling for verdict in verdicts(commands)]


# -- merging and bounds --------------------------------------------------------------------------------------------


def test_merging_takes_the_lesser_content_and_the_greater_fate() -> None:
    """[P-60] In any order: conflict, counts by node, claims by request, and no more of them than there may be."""
    claims = [Claim(bytes([n]), "", NOW_MS + n, "n", n == 6) for n in range(1, 7)]
    tries = [((f"n{claim.at % 3}", claim.at - NOW_MS),) for claim in claims]
    copies = [attrs.evolve(item(), claims=(claim,), tries=each) for claim, each in zip(claims, tries, strict=True)]
    copies.append(attrs.evolve(item(), user="bob", fate=Fate.REVOKED))
    tables = [Table(digest_key=DIGEST_KEY) for _ in range(2)]
    for copy in copies:
        tables[0].merge(Changes(items=(copy,)), NOW_MS)
    tables[1].merge(Changes(items=tuple(reversed(copies))), NOW_MS)
    merged = tables[0].items.get(KIND, "c0de")

    assert merged is not None
    assert merged == tables[1].items.get(KIND, "c0de")
    assert (merged.user, merged.fate) == ("alice", Fate.CONFLICT)
    assert [claim.request[0] for claim in merged.claims] == [6, 1, 2, 3]
    assert merged.consumed is not None and len(merged.tries) == 3


@pytest.mark.parametrize(
    ("place", "value"),
    [(0, "k" * 65), (1, "i" * 129), (2, "u" * 257), (3, ""), (5, 0), (5, 1_000_000_001), (7, b"b" * 4_097)],
)
def test_items_have_bounds(place: int, value: object) -> None:
    """[P-61] Names too long, a lifetime of nothing or over 1,000,000 s, and too large a blob cost the link."""
    row = ["image", "a", "alice", "lan1", NOW_MS, 60_000, 1, b"", b"", 1]
    assert len(codec.decode_changes(msgpack.packb([[], [], [], [], [], [row]])).items) == 1
    row[place] = value  # type: ignore[call-overload]

    with pytest.raises(RemoteProtocolError):
        codec.decode_changes(msgpack.packb([[], [], [], [], [], [row]]))


def test_items_that_come_late_are_refused_and_the_link_stays() -> None:
    """[P-62] Expired for longer than items are kept, or made too far ahead: the item is refused, nothing else."""
    site = Site()
    long_ago_ms = 600_000 + site.table.kept_ms
    late, ahead = (attrs.evolve(item(name), made_at=NOW_MS + by, expires_at=NOW_MS + by + 600_000)
                   for name, by in (("late", -long_ago_ms), ("ahead", 4_001)))  # fmt: skip
    payload = codec.encode_changes(Changes(items=(late, ahead, item("good"))))
    done = site.table.merge(codec.decode_changes(payload), NOW_MS)

    assert done.refused == 2
    assert [each.id for each in site.table.items] == ["good"]


# -- deciding ------------------------------------------------------------------------------------------------------


def test_only_a_master_that_may_acknowledge_decides() -> None:
    """[P-63] A slave, an unsure master, and a master in a split say UNAVAILABLE at once, and note and count nothing."""
    site = Site(partner=True)
    site.make(item())
    before = site.table.items.get(KIND, "c0de")
    site.lone.hear(PARTNER, heartbeat(Role.MASTER, site.lone.at_s, term=0))
    site.lone.agent.election.partner_role = Role.MASTER
    site.lone.agent.peers.partner.stored = None  # type: ignore[union-attr]
    split = rulings(site.ask(redemption(), redemption("BCDFGHJL", question=3)))
    site.lone.agent.duty.unsure_until_s = 1e9
    unsure = rulings(site.ask(redemption(question=4)))

    assert split == [Ruling.UNAVAILABLE] * 2
    assert unsure == [Ruling.UNAVAILABLE]
    assert site.table.items.get(KIND, "c0de") == before


def test_a_claim_is_granted_when_both_agents_hold_it() -> None:
    """[P-64] Noted at once, not granted when it is stored here, granted when it is stored at the slave too."""
    site = Site(partner=True)
    site.make(item())
    noted = site.ask(redemption())
    held_here = site.lone.stored()
    claims = site.table.items.get(KIND, "c0de").claims  # type: ignore[union-attr]
    granted = site.slave_stores()

    assert rulings(noted) == rulings(held_here) == []
    assert len(claims) == 1 and not claims[0].final
    assert rulings(granted) == [Ruling.GRANTED]


def test_one_agent_alone_needs_most_of_the_witnesses() -> None:
    """[P-64] The partner's process is gone: granted once the witness has passed the claim, and not before."""
    site = Site(partner=True)
    made = site.make(item())
    assert [witness.id for witness in made.witnesses] == ["proxy1"]
    site.lone.step(on.LinkClosed(PARTNER, None, "reset", proven_dead=True))
    site.pass_here()
    noted = site.ask(redemption()) + site.lone.stored()
    granted = site.pass_here()

    assert rulings(noted) == []
    assert rulings(granted) == [Ruling.GRANTED]


def test_no_claim_beside_another_one() -> None:
    """[P-65] With a claim of another request nothing is noted; one that arrives meanwhile stops the decision."""
    site = Site(partner=True)
    made = site.make(item())
    site.ask(redemption())
    site.lone.stored()
    other = claimed(made, Claim(b"r2", "tablet", NOW_MS, "lan1/authagent-2", False))
    site.table.merge(Changes(items=(other,)), NOW_MS)
    decided = site.slave_stores()
    again = site.ask(redemption(request=b"r3", question=5)) + site.lone.wait(0.5)

    assert rulings(decided) == [Ruling.REFUSED]
    assert rulings(again) == [Ruling.REFUSED]
    assert site.table.items.get(KIND, "c0de").consumed is None  # type: ignore[union-attr]


def test_the_same_request_is_granted_again() -> None:
    """[P-66] With the right proof and the same holder; another holder, or request, is refused."""
    site = Site()
    site.make(item())
    first = site.ask(redemption()) + site.lone.stored()
    again = site.ask(redemption(question=3)) + site.lone.stored()
    others = site.ask(redemption(question=4, holder="tablet"), redemption(question=5, request=b"r2"))

    assert rulings(first) == rulings(again) == [Ruling.GRANTED]
    assert rulings(others + site.lone.wait(0.5)) == [Ruling.REFUSED] * 2


def test_five_wrong_proofs_are_enough() -> None:
    """[P-67] They are counted when they come, not when they are answered; then the right one is refused too."""
    site = Site()
    site.make(item())
    site.ask(*(redemption("BCDFGHJL", question=number) for number in range(2, 8)))
    counted = site.table.items.get(KIND, "c0de").tries_made  # type: ignore[union-attr]
    right = site.ask(redemption(question=9))

    assert counted == limits.CODE_TRIES_MAX
    assert rulings(right + site.lone.stored() + site.lone.wait(0.5)) == [Ruling.REFUSED] * 7


def test_every_no_comes_after_the_same_time() -> None:
    """[P-68] Wrong, unknown, used: nothing is said before a quarter of a second, and everything then."""
    site = Site()
    site.make(item())
    site.ask(redemption("BCDFGHJL", question=3), redemption(user="bob", question=4))
    site.lone.stored()
    early = site.lone.wait(REFUSED_S - 0.05)
    due = site.lone.wait(0.1)

    assert rulings(early) == []
    assert [(verdict.question, verdict.ruling, verdict.payload) for verdict in verdicts(due)] == [
        (3, Ruling.REFUSED, b""),
        (4, Ruling.REFUSED, b""),
    ]


def test_proofs_and_locks_are_those_of_the_document() -> None:
    """[P-69] What this test computes by hand opens the lock, and neither message nor item holds the code."""
    site = Site()
    made = site.make(item())
    question = redemption()
    granted = site.ask(question) + site.lone.stored()

    assert rulings(granted) == [Ruling.GRANTED]
    assert b"BCDFGHJK" not in codec.encode(question) + codec.encode_changes(Changes(items=(made,)))


def test_a_creation_is_stamped_stored_and_repeatable() -> None:
    """[P-70] Answered when it is stored; the same again is the same item; two items, or none, cost the link."""
    site = Site()
    asked = site.ask(creation(attrs.evolve(item(), made_at=5, expires_at=600_005)))
    (verdict,) = verdicts(site.lone.stored())
    (made,) = codec.decode_changes(verdict.payload).items
    (again,) = verdicts(site.ask(creation(item(), question=7)) + site.lone.stored())
    two = codec.encode_changes(Changes(items=(item("a"), item("b"))))

    assert rulings(asked) == []
    assert made.made_at == NOW_MS and made.expires_at == NOW_MS + 600_000
    assert [witness.id for witness in made.witnesses] == ["proxy1"]
    assert codec.decode_changes(again.payload).items == (made,)
    assert closes(site.ask(Creation(8, two)))


def test_a_revocation_ends_what_is_open_and_nothing_else() -> None:
    """[P-71] An open code is void once it is answered; one that a claim has stays with it."""
    open_, taken = Site(), Site()
    for site in (open_, taken):
        site.make(item())
    taken.ask(redemption())
    taken.lone.stored()
    told = [verdicts(site.ask(Revocation(5, KIND, "", "alice")) + site.lone.stored()) for site in (open_, taken)]
    after = rulings(open_.ask(redemption(question=6)) + open_.lone.wait(0.5))
    again = rulings(taken.ask(redemption(question=6)) + taken.lone.stored())

    assert [[verdict.ruling for verdict in each] for each in told] == [[Ruling.GRANTED]] * 2
    assert len(codec.decode_changes(told[0][0].payload).items) == 1
    assert after == [Ruling.REFUSED]
    assert again == [Ruling.GRANTED]


def test_who_keeps_no_items_holds_no_claim() -> None:
    """[P-64] A slave whose Compare has no `items`, as of the first release, is stored to and does not count."""
    site = Site(partner=True)
    site.make(item())
    site.lone.hear(PARTNER, attrs.evolve(COMPARE, comparison=3, items=b""))
    told = site.ask(redemption()) + site.lone.stored() + site.slave_stores() + site.lone.wait(0.1)

    assert rulings(told) == []
    assert site.table.items.get(KIND, "c0de").consumed is None  # type: ignore[union-attr]
    site.pass_here()
    assert [claim.final for claim in site.table.items.get(KIND, "c0de").claims] == [True]  # type: ignore[union-attr]
