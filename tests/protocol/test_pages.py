"""All pages of a table, and the numbers of origins."""

from protocol import limits
from protocol.pages import Pages
from tests.protocol.build import ORIGIN, OTHER


def test_logins_of_one_page_find_it() -> None:
    """256 consecutive sequences of one origin share a page; another origin has others."""
    pages = Pages()
    page = pages.make(ORIGIN, 300)
    assert page.first == 256
    assert pages.get(ORIGIN, 256) is page is pages.get(ORIGIN, 511)
    assert pages.get(ORIGIN, 255) is None and pages.get(ORIGIN, 512) is None and pages.get(OTHER, 300) is None
    assert pages.at(page.handle + 44) == (page, 44)


def test_handles_of_different_logins_differ() -> None:
    """Even the last sequence of one origin does not run into the next origin."""
    pages = Pages()
    first, last = pages.make(ORIGIN, limits.SEQUENCE_MAX), pages.make(OTHER, 0)
    assert first.handle + 255 < last.handle
    assert pages.at(first.handle + 255) == (first, 255)


def test_numbers_of_forgotten_origins_are_used_again() -> None:
    """An origin keeps its number to its last page; then the number is free, so that numbers stay small."""
    pages = Pages()
    first, second = pages.make(ORIGIN, 0), pages.make(ORIGIN, 256)
    other = pages.make(OTHER, 0)
    assert pages.of_origin(ORIGIN) == [first, second]
    pages.forget(first)
    assert pages.get(ORIGIN, 256) is second
    pages.forget(second)
    assert pages.get(ORIGIN, 256) is None
    assert pages.make(ORIGIN._replace(epoch=8), 0).handle == first.handle
    assert pages.get(OTHER, 0) is other and len(pages) == 2


def test_pages_may_come_and_go_while_they_are_read() -> None:
    """A walk shows what was there at its start and still is."""
    pages = Pages()
    made = [pages.make(ORIGIN, 256 * n) for n in range(3)]
    walk = iter(pages)
    assert next(walk) is made[0]
    pages.forget(made[1])
    pages.make(ORIGIN, 2_560)
    assert list(walk) == [made[2]]
