"""In calm items work: whatever is made is granted to the first who asks, wherever it may be, and to no other.

Rules of this file:

- At each site items of every second form are made at one proxy and asked for at others: what is strict at its own
  site, what is not at another one where there is one.
- So is one of those that were made before, acknowledged, and wanted by nobody: it is found until it expires.
- A host that speaks an older version knows no items, so runs of mixed versions are left out.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from tests.simulation.item_lives import FORMS, ItemLife

if TYPE_CHECKING:
    from tests.simulation.world import World

FIRST, SECOND = 900, 901
"""Two who ask for the same; nobody of a schedule has these numbers."""

FIRST_NUMBER = 100_000
VALID_S = 60
LEFT_S = 20.0


class ItemTrial:
    """One calm moment's trial."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._lives: list[ItemLife] = []

    def stages(self) -> Iterator[tuple[Callable[[], None], Callable[[], bool]]]:
        """What is done, one after the other, and what must come of it before the next."""
        yield self._make, lambda: all(life.told and life.stored for life in self._lives)
        yield lambda: self._ask(FIRST), lambda: self._told("had", FIRST)
        yield lambda: self._ask(SECOND), lambda: self._told("refused", SECOND)

    def _make(self) -> None:
        names, users = self._world.options.names, self._world.items
        made = len(self._world.oracle.items.lives)
        for _, proxies in names:
            for form in range(made % 2, len(FORMS), 2):
                number = FIRST_NUMBER + len(self._world.oracle.items.lives)
                life = users.make(proxies[0], number, form, f"guest{number}", VALID_S)
                assert life is not None, "everybody runs in calm"
                self._lives.append(life)
        self._lives += self._left()

    def _left(self) -> list[ItemLife]:
        """The latest item that nobody has wanted yet."""
        soon_s = self._world.loop.now_s + LEFT_S
        lives = self._world.oracle.items.lives.values()
        open_now = [life for life in lives if life.is_untouched and life.expires_s > soon_s]
        return open_now[-1:]

    def _ask(self, request: int) -> None:
        for number, life in enumerate(self._lives):
            if request == FIRST or life.form.single_use:
                names = self._world.options.names
                sites = [site for site in names if not life.form.strict or site[0][0].startswith(life.site)]
                _, proxies = sites[(number + request) % len(sites)]
                self._world.items.redeem(proxies[number % len(proxies)], life.number, request)

    def _told(self, what: str, request: int) -> bool:
        wanted = f"/{request}".encode()
        return all(
            any(each.endswith(wanted) for each in getattr(life, what))
            for life in self._lives
            if request == FIRST or life.form.single_use
        )
