"""What leaves a site: when a window ends, who is sent the same bytes, and what a replay of the log holds."""

import pytest

from authagent.core import departures
from authagent.core.border import Border, Traffic
from authagent.core.commands import Command, Send
from authagent.core.departures import WINDOW_CHANGES_MAX, Departures
from authagent.core.outgoing import Outgoing
from authagent.core.replication import Replication
from protocol import crossing
from protocol.changes import Changes, TouchRun
from protocol.filter import EVERYTHING, Filter, between
from protocol.messages import Crossing
from protocol.sections import RemoteEntry
from tests.authagent.core.machine import NOW_MS, ORIGIN, PAIRED, ends, logins, make_peer, make_table, sent

NO_BOB = between([RemoteEntry(site="lan2", users=("!bob",))], ("lan1", "lan2"))
LOG = 77


def make_departures(*, follows: bool = True) -> Departures:
    """Those of a master of lan1."""
    table = make_table()
    made = Departures(PAIRED, table, Replication(table, Outgoing("lan1")))
    made.replication.lead_off(LOG)
    if follows:
        made.open()
    return made


def border(link: int, *, holds: bool = True, filter: Filter = EVERYTHING) -> Border:
    made = Border(make_peer(link), Traffic(), filter)
    made.follows, made.holds = True, holds
    return made


def arise(leaving: Departures, *batches: Changes, site: str = "lan1") -> None:
    for changes in batches:
        leaving.replication.take(changes, None, site, None, "p1", NOW_MS)


def keys(commands: list[Command], link: int) -> list[list[str]]:
    """The keys of the logins that cross a link."""
    batches = [crossing.decode(message.payload) for message in sent(commands, Crossing, link)]
    return [run.keys for batch in batches for run in batch.changes.logins]


def test_a_window_ends_with_its_time_or_when_it_is_full() -> None:
    """A tenth of a second after the first change; at once when many wait; without a follower nothing waits."""
    leaving = make_departures()
    assert not leaving.due(10.0) and leaving.deadline is None
    arise(leaving, logins("10.0.0.1"))
    assert not leaving.due(10.0) and leaving.deadline == 10.0 + PAIRED.wan_window_s
    assert not leaving.due(10.05) and leaving.due(10.1)
    leaving.flush([border(1)], 10.1)
    assert leaving.deadline is None and not leaving.due(20.0)
    arise(leaving, logins(*(f"k{n}" for n in range(WINDOW_CHANGES_MAX)), first=1))
    assert leaving.due(20.0)
    leaving.close()
    assert not leaving.due(30.0)
    arise(leaving, logins("10.0.0.9", first=900))
    assert not leaving.due(30.0) and leaving.flush([border(1)], 30.0) == []


def test_who_is_sent_the_same_is_sent_one_encoding() -> None:
    """Those that hold alike and see alike; a filter, or a table not yet compared, makes another one."""
    leaving = make_departures()
    arise(leaving, logins("10.0.0.1"), logins("10.0.0.2", first=1, user="bob"))
    same = Filter(NO_BOB.rules)
    borders = [border(1), border(2, filter=NO_BOB), border(3), border(4, filter=same), border(5, holds=False)]
    silent = border(6)
    silent.follows = False
    commands = leaving.flush([*borders, silent], 1.0)
    payloads = {each.links[0]: each.message.payload for each in commands if isinstance(each, Send)}
    assert payloads[1] is payloads[3] and payloads[2] is payloads[4] and payloads.keys() == {1, 2, 3, 4, 5}
    assert keys(commands, 1) == keys(commands, 5) == [["10.0.0.1", "10.0.0.2"]]
    assert keys(commands, 2) == [["10.0.0.1"]]
    arise(leaving, ends("10.0.0.1"))
    commands = leaving.flush(borders, 2.0)
    held, other = (crossing.decode(sent(commands, Crossing, link)[0].payload) for link in (1, 5))
    assert held.outs and not held.changes.ends and other.changes.ends and not other.outs


def test_that_all_has_crossed_is_said_with_the_last_of_it() -> None:
    """Of several Crossings only the last names the log's end; where nothing may cross the heartbeat does."""
    leaving = make_departures()
    arise(leaving, logins(*(f"k{n}" for n in range(1_200)), user="bob"))
    open_to_all, filtered = border(1), border(2, filter=NO_BOB)
    commands = leaving.flush([open_to_all, filtered], 1.0)
    log = leaving.replication.log
    sequences = [message.sequence for message in sent(commands, Crossing, 1)]
    assert len(sequences) > 1 and sequences == [0] * (len(sequences) - 1) + [log.sequence]
    assert sent(commands, Crossing, 2) == []
    assert open_to_all.peer.crossed == filtered.peer.crossed == log.sequence
    assert (open_to_all.queued, filtered.queued) == (1_200, 0)


def test_a_replay_is_what_the_log_holds_of_this_site() -> None:
    """Behind the cursor, once each, with activity, through the filter; what came over from elsewhere is left out."""
    leaving = make_departures(follows=False)
    arise(leaving, logins("10.0.0.1"))
    log = leaving.replication.log
    cursor = log.sequence
    arise(leaving, logins("10.0.0.2", first=1), ends("10.0.0.2", first=1), logins("10.0.0.3", first=2, user="bob"))
    arise(leaving, logins("10.0.0.4", first=3, site="lan2"), site="lan2")
    arise(leaving, Changes(touches=(TouchRun(ORIGIN, [0], [NOW_MS + 5]),)))
    commands = leaving.replay(border(1, filter=NO_BOB), cursor, 1.0)
    (message,) = sent(commands, Crossing, 1)
    changes = crossing.decode(message.payload).changes
    assert [run.keys for run in changes.logins] == [["10.0.0.2"]] and not changes.ends
    assert [run.active_at for run in changes.touches] == [[NOW_MS + 5]]
    assert message.sequence == log.sequence
    assert keys(leaving.replay(border(2), cursor, 1.0), 2) == [["10.0.0.2", "10.0.0.3"]]


def test_a_replay_that_would_be_too_long_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then tables are compared; so too with a cursor of another log."""
    leaving = make_departures()
    arise(leaving, logins("10.0.0.1"), logins("10.0.0.2", first=1))
    assert leaving.replayable(LOG, 0) and not leaving.replayable(LOG + 1, 0)
    size = sum(len(entry.frame) for entry in leaving.replication.log.after(0))
    monkeypatch.setattr(departures, "REPLAY_BYTES_MAX", size - 1)
    assert not leaving.replayable(LOG, 0) and leaving.replayable(LOG, 1)
