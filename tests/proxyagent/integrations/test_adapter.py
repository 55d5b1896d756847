"""Adapters are kept serving, and keep nobody else from it."""

import attrs
import pytest
import trio
from trio.testing import MockClock

from protocol.io.log import Log
from proxyagent.agent import ProxyAgent
from proxyagent.config import ProxySetup, load
from proxyagent.integrations.adapter import Adapter, AdapterUnusable, Keeper
from proxyagent.testing import FakeProxyAgent


@attrs.define
class Told:
    """What was logged."""

    lines: list[str] = attrs.field(factory=list)

    def write(self, severity: object, event: str, values: object) -> None:
        self.lines.append(f"{event} {values}")


@attrs.define
class Flaky:
    """Fails as often as it is told to, and serves then."""

    failures: list[Exception]
    served: trio.Event = attrs.field(factory=trio.Event)

    async def serve(self, agent: ProxyAgent, log: Log) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.served.set()
        await trio.sleep_forever()


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> ProxySetup:
    """Any setup: what an adapter makes of it is not the keeper's business."""
    return load(id="p1")


async def test_an_adapter_that_fails_is_one_alarm_and_tried_again(setup: ProxySetup, autojump_clock: MockClock) -> None:
    """The same reason twice is told once; `error` holds it until the adapter is made anew without one."""
    told = Told()
    adapter = Flaky([AdapterUnusable("port 80 is taken"), AdapterUnusable("port 80 is taken"), OSError("x")])
    keeper = Keeper("flaky", lambda setup: adapter, lambda: setup)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.keep, FakeProxyAgent(), Log(told.write, level=1, monotonic_s=trio.current_time))
        await trio.sleep(1)
        assert keeper.error == "port 80 is taken"
        await adapter.served.wait()
        assert [line.partition(" ")[0] for line in told.lines] == ["adapter.failed"] * 2
        nursery.cancel_scope.cancel()


async def test_a_reload_makes_an_adapter_anew(setup: ProxySetup, autojump_clock: MockClock) -> None:
    """An adapter that the file wanted first is gone when the file wants it no more, and back when it does again."""
    wanted: list[Adapter | None] = [Flaky([]), None, Flaky([])]
    first, _, last = wanted
    keeper = Keeper("flaky", lambda setup: wanted.pop(0), lambda: setup)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.keep, FakeProxyAgent(), Log(Told().write, level=1, monotonic_s=trio.current_time))
        for each in (first, None, last):
            if isinstance(each, Flaky):
                await each.served.wait()
            else:
                await trio.testing.wait_all_tasks_blocked()
            if each is not last:
                keeper.reopen()
        nursery.cancel_scope.cancel()


async def test_an_adapter_that_serves_again_has_no_error(setup: ProxySetup, autojump_clock: MockClock) -> None:
    """It is tried again as soon as it asked for, and the same failure is an alarm again after it has served."""
    told = Told()
    adapter = Flaky([AdapterUnusable("no socket", retry_s=0.25)])
    keeper = Keeper("flaky", lambda setup: adapter, lambda: setup)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.keep, FakeProxyAgent(), Log(told.write, level=1, monotonic_s=trio.current_time))
        began_s = trio.current_time()
        await adapter.served.wait()
        assert trio.current_time() - began_s == pytest.approx(0.25)
        assert keeper.error == "no socket"
        await trio.sleep(2)
        assert keeper.error == ""
        assert not keeper.drain(True)  # this one has no switch in front
        adapter.failures.append(AdapterUnusable("no socket"))
        keeper.reopen()
        await trio.sleep(7)
        assert len(told.lines) == 2
        nursery.cancel_scope.cancel()


@attrs.define(eq=False)
class Fixed:
    """Says that it depends on nothing but its number."""

    number: int
    turns: int = 0
    served: trio.Event = attrs.field(factory=trio.Event)

    def is_as(self, other: object) -> bool:
        return isinstance(other, Fixed) and other.number == self.number

    async def serve(self, agent: ProxyAgent, log: Log) -> None:
        self.turns += 1
        if self.turns == 1 and self.number == 3:
            raise AdapterUnusable("not yet")
        self.served.set()
        await trio.sleep_forever()


async def test_an_adapter_that_would_be_the_same_serves_on(setup: ProxySetup, autojump_clock: MockClock) -> None:
    """A reload that changes nothing for it cuts nobody off; one that does, or comes while it cannot serve, does."""
    first, other, failing = Fixed(1), Fixed(2), Fixed(3)
    wanted = [first]
    keeper = Keeper("fixed", lambda setup: wanted[-1], lambda: setup)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.keep, FakeProxyAgent(), Log(Told().write, level=1, monotonic_s=trio.current_time))
        await first.served.wait()
        wanted.append(Fixed(1))
        keeper.reopen()
        await trio.testing.wait_all_tasks_blocked()
        assert (first.turns, wanted[-1].turns) == (1, 0)
        wanted.append(other)
        keeper.reopen()
        await other.served.wait()
        wanted.append(failing)
        keeper.reopen()
        await trio.testing.wait_all_tasks_blocked()
        assert keeper.error == "not yet"
        keeper.reopen()
        await trio.testing.wait_all_tasks_blocked()
        assert failing.served.is_set(), "at once, and not after its time"
        nursery.cancel_scope.cancel()
