"""Ledger: which reports of a link have reached which level."""

from authagent.core.acknowledgements import Ledger


def test_memory_is_level_master() -> None:
    """A report that was merged is on level master at once, and news."""
    ledger = Ledger()
    ledger.received(1, position=5, sequence=3)
    ledger.settle(stored=4, slave_stored=None)

    assert ledger.news
    assert ledger.tell() == (1, 0)
    assert not ledger.news


def test_own_store_alone_counts_without_a_slave() -> None:
    """With no counted slave, level site is the own stable storage."""
    ledger = Ledger()
    ledger.received(1, position=5, sequence=3)
    ledger.received(2, position=6, sequence=4)
    ledger.settle(stored=5, slave_stored=None)

    assert ledger.tell() == (2, 1)


def test_a_counted_slave_must_have_stored_too() -> None:
    """With a counted slave both stores must have what the report said, whichever comes first."""
    ledger = Ledger()
    ledger.received(1, position=5, sequence=3)
    ledger.settle(stored=9, slave_stored=2)
    assert ledger.site == 0

    ledger.settle(stored=4, slave_stored=3)
    assert ledger.site == 0

    ledger.settle(stored=5, slave_stored=3)
    assert ledger.site == 1


def test_levels_are_reached_in_order() -> None:
    """A report behind one that waits, waits too, so that acknowledgements may be cumulative."""
    ledger = Ledger()
    ledger.received(1, position=5, sequence=9)
    ledger.received(2, position=5, sequence=1)
    ledger.settle(stored=5, slave_stored=1)

    assert ledger.site == 0


def test_nothing_is_told_twice() -> None:
    """What was told is no news until a level moves."""
    ledger = Ledger()
    assert not ledger.news
    ledger.received(1, 1, 1)
    ledger.tell()
    ledger.settle(0, None)
    assert not ledger.news
    ledger.settle(1, None)
    assert ledger.news
