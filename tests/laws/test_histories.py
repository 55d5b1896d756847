"""Histories of splits and heals lose nobody and bring nobody back, however wrong the clocks (DESIGN section 9)."""

import pytest

from tests.laws.histories import History, LastWriterReplica, TableReplica, Verdict

STEPS = 100
SEEDS = range(100)


@pytest.mark.parametrize("clock_error_ms", [0, 250, 2_000, 3_600_000])
def test_the_table_loses_nobody_and_resurrects_nobody(clock_error_ms: int) -> None:
    """After any history all replicas are equal, whom nobody ended is alive, and whom somebody ended is dead."""
    for seed in SEEDS:
        verdict = History(TableReplica, seed, clock_error_ms).play(STEPS)
        assert verdict == Verdict(), f"seed {seed}"


def test_the_judge_finds_the_last_writer_guilty() -> None:
    """The same histories over a register per key lose logins and bring logged-out users back: the test can fail."""
    lost = resurrected = 0
    for seed in range(400):
        verdict = History(LastWriterReplica, seed, 2_000).play(STEPS)
        lost += verdict.lost
        resurrected += verdict.resurrected
    assert lost > 20
    assert resurrected > 0


def test_histories_reach_what_they_are_for() -> None:
    """The histories are not idle: many logins end alive, many ended, and many are owed beyond doubt."""
    alive = ended = 0
    for seed in SEEDS[:20]:
        history = History(TableReplica, seed, 2_000)
        history.play(STEPS)
        alive += sum(not life.ended and not history.is_doubtful(life) for life in history.lives.values())
        ended += sum(life.ended for life in history.lives.values())
    assert alive > 20
    assert ended > 100
