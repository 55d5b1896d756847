"""Wrong clocks: an agent that starts alone with one goes on with the time that it kept, or that its proxies have."""

from collections.abc import Sequence

import pytest

from protocol.messages import Role
from tests.scenarios.agents import AgentProcess, pair
from tests.scenarios.proxies import ProxyProcess
from tests.scenarios.world import EPOCH_MS, World


def _site(world: World) -> tuple[AgentProcess, AgentProcess, list[ProxyProcess]]:
    """A pair that serves two proxies, each with a login."""
    one, two = pair(world)
    proxies = [ProxyProcess(world, name, (one, two)) for name in ("p1", "p2")]
    for process in (one, two, *proxies):
        process.start()
    world.run(3)
    for number, proxy in enumerate(proxies):
        proxy.login(f"10.0.0.{number}", "alice")
    world.run(1)
    return one, two, proxies


def _all_lose_power(one: AgentProcess, two: AgentProcess, proxies: Sequence[ProxyProcess]) -> None:
    """And nobody is left who knows what time it is."""
    for agent in (one, two):
        agent.lose_power()
    for proxy in proxies:
        proxy.kill()


def _served(proxies: Sequence[ProxyProcess]) -> bool:
    """Whether all are."""
    return all(proxy.client.synchronised for proxy in proxies)


def _together(one: AgentProcess, two: AgentProcess, proxies: Sequence[ProxyProcess]) -> bool:
    """Whether one agent leads, the other follows, all proxies are served, and all hold the same."""
    roots = {process.root for process in (one, two, *proxies)}
    return {one.role, two.role} == {Role.MASTER, Role.SLAVE} and _served(proxies) and len(roots) == 1


def _ahead_s(process: AgentProcess | ProxyProcess) -> float:
    """How far the cluster time that it keeps is ahead of the true time of day."""
    clock = process.agent.duty.time.clock if isinstance(process, AgentProcess) else process.client.cache.clock
    return (clock.now_ms(process.now()) - EPOCH_MS) / 1000 - process.world.now_s


def _all_start(
    world: World, one: AgentProcess, two: AgentProcess, proxies: Sequence[ProxyProcess], *, wall_ahead_ms: int
) -> None:
    """Everybody anew, with agents' clocks like that, until all are together."""
    one.wall_ahead_ms = two.wall_ahead_ms = wall_ahead_ms
    for process in (one, two, *proxies):
        process.start()
    world.run_until(lambda: _together(one, two, proxies), 10)


@pytest.mark.parametrize("wrong_s", [3, -30, 772, -772, 3 * 365 * 86_400])
def test_an_agent_that_crashed_goes_on_with_the_time_that_it_kept(wrong_s: int) -> None:
    """Both die while a clock is wrong, one comes back with it, and its first proxy starts fresh: nobody is shut out."""
    world = World()
    one, two, proxies = _site(world)
    for process in (one, two, proxies[0]):
        process.kill()
    world.run(1)
    world.cut("a2", "p2")
    two.wall_ahead_ms = 1_000 * wrong_s
    two.start()
    proxies[0].start()
    world.run_until(lambda: proxies[0].client.synchronised, 10)
    session = proxies[0].login("10.0.0.9", "bob")
    world.heal()
    world.run_until(lambda: _served(proxies), 10)
    two.wall_ahead_ms = 0
    one.start()
    world.run_until(lambda: _together(one, two, proxies), 10)

    assert all(proxy.lookup(key) is not None for proxy in proxies for key in ("10.0.0.0", "10.0.0.1", "10.0.0.9"))
    assert proxies[0].reached(session) == "site"
    assert all(proxy.client.last_refusal == "" for proxy in proxies)
    assert all(abs(_ahead_s(process)) < 1 for process in (one, two, *proxies))


def test_an_agent_that_was_stopped_starts_by_its_wall_clock() -> None:
    """An operator who has set the clocks stops all, starts all, and has the right time."""
    world = World()
    one, two, proxies = _site(world)
    _all_lose_power(one, two, proxies)
    _all_start(world, one, two, proxies, wall_ahead_ms=120_000)
    world.run(1)
    assert _ahead_s(one) > 119 and one.disk_clock is not None
    for agent in (one, two):
        agent.stop()
        world.run(2)
        assert not agent.running and agent.disk_clock is None
    for proxy in proxies:
        proxy.kill()
    _all_start(world, one, two, proxies, wall_ahead_ms=0)

    assert all(abs(_ahead_s(process)) < 1 for process in (one, two, *proxies))


@pytest.mark.parametrize("wrong_s", [772, -772, 3 * 365 * 86_400])
def test_an_agent_that_starts_alone_with_a_wrong_clock_goes_on_with_the_time_of_its_proxies(wrong_s: int) -> None:
    """Both agents die, one comes back with a clock that is set right soon after, then the other: nobody is shut out."""
    world = World()
    one, two, proxies = _site(world)
    one.lose_power()
    two.lose_power()
    world.run(1)
    two.wall_ahead_ms = 1_000 * wrong_s
    two.start()
    world.run_until(lambda: _served(proxies), 10)
    session = proxies[0].login("10.0.0.9", "bob")
    world.run(1)
    assert proxies[1].lookup("10.0.0.9") is not None
    two.wall_ahead_ms = 0
    one.start()
    world.run_until(lambda: _together(one, two, proxies), 10)

    assert all(proxy.lookup(key) is not None for proxy in proxies for key in ("10.0.0.0", "10.0.0.1", "10.0.0.9"))
    assert proxies[0].reached(session) == "site"
    assert all(abs(_ahead_s(process)) < 1 for process in (one, two, *proxies))


def test_what_proxies_have_said_before_it_serves_counts_too() -> None:
    """Those who wait at its door as it becomes master are heard before they are told its time: none refuses it."""
    world = World()
    one, two, proxies = _site(world)
    one.lose_power()
    two.lose_power()
    world.silence("a1", "a2")
    two.wall_ahead_ms = 772_000
    two.start()
    world.run_until(lambda: two.role == Role.MASTER, 10)
    world.run_until(lambda: _served(proxies), 5)

    assert all(proxy.client.last_refusal == "" for proxy in proxies)


@pytest.mark.parametrize("wrong_s", [3 * 365 * 86_400, -50 * 365 * 86_400])
def test_an_agent_that_starts_long_before_or_after_keeps_what_it_has_on_disk(wrong_s: int) -> None:
    """A machine without a battery for its clock starts in 1970, alone: once the clock is set, all are logged in still,
    and who was logged out before is out, though no proxy is left that knows."""
    world = World()
    one, two, proxies = _site(world)
    proxies[0].logout("10.0.0.1")
    world.run(2)
    _all_lose_power(one, two, proxies)
    one.lose_disk()
    two.wall_ahead_ms = 1_000 * wrong_s
    two.start()
    world.run(5)
    two.wall_ahead_ms = 0
    world.run(1)
    one.start()
    for proxy in proxies:
        proxy.start()
    world.run_until(lambda: _together(one, two, proxies), 10)

    assert all(proxy.lookup("10.0.0.0") is not None and proxy.lookup("10.0.0.1") is None for proxy in proxies)
    assert all(process.table.records == 2 and process.table.ended == 1 for process in (one, two, *proxies))


def test_a_clock_that_is_set_right_before_it_serves_counts() -> None:
    """What its clock showed as it loaded its store is forgotten, though those at its door have just started too."""
    world = World()
    one, two, proxies = _site(world)
    _all_lose_power(one, two, proxies)
    world.silence("a1", "a2")
    two.wall_ahead_ms = -307_000
    for process in (two, *proxies):
        process.start()
    two.wall_ahead_ms = 0
    world.run_until(lambda: _served(proxies), 10)
    world.run(1)

    assert all(abs(_ahead_s(process)) < 1 for process in (two, *proxies))
    assert all(proxy.lookup(key) is not None for proxy in proxies for key in ("10.0.0.0", "10.0.0.1"))


def test_a_time_that_a_proxy_follows_is_kept() -> None:
    """An agent whose first proxy starts fresh leads by its own clock: another proxy is refused, as documented."""
    world = World()
    one, two, proxies = _site(world)
    one.lose_power()
    two.lose_power()
    proxies[0].kill()
    world.cut("a2", "p2")
    two.wall_ahead_ms = 120_000
    two.start()
    proxies[0].start()
    world.run_until(lambda: proxies[0].client.synchronised, 10)
    world.heal()
    for _ in range(100):
        world.run(0.1)
        assert _ahead_s(two) > 119 and _ahead_s(proxies[0]) > 119
    assert abs(_ahead_s(proxies[1])) < 1
    assert proxies[1].client.isolated and "cluster time" in proxies[1].client.last_refusal


def test_a_split_with_a_wrong_clock_ends_with_the_time_of_the_proxies() -> None:
    """Two masters whose clocks are right again come together: there is one time, that of the proxies."""
    world = World()
    one, two, proxies = _site(world)
    for name in ("a1", "p1", "p2"):
        world.cut("a2", name)
    two.lose_power()
    two.wall_ahead_ms = 120_000
    two.start()
    world.run(5)
    assert {one.role, two.role} == {Role.MASTER} and _ahead_s(two) > 119
    two.wall_ahead_ms = 0
    world.heal()
    world.run_until(lambda: _together(one, two, proxies), 20)

    assert all(abs(_ahead_s(process)) < 1 for process in (one, two, *proxies))


def test_a_slave_takes_the_time_of_a_master_far_away_at_once() -> None:
    """Promoted, it goes on with the time that its master's proxies keep, and its own before that is forgotten."""
    world = World()
    one, two, proxies = _site(world)
    _all_lose_power(one, two, proxies)
    one.wall_ahead_ms = two.wall_ahead_ms = 120_000
    one.start()
    for proxy in proxies:
        proxy.start()
    world.run_until(lambda: _served(proxies), 10)
    one.wall_ahead_ms = 0
    world.cut("a1", "a2")
    two.wall_ahead_ms = 0
    two.start()
    world.run(5)
    assert two.role == Role.MASTER and abs(_ahead_s(two)) < 1
    world.heal()
    world.run_until(lambda: _together(one, two, proxies), 20)
    world.run(1)
    slave = one if one.role == Role.SLAVE else two

    assert all(_ahead_s(process) > 119 for process in (one, two, *proxies))
    (one if slave is two else two).kill()
    world.run_until(lambda: slave.role == Role.MASTER and _served(proxies), 10)
