"""How late the loop was, told on a clock of the test's own and by a loop that is held up."""

import time

import trio
import trio.testing

from protocol.io.loop_lag import INTERVAL_S, MEMORY_S, LoopLag


def test_the_worst_of_the_last_minute_is_told() -> None:
    """Neither is a long pause forgotten because of a short one after it, nor is it told for ever."""
    now_s = [0.0]
    lag = LoopLag(lambda: now_s[0])
    assert lag.worst_s == 0.0
    lag.was_late(0.5)
    now_s[0] = MEMORY_S / 2
    lag.was_late(0.1)
    assert lag.worst_s == 0.5
    now_s[0] = MEMORY_S + 1
    assert lag.worst_s == 0.1
    lag.was_late(0.3)
    assert lag.worst_s == 0.3


async def test_a_loop_that_stands_still_is_noticed() -> None:
    """A function that blocks shows as lateness."""
    lag = LoopLag()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lag.measure)
        await trio.testing.wait_all_tasks_blocked()
        time.sleep(3 * INTERVAL_S)
        with trio.fail_after(15):
            while not lag.worst_s:
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    assert lag.worst_s >= INTERVAL_S
