"""Election: one agent's role, verdict by verdict."""

import random

import pytest

from authagent.core.election import Election, Partner, Verdict
from authagent.core.settings import Settings
from protocol.messages import Role


def _election(id: int = 1, role: Role = Role.STARTING, term: int = 0, **state: object) -> Election:
    settings = Settings(site="lan1", id=id, partner=3 - id)
    return Election(settings, random.Random(1), role, term, term, **state)  # type: ignore[arg-type]


def _refuse_all(election: Election, now_s: float, *, proven_dead: bool = True) -> tuple[Verdict, float]:
    """Let every attempt fail at once; the last verdict, and when it fell."""
    verdict = Verdict.NOTHING
    for _ in range(20):
        verdict = election.dial_failed(now_s, refused="", proven_dead=proven_dead)
        if verdict is Verdict.PROMOTE:
            break
        assert election.deadline is not None
        now_s = election.deadline
        assert election.passed(now_s) is Verdict.DIAL
    return verdict, now_s


def test_a_single_agent_serves_at_once() -> None:
    """There is nobody to ask."""
    election = Election(Settings(site="lan1", id=1, partner=None), random.Random(1))

    assert election.started(3, 0.0) is Verdict.PROMOTE
    election.promoted(0.0)
    assert (election.role, election.term, election.deadline) == (Role.MASTER, 4, None)


def test_a_start_dials_five_times_half_a_second_apart() -> None:
    """After the fifth attempt nothing is waited for; jitter is a fifth either way."""
    election = _election()
    assert election.started(0, 10.0) is Verdict.DIAL

    attempts = 1
    now_s = 10.0
    while election.dial_failed(now_s, refused="", proven_dead=True) is not Verdict.PROMOTE:
        assert election.deadline is not None
        assert 0.4 <= election.deadline - now_s <= 0.6
        assert election.passed(now_s) is Verdict.NOTHING
        now_s = election.deadline
        assert election.passed(now_s) is Verdict.DIAL
        attempts += 1
    assert attempts == 5


@pytest.mark.parametrize(
    ("id", "role", "heard", "verdict"),
    [
        (1, Role.STARTING, Role.MASTER, Verdict.FOLLOW),
        (2, Role.STARTING, Role.MASTER, Verdict.FOLLOW),
        (1, Role.SLAVE, Role.MASTER, Verdict.FOLLOW),
        (1, Role.STARTING, Role.STARTING, Verdict.PROMOTE),
        (2, Role.STARTING, Role.STARTING, Verdict.NOTHING),
        (1, Role.SLAVE, Role.SLAVE, Verdict.PROMOTE),
        (2, Role.SLAVE, Role.SLAVE, Verdict.NOTHING),
        (1, Role.SLAVE, Role.STARTING, Verdict.PROMOTE),
        (2, Role.SLAVE, Role.STARTING, Verdict.PROMOTE),
        (1, Role.STARTING, Role.SLAVE, Verdict.NOTHING),
        (1, Role.MASTER, Role.SLAVE, Verdict.NOTHING),
        (1, Role.MASTER, Role.STARTING, Verdict.NOTHING),
    ],
)
def test_what_a_partners_word_decides(id: int, role: Role, heard: Role, verdict: Verdict) -> None:
    """Each pair of roles has one outcome, and the two ends of a pair never have the same."""
    assert _election(id, role).partner_heard(heard, 4) is verdict


@pytest.mark.parametrize(
    ("id", "term", "partner_term", "loses"),
    [(1, 3, 4, True), (1, 4, 3, False), (2, 3, 4, True), (2, 4, 3, False), (1, 4, 4, False), (2, 4, 4, True)],
)
def test_of_two_masters_the_lower_term_then_the_higher_id_yields(
    id: int, term: int, partner_term: int, loses: bool
) -> None:
    """Exactly one of two masters yields, equal terms included."""
    election = _election(id, Role.MASTER, term)

    assert election.partner_heard(Role.MASTER, partner_term) is (Verdict.YIELD if loses else Verdict.NOTHING)
    assert election.loses is loses


def test_a_yielding_master_is_not_asked_again() -> None:
    """One demotion at a time."""
    election = _election(1, Role.MASTER, 3, yielding=True)

    assert election.partner_heard(Role.MASTER, 4) is Verdict.NOTHING


def test_a_term_grows_beyond_every_term_heard_of() -> None:
    """A promotion is greater than the own term and every term of the partner, whatever its role."""
    election = _election(term=2)
    election.partner_heard(Role.SLAVE, 7)
    election.promoted(0.0)
    assert election.term == 8

    follower = _election(term=2)
    follower.partner_heard(Role.MASTER, 5)
    follower.following(0.0)
    assert follower.term == 5


def test_a_slave_makes_sure_quickly_and_says_what_it_is() -> None:
    """It seeks its lost master three times within half a second, and tells others that it is a slave that lacks one."""
    election = _election(2, Role.SLAVE, partner=Partner.LINKED)

    assert election.partner_lost(5.0, proven_dead=True, farewell=False) is Verdict.DIAL
    assert (election.role, election.said) == (Role.STARTING, Role.SLAVE)
    verdict, at_s = _refuse_all(election, 5.0)
    assert verdict is Verdict.PROMOTE and at_s < 5.5

    election.promoted(at_s)
    assert election.said == Role.MASTER


def test_a_slave_that_seeks_serves_when_it_meets_a_starter() -> None:
    """Its master has started anew: whoever was there all the time serves, whatever the ids."""
    seeker, starter = _election(2, Role.SLAVE, partner=Partner.LINKED), _election(1)
    seeker.partner_lost(5.0, proven_dead=True, farewell=False)

    assert starter.partner_heard(seeker.said, 1) is Verdict.NOTHING
    assert seeker.partner_heard(starter.said, 0) is Verdict.PROMOTE


def test_a_farewell_needs_no_making_sure() -> None:
    """A master that took its leave is gone: its slave serves at once, and there is no split."""
    election = _election(2, Role.SLAVE)

    assert election.partner_lost(5.0, proven_dead=True, farewell=True) is Verdict.PROMOTE
    election.promoted(5.0)
    assert (election.partner, election.split) == (Partner.DOWN, False)


def test_a_master_without_its_partner_probes_for_ever() -> None:
    """Often enough that a healed split is noticed within a second."""
    election = _election(1, Role.MASTER, partner=Partner.LINKED)
    assert election.partner_lost(0.0, proven_dead=False, farewell=False) is Verdict.NOTHING

    now_s = 0.0
    for _ in range(50):
        assert election.deadline is not None and election.deadline - now_s <= 0.5
        now_s = election.deadline
        assert election.passed(now_s) is Verdict.DIAL
        assert election.dial_failed(now_s, refused="", proven_dead=False) is Verdict.NOTHING


@pytest.mark.parametrize(("proven_dead", "split"), [(True, False), (False, True)])
def test_a_split_is_shown_as_long_as_the_partner_may_serve(proven_dead: bool, split: bool) -> None:
    """A refused or reset connection proves the partner down; silence proves nothing."""
    election = _election(1, Role.MASTER, partner=Partner.LINKED)
    election.partner_lost(0.0, proven_dead=proven_dead, farewell=False)
    assert election.split is split

    election.partner_heard(Role.MASTER, 0)
    assert election.split
    election.partner_heard(Role.SLAVE, 0)
    assert not election.split


def test_a_refused_agent_serves_nobody_and_keeps_trying() -> None:
    """A refusal is an answer: attempts are not used up by it, and a slave is no slave any more."""
    election = _election(2, Role.SLAVE)
    now_s = 0.0
    for _ in range(30):
        assert election.partner_refused("clock", now_s) is Verdict.NOTHING
        assert (election.role, election.said) == (Role.STARTING, Role.STARTING)
        assert election.deadline is not None
        now_s = election.deadline
        assert election.passed(now_s) is Verdict.DIAL


def test_a_refused_agent_serves_when_its_partner_is_gone() -> None:
    """Once nobody answers any more, the ordinary attempts decide."""
    election = _election(2)
    election.started(0, 0.0)
    election.partner_refused("clock", 0.0)

    assert _refuse_all(election, 1.0)[0] is Verdict.PROMOTE


def test_a_master_goes_on_when_it_is_refused() -> None:
    """Who serves already serves on, and says that both may."""
    election = _election(1, Role.MASTER)
    election.partner_refused("clock", 0.0)

    assert election.role == Role.MASTER and election.split


@pytest.mark.parametrize("role", [Role.STARTING, Role.SLAVE, Role.MASTER])
def test_a_late_failure_of_an_own_dial_does_not_harm_the_partners_link(role: Role) -> None:
    """The partner was quicker: no attempt is used up, no second link is dialled, the partner stays linked."""
    election = _election(2, role)
    election.started(0, 0.0) if role == Role.STARTING else None
    election.partner_linked()
    for _ in range(10):
        assert election.dial_failed(1.0, refused="", proven_dead=True) is Verdict.NOTHING

    assert (election.role, election.partner, election.deadline) == (role, Partner.LINKED, None)


def test_a_dial_under_way_is_not_doubled() -> None:
    """A slave that loses its link while it dials waits for that dial."""
    election = _election(2, Role.SLAVE, partner=Partner.LINKED)
    election.dialling = True
    election.partner_lost(0.0, proven_dead=True, farewell=False)
    assert _refuse_all(election, 0.0)[0] is Verdict.PROMOTE


def test_a_link_lost_while_starting_is_one_attempt() -> None:
    """A partner that resets every link does not keep an agent from serving."""
    election = _election()
    election.started(0, 0.0)
    verdicts = []
    for _ in range(5):
        election.partner_linked()
        verdicts.append(election.partner_lost(0.0, proven_dead=True, farewell=False))
        election.passed(election.deadline or 0.0)

    assert verdicts[-1] is Verdict.PROMOTE and Verdict.PROMOTE not in verdicts[:-1]


def test_a_refusal_is_forgotten_when_the_partner_speaks_falls_silent_or_a_role_is_decided() -> None:
    """Nothing of an old refusal keeps an agent from serving."""
    for end in (
        lambda election: election.partner_heard(Role.SLAVE, 1),
        lambda election: election.dial_failed(1.0, refused="", proven_dead=False),
        lambda election: election.promoted(1.0),
        lambda election: election.following(1.0),
    ):
        election = _election(2)
        election.started(0, 0.0)
        assert election.dial_failed(0.0, refused="wrong secret", proven_dead=False) is Verdict.NOTHING
        assert election.refused == "wrong secret"
        end(election)
        assert election.refused == ""


def test_whoever_is_refused_begins_its_attempts_anew() -> None:
    """After a refusal the partner must be missed as often as at a start; a seeking slave seeks no more."""
    election = _election(2, Role.SLAVE, partner=Partner.LINKED)
    election.partner_lost(0.0, proven_dead=True, farewell=False)
    assert election.seeking and election.said == Role.SLAVE
    election.dial_failed(0.0, refused="wrong secret", proven_dead=False)
    assert (election.seeking, election.said, election.dialling) == (False, Role.STARTING, False)
    silent = 0
    while election.dial_failed(0.0, refused="", proven_dead=False) is Verdict.NOTHING:
        silent += 1
    assert silent == election.settings.connect_attempts - 1


def test_a_dial_is_under_way_until_it_has_ended() -> None:
    """A verdict to dial says so; a link, its loss and a failure each end it."""
    election = _election()
    assert election.started(0, 0.0) is Verdict.DIAL and election.dialling
    election.partner_linked()
    assert not election.dialling
    election.dialling = True
    assert election.partner_lost(0.0, proven_dead=True, farewell=False) is Verdict.NOTHING
    assert not election.dialling and election.partner_role is None
    assert election.passed(election.deadline or 0.0) is Verdict.DIAL and election.dialling
    assert election.dial_failed(0.0, refused="", proven_dead=True) is Verdict.NOTHING and not election.dialling


def test_what_the_partner_was_is_forgotten_with_its_link() -> None:
    """A split that is only remembered is not shown."""
    election = _election(1, Role.MASTER, term=2)
    election.partner_linked()
    election.partner_heard(Role.MASTER, 1)
    assert election.split
    election.partner_lost(0.0, proven_dead=True, farewell=False)
    assert election.partner_role is None and not election.split
