"""Replication: what changes the table, and where it goes."""

from authagent.core.commands import Command, Persist, Relay, Tell
from authagent.core.outgoing import Outgoing
from authagent.core.replication import FOLLOWERS_AT_ONCE, WINDOW_S_MAX, Replication
from protocol import codec
from protocol.changes import Changes, Mark
from protocol.session import LoginId, State
from tests.authagent.core.machine import NOW_MS, ORIGIN, ends, logins, make_table, payload, updates

LEAD = 4


def _leading(*followers: int) -> Replication:
    replication = Replication(make_table(), Outgoing("lan1"))
    replication.lead_off(77)
    for link in followers:
        replication.follow(link)
    return replication


def _take(replication: Replication, *keys: str, first: int = 0, source: int | None = None) -> list[Command]:
    changes = logins(*keys, first=first)
    return replication.take(changes, codec.encode_changes(changes), "lan1", source, "p1", NOW_MS)


def _following() -> Replication:
    replication = Replication(make_table(), Outgoing("lan1"))
    replication.attach(LEAD)
    replication.begin(55, 10)
    return replication


def test_news_is_persisted_numbered_and_told() -> None:
    """The same bytes go to the store as came in; the log of sessions is told who said it."""
    replication = _leading()
    commands = _take(replication, "10.0.0.1", source=1)

    bytes_ = payload("10.0.0.1")
    assert commands == [Persist(1, bytes_), Tell("p1", logins("10.0.0.1"), "", (bytes_,))]
    assert (replication.position, replication.log.sequence) == (1, 1)


def test_what_is_known_already_goes_nowhere() -> None:
    """A repetition is neither stored nor relayed: so echoes end."""
    replication = _leading(2)
    _take(replication, "10.0.0.1", source=1)
    replication.flush()

    assert _take(replication, "10.0.0.1", source=1) == []
    assert replication.flush() == []


def test_a_follower_stores_and_logs_nothing() -> None:
    """Whoever leads nobody persists what it takes, and numbers nothing in a log."""
    replication = Replication(make_table(), Outgoing("lan1"))

    assert [type(command) for command in _take(replication, "10.0.0.1", source=LEAD)] == [Persist, Tell]
    assert replication.log.sequence == 0
    assert replication.flush() == []


def test_a_follower_does_not_get_its_own_words() -> None:
    """Everybody else gets one joined send; the source gets only what others said."""
    replication = _leading(1, 2, 3)
    _take(replication, "10.0.0.1", source=1)
    _take(replication, "10.0.0.2", first=1, source=2)
    commands = replication.flush()

    assert [update.sequence for update in updates(commands, 1)] == [2]
    assert [update.sequence for update in updates(commands, 2)] == [1]
    assert [update.sequence for update in updates(commands, 3)] == [1, 2]
    assert replication.flush() == []


def test_what_arose_here_goes_to_everybody() -> None:
    """An operator's logout has no source."""
    replication = _leading(1, 2)
    _take(replication, "10.0.0.1")

    (relay,) = replication.flush()
    assert isinstance(relay, Relay) and relay.links == (1, 2)


def test_few_followers_wait_for_nothing_and_many_not_for_long() -> None:
    """The window opens only beyond a number of followers, and closes within what promise 7 allows."""
    few = _leading(*range(FOLLOWERS_AT_ONCE))
    _take(few, "10.0.0.1")
    assert few.due(0.0)

    many = _leading(*range(FOLLOWERS_AT_ONCE + 1))
    assert not many.due(0.0)
    _take(many, "10.0.0.1")
    assert not many.due(0.0)
    assert many.deadline is not None and 0.0 < many.deadline <= WINDOW_S_MAX
    assert many.due(many.deadline)
    many.flush()
    assert many.deadline is None


def test_the_end_that_is_promised_is_the_end_that_was_relayed() -> None:
    """While entries wait in the window, heartbeats must not say that followers have them."""
    replication = _leading(*range(FOLLOWERS_AT_ONCE + 1))
    _take(replication, "10.0.0.1")
    replication.flush()
    _take(replication, "10.0.0.2", first=1)
    _take(replication, "10.0.0.3", first=2)
    assert (replication.log.sequence, replication.relayed) == (3, 1)

    replication.flush()
    assert replication.relayed == 3


def test_a_mark_ends_more_where_somebody_serves() -> None:
    """The agent that passes a Mark ends what it holds under the key that is older by more than the clock offset."""
    marked = Changes(marks=(Mark("10.0.0.1", NOW_MS + 2_001),))
    for replication, state in ((_leading(1), State.LOGGED_OUT), (_following(), State.ALIVE)):
        _take(replication, "10.0.0.1", source=1)
        replication.take(marked, codec.encode_changes(marked), "lan1", 1, "p1", NOW_MS)
        record = replication.table.record(LoginId(*ORIGIN, 0))
        assert record is not None and record.state == state


def test_a_cursor_is_replayed_to_one_link() -> None:
    """What is behind it, as one send; nothing at the end."""
    replication = _leading(1)
    _take(replication, "10.0.0.1")
    _take(replication, "10.0.0.2", first=1)

    assert [update.sequence for update in updates(replication.replay(5, 1), 5)] == [2]
    assert replication.replay(5, 2) == []


def test_a_mastership_that_ends_leaves_nothing_to_relay() -> None:
    """No log, no followers, no window."""
    replication = _leading(1)
    _take(replication, "10.0.0.1")
    replication.resign()

    assert (replication.log.log_id, replication.followers, replication.flush()) == (0, {}, [])


def test_a_follower_that_left_gets_nothing() -> None:
    """Leaving twice is harmless."""
    replication = _leading(1)
    replication.leave(1)
    replication.leave(1)
    _take(replication, "10.0.0.1")

    assert replication.flush() == []


# -- as follower -------------------------------------------------------------------------------------------------------


def test_nothing_counts_as_heard_before_following_or_of_another_log() -> None:
    """A heartbeat that comes before Following, or of another log, moves no cursor."""
    replication = Replication(make_table(), Outgoing("lan1"))
    assert replication.attach(LEAD) == (0, 0)
    replication.heard(55, 99)
    assert replication.cursor == (0, 0)

    replication.begin(55, 10)
    replication.heard(56, 99)
    replication.heard(55, 9)
    assert replication.cursor == (55, 10)
    replication.heard(55, 12)
    assert replication.cursor == (55, 12)


def test_nothing_is_stored_for_the_lead_before_the_first_comparison() -> None:
    """What came before the log is missing until then, whatever has been stored of the log."""
    replication = _following()
    _take(replication, "10.0.0.1", source=LEAD)
    replication.heard(55, 11)
    replication.stored = 1
    assert replication.answer_stored() is None

    replication.completed()
    assert replication.answer_stored() == 11
    assert replication.answer_stored() is None


def test_what_the_comparison_brought_must_be_stored_first() -> None:
    """Complete is said when all that the comparison brought is on stable storage."""
    replication = _following()
    _take(replication, "10.0.0.1", source=LEAD)
    replication.completed()
    assert replication.answer_stored() is None

    replication.stored = 1
    assert replication.answer_stored() == 10


def test_only_what_is_stored_is_said() -> None:
    """An entry is told when the position at which it was heard is stored, and never less than before."""
    replication = _following()
    replication.completed()
    assert replication.answer_stored() == 10
    _take(replication, "10.0.0.1", source=LEAD)
    replication.heard(55, 11)
    assert replication.answer_stored() is None
    _take(replication, "10.0.0.2", first=1, source=LEAD)
    replication.heard(55, 12)

    replication.stored = 1
    assert replication.answer_stored() == 11
    replication.stored = 2
    assert replication.answer_stored() == 12


def test_another_lead_is_followed_anew() -> None:
    """The cursor is kept for whoever knows that log; everything else begins again."""
    replication = _following()
    replication.completed()
    replication.heard(55, 12)

    assert replication.attach(LEAD + 1) == (55, 12)
    assert (replication.lead, replication.complete, replication.streaming) == (LEAD + 1, None, False)
    replication.stored = 99
    assert replication.answer_stored() is None


def test_ends_travel_as_logins_do() -> None:
    """An end is news once."""
    replication = _leading(2)
    _take(replication, "10.0.0.1", source=1)
    changes = ends("10.0.0.1")
    first = replication.take(changes, codec.encode_changes(changes), "lan1", 1, "p1", NOW_MS)
    again = replication.take(changes, codec.encode_changes(changes), "lan1", 1, "p1", NOW_MS)

    assert [type(command) for command in first] == [Persist, Tell]
    assert again == []
