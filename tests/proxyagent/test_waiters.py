"""Who waits for an acknowledgement: woken in the order of serials, and nobody for another's sake."""

import random

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from proxyagent.core.outbox import LEVELS, Level
from proxyagent.waiters import Waiters


class Outbox:
    """How far serials have got, by hand; `asked` counts the questions."""

    def __init__(self) -> None:
        self.upto: dict[Level, int] = {"master": 0, "site": 0}
        self.lost: set[int] = set()
        self.asked = 0

    def reached(self, serial: int) -> Level | None:
        self.asked += 1
        if serial in self.lost:
            return None
        return max((level for level, upto in self.upto.items() if serial <= upto), key=LEVELS.get, default="local")  # type: ignore[arg-type]


async def _wait(waiters: Waiters, serial: int, level: Level, woken: list[tuple[int, Level]]) -> None:
    await waiters.wait(serial, level)
    woken.append((serial, level))


async def test_those_who_are_concerned_are_woken(nursery: trio.Nursery) -> None:
    """Each when its serial has got to its level, all who wait for one, and nobody before."""
    outbox, woken = Outbox(), list[tuple[int, Level]]()
    waiters = Waiters(outbox.reached)
    for serial, level in ((3, "site"), (1, "master"), (2, "site"), (2, "site"), (1, "site")):
        nursery.start_soon(_wait, waiters, serial, level, woken)
    await wait_all_tasks_blocked()
    for upto, expected in (({"master": 3}, [(1, "master")]), ({"site": 2}, [(1, "site"), (2, "site"), (2, "site")])):
        outbox.upto |= upto  # type: ignore[arg-type]
        waiters.wake()
        await wait_all_tasks_blocked()
        assert sorted(woken) == expected
        woken.clear()
    outbox.upto["site"] = 3
    waiters.wake()
    await wait_all_tasks_blocked()
    assert woken == [(3, "site")]


async def test_what_nobody_will_acknowledge_wakes_too(nursery: trio.Nursery) -> None:
    """Its report was lost: whoever waits must look, and report it anew."""
    outbox, woken = Outbox(), list[tuple[int, Level]]()
    waiters = Waiters(outbox.reached)
    nursery.start_soon(_wait, waiters, 5, "site", woken)
    await wait_all_tasks_blocked()
    waiters.wake()
    await wait_all_tasks_blocked()
    assert not woken
    outbox.lost.add(5)
    waiters.wake()
    await wait_all_tasks_blocked()
    assert woken == [(5, "site")]


async def test_a_word_costs_whom_it_frees_and_not_all_who_wait(nursery: trio.Nursery) -> None:
    """A thousand wait; a word that frees three asks for four serials a level at most."""
    outbox, woken = Outbox(), list[tuple[int, Level]]()
    waiters = Waiters(outbox.reached)
    for serial in random.Random(1).sample(range(1, 1_001), 1_000):
        nursery.start_soon(_wait, waiters, serial, "site", woken)
    await wait_all_tasks_blocked()
    outbox.upto["site"], outbox.asked = 3, 0
    waiters.wake()
    await wait_all_tasks_blocked()
    assert sorted(woken) == [(1, "site"), (2, "site"), (3, "site")] and outbox.asked == 4
    nursery.cancel_scope.cancel()


async def test_who_gives_up_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    """Ten thousand who wait in vain take no room afterwards; one who goes on waiting is still woken."""
    outbox, woken = Outbox(), list[tuple[int, Level]]()
    waiters = Waiters(outbox.reached)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_wait, waiters, 9_000, "site", woken)
        for serial in range(10_000):
            with trio.move_on_after(0.001):
                await waiters.wait(serial, "site")
        line = waiters._lines["site"]
        assert len(line.places) == 1 and len(line.serials) < 100
        outbox.upto["site"] = 9_000
        waiters.wake()
    assert woken == [(9_000, "site")] and not line.places


async def test_one_of_two_may_give_up(autojump_clock: MockClock) -> None:
    """The other, who waits for the same, is woken all the same."""
    outbox, woken = Outbox(), list[tuple[int, Level]]()
    waiters = Waiters(outbox.reached)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_wait, waiters, 1, "site", woken)
        with trio.move_on_after(1):
            await waiters.wait(1, "site")
        outbox.upto["site"] = 1
        waiters.wake()
    assert woken == [(1, "site")]


@pytest.mark.parametrize("level", ["master", "site"])
async def test_all_are_released_at_the_end(nursery: trio.Nursery, level: Level) -> None:
    """The agent is closed: nobody waits on; who comes later waits for the next word."""
    outbox, woken = Outbox(), list[tuple[int, Level]]()
    waiters = Waiters(outbox.reached)
    nursery.start_soon(_wait, waiters, 1, level, woken)
    await wait_all_tasks_blocked()
    waiters.release()
    await wait_all_tasks_blocked()
    assert woken == [(1, level)]
    nursery.start_soon(_wait, waiters, 1, level, woken)
    await wait_all_tasks_blocked()
    outbox.upto[level] = 1
    waiters.wake()
    await wait_all_tasks_blocked()
    assert woken == [(1, level)] * 2
