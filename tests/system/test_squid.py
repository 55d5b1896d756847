"""Real Squids with our helpers: one login for all of them, one logout, and nothing that a daemon's death breaks."""

import contextlib
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio

from authagent.demo.client import Restless, User
from authagent.demo.page import serve_page
from protocol.key import key
from tests.components import SYSTEM_FOLDERS
from tests.system.processes import until
from tests.system.squid_files import COOKIE, PASSWORDS
from tests.system.squids import PATIENCE_S, Farm, Machine, client_address, open_farm

MISSING = [name for name in ("squid", "haproxy", "setpriv", "curl") if shutil.which(name, path=SYSTEM_FOLDERS) is None]

IDLE_TIMEOUT_S = 1_800.0
"""The default, which the example leaves as it is."""

pytestmark = [
    pytest.mark.system,
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}; try: python tests/components.py"),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not below pytest's own: the path of a Unix socket has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="sq-") as name:
        yield Path(name)


@attrs.frozen
class Web:
    """What lies behind the proxies."""

    url: str
    echo: int
    """A port that sends back what it gets."""


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    """A page, and something to open tunnels to."""

    async def echo(stream: trio.SocketStream) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            async for data in stream:
                await stream.send_all(data)

    async with trio.open_nursery() as nursery:
        ports = []
        for handler in (serve_page, echo):
            (listener,) = await nursery.start(partial(trio.serve_tcp, handler, 0, host="127.0.0.1"))
            ports.append(listener.socket.getsockname()[1])
        yield Web(f"http://127.0.0.1:{ports[0]}/", ports[1])
        nursery.cancel_scope.cancel()


def user(name: str, password: str | None = None) -> User:
    """Somebody at an address of their own."""
    return User(name, client_address(), password or PASSWORDS[name])


async def test_one_login_is_enough_and_one_logout(folder: Path, web: Web) -> None:
    """Known at three Squids after a login at one, through the death of that one; asked again everywhere afterwards.

    A browser that resends its password is asked for it once more, whoever has it in its cache; so logging out lasts.
    """
    async with open_farm(folder, squids=3) as farm:
        one, two, three = farm.machines
        alice, stranger, liar = user("alice"), user("bob"), user("bob", "wrong")

        async def asked(who: User, machine: Machine, *, password: bool = False) -> bool:
            answer = await who.ask(machine.port, web.url, password=password)
            assert answer.asked or answer.let_through, answer
            return answer.asked

        assert await asked(alice, one)
        assert await asked(liar, one, password=True) and await asked(liar, one)
        assert not await asked(alice, one, password=True)
        await farm.wait_known(alice.address, "alice")
        for machine in farm.machines:
            assert not await asked(alice, machine) and await asked(stranger, machine)
        assert f"{alice.address} TCP_MISS/200" in two.access_log and " alice " in two.access_log

        one.squid.kill()
        assert not await asked(alice, two) and not await asked(alice, three)
        one.start_squid()
        await one.wait_squid()
        assert not await asked(alice, one)

        two.ask("logout", key=alice.address)
        await farm.wait_known(alice.address, None)
        for machine in farm.machines:
            assert await asked(alice, machine)
            assert await asked(alice, machine, password=True), "the old password came by itself"
        assert not await asked(alice, three, password=True), "it was typed"
        await farm.wait_known(alice.address, "alice")
        assert not await asked(alice, one) and not await asked(alice, one, password=True)
        assert [each.squid.starts for each in farm.machines] == [2, 1, 1]


async def test_a_daemon_that_dies_is_noticed_by_nobody_who_waits_a_moment(folder: Path, web: Web) -> None:
    """Killed under traffic: no request hangs, none breaks, Squid and its helpers live, and all goes on as before."""
    async with open_farm(folder) as farm:
        (machine,) = farm.machines
        users = [User("alice", client_address(), PASSWORDS["alice"]) for _ in range(4)]
        for each in users:
            machine.ask("login", key=each.address, user=each.name, wait="site")
        restless = [Restless(each) for each in users]
        helpers = _helpers(machine)
        async with trio.open_nursery() as nursery:
            for each in restless:
                nursery.start_soon(each.ask_for_ever, machine.port, web.url, 0.0)
            for _ in range(2):
                await _answered(restless)
                machine.daemon.kill()
                await _answered(restless, asked_again=True)
                machine.daemon.start()
                await machine.wait_served()
                await _answered(restless)
            nursery.cancel_scope.cancel()
        assert [each.broken for each in restless] == [0] * len(restless)
        assert _helpers(machine) == helpers and machine.squid.running
        assert "assertion failed" not in machine.cache_log() and "FATAL" not in machine.cache_log()


async def _answered(restless: list[Restless], *, asked_again: bool = False) -> None:
    """Wait until each of them got some more answers: the page, or the question who they are."""
    before = [each.asked_again if asked_again else each.answered for each in restless]

    def some_more() -> object:
        now = [each.asked_again if asked_again else each.answered for each in restless]
        return all(later >= earlier + 3 for earlier, later in zip(before, now, strict=True)) or restless

    await until(some_more, PATIENCE_S, "everybody got answers")


def _helpers(machine: Machine) -> list[int]:
    """The processes that Squid has started."""
    path = Path(f"/proc/{machine.squid.process.pid}/task/{machine.squid.process.pid}/children")
    return [int(word) for word in path.read_text().split()]


async def test_thousands_of_questions_at_once_are_answered_each_its_own(folder: Path) -> None:
    """5,000 requests while the daemon stands still: each is let through as its own user, or asked, and none hangs.

    Who is known and is asked all the same, because the machine was too slow for the deadline, is let through later.
    """
    count = 5_000
    async with open_farm(folder) as farm:
        (machine,) = farm.machines
        users = {client_address(): f"user{number}" if number % 5 == 0 else None for number in range(count)}
        for address, name in users.items():
            if name is not None:
                machine.ask("login", key=address, user=name)
        machine.daemon.pause()
        answers = _all_at_once(machine, list(users), machine.daemon.resume)
        assert {address for address, status in answers.items() if status not in (b"200", b"407")} == set()
        let_in = {address for address, status in answers.items() if status == b"200"}
        for address in [address for address, name in users.items() if name is not None and address not in let_in]:
            asked = partial(_all_at_once, machine, [address])
            await until(lambda asked=asked: set(asked().values()) == {b"200"}, PATIENCE_S, "let in later")  # type: ignore[misc]
        known = {address: name for address, name in users.items() if name is not None}
        await until(lambda: _logged(machine) == known or len(_logged(machine)), PATIENCE_S, "all are in the log")
        assert machine.squid.running


def _all_at_once(machine: Machine, clients: list[str], then: Callable[[], None] = lambda: None) -> dict[str, bytes]:
    """The status that each of these addresses gets, all having asked before the first is answered."""
    with contextlib.ExitStack() as stack:
        port = machine.port
        sockets = {
            address: stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE_S, (address, 0)))
            for address in clients
        }
        for each in sockets.values():
            each.sendall(_ICON)
        then()
        return {address: each.recv(12)[-3:] for address, each in sockets.items()}


_ICON = b"GET http://squid/squid-internal-static/icons/silk/image.png HTTP/1.0\r\nHost: squid\r\n\r\n"
"""Answered by Squid itself."""


def _logged(machine: Machine) -> dict[str, str]:
    """Whom Squid's log names, by address."""
    words = [line.split() for line in machine.access_log.splitlines()]
    return {each[2]: each[7] for each in words if len(each) > 7 and each[7] != "-"}


async def test_what_goes_through_a_tunnel_is_activity_and_a_logout_cuts_it(folder: Path, web: Web) -> None:
    """Squid asks once about a tunnel; its manager, its access log and the switch do the rest."""
    async with open_farm(folder, switch=True) as farm:
        (machine,) = farm.machines
        alice = user("alice")
        machine.ask("login", key=alice.address, user="alice")

        async with await _tunnel(farm, alice, web) as tunnel, trio.open_nursery() as nursery:
            await _becomes_idle(machine, alice)
            nursery.start_soon(_chatter, tunnel)
            await _becomes_active(machine, alice)
            nursery.cancel_scope.cancel()
        async with await _tunnel(farm, alice, web):
            await _becomes_idle(machine, alice)
        await _becomes_active(machine, alice)

        async with await _tunnel(farm, alice, web) as tunnel:
            await tunnel.send_all(b"hello")
            assert await tunnel.receive_some() == b"hello"
            machine.ask("logout", key=alice.address)
            with trio.fail_after(PATIENCE_S):
                assert await tunnel.receive_some() == b""


async def _tunnel(farm: Farm, who: User, web: Web) -> trio.SocketStream:
    """A CONNECT tunnel through the switch and a Squid, open."""
    stream = await trio.open_tcp_stream("127.0.0.1", farm.switch_port, local_address=who.address)
    await stream.send_all(f"CONNECT 127.0.0.1:{web.echo} HTTP/1.1\r\nHost: 127.0.0.1:{web.echo}\r\n\r\n".encode())
    answer = await stream.receive_some()
    if not answer.startswith(b"HTTP/1.1 200") or not answer.endswith(b"\r\n\r\n"):
        await stream.aclose()
        pytest.fail(f"no tunnel: {answer!r}; {farm.haproxy and farm.haproxy.log_end()}")
    return stream


async def _chatter(stream: trio.SocketStream) -> None:
    while True:
        await stream.send_all(b"x" * 100)
        await stream.receive_some()
        await trio.sleep(0.2)


async def _becomes_idle(machine: Machine, who: User) -> None:
    """Wait until somebody has done nothing for a second."""
    await until(lambda: _idle_s(machine, who) > 1.0 or _idle_s(machine, who), PATIENCE_S, "a second without activity")


async def _becomes_active(machine: Machine, who: User) -> None:
    """Wait until the idle time of somebody who has asked nothing begins anew."""
    await until(lambda: _idle_s(machine, who) < 0.5 or _idle_s(machine, who), PATIENCE_S, "activity in the tunnel")


def _idle_s(machine: Machine, who: User) -> float:
    session = machine.ask("lookup", key=who.address)["session"]
    assert isinstance(session, dict)
    return IDLE_TIMEOUT_S - float(session["idle_left_s"])


async def test_figure_2_1_of_the_source(folder: Path, web: Web) -> None:
    """Steps 1 to 7 of "Session Failover Process Using an L4 Switch", for a user who asks for pages all the while.

    Nobody is asked a second time, and no request is lost but those that the killed proxy had in hand.
    """
    async with open_farm(folder, squids=3, agents=2, switch=True) as farm:
        alice = user("alice")
        # 1, 2, 3: the browser asks, the switch chooses a proxy, the proxy asks who it is.
        assert (await alice.ask(farm.switch_port, web.url)).asked
        # 4: with the right password it is let through, and the agents are told; never the password.
        assert (await alice.ask(farm.switch_port, web.url, password=True)).let_through
        # 5: they tell the other proxies.
        await farm.wait_known(alice.address, "alice")
        assert not any("wonderland" in path.read_text(errors="replace") for path in folder.rglob("*.log"))
        restless = Restless(alice)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(restless.ask_for_ever, farm.switch_port, web.url, 0.0)
            await _answered([restless])
            # 6: her proxy goes down, and the switch chooses another one.
            first = _proxy_of(farm, alice)
            first.squid.kill()
            await _answered([restless])
            second = _proxy_of(farm, alice)
            # 7: she is let through without being asked. So she is when it comes back, and when the next one goes.
            first.start_squid()
            await first.wait_squid()
            second.squid.kill()
            await _answered([restless])
            nursery.cancel_scope.cancel()
        assert restless.asked_again == 0
        assert restless.broken <= 2, "one request at a time: each kill had at most one in hand"
        third = _proxy_of(farm, alice)
        assert first is not second and third is not second


def _proxy_of(farm: Farm, who: User) -> Machine:
    """The machine whose Squid has served somebody last."""

    def last(machine: Machine) -> float:
        lines = machine.access_log.splitlines()
        return max((float(line.split()[0]) for line in lines if f" {who.address} " in line), default=0.0)

    return max(farm.machines, key=last)


async def test_a_user_may_be_known_by_a_cookie_too(folder: Path, web: Web) -> None:
    """With `key = "both"` and the formats of docs/howto/squid.md: that cookie, from that address, and no other."""
    async with open_farm(folder, key="both") as farm:
        (machine,) = farm.machines
        alice = user("alice")

        async def ask(cookie: str, *words: str) -> int:
            cookies = ["-H", f"Cookie: a=b; {COOKIE}={cookie}; c=d"] if cookie else []
            asked = partial(_curl, machine.port, web.url, "--interface", alice.address, *cookies, *words)
            return await trio.to_thread.run_sync(asked)

        credentials = ["--proxy-user", f"alice:{alice.password}"]
        assert await ask("", *credentials) == 407, "nothing to know her by"
        assert await ask("Y29va2ll-_", *credentials) == 200
        assert machine.user_of(key(alice.address, "Y29va2ll-_")) == "alice"
        answers = [await ask(cookie) for cookie in ("Y29va2ll-_", "other", "", "-", "x" * 5_000)]
        assert answers == [200, 407, 407, 407, 407]
        machine.ask("logout", key=key(alice.address, "Y29va2ll-_"))
        assert await ask("Y29va2ll-_") == 407


def _curl(port: int, url: str, *words: str) -> int:
    """The status of an answer through the proxy at this port."""
    command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-x", f"http://127.0.0.1:{port}", *words, url]
    return int(subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False).stdout)
