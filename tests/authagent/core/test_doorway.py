"""Doorway: one link for each id, and what happens when a second one knocks."""

from authagent.core.commands import Close, Send
from authagent.core.doorway import CROSSED_S, Doorway
from authagent.core.settings import Settings
from protocol import limits
from protocol.errors import Code
from protocol.messages import Ping
from tests.authagent.core.machine import PAIRED, make_peer, now, opened

LOWER = Doorway(PAIRED)
HIGHER = Doorway(Settings(site="lan1", id=2, partner=1))


def test_the_first_enters() -> None:
    """Nobody is asked when there is no link of that id."""
    assert Doorway(PAIRED).knock(opened(1), None, now()) == ("enter", [])


def test_the_same_process_replaces_its_link() -> None:
    """Nobody dials twice without having lost the first."""
    assert Doorway(PAIRED).knock(opened(2), make_peer(1), now()) == ("replace", [])


def test_of_crossed_links_the_lower_ids_stays_on_both_sides() -> None:
    """Whichever came first, each side keeps the link that the lower id dialled."""
    ours, theirs = make_peer(1, "2", "agent", dialled=True), make_peer(1, "2", "agent", dialled=False)

    assert LOWER.knock(opened(2, "2", "agent", dialled=False), ours, now(0.1))[0] == "refuse"
    assert LOWER.knock(opened(2, "2", "agent", dialled=True), theirs, now(0.1))[0] == "replace"
    assert HIGHER.knock(opened(2, "1", "agent", dialled=False), ours, now(0.1))[0] == "replace"
    verdict, commands = HIGHER.knock(opened(2, "1", "agent", dialled=True), theirs, now(0.1))
    assert verdict == "refuse"
    assert [command.code for command in commands if isinstance(command, Close)] == [Code.SUPERSEDED]


def test_links_far_apart_have_not_crossed() -> None:
    """A partner that dials long after the first link has lost that one, and replaces it."""
    first = make_peer(1, "2", "agent", dialled=True)

    assert LOWER.knock(opened(2, "2", "agent"), first, now(CROSSED_S + 0.1))[0] == "replace"


def test_another_process_waits_for_the_first_to_answer() -> None:
    """The first is asked for a sign of life; when it gives one, the second is refused and told where the first is."""
    doorway, first = Doorway(PAIRED), make_peer(1)

    verdict, commands = doorway.knock(opened(2, incarnation=2), first, now())
    assert (verdict, commands) == ("wait", [Send((1,), Ping(2))])
    assert first.ping_deadline_s == now().monotonic_s + limits.DUPLICATE_PING_TIMEOUT_S

    (refusal,) = doorway.answered(first)
    assert isinstance(refusal, Close)
    assert (refusal.link, refusal.code) == (2, Code.DUPLICATE)
    assert "host-p1" in refusal.text
    assert (first.rival, first.ping_deadline_s, doorway.waiting) == (None, None, {})
    assert doorway.answered(first) == []


def test_a_third_is_refused_while_the_second_waits() -> None:
    """Only one waits for a place."""
    doorway, first = Doorway(PAIRED), make_peer(1)
    doorway.knock(opened(2, incarnation=2), first, now())

    assert doorway.knock(opened(3, incarnation=3), first, now())[0] == "refuse"


def test_who_waited_takes_the_place_of_a_first_that_is_gone() -> None:
    """The place is taken once; nobody takes a place that nobody waited for."""
    doorway, first = Doorway(PAIRED), make_peer(1)
    rival = opened(2, incarnation=2)
    doorway.knock(rival, first, now())

    assert doorway.take_place(first) == rival
    assert doorway.take_place(first) is None
    assert doorway.take_place(make_peer(5)) is None


def test_who_waited_may_leave() -> None:
    """A link that ends at the door is forgotten; others were never here."""
    doorway, first = Doorway(PAIRED), make_peer(1)
    rival = opened(2, incarnation=2)
    doorway.knock(rival, first, now())

    assert doorway.left(2) == rival
    assert doorway.left(2) is None
    assert doorway.take_place(first) is None
