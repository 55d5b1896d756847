"""The shell around the machine: real links on loopback, in this process."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

import proxyagent
from authagent import dialling
from authagent import server as server_module
from authagent.core import events as on
from protocol import secret
from protocol.errors import Code
from protocol.handshake import Identity
from protocol.io.dial import dial
from protocol.io.link import Link, LinkClosed, LinkRefused
from protocol.messages import Heartbeat, Hello, Refusal, Role
from protocol.secret import Secrets
from proxyagent import config
from proxyagent.agent import ProxyAgent, run_proxy_agent
from proxyagent.dialling import Site, site_of
from tests.authagent.running import Running, make, run_agents, serve, until, write_files, write_secret

OLD, NEW = "kQ3vX8pLr2Zt7Wm9Bn4Yc6Hd", "Vb5Nj1Rw8Tq4Lx0Zs7Mf2Gk9"


async def knock(running: Running, kind: str = "proxy", id: str = "p9", **more: Any) -> Link:
    """A link to the agent, as whoever."""
    ours = running.server.setup.identity
    identity = Identity(
        kind=kind, site=more.get("site", "lan1"), id=id, incarnation=random.getrandbits(63), software="test",
        configuration=ours.configuration, secrets=more.get("secrets", ours.secrets),
    )  # fmt: skip
    ((host, port),) = running.server.setup.listen
    return await dial(host, port, identity, None, 3.0)


async def end_of(link: Link) -> LinkClosed:
    """What the other end says last."""
    while True:
        try:
            await link.receive()
        except LinkClosed as closed:
            return closed


@asynccontextmanager
async def knocked(running: Running, id: str = "p9") -> AsyncIterator[Link]:
    """The same, closed at the end."""
    link = await knock(running, id=id)
    try:
        yield link
    finally:
        link.close(Code.STOPPING, "done")
        await link.wait_closed()


# -- links --------------------------------------------------------------------------------------------------------


async def test_a_mistake_in_reading_one_link_costs_that_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever exception one peer's bytes bring about, an alarm names the peer and the others are served."""
    path = write_files(tmp_path)
    real = Link.receive

    async def receive(link: Link) -> Any:
        if link.peer.id == "p9":
            raise ValueError("a bug")
        return await real(link)

    async with run_agents(path) as (one,), proxyagent.open_proxy_agent(path, id="p1") as proxy:
        monkeypatch.setattr(Link, "receive", receive)
        link = await knock(one)
        await until(lambda: one.logged("link.broken"))
        assert one.logged("link.broken") == [{"peer": "proxy-p9", "error": "ValueError('a bug')"}]
        session = proxy.login("10.0.0.1", user="alice")
        await proxy.wait_acknowledged(session, level="site", timeout=5.0)
        link.close(Code.STOPPING, "done")
        await link.wait_closed()


async def test_a_mistake_in_dialling_is_a_failed_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent serves when its attempts are used up, as if nobody had answered."""

    async def broken(*arguments: Any, **options: Any) -> Link:
        raise KeyError("a bug")

    monkeypatch.setattr(dialling, "dial", broken)
    path = write_files(tmp_path, agents=2, more='[timing]\nconnect_attempts = 1\nconnect_interval = "100ms"\n')
    async with run_agents(path, 1) as (one,):
        assert one.role == Role.MASTER
        assert one.logged("link.broken")[0] == {"peer": "agent 2 of site lan1", "error": "KeyError('a bug')"}


async def test_an_unlisted_proxy_is_refused_and_shown(tmp_path: Path) -> None:
    """It hears why; status names it while it knocks, and forgets it when it is let in."""
    async with run_agents(write_files(tmp_path)) as (one,):
        with pytest.raises(LinkRefused, match="is not listed"):
            await knock(one, id="stranger")
        told = one.handler.status()
        assert [problem["code"] for problem in told["problems"]] == ["refused"]
        assert [(each["id"], each["connected"]) for each in told["proxies"]] == [("stranger", False)]
        assert told["refused_total"] == 1
        await until(lambda: "is not listed" in str(one.logged("link.refused")))


async def test_a_guest_is_shown_with_its_site_and_is_not_missed_when_it_goes_home(tmp_path: Path) -> None:
    """A proxy of another site that the file lists is served; one of that name of this site is another one."""
    path = write_files(tmp_path, proxies=("p1",))
    elsewhere = '[[authagent]]\nid = 1\nsite = "lan2"\nhost = "127.0.0.2"\n[[proxyagent]]\nid = "p1"\nsite = "lan2"\n'
    path.write_text(path.read_text() + elsewhere)
    async with run_agents(path) as (one,):
        link = await knock(one, id="p1", site="lan2")

        def shown() -> set[tuple[str, bool]]:
            return {(each["id"], each["connected"]) for each in one.handler.status()["proxies"]}

        await until(lambda: ("lan2/p1", True) in shown())
        one.server.missed.only(set(), 0.0)
        link.close(Code.STOPPING, "going home")
        await link.wait_closed()
        await until(lambda: not one.server.links)
        assert not one.server.missed.watching
        assert shown() == {("p1", False)}


async def test_a_wrong_secret_is_refused_and_nobody_is_named(tmp_path: Path) -> None:
    """Who has not proven the secret may say any id, so none is shown as refused."""
    async with run_agents(write_files(tmp_path)) as (one,):
        with pytest.raises(LinkRefused):
            await knock(one, secrets=Secrets((NEW,)))
        assert one.handler.status()["healthy"]
        await until(lambda: one.logged("link.refused"))


async def test_a_second_process_of_one_id_is_refused_by_the_address_of_the_first(tmp_path: Path) -> None:
    """It is told, logged and shown; the first goes on."""
    path = write_files(tmp_path)
    async with run_agents(path) as (one,), proxyagent.open_proxy_agent(path, id="p1") as proxy:
        link = await knock(one, id="p1")
        closed = await end_of(link)
        assert closed.code == Code.DUPLICATE
        assert "p1 is linked already, from 127.0.0.1" in closed.text
        assert "linked already" in str(one.logged("link.refused"))
        assert [problem["code"] for problem in one.handler.status()["problems"]] == ["refused"]
        assert not proxy.isolated
        await link.wait_closed()


async def test_who_only_asks_is_answered_and_not_counted(tmp_path: Path) -> None:
    """A link of the kind "check" ends at once, in order."""
    async with run_agents(write_files(tmp_path)) as (one,):
        link = await knock(one, kind="check", id="p5")
        closed = await end_of(link)
        assert closed.code == Code.STOPPING
        assert not one.server.links
        await link.wait_closed()


async def test_links_beyond_the_bound_are_refused_with_the_setting(tmp_path: Path) -> None:
    """[limits] connections counts links, and says how to raise it; a partner is let in, however many proxies came."""
    async with run_agents(write_files(tmp_path, agents=2, more="[limits]\nconnections = 4\n"), 1) as (one,):
        links = [await knock(one, id=f"p{number}") for number in range(4)]
        await until(lambda: len(one.server.links) == 4)
        with pytest.raises(LinkRefused, match=r"\[limits\] connections"):
            await knock(one, id="p4")
        links.append(await knock(one, kind="agent", id="2"))
        await until(lambda: one.server.agent.peers.partner is not None)
        for link in links:
            link.close(Code.STOPPING, "done")
            await link.wait_closed()


# -- the end ------------------------------------------------------------------------------------------------------


async def test_stopping_says_farewell_to_everybody(tmp_path: Path) -> None:
    """A proxy hears that the agent stops before the socket is closed, and `run` returns."""
    one = make(write_files(tmp_path))
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, one)
        async with knocked(one) as link:
            assert isinstance((await link.receive())[0], Heartbeat)
            with trio.fail_after(2.0):
                one.server.stop()
                closed = await end_of(link)
            assert closed.code == Code.STOPPING


async def test_a_peer_that_hangs_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """A link whose other end neither reads nor closes is given half a second."""
    one = make(write_files(tmp_path))
    with trio.fail_after(5.0):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve, one)
            link = await knock(one)  # and never reads
            await until(lambda: one.server.links)
            began_s = trio.current_time()
            one.server.stop()
    assert trio.current_time() - began_s < 4.0  # half a second, and what a busy machine adds
    link.close(Code.STOPPING, "done")
    await link.wait_closed()


async def test_a_broken_machine_ends_run_with_what_broke_it(tmp_path: Path) -> None:
    """Wherever it was stepped from: the caller is not harmed, and nothing is stepped afterwards."""
    one = make(write_files(tmp_path))
    raised: list[Exception] = []

    async def run(task_status: trio.TaskStatus[None]) -> None:
        try:
            await serve(one, task_status)
        except Exception as error:
            raised.append(error)

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        one.server.step(object())  # type: ignore[arg-type]
        one.server.step(on.StopAsked())
        assert one.role == Role.MASTER
    assert [str(each).partition(" object")[0] for each in raised] == ["an agent does not expect <object"]


async def test_a_store_that_made_no_sense_is_doubted(tmp_path: Path) -> None:
    """A payload that cannot be read costs itself: the store is told, and the agent serves."""
    one = make(write_files(tmp_path))
    one.store.payloads.append(b"\xff\xff\xff")
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, one)
        assert one.store.doubts and "cannot be read" in one.store.doubts[0]
        assert one.role == Role.MASTER
        nursery.cancel_scope.cancel()


async def test_a_promotion_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    """The term is given to the store, whose answer never comes, and the agent serves."""
    path = write_files(tmp_path)
    async with run_agents(path) as (one,), proxyagent.open_proxy_agent(path, id="p1") as proxy:
        assert (one.store.term, one.role) == (1, Role.MASTER)
        assert proxy.synchronised


# -- reload -------------------------------------------------------------------------------------------------------


def _site(path: Path) -> Site:
    """The files as they are now, for one process: a reload leaves it the incarnation that it is."""
    setup = config.load(str(path), id="p1")
    return site_of(setup, config.read_secret(setup), 4711, "test")


async def test_a_dropped_secret_closes_its_links_and_loses_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Agents and proxies link again with the new line, digests are keyed by it, and everything is equal again."""
    monkeypatch.setattr(server_module, "RELOAD_JITTER_S", 0.2)
    path = write_files(tmp_path, agents=2)
    write_secret(tmp_path, OLD)
    async with run_agents(path, 1, 2) as agents, run_proxy_agent(ProxyAgent(_site(path))) as proxy:
        proxy.login("10.0.0.1", user="alice")
        for lines in ((NEW, OLD), (NEW,)):
            write_secret(tmp_path, *lines)
            for each in agents:
                each.server.apply(each.read())
            proxy.shell.reconfigure(_site(path))
        new_id = secret.secret_id(NEW.encode())

        def settled() -> bool:
            peers = [peer for each in agents for peer in each.server.links.values()]
            status = [each.handler.status() for each in agents]
            return (
                len(peers) == 3
                and all(link.peer.secret_id == new_id for link in peers)
                and all(told["healthy"] and told["partner"]["digest_equal"] for told in status)
                and [each["digest_equal"] for told in status for each in told["proxies"]] == [True]
            )

        await until(settled, 15.0)
        assert all(each.server.agent.resync.secret_id == new_id for each in agents)
        assert proxy.lookup("10.0.0.1") is not None
        assert not [line for each in agents for line in each.logged("partner.refuses")]


async def test_a_secret_that_is_dropped_while_hands_are_shaken_links_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has begun with the old line and ends after the reload is closed like those who were linked before it."""
    path = write_files(tmp_path, proxies=("p9",))
    write_secret(tmp_path, NEW, OLD)
    async with run_agents(path) as (one,):
        judge = one.server._judge

        async def judged_late(hello: Hello, address: str) -> Refusal | None:
            write_secret(tmp_path, NEW)
            one.server.apply(one.read())
            return await judge(hello, address)

        monkeypatch.setattr(one.server, "_judge", judged_late)
        link = await knock(one, secrets=Secrets((OLD,)))
        closed = await end_of(link)
        assert closed.code == Code.SUPERSEDED and "dropped" in closed.text
        assert not one.server.links


async def test_an_id_that_is_no_longer_listed_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its link ends as unlisted; the others and all sessions stay."""
    monkeypatch.setattr(server_module, "RELOAD_JITTER_S", 0.05)
    path = write_files(tmp_path, proxies=("p1", "p9"))
    async with run_agents(path) as (one,), proxyagent.open_proxy_agent(path, id="p1") as proxy:
        proxy.login("10.0.0.1", user="alice")
        async with knocked(one) as link:
            await until(lambda: len(one.server.links) == 2 and one.server.agent.table.alive == 1)
            path.write_text(path.read_text().replace('[[proxyagent]]\nid = "p9"\n', ""))
            one.server.apply(one.read())
            closed = await end_of(link)
            assert closed.code == Code.UNLISTED
        assert [each.peer.id for each in one.server.links.values()] == ["p1"]
        assert one.server.agent.table.alive == 1
