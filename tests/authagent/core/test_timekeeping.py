"""Whose time an agent keeps. Whole sites with wrong clocks are in tests/scenarios/test_clocks.py."""

import attrs
import pytest

from authagent.core import commands as do
from authagent.core.timekeeping import KEPT_MS, WORD_LATE_MS_MAX, Timekeeping
from protocol import limits
from protocol.stamp import ClusterClock, Offset
from tests.authagent.core.machine import NOW_MS, PAIRED, heartbeat, make_peer, now

DAY_MS = 86_400_000


def _kept(at_ms: int | None) -> dict[str, int | None]:
    return {"cluster_ms": at_ms}


@pytest.fixture
def time() -> Timekeeping:
    """Of a master that has just led by its own wall clock."""
    made = Timekeeping(PAIRED, ClusterClock())
    made.lead(now())
    return made


def test_the_time_that_a_proxy_has_kept_is_taken_with_an_alarm(time: Timekeeping) -> None:
    """At the first word, either way; the operator is told by how much the own clock must be wrong."""
    for at_ms in (NOW_MS - DAY_MS, NOW_MS + DAY_MS + 40):
        (alarm,) = time.heard(make_peer(1), heartbeat(**_kept(at_ms)), now())
        assert time.clock.now_ms(now()) == at_ms
        assert isinstance(alarm, do.Log) and (alarm.event, alarm.grade) == ("clock.taken", "alarm")
    assert alarm.keys == {"peer": "p1", "ahead_s": 2 * DAY_MS / 1000}


NEAR_MS = WORD_LATE_MS_MAX + limits.MAX_CLOCK_OFFSET_MS
"""A word that is so far away may be one that has waited on its way, and no other time at all."""


@pytest.mark.parametrize("at_ms", [None, NOW_MS + NEAR_MS, NOW_MS - NEAR_MS])
def test_a_time_that_is_near_enough_changes_nothing(time: Timekeeping, at_ms: int | None) -> None:
    """Nor does a proxy that keeps none: it will follow ours."""
    assert time.heard(make_peer(1), heartbeat(**_kept(at_ms)), now()) == []
    assert time.clock.now_ms(now()) == NOW_MS


def test_nothing_is_forgotten_by_a_time_that_nobody_shares(time: Timekeeping) -> None:
    """What counts as expired by it may be alive: a snapshot has all of it, and upkeep drops nothing."""
    assert time.shared_ms(now()) is None
    time.heard(make_peer(1), heartbeat(**_kept(NOW_MS + DAY_MS)), now())
    assert time.shared_ms(now()) is None
    time.followed(make_peer(1))
    assert time.shared_ms(now()) == NOW_MS + DAY_MS


def test_stamps_of_the_partner_are_judged_by_a_shared_time_alone(time: Timekeeping) -> None:
    """It has judged them itself, by its own; what a guest of another site says is judged by ours in any case."""
    partner, guest = make_peer(9, "2", "agent"), attrs.evolve(make_peer(2), away=True)
    assert time.judging_ms(partner, now()) is None
    assert time.judging_ms(guest, now()) == NOW_MS
    time.followed(make_peer(1))
    assert time.judging_ms(partner, now()) == NOW_MS


def test_only_a_proxy_of_this_site_is_believed_and_only_before_one_follows(time: Timekeeping) -> None:
    """A guest keeps the time of its own site; whoever comes after a follower is refused by itself."""
    far = heartbeat(**_kept(NOW_MS + DAY_MS))
    guest = attrs.evolve(make_peer(2), away=True)
    assert time.heard(guest, far, now()) == []
    assert time.heard(make_peer(3, "2", "agent"), far, now()) == []
    time.followed(guest)
    assert time.heard(make_peer(1), far, now()) != []
    time.followed(make_peer(1))
    assert time.heard(make_peer(1), heartbeat(**_kept(NOW_MS)), now()) == []
    assert time.clock.now_ms(now()) == NOW_MS + DAY_MS


def test_a_time_that_nobody_knows_of_steps_with_the_wall_clock(time: Timekeeping) -> None:
    """As when NTP sets it soon after the machine has started; what a proxy has told stays, whatever the clock says."""
    year_ms = 365 * DAY_MS
    set_right = now()._replace(wall_ms=NOW_MS + year_ms)
    time.lead(set_right)
    assert time.clock.now_ms(set_right) == NOW_MS + year_ms
    time.heard(make_peer(1), heartbeat(**_kept(NOW_MS + DAY_MS)), set_right)
    time.lead(set_right)
    assert time.clock.now_ms(set_right) == NOW_MS + DAY_MS


def test_a_promoted_slave_goes_on_with_its_masters_time() -> None:
    """It was not alone with it: its first proxy is refused if that keeps another, and steps nothing."""
    slave, lead = Timekeeping(PAIRED, ClusterClock()), make_peer(9, "2", "agent")
    slave.follow(lead, now())
    assert not slave.clock.is_set
    lead.heard(heartbeat(cluster_ms=NOW_MS + DAY_MS, echo_ms=now().boot_ms), now())
    slave.follow(lead, now())
    assert slave.clock.now_ms(now()) == NOW_MS + DAY_MS
    slave.lead(now())
    assert slave.heard(make_peer(1), heartbeat(**_kept(NOW_MS)), now()) == []


def test_a_slave_that_has_just_come_goes_by_its_masters_word() -> None:
    """Tables that are compared by another time would seem equal: what has expired by it is in no digest."""
    slave, lead = Timekeeping(PAIRED, ClusterClock()), make_peer(9, "2", "agent")
    assert slave.clock.now_ms(now()) == NOW_MS
    lead.heard(heartbeat(cluster_ms=NOW_MS - 3_000), now())
    slave.resigned(lead, now())
    assert slave.clock.now_ms(now()) == NOW_MS - 3_000 and slave.shared_ms(now()) is None
    assert slave.promoted([], now()) == []
    assert slave.clock.now_ms(now()) == NOW_MS - 3_000


def test_a_slave_whose_master_has_not_spoken_waits(time: Timekeeping) -> None:
    """There is nothing to go by yet."""
    time.resigned(make_peer(9, "2", "agent"), now())
    assert time.clock.now_ms(now()) == NOW_MS


def test_a_master_that_others_followed_does_not_step_as_it_resigns(time: Timekeeping) -> None:
    """Who followed it may follow its partner next: it takes that one's time by measuring, as anybody."""
    time.followed(make_peer(1))
    lead = make_peer(9, "2", "agent")
    lead.heard(heartbeat(cluster_ms=NOW_MS - 3_000), now())
    time.resigned(lead, now())
    assert time.clock.now_ms(now()) == NOW_MS


@pytest.mark.parametrize(("apart_ms", "taken"), [(2_000, False), (2_001, True)])
def test_what_a_word_has_set_the_next_word_puts_right(time: Timekeeping, apart_ms: int, taken: bool) -> None:
    """The first may have been old; it need not be a minute away any more."""
    time.heard(make_peer(1), heartbeat(**_kept(NOW_MS + DAY_MS)), now())
    told = time.heard(make_peer(1), heartbeat(**_kept(NOW_MS + DAY_MS + apart_ms)), now())
    assert bool(told) is taken
    assert time.clock.now_ms(now()) == NOW_MS + DAY_MS + (apart_ms if taken else 0)


# -- after a crash -----------------------------------------------------------------------------------------------------

KEPT_AHEAD_MS = 772_040


@pytest.fixture
def returned() -> Timekeeping:
    """Of an agent that has crashed, and whose wall clock is behind the time that it kept."""
    made = Timekeeping(PAIRED, ClusterClock())
    made.kept_ms = NOW_MS + KEPT_AHEAD_MS - now().boot_ms
    return made


def test_a_master_goes_on_with_the_time_that_it_kept(returned: Timekeeping) -> None:
    """The operator is told; it steps with no wall clock, and nothing is judged by it before somebody shares it."""
    assert returned.promoted([], now()) == [do.Log("clock.kept", "alarm", {"ahead_s": 772.0})]
    assert returned.clock.now_ms(now()) == NOW_MS + KEPT_AHEAD_MS
    returned.lead(now()._replace(wall_ms=NOW_MS + DAY_MS))
    assert returned.clock.now_ms(now()) == NOW_MS + KEPT_AHEAD_MS
    assert returned.shared_ms(now()) is None and returned.persist(now()) == []
    returned.followed(make_peer(1))
    assert returned.shared_ms(now()) == NOW_MS + KEPT_AHEAD_MS and returned.persist(now()) == []


@pytest.mark.parametrize(("away_ms", "told"), [(2_000, False), (2_001, True), (-2_001, True)])
def test_a_clock_that_is_right_is_not_told_of(away_ms: int, told: bool) -> None:
    """What two agents may differ by is no reason for an alarm after each crash."""
    time = Timekeeping(PAIRED, ClusterClock())
    time.kept_ms = NOW_MS - now().boot_ms + away_ms
    assert bool(time.promoted([], now())) is told
    assert time.clock.now_ms(now()) == NOW_MS + away_ms


def test_a_time_that_was_kept_gives_way_to_one_that_proxies_have_kept(returned: Timekeeping) -> None:
    """As its wall clock would: what it kept may be of a disk that was brought back. Less than a minute is no reason."""
    returned.promoted([], now())
    near_ms = NOW_MS + KEPT_AHEAD_MS - NEAR_MS
    assert returned.heard(make_peer(1), heartbeat(**_kept(near_ms)), now()) == []
    assert returned.heard(make_peer(1), heartbeat(**_kept(NOW_MS - DAY_MS)), now()) != []
    assert returned.clock.now_ms(now()) == NOW_MS - DAY_MS


def test_a_slave_that_came_back_follows_its_master(returned: Timekeeping) -> None:
    """What it kept counts for nothing then, nor when it is promoted later."""
    lead = make_peer(9, "2", "agent")
    lead.heard(heartbeat(cluster_ms=NOW_MS - DAY_MS, echo_ms=now().boot_ms), now())
    returned.follow(lead, now())
    assert returned.persist(now()) == [do.PersistClock(NOW_MS - DAY_MS - now().boot_ms)]
    returned.promoted([], now())
    assert returned.clock.now_ms(now()) == NOW_MS - DAY_MS


@pytest.mark.parametrize(("moved_ms", "written"), [(KEPT_MS - 1, False), (KEPT_MS, True), (-KEPT_MS, True)])
def test_the_disk_is_told_when_time_has_moved(time: Timekeeping, moved_ms: int, written: bool) -> None:
    """Against the boot clock, by slewing or at once; a disk is not to be busy with it."""
    time.followed(make_peer(1))
    assert time.persist(now()) == [do.PersistClock(NOW_MS - now().boot_ms)]
    moved = NOW_MS - now().boot_ms + moved_ms
    time.clock.accept(Offset(0, moved, moved, now().boot_ms), now())
    assert time.persist(now()) == ([do.PersistClock(moved)] if written else [])
    assert time.persist(now()) == []


@pytest.mark.parametrize(("apart_ms", "steps"), [(2_000, False), (2_001, True), (-2_001, True)])
def test_a_slave_far_away_takes_its_masters_time_at_once(apart_ms: int, steps: bool) -> None:
    """Nearer than that it is pulled by 5 ms a second, as everybody is."""
    slave = Timekeeping(PAIRED, ClusterClock())
    slave.lead(now())
    lead = make_peer(9, "2", "agent")
    lead.heard(heartbeat(cluster_ms=NOW_MS + apart_ms, echo_ms=now().boot_ms), now())
    slave.follow(lead, now())

    assert slave.clock.now_ms(now()) == NOW_MS + (apart_ms if steps else 0)
    assert slave.clock.offset_ms(now(1)) == NOW_MS - now().boot_ms + (apart_ms if steps else 5)
