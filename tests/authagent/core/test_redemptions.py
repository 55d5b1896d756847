"""Questions about items at one agent: who is asked, what is waited for, what is handed on.

The rules of the wire are tested in tests/spec/test_items.py, the whole of it in tests/scenarios/test_redemptions.py.
"""

import attrs

from authagent.core import commands as do
from authagent.core import events as on
from authagent.core.redemptions import DECIDED_WITHIN_S
from protocol import codec, limits
from protocol.changes import Changes
from protocol.item import SINGLE_USE, STRICT, Item
from protocol.messages import Creation, Follow, Redemption, Role, Ruling, Stored, Verdict
from tests.spec.speakers import NOW_MS, LoneAgent, heartbeat, sent
from tests.spec.test_items import COMPARE

PARTNER = 9


def creation(id: str = "a", *, flags: int = SINGLE_USE | STRICT, question: int = 1) -> Creation:
    item = Item("image", id, "alice", "lan1", NOW_MS, NOW_MS + 60_000, flags)
    return Creation(question, codec.encode_changes(Changes(items=(item,))))


def redemption(id: str = "a", *, question: int = 2, request: bytes = b"r1") -> Redemption:
    return Redemption(question, "image", id, "", request, "", (), ())


def answers(commands: list[do.Command]) -> list[tuple[int, int]]:
    return [(command.request, command.ruling) for command in commands if isinstance(command, do.Answer)]


def logged(commands: list[do.Command]) -> list[str]:
    return [command.event for command in commands if isinstance(command, do.Log)]


def master_of_a_pair() -> LoneAgent:
    """Agent 1, master, with agent 2 as a slave that counts."""
    lone = LoneAgent(2)
    lone.open(PARTNER, "2", "agent")
    lone.hear(PARTNER, heartbeat(Role.STARTING, lone.at_s))
    lone.hear(PARTNER, Follow(0, 0), COMPARE)
    slave_stores(lone)
    return lone


def slave_stores(lone: LoneAgent) -> list[do.Command]:
    log = lone.agent.replication.log
    return lone.hear(PARTNER, Stored(log.log_id, log.sequence))


def test_the_control_socket_is_answered_like_a_proxy() -> None:
    """A creation and a redemption asked here come back as answers, once they are stored."""
    lone = LoneAgent()
    made = lone.step(on.ItemAsked(creation())) + lone.stored()
    granted = lone.step(on.ItemAsked(redemption())) + lone.stored()

    assert answers(made) == [(1, Ruling.GRANTED)]
    assert answers(granted) == [(2, Ruling.GRANTED)]
    assert "item.made" in logged(made) and "item.redeemed" in logged(granted)


def test_a_slave_hands_on_and_hands_back() -> None:
    """What its control socket is asked goes to the master; the verdict comes back; a lost master means: not now."""
    lone = LoneAgent(2)
    lone.open(PARTNER, "2", "agent")
    lone.hear(PARTNER, heartbeat(Role.MASTER, lone.at_s, term=5))
    asked = lone.step(on.ItemAsked(redemption(question=7)))
    told = lone.hear(PARTNER, Verdict(7, Ruling.REFUSED))
    lone.step(on.ItemAsked(redemption(question=8)))
    lost = lone.step(on.LinkClosed(PARTNER, None, "reset", proven_dead=True))

    assert [message.question for message in sent(asked, Redemption, PARTNER) if isinstance(message, Redemption)] == [7]
    assert answers(told) == [(7, Ruling.REFUSED)]
    assert answers(lost) == [(8, Ruling.UNAVAILABLE)]
    assert not lone.agent.redemptions.under_way


def test_a_slave_that_stores_nothing_is_waited_for_so_long() -> None:
    """Strict: not now, and the claim stays; the same request goes on with it when the slave is back."""
    lone = master_of_a_pair()
    lone.step(on.ItemAsked(creation()))
    lone.stored()
    slave_stores(lone)
    lone.step(on.ItemAsked(redemption()))
    lone.stored()
    waited: list[do.Command] = []
    for _ in range(round((DECIDED_WITHIN_S + 0.5) / 0.1)):
        lone.hear(PARTNER, heartbeat(Role.SLAVE, lone.at_s))
        waited += lone.wait(0.1)
    again = lone.step(on.ItemAsked(redemption(question=3))) + slave_stores(lone)

    assert answers(waited) == [(2, Ruling.UNAVAILABLE)]
    assert answers(again) == [(3, Ruling.GRANTED)]


def test_what_is_not_strict_is_granted_without_the_slave_in_the_end() -> None:
    """After three seconds, with a line in the log that the partner did not confirm it."""
    lone = master_of_a_pair()
    lone.step(on.ItemAsked(creation(flags=SINGLE_USE)))
    lone.stored()
    slave_stores(lone)
    lone.step(on.ItemAsked(redemption()))
    lone.stored()
    waited: list[do.Command] = []
    for _ in range(round((DECIDED_WITHIN_S + 0.5) / 0.1)):
        lone.hear(PARTNER, heartbeat(Role.SLAVE, lone.at_s))
        waited += lone.wait(0.1)

    assert answers(waited) == [(2, Ruling.GRANTED)]
    assert "item.unconfirmed" in logged(waited)


def test_two_requests_at_once_are_decided_one_after_the_other() -> None:
    """The first is noted, the second is refused though the first is not decided yet."""
    lone = LoneAgent()
    lone.step(on.ItemAsked(creation()))
    lone.stored()
    lone.step(on.ItemAsked(redemption()))
    lone.step(on.ItemAsked(redemption(question=3, request=b"r2")))
    done = lone.stored() + lone.wait(0.5)

    assert sorted(answers(done)) == [(2, Ruling.GRANTED), (3, Ruling.REFUSED)]


def test_questions_are_bounded() -> None:
    """Whoever comes when a thousand are under way is asked to come again."""
    lone = LoneAgent()
    for number in range(limits.QUESTIONS_MAX):
        lone.step(on.ItemAsked(redemption("nothing", question=number)))

    assert answers(lone.step(on.ItemAsked(redemption(question=5_000)))) == [(5_000, Ruling.UNAVAILABLE)]


def test_a_full_table_takes_nothing_new() -> None:
    """The maker is told so."""
    lone = LoneAgent()
    lone.table.items._items_max = 1
    lone.step(on.ItemAsked(creation("a")))
    lone.stored()

    assert answers(lone.step(on.ItemAsked(creation("b", question=4)))) == [(4, Ruling.FULL)]


def test_witnesses_are_an_odd_number() -> None:
    """Three proxies where there are, else proxies filled up with the slave, which is there when the master is gone."""
    lone = master_of_a_pair()
    log = lone.agent.replication.log
    named = []
    for number in range(5):
        if number:
            lone.open(number, f"p{number}", incarnation=number)
            lone.hear(number, Follow(0, 0), COMPARE, heartbeat(log_id=log.log_id, sequence=log.sequence))
        lone.step(on.ItemAsked(creation(f"i{number}")))
        item = lone.table.items.get("image", f"i{number}")
        assert item is not None
        named.append([witness.id for witness in item.witnesses])
        for link in range(1, number + 1):
            lone.hear(link, heartbeat(log_id=log.log_id, sequence=log.sequence))

    assert named == [["authagent-2"], ["p1"], ["p1", "p2", "authagent-2"], ["p1", "p2", "p3"], ["p1", "p2", "p3"]]


def test_the_maker_cannot_say_more_than_the_content() -> None:
    """Claims, tries, witnesses and a home that come with a creation are not believed."""
    lone = LoneAgent()
    (given,) = codec.decode_changes(creation().payload).items
    lies = attrs.evolve(given, site="lan9", tries=(("n", 5),))
    lone.step(on.ItemAsked(Creation(1, codec.encode_changes(Changes(items=(lies,))))))
    item = lone.table.items.get("image", "a")

    assert item is not None
    assert (item.site, item.tries, [witness.id for witness in item.witnesses]) == ("lan1", (), ["authagent-1"])


def test_what_another_site_made_is_decided_there() -> None:
    """Strict: not now, at every agent of this site; what is not strict may be consumed at any."""
    lone = LoneAgent()
    for name, flags in (("strict", SINGLE_USE | STRICT), ("free", SINGLE_USE)):
        item = Item("image", name, "alice", "lan2", NOW_MS, NOW_MS + 60_000, flags)
        lone.table.merge(Changes(items=(item,)), NOW_MS)
    strict = lone.step(on.ItemAsked(redemption("strict", question=2)))
    free = lone.step(on.ItemAsked(redemption("free", question=3))) + lone.stored()

    assert answers(strict) == [(2, Ruling.UNAVAILABLE)]
    assert answers(free) == [(3, Ruling.GRANTED)]
