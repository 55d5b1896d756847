"""Pages as changes."""

from protocol import runs
from protocol.changes import Changes
from protocol.page import Page
from protocol.session import State
from tests.protocol.build import NOW_MS, all_logged_in, ended, login, new_table, touched


def page_of(*batches: Changes) -> Page:
    table = new_table()
    for batch in batches:
        table.merge(batch, NOW_MS)
    (page,) = table._pages
    return page


def test_a_page_of_ordinary_logins_leaves_as_it_came() -> None:
    """Consecutive sequences as a range, no states where all are alive, no activity where there was none."""
    made = all_logged_in(range(10, 20), [login(f"k{n}") for n in range(10)])
    page = page_of(made)
    assert runs.of_page(page, page.taken()) == (list(made.logins), [])


def test_sites_states_activity_and_partial_records_are_kept() -> None:
    """One run a site; tombstones of unseen logins as ends; gaps as a list of sequences."""
    page = page_of(
        all_logged_in([1, 3], [login("a"), login("b")]),
        all_logged_in([2], [login("c", site="lan2")]),
        ended(3, login("b")),
        ended(9, login("d"), state=State.ADMINISTRATOR),
        touched(1, NOW_MS + 3),
    )
    logins, ends = runs.of_page(page, page.taken())
    assert [(run.site, list(run.sequences), run.states) for run in logins] == [
        ("lan1", [1, 3], bytes([State.ALIVE, State.LOGGED_OUT])),
        ("lan2", [2], None),
    ]
    assert logins[0].active_at == [NOW_MS + 3, NOW_MS]
    assert [(list(run.sequences), run.states, run.keys) for run in ends] == [([9], bytes([State.ADMINISTRATOR]), ["d"])]
