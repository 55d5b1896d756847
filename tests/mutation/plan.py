"""What is mutated, and by which tests it must be noticed: the quickest and nearest first, since the first failure ends.

A test that starts an interpreter of its own is left out: that interpreter would run the right code.
"""

TABLE = (
    "tests/protocol/test_session.py",
    "tests/protocol/test_page.py",
    "tests/protocol/test_records.py",
    "tests/protocol/test_merging.py",
    "tests/protocol/test_barriers.py",
    "tests/protocol/test_table.py",
    "tests/protocol/test_items.py",
    "tests/protocol/test_selection.py",
    "tests/protocol/test_disclosure.py",
    "tests/protocol/test_acts.py",
    "tests/protocol/test_digest.py",
    "tests/protocol/test_comparison.py",
    "tests/laws/test_merge.py",
    "tests/laws/test_digest.py",
)

SELECTION = (
    "tests/protocol/test_selection.py",
    "tests/protocol/test_filter.py",
    "tests/protocol/test_disclosure.py",
    "tests/laws/test_filter.py",
)

ITEMS = (
    "tests/protocol/test_items.py",
    "tests/protocol/test_item.py",
    "tests/protocol/test_item_acts.py",
    "tests/laws/test_items.py",
)

ELECTION = (
    "tests/authagent/core/test_election.py",
    "tests/authagent/core/test_duty.py",
    "tests/authagent/core/test_agent.py",
    "tests/scenarios/test_scenarios.py",
    "tests/laws/test_pair.py",
    "-k",
    "not test_no_history_breaks_a_promise",
)

TIME = (
    "tests/authagent/core/test_timekeeping.py",
    "tests/authagent/core/test_duty.py",
    "tests/scenarios/test_clocks.py",
)

STORE = (
    "tests/authagent/test_store_rows.py",
    "tests/authagent/test_store_reading.py",
    "tests/authagent/test_store_file.py",
    "tests/authagent/test_store_writer.py",
    "tests/authagent/test_store_disk.py",
    "tests/authagent/test_store_channel.py",
    "tests/authagent/test_store.py",
    "--deselect=tests/authagent/test_store.py::test_killed_while_writing_loses_nothing_that_was_reported",
    "--deselect=tests/authagent/test_store.py::test_a_limit_on_file_size_is_survived",
)


def _nearest(tests: tuple[str, ...], twin: str) -> tuple[str, ...]:
    """The same tests with the twin of the file first."""
    return (twin, *(test for test in tests if test != twin))


PLAN: dict[str, tuple[str, ...]] = {
    **{
        f"protocol/{name}.py": _nearest(TABLE, f"tests/protocol/test_{name}.py")
        for name in ("session", "page", "records", "merging", "barriers", "table", "disclosure", "acts")
    },
    **{
        f"protocol/{name}.py": _nearest(SELECTION, f"tests/protocol/test_{name}.py")
        for name in ("filter", "selection")
    },
    **{
        f"protocol/{name}.py": _nearest(ITEMS, f"tests/protocol/test_{name}.py")
        for name in ("item", "items", "item_acts")
    },
    "authagent/core/election.py": ELECTION,
    "authagent/core/timekeeping.py": TIME,
    **{
        f"authagent/{name}.py": _nearest(STORE, f"tests/authagent/test_{name}.py")
        for name in ("store", *(f"store_{part}" for part in ("channel", "disk", "file", "reading", "rows", "writer")))
    },
}
"""By source file, its tests as arguments of pytest."""
