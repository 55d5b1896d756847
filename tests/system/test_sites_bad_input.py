"""Another site that is mistaken or hostile costs itself its link: one alarm that names it, and nothing else.

Agents run in the test's loop, on real sockets: the other site must be made to misbehave.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio

import proxyagent
from authagent.core import reaching, sites
from protocol import crossing
from protocol.crossing import Batch, Out
from protocol.handshake import VERSION
from protocol.io.dial import dial
from protocol.io.link import Link, LinkClosed
from protocol.messages import Crossing, Follow, Following, Heartbeat, Role
from protocol.session import Origin, State
from tests.authagent.admin.test_remotes import write_sites
from tests.authagent.core.machine import logins
from tests.authagent.running import Running, clock, make, serve, until, write_secret

pytestmark = [pytest.mark.system, pytest.mark.slow]

TRIES = 4


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was refused asks again at once, and a link is never taken for well before the test is over."""
    monkeypatch.setattr(reaching, "REFUSED_S", 0.05)
    monkeypatch.setattr(sites, "WELL_AFTER_S", 600.0)


def another_secret(there: Running) -> None:
    """Site lan2 is given a secret of its own."""
    folder = there.path.parent / "lan2"
    folder.mkdir()
    write_secret(folder)
    there.path = folder / there.path.name
    there.path.write_text((folder.parent / there.path.name).read_text())
    there.server.setup = there.read()


def another_version(there: Running) -> None:
    """Site lan2 speaks the next version only."""
    setup = there.server.setup
    newer = attrs.evolve(setup.identity, version_min=VERSION + 1, version_max=VERSION + 1)
    there.server.setup = attrs.evolve(setup, identity=newer)


def another_time(there: Running) -> None:
    """The clock of site lan2 is ten seconds ahead."""
    there.server.clock = lambda: clock()._replace(wall_ms=clock().wall_ms + 10_000)


async def still_serves(agent: Running) -> None:
    """A login at a proxy of its own site gets to its disk."""
    async with proxyagent.open_proxy_agent(agent.path, id="p1", site="lan1") as proxy:
        await proxy.wait_acknowledged(proxy.login("10.0.0.1", user="alice"), level="site", timeout=15.0)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [(another_secret, "secret"), (another_version, "version"), (another_time, "clock")],
    ids=["secret", "version", "clock"],
)
@pytest.mark.usefixtures("impatient")
async def test_a_site_that_cannot_be_linked_is_alarmed_once(
    tmp_path: Path, spoil: Callable[[Running], None], words: str
) -> None:
    """However often it is tried; the reason is in the status, and users of this site log in as ever."""
    here, there = (make(write_sites(tmp_path), site="lan1"), make(tmp_path / "authagent.toml", site="lan2"))
    spoil(there)
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, here)
        await nursery.start(serve, there)
        await until(lambda: tries(here, "lan2") >= TRIES)
        await still_serves(here)
        (alarm,) = here.logged("site.refused")
        assert (alarm["site"], alarm["agent"]) == ("lan2", "1")
        assert words in str(alarm["reason"])
        await until(lambda: words in here.handler.status()["remotes"][0]["refused"])
        await until(lambda: "site lan2 is not linked (" in here.handler.status()["sentence"])
        nursery.cancel_scope.cancel()


@pytest.mark.usefixtures("impatient")
async def test_a_site_that_is_not_listed_is_told_so(tmp_path: Path) -> None:
    """It alarms; who does not list it names it among those refused, and has nothing else to say of it."""
    path = write_sites(tmp_path)
    there = make(path, site="lan2")
    path.write_text(path.read_text().partition('[[authagent]]\nid = 1\nsite = "lan2"')[0])
    here = make(path, site="lan1")
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, here)
        await nursery.start(serve, there)
        await until(lambda: tries(there, "lan1") >= TRIES)
        await still_serves(here)
        (alarm,) = there.logged("site.refused")
        assert "lan1 does not list site lan2" in str(alarm["reason"])
        (problem,) = here.handler.status()["problems"]
        assert problem["code"] == "refused" and problem["text"].startswith("agent 1 of lan2 at 127.0.0.1")
        nursery.cancel_scope.cancel()


def tries(agent: Running, site: str) -> int:
    """How often it has dialled another site in vain, or lost a link with it."""
    return agent.server.agent.sites.known[site].reaching._tries + len(agent.logged("link.lost"))


# -- hostile ------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def hostile_master(tmp_path: Path) -> AsyncIterator[tuple[Running, Callable[[], Awaitable[Link]]]]:
    """Site lan1 serves; and what opens one link as master of lan2 whose every word is the test's."""
    path = write_sites(tmp_path)
    here, there = make(path, site="lan1"), make(path, site="lan2")

    async def open_link() -> Link:
        setup = there.server.setup
        (host, port), *_ = here.server.setup.listen
        link = await dial(host, port, setup.identity, setup.tls, 5.0, clock=clock)
        link.send(heartbeat(here))
        while not any(isinstance(message, Follow) for message in await link.receive()):
            pass
        link.send(Following(5, 0, True))
        return link

    async with trio.open_nursery() as nursery:
        await nursery.start(serve, here)
        yield here, open_link
        nursery.cancel_scope.cancel()


def heartbeat(here: Running) -> Heartbeat:
    """A master's that has nothing to compare."""
    now = clock()
    return Heartbeat(
        role=Role.MASTER, term=1, unsure=False, log_id=5, sequence=0, cut_min=0, root=None, secret_id=b"none",
        cluster_ms=now.wall_ms, wall_ms=now.wall_ms, sent_ms=now.boot_ms, echo_ms=None, held_ms=0, pending=0,
        sessions=0,
    )  # fmt: skip


async def closed(link: Link) -> str:
    """Why the agent closes the link."""
    try:
        with trio.fail_after(15.0):
            while True:
                await link.receive()
    except LinkClosed as closed:
        return closed.text


@pytest.mark.usefixtures("impatient")
async def test_a_site_that_names_an_unlisted_one_loses_its_link(tmp_path: Path) -> None:
    """Each time it does; one alarm says which, and nothing of that site is taken in."""
    payload = b"".join(crossing.encode(Batch(logins("10.9.0.1", site="lan9", at_ms=clock().wall_ms))))
    async with hostile_master(tmp_path) as (here, open_link):
        for _ in range(2):
            link = await open_link()
            link.send(Crossing(1, payload))
            assert "it speaks of site lan9, which our file does not list" in await closed(link)
        await still_serves(here)
        (alarm,) = here.logged("site.refused")
        assert "site lan9" in str(alarm["reason"])
        assert here.server.agent.table.alive == 1


@pytest.mark.usefixtures("impatient")
async def test_a_site_that_floods_loses_its_link(tmp_path: Path) -> None:
    """More changes than any site can make, of logins that do not exist; users of this site log in as ever."""
    count = 4_000
    out = Out(Origin("p1", 1), range(count), bytes([State.LOGGED_OUT]) * count)
    payloads = list(crossing.encode(Batch(outs=(out,))))
    async with hostile_master(tmp_path) as (here, open_link):
        link = await open_link()

        async def flood() -> None:
            sequence = 0
            while link.closed is None:
                sequence += 1
                for payload in payloads:
                    link.send(Crossing(sequence, payload))
                await link.wait_room(100_000)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            assert "changes a second from one site" in await closed(link)
            nursery.cancel_scope.cancel()
        await still_serves(here)
        (alarm,) = here.logged("site.refused")
        assert alarm["site"] == "lan2" and "changes a second" in str(alarm["reason"])


async def test_a_site_that_stalls_loses_its_link(tmp_path: Path) -> None:
    """One that says nothing any more is taken for gone; the status names it, and this site serves on."""
    async with hostile_master(tmp_path) as (here, open_link):
        link = await open_link()
        assert "nothing heard from lan2/authagent-1" in await closed(link)
        await still_serves(here)
        await until(lambda: "site lan2 is not linked" in here.handler.status()["sentence"])
