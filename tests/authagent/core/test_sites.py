"""An agent and the other sites: whom it dials, what it says across, what it takes in, and when it compares."""

import attrs

from authagent.core import commands as do
from authagent.core import events as on
from authagent.core.settings import RemoteSite, Settings
from protocol import codec, crossing
from protocol.changes import Barrier, Changes, TouchRun
from protocol.crossing import Batch
from protocol.errors import Code
from protocol.filter import between
from protocol.messages import Bulk, Compare, Compared, Crossing, Follow, Following, Heartbeat, Report, Role, Stored
from protocol.sections import RemoteEntry
from protocol.session import LoginId, Origin, State
from tests.authagent.core.machine import (
    NOW_MS,
    ORIGIN,
    PARTNER_LINK,
    Machine,
    ends,
    heartbeat,
    logged,
    logins,
    now,
    of,
    opened,
    sent,
    updates,
)

REMOTES = (RemoteSite("lan0", ("1",)), RemoteSite("lan2", ("1", "2")))
FAR, OTHER, PROXY = 21, 22, 31
THEIRS = 777
ELSEWHERE = Origin("q1", 5)


def make_site(remotes: tuple[RemoteSite, ...] = REMOTES) -> Machine:
    """A master of lan1 without a partner, that knows lan0 and lan2."""
    return Machine(Settings(site="lan1", id=1, partner=None, remotes=remotes))


def link_far(machine: Machine, link: int = FAR, site: str = "lan2", **said: object) -> list[do.Command]:
    """The master of another site links and says so."""
    commands = machine.step(opened(link, "1", "agent", site=site))
    return commands + machine.hear(link, beat(machine, **said))


def beat(machine: Machine, **said: object) -> Heartbeat:
    fields: dict[str, object] = {"term": 1, "log_id": THEIRS, "cluster_ms": NOW_MS, **said}
    return heartbeat(Role.MASTER, at_s=machine.at_s, **fields)


def joined(remotes: tuple[RemoteSite, ...] = REMOTES) -> Machine:
    """The other site and this one follow each other, and their (empty) tables have been compared."""
    machine = make_site(remotes)
    link_far(machine)
    machine.step(on.NotReached("lan2", "1", None, "the other side was quicker"))
    machine.hear(FAR, Follow(0, 0), Following(THEIRS, 0, False))
    compare(machine)
    return machine


def compare(machine: Machine, link: int = FAR) -> None:
    """Let the comparison under way find everything equal."""
    (opening,) = sent(machine.said, Compare, link)[-1:]
    machine.hear(link, opening, Compared(opening.comparison, 0))


def crossed(commands: list[do.Command], link: int = FAR) -> list[Batch]:
    return [crossing.decode(message.payload) for message in sent(commands, Crossing, link)]


def over(changes: Changes, sequence: int) -> Crossing:
    """What the other site says."""
    (payload,) = crossing.encode(Batch(changes))
    return Crossing(sequence, payload)


def proxy_says(machine: Machine, changes: Changes, number: int = 1) -> list[do.Command]:
    """A proxy of this site reports; what follows within a window."""
    if number == 1:
        machine.step(opened(PROXY))
        machine.hear(PROXY, heartbeat(at_s=machine.at_s))
    commands = machine.hear(PROXY, Report(number, codec.encode_changes(changes)))
    return commands + machine.wait(0.15)


# -- dialling ----------------------------------------------------------------------------------------------------------


def test_a_master_dials_every_other_site_and_a_slave_none() -> None:
    """Each site's agents in turn, until a master of it is linked; a slave leaves that to its master."""
    machine = make_site()
    assert [(each.site, each.agent) for each in of(machine.said, do.Reach)] == [("lan0", "1"), ("lan2", "1")]
    machine.step(on.NotReached("lan2", "1", None, "timed out"))
    commands = machine.wait(0.5)
    assert [(each.site, each.agent) for each in of(commands, do.Reach)] == [("lan2", "2")]
    link_far(machine)
    machine.step(on.NotReached("lan2", "2", None, "timed out"))
    assert of(machine.wait_hearing(3.0, FAR, role=Role.MASTER, log_id=THEIRS), do.Reach) == []
    slave = Machine(Settings(site="lan1", id=1, partner=2, remotes=REMOTES))
    slave.step(opened(PARTNER_LINK, "2", "agent"))
    slave.hear(PARTNER_LINK, heartbeat(Role.MASTER, term=5, log_id=77, cluster_ms=NOW_MS))
    assert slave.role == Role.SLAVE and of(slave.said, do.Reach) == []
    (close,) = of(slave.step(opened(FAR, "1", "agent", site="lan2")), do.Close)
    assert (close.code, close.elsewhere) == (Code.NOT_MASTER, "2")


def test_a_lost_link_is_dialled_at_once_and_told() -> None:
    """The line says how long it was linked and what waits; the next one since when it was away."""
    machine = joined()
    machine.wait(2.0)
    commands = machine.step(on.LinkClosed(FAR, None, "reset", proven_dead=True))
    assert [(each.site, each.agent) for each in of(commands, do.Reach)] == [("lan2", "2")]
    assert "site.lost" in logged(commands)
    machine.wait(3.0)
    (line,) = [each for each in link_far(machine) if isinstance(each, do.Log) and each.event == "site.linked"]
    assert line.keys["away_s"] == 3.0


def test_a_redirect_is_followed_to_the_other_agent() -> None:
    """Who is not master there names another: it is dialled now."""
    machine = joined()
    commands = machine.step(on.LinkClosed(FAR, Code.NOT_MASTER, "authagent-2 is master", proven_dead=True))
    assert [(each.site, each.agent) for each in of(commands, do.Reach)] == [("lan2", "2")]


def test_of_links_dialled_from_both_sides_the_lesser_sites_stays() -> None:
    """[P-76] lan1 keeps its own link to lan2, and lets go of its own to lan0."""
    for site, ours_stays in (("lan2", True), ("lan0", False)):
        machine = make_site()
        machine.step(opened(FAR, "1", "agent", site=site))
        commands = machine.step(opened(OTHER, "1", "agent", site=site, dialled=True))
        closed = [each.link for each in of(commands, do.Close)]
        assert closed == [FAR if ours_stays else OTHER]


def test_refusals_are_one_alarm_and_asked_seldom() -> None:
    """A wrong secret, a clock, another version: said once for each reason; local service goes on."""
    machine = make_site()
    for _ in range(3):
        commands = machine.step(on.NotReached("lan2", "1", Code.UNAUTHORIZED, "wrong secret"))
        assert of(commands, do.Reach) == []
        machine.wait(1.0)
    alarms = [each for each in machine.said if isinstance(each, do.Log) and each.grade == "alarm"]
    assert [(alarm.event, alarm.keys["site"], alarm.keys["reason"]) for alarm in alarms] == [
        ("site.refused", "lan2", "wrong secret")
    ]
    assert of(machine.wait(5.0), do.Reach) != []
    assert machine.role == Role.MASTER


def test_clocks_too_far_apart_cost_the_link() -> None:
    """Never clamped: refused with the reason, alarmed once, asked again."""
    machine = make_site()
    far = on.LinkOpened(FAR, "agent", "lan2", "1", 1, "host", "test", True, 5_000, False)
    machine.step(far)
    commands = machine.hear(FAR, beat(machine))
    (close,) = of(commands, do.Close)
    assert close.code == Code.CLOCK and "5 s" in close.text and "NTP" in close.text
    assert "site.refused" in logged(commands)


def test_a_site_that_came_with_a_reload_waits_for_a_restart() -> None:
    """The file that this agent started with did not list it."""
    machine = make_site()
    (close,) = of(machine.step(opened(FAR, "1", "agent", site="lan9")), do.Close)
    assert close.code == Code.WRONG_SITE and "restart" in close.text


# -- what leaves -------------------------------------------------------------------------------------------------------


def test_what_arises_here_crosses_within_a_window() -> None:
    """Several reports as one Crossing, a tenth of a second after the first at the latest."""
    machine = joined()
    early = machine.hear(PROXY) + proxy_says(machine, logins("10.0.0.1"))
    assert [run.keys for batch in crossed(early) for run in batch.changes.logins] == [["10.0.0.1"]]
    one = machine.hear(PROXY, Report(2, codec.encode_changes(logins("10.0.0.2", first=1))))
    two = machine.hear(PROXY, Report(3, codec.encode_changes(logins("10.0.0.3", first=2))))
    assert crossed(one + two) == []
    (batch,) = crossed(machine.wait(0.15))
    assert [run.keys for run in batch.changes.logins] == [["10.0.0.2", "10.0.0.3"]]


def test_what_came_over_leaves_over_no_other_link() -> None:
    """[P-72] It goes to this site's proxies, not back and not to a third site; what it ends here besides does cross."""
    machine = joined()
    link_far(machine, OTHER, "lan0")
    machine.hear(OTHER, Follow(0, 0))
    proxy_says(machine, logins("10.0.0.9", first=50))
    machine.hear(PROXY, Follow(0, 0))
    commands = machine.hear(FAR, over(logins("10.0.0.1", first=7, site="lan2"), 1)) + machine.wait(0.3)
    assert crossed(commands, FAR) == [] and crossed(commands, OTHER) == []
    assert len(updates(commands, PROXY)) == 1
    assert machine.table.record(LoginId(*ORIGIN, 7)) is not None
    out = Changes(barriers=(Barrier("alice", NOW_MS + 5),))
    commands = machine.hear(FAR, over(out, 2)) + machine.wait(0.3)
    for link in (FAR, OTHER):
        told = [batch for batch in crossed(commands, link) if len(batch)]
        assert told, "the ends that a barrier brought about here arose here"


def test_ends_are_outs_only_of_what_crossed_from_here() -> None:
    """[P-73] Not before tables were compared, and not of a login of ours that came back from elsewhere."""
    machine = joined()
    proxy_says(machine, logins("10.0.0.1"))
    (batch,) = crossed(proxy_says(machine, ends("10.0.0.1"), 2))
    assert [out.sequences for out in batch.outs] == [[0]]
    machine.hear(FAR, over(attrs.evolve(logins("10.0.0.2", first=1)), 1))
    (batch,) = crossed(proxy_says(machine, ends("10.0.0.2", first=1), 3))
    assert not batch.outs and [run.keys for run in batch.changes.ends] == [["10.0.0.2"]]
    uncompared = make_site()
    link_far(uncompared)
    uncompared.hear(FAR, Follow(0, 0))
    proxy_says(uncompared, logins("10.0.0.1"))
    (batch,) = crossed(proxy_says(uncompared, ends("10.0.0.1"), 2))
    assert not batch.outs and len(batch.changes.ends) == 1


def test_a_cursor_in_the_log_is_answered_by_what_is_behind_it() -> None:
    """Whatever happened to one login meanwhile is one change; nothing is compared."""
    machine = joined()
    proxy_says(machine, logins("10.0.0.1"))
    log = machine.agent.replication.log
    cursor = log.sequence
    machine.step(on.LinkClosed(FAR, None, "reset", proven_dead=True))
    proxy_says(machine, logins("10.0.0.2", first=1), 2)
    proxy_says(machine, ends("10.0.0.2", first=1), 3)
    proxy_says(machine, ends("10.0.0.1"), 4)
    machine.said.clear()
    link_far(machine, 23)
    commands = machine.hear(23, Follow(log.log_id, cursor))
    (following,) = sent(commands, Following, 23)
    assert following == Following(log.log_id, cursor, True)
    (batch,) = crossed(commands, 23)
    assert [run.states for run in batch.changes.logins] == [bytes([State.LOGGED_OUT])]
    assert [out.sequences for out in batch.outs] == [[0]]
    assert sent(commands, Crossing, 23)[-1].sequence == log.sequence
    assert sent(machine.said, Compare, 23) == []


def test_a_cursor_that_is_too_old_is_answered_by_a_comparison() -> None:
    """Another log, or more than is sent in one piece."""
    machine = joined()
    commands = machine.hear(FAR, Follow(12345, 3))
    assert [each.replay for each in sent(commands, Following, FAR)] == [False]


def test_activity_crosses_coarsely() -> None:
    """At once, and the next of the same session not within a tenth of its idle time."""
    machine = joined()
    proxy_says(machine, logins("10.0.0.1"))
    touches = 0
    for number in range(2, 12):
        touch = TouchRun(ORIGIN, [0], [NOW_MS + 1000 * number])
        machine.at_s += 1.0
        machine.hear(FAR, beat(machine))
        commands = proxy_says(machine, Changes(touches=(touch,)), number)
        touches += sum(bool(batch.changes.touches) for batch in crossed(commands))
    assert touches == 1


def test_what_is_stored_there_is_told_and_lag_is_known() -> None:
    """The other side's Stored settles what crossed; ours goes with the regular word."""
    machine = joined()
    proxy_says(machine, logins("10.0.0.1"))
    (border,) = machine.agent.sites.links("lan2")
    assert border.queued == 1
    machine.hear(FAR, Stored(machine.agent.replication.log.log_id, machine.agent.replication.log.sequence))
    assert border.queued == 0
    machine.hear(FAR, over(logins("10.0.0.5", first=9, site="lan2"), 4))
    machine.stored()
    assert sent(machine.wait_hearing(1.4, FAR, role=Role.MASTER), Stored, FAR) == [Stored(THEIRS, 4)]


# -- what comes --------------------------------------------------------------------------------------------------------


def test_both_ends_follow_from_where_they_were() -> None:
    """At the first word of a master: from nothing; after a lost link from where its last Crossing had come to."""
    machine = make_site()
    assert sent(link_far(machine), Follow, FAR) == [Follow(0, 0)]
    machine.hear(FAR, Follow(0, 0), Following(THEIRS, 0, False))
    compare(machine)
    machine.hear(FAR, over(logins("10.0.0.1", site="lan2"), 12))
    machine.step(on.LinkClosed(FAR, None, "reset", proven_dead=True))
    assert sent(link_far(machine, 23), Follow, 23) == [Follow(THEIRS, 12)]


def test_a_link_lost_before_the_tables_were_compared_leaves_no_cursor() -> None:
    """[P-75] What was missed before it is not behind it."""
    machine = make_site()
    link_far(machine)
    machine.hear(FAR, Follow(0, 0), Following(THEIRS, 8, False))
    machine.step(on.LinkClosed(FAR, None, "reset", proven_dead=True))
    assert sent(link_far(machine, 23), Follow, 23) == [Follow(0, 0)]


def test_bad_words_cost_the_link_and_nothing_else() -> None:
    """[P-77] An unlisted site, a batch that is none, a Crossing too early, a Report: refused with the reason."""
    unlisted = over(logins("10.0.0.1", site="lan9"), 1)
    for bad, code, said in (
        (unlisted, Code.WRONG_SITE, "lan9"),
        (Bulk(1, codec.encode_changes(logins("10.0.0.1", site="lan9"))), Code.WRONG_SITE, "lan9"),
        (Crossing(1, b"no batch"), Code.PROTOCOL, "batch"),
        (Report(1, b""), Code.PROTOCOL, "Report"),
    ):
        machine = joined()
        (close,) = of(machine.hear(FAR, bad), do.Close)
        assert (close.link, close.code) == (FAR, code) and said in close.text
        assert machine.role == Role.MASTER and machine.table.records == 0
    early = make_site()
    link_far(early)
    (close,) = of(early.hear(FAR, over(logins("10.0.0.1", site="lan2"), 1)), do.Close)
    assert "Following" in close.text


def test_tables_that_stay_different_are_compared_by_the_lesser_site() -> None:
    """[P-78] After five seconds without a change; lan1 begins with lan2, and leaves it to lan0 to begin with it."""
    for site, begins in (("lan2", True), ("lan0", False)):
        machine = make_site((RemoteSite(site, ("1",)),))
        link_far(machine, FAR, site)
        machine.hear(FAR, Follow(0, 0), Following(THEIRS, 0, False))
        compare(machine)
        machine.said.clear()
        cut_min = machine.agent.duty.now_ms(now(machine.at_s)) // 60_000
        machine.wait_hearing(4.0, FAR, role=Role.MASTER, log_id=THEIRS, root=b"x" * 8, cut_min=cut_min)
        assert sent(machine.said, Compare, FAR) == []
        machine.wait_hearing(3.0, FAR, role=Role.MASTER, log_id=THEIRS, root=b"x" * 8, cut_min=cut_min)
        assert bool(sent(machine.said, Compare, FAR)) is begins


def test_news_of_a_comparison_is_compared_with_the_other_sites() -> None:
    """What this site had missed others may have missed too."""
    machine = joined()
    link_far(machine, OTHER, "lan0")
    machine.hear(OTHER, Follow(0, 0), Following(THEIRS + 1, 0, False))
    (opening,) = sent(machine.said, Compare, OTHER)
    machine.said.clear()
    machine.hear(OTHER, opening, Bulk(opening.comparison, codec.encode_changes(logins("10.0.0.1", site="lan0"))))
    machine.hear(OTHER, Compared(opening.comparison, 1))
    assert len(sent(machine.said, Compare, FAR)) == 1


# -- with a filter -----------------------------------------------------------------------------------------------------

NO_GUESTS = between([RemoteEntry(site="lan2", users=("!guest*",))], ("lan1", "lan2"))
FILTERED = (RemoteSite("lan0", ("1",)), RemoteSite("lan2", ("1", "2"), NO_GUESTS))


def follow_filtered(machine: Machine, link: int = FAR) -> list[do.Command]:
    """lan2, which means the same filter, follows; tables are compared."""
    commands = machine.hear(link, Follow(0, 0, NO_GUESTS.meaning), Following(THEIRS, 0, False))
    compare(machine, link)
    return commands


def test_who_does_not_pass_stays_and_his_end_crosses_bare() -> None:
    """[P-80] Not the login nor its activity; the end whole, without attributes, and never as an out. Others do."""
    machine = make_site(FILTERED)
    link_far(machine)
    link_far(machine, OTHER, "lan0")
    follow_filtered(machine)
    machine.hear(OTHER, Follow(0, 0), Following(THEIRS, 0, False))
    compare(machine, OTHER)
    guest = logins("10.0.0.9", first=1, user="guest1")
    commands = proxy_says(machine, logins("10.0.0.1")) + proxy_says(machine, guest, 2)
    touch = TouchRun(ORIGIN, [1], [NOW_MS + 1000])
    commands += proxy_says(machine, Changes(touches=(touch,)), 3)
    assert [run.users for batch in crossed(commands, FAR) for run in batch.changes.logins] == [["alice"]]
    assert not any(batch.changes.touches for batch in crossed(commands, FAR))
    assert len(crossed(commands, OTHER)) == 3, "lan0 has no filter"
    assert sent(commands, Crossing, FAR)[-1].sequence < machine.agent.replication.log.sequence
    (border,) = machine.agent.sites.links("lan2")
    assert border.peer.crossed == machine.agent.replication.log.sequence, "heartbeats tell that all has crossed"

    out = ends("10.0.0.9", first=1, user="guest1")
    commands = proxy_says(machine, out, 4) + proxy_says(machine, ends("10.0.0.1"), 5)
    first, second = crossed(commands, FAR)
    assert [(run.users, run.states) for run in first.changes.ends] == [(["guest1"], bytes([State.LOGGED_OUT]))]
    assert not first.outs and not first.changes.logins
    assert [out.sequences for out in second.outs] == [[0]]
    assert [len(batch.outs) for batch in crossed(commands, OTHER)] == [1, 1]


def test_the_selections_are_compared() -> None:
    """The root that lan2 is offered and judged by is that of what passes; lan0 sees the whole table."""
    machine = make_site(FILTERED)
    link_far(machine)
    link_far(machine, OTHER, "lan0")
    follow_filtered(machine)
    proxy_says(machine, logins("10.0.0.1"))
    proxy_says(machine, logins("10.0.0.9", first=1, user="guest1"), 2)
    machine.said.clear()
    machine.wait_hearing(1.4, FAR, role=Role.MASTER, log_id=THEIRS)
    (beat_far,), (beat_other,) = (sent(machine.said, Heartbeat, link)[-1:] for link in (FAR, OTHER))
    cut_min, shown = beat_far.cut_min, machine.table.selection(NO_GUESTS)
    assert beat_far.root == shown.root(cut_min) != machine.table.root(cut_min) == beat_other.root
    machine.hear(FAR, beat(machine, root=shown.root(cut_min), cut_min=cut_min))
    assert machine.agent.peers.get(FAR).equal is True  # type: ignore[union-attr]
    machine.hear(FAR, beat(machine, root=machine.table.root(cut_min), cut_min=cut_min))
    machine.hear(FAR, beat(machine, root=machine.table.root(cut_min), cut_min=cut_min))
    assert machine.agent.peers.get(FAR).equal is False  # type: ignore[union-attr]


def test_a_site_that_is_empty_is_given_what_passes() -> None:
    """The snapshot that a comparison brings it has no guests in it."""
    machine = make_site(FILTERED)
    proxy_says(machine, logins("10.0.0.1"))
    proxy_says(machine, logins("10.0.0.9", first=1, user="guest1"), 2)
    link_far(machine)
    machine.hear(FAR, Follow(0, 0, NO_GUESTS.meaning), Following(THEIRS, 0, False))
    (opening,) = sent(machine.said, Compare, FAR)
    theirs = Compare(opening.comparison, opening.cut_min, opening.secret_id, b"r" * 8, b"b" * 8, 0, 0, False, b"i" * 8)
    commands = machine.hear(FAR, theirs) + machine.step(on.LinkDrained(FAR))
    changes = [codec.decode_changes(bulk.payload) for bulk in sent(commands, Bulk, FAR)]
    assert [run.users for each in changes for run in each.logins] == [["alice"]]


def test_both_sides_must_mean_the_same_filter() -> None:
    """[P-81] Ours is in our Follow; one that means another ends its link, and an alarm says what to do, once."""
    for remotes, theirs, ours in (
        (FILTERED, b"", NO_GUESTS.meaning),
        (FILTERED, b"another!", NO_GUESTS.meaning),
        (REMOTES, NO_GUESTS.meaning, b""),
    ):
        machine = make_site(remotes)
        assert [follow.filter for follow in sent(link_far(machine), Follow, FAR)] == [ours]
        for link in (FAR, FAR + 1, FAR + 2):
            commands = machine.hear(link, Follow(0, 0, theirs))
            (close,) = of(commands, do.Close)
            assert close.code == Code.WRONG_SITE and "[[remote]]" in close.text and "lan1 and lan2" in close.text
            assert sent(commands, Following) == [] and sent(machine.said, Compare) == []
            link_far(machine, link + 1)
        alarms = [each for each in machine.said if isinstance(each, do.Log) and each.grade == "alarm"]
        assert [(alarm.event, alarm.keys["site"]) for alarm in alarms] == [("site.refused", "lan2")]
