"""All pages of a table, found by login id and by handle.

Rules of this file:

- A table numbers its origins; the handle of a login is `(number << 40) | sequence`, one small int for three fields.
  It means something only inside one table and is never sent.
- An origin has its number while it has pages; then the number is free for another.
- There is a bound on pages besides the one on records: a hostile peer that scatters its sequences gets one record a
  page, and must not make a page cost what it does not hold.
"""

from collections.abc import Iterator

from protocol import limits
from protocol.page import PLACES, Page
from protocol.session import Origin

SEQUENCE_BITS = limits.SEQUENCE_MAX.bit_length()
_PLACE_BITS = PLACES.bit_length() - 1
PLACE_MASK = PLACES - 1


class Pages:
    """Pages by the handle of their first place."""

    def __init__(self) -> None:
        self.by_handle: dict[int, Page] = {}
        self._numbers: dict[tuple[str, int], int] = {}
        self._pages_of_number: list[int] = []
        self._free_numbers: list[int] = []

    def __len__(self) -> int:
        return len(self.by_handle)

    def __iter__(self) -> Iterator[Page]:
        """Every page that was there at the start and still is; pages may come and go meanwhile."""
        by_handle = self.by_handle
        return (by_handle[handle] for handle in list(by_handle) if handle in by_handle)

    def get(self, origin: tuple[str, int], sequence: int) -> Page | None:
        """The page on which a login stands, or would stand."""
        number = self._numbers.get(origin)
        if number is None:
            return None
        return self.by_handle.get(number << SEQUENCE_BITS | sequence & ~PLACE_MASK)

    def at(self, handle: int) -> tuple[Page, int]:
        """Page and place of a login that is there."""
        return self.by_handle[handle & ~PLACE_MASK], handle & PLACE_MASK

    def make(self, origin: Origin, sequence: int) -> Page:
        """A new page for the login; that there is none is the caller's duty."""
        number = self._numbers.get(origin)
        if number is None:
            number = self._new_number()
            self._numbers[origin] = number
        self._pages_of_number[number] += 1
        handle = number << SEQUENCE_BITS | sequence & ~PLACE_MASK
        page = Page(origin, sequence >> _PLACE_BITS, handle)
        self.by_handle[handle] = page
        return page

    def forget(self, page: Page) -> None:
        """Drop a page with all that stands on it."""
        del self.by_handle[page.handle]
        number = self._numbers[page.origin]
        self._pages_of_number[number] -= 1
        if not self._pages_of_number[number]:
            del self._numbers[page.origin]
            self._free_numbers.append(number)

    def of_origin(self, origin: Origin) -> list[Page]:
        """All pages of one origin; walks all pages."""
        return [page for page in self.by_handle.values() if page.origin == origin]

    def _new_number(self) -> int:
        if self._free_numbers:
            return self._free_numbers.pop()
        self._pages_of_number.append(0)
        return len(self._pages_of_number) - 1
