"""`authagent logout`: everywhere, node by node, at either agent, in time."""

import json
from pathlib import Path
from typing import Any

import pytest
import trio

import proxyagent
from authagent.admin import logout
from authagent.core.election import Partner
from authagent.core.peer import Peer
from protocol.io.control_client import ControlError, ExitCode
from protocol.messages import Role
from tests.authagent.running import Running, make, run_agents, serve, until, write_files

QUICK = '[timing]\nconnect_attempts = 1\nconnect_interval = "100ms"\n'


async def log_in(proxy: Any, *agents: Running) -> None:
    """alice twice and bob once, known to all the agents."""
    for key, user in (("10.0.0.1", "alice"), ("10.0.0.2", "alice"), ("10.0.0.3", "bob")):
        proxy.login(key, user=user)
    await until(lambda: all(each.server.agent.table.alive == 3 for each in agents))


def master_and_slave(agents: list[Running]) -> tuple[Running, Running]:
    first, second = agents
    return (first, second) if first.role == Role.MASTER else (second, first)


async def test_every_way_to_say_whose_works_at_master_and_slave(tmp_path: Path) -> None:
    """By key as it is, by key as a mapped address, by user, by site, all: done on every node when it is answered."""
    path = write_files(tmp_path, agents=2)
    questions: list[dict[str, Any]] = [
        {"key": "10.0.0.1"}, {"key": "::ffff:10.0.0.3"}, {"user": "alice"}, {"site": "lan1"}, {"all": True},
    ]  # fmt: skip
    async with run_agents(path, 1, 2) as agents, proxyagent.open_proxy_agent(path, id="p1") as proxy:
        for asked in agents:
            for question, ended in zip(questions, (1, 1, 2, 3, 3), strict=True):
                await log_in(proxy, *agents)
                told = await asked.ask("logout", **question)
                assert (told["ended"], told["pending"]) == (ended, []), question
                assert sorted(told["done"]) == ["authagent-1", "authagent-2", "p1"]
                assert len(proxy.sessions()) == 3 - ended
                await asked.ask("logout", all=True)


async def test_nothing_to_end_is_done_too(tmp_path: Path) -> None:
    """A logout of nobody is 0 ended, and done; other sites' sessions stay."""
    path = write_files(tmp_path)
    async with run_agents(path) as (one,), proxyagent.open_proxy_agent(path, id="p1") as proxy:
        await log_in(proxy, one)
        for name, value in (("key", "10.9.9.9"), ("user", "nobody"), ("site", "lan9")):
            told = await one.ask("logout", administrator=True, **{name: value})
            assert (told["ended"], told["pending"]) == (0, [])
        assert len(proxy.sessions()) == 3


async def test_user_names_count_as_the_file_says(tmp_path: Path) -> None:
    """With user_names = "lower", Alice is alice."""
    path = write_files(tmp_path, more='[session]\nuser_names = "lower"\n')
    async with run_agents(path) as (one,), proxyagent.open_proxy_agent(path, id="p1") as proxy:
        await log_in(proxy, one)
        assert (await one.ask("logout", user="ALICE"))["ended"] == 2


async def test_who_is_not_linked_is_pending_for_as_long_as_it_may_serve(tmp_path: Path) -> None:
    """A proxy listed by name may serve until the session's end; with keep_sessions not longer than that."""
    more = '[session]\nmax_lifetime = "1h"\n'
    path = write_files(tmp_path, proxies=("p*", "named"), more=more)
    async with run_agents(path) as (one,), proxyagent.open_proxy_agent(path, id="p1") as proxy:
        await log_in(proxy, one)
        told = await one.ask("logout", key="10.0.0.1")
        assert told["done"] == ["authagent-1", "p1"]
        ((node, reason, serves_s),) = [tuple(each.values()) for each in told["pending"]]
        assert (node, reason) == ("named", "is not linked")
        assert 3_590 < serves_s <= 3_600
        path.write_text(path.read_text().replace(more, f'{more}keep_sessions = "90s"\n'))
        one.server.setup = one.read()
        (pending,) = (await one.ask("logout", user="alice"))["pending"]
        assert pending["serves_at_most_s"] == 90.0


async def test_a_linked_node_that_does_not_confirm_is_named_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer comes when time is up, and says that the node has not confirmed."""
    path = write_files(tmp_path)
    async with run_agents(path) as (one,), proxyagent.open_proxy_agent(path, id="p1") as proxy:
        await log_in(proxy, one)
        monkeypatch.setattr(Peer, "heard", lambda peer, heartbeat, now: None)  # its heartbeats tell no progress
        began_s = trio.current_time()
        told = await one.ask("logout", key="10.0.0.1", within_s=0.3)
        assert 0.29 <= trio.current_time() - began_s < 4.0
        ((node, reason),) = [(each["node"], each["reason"]) for each in told["pending"]]
        assert (node, reason) == ("p1", "has not confirmed it yet")
        assert told["done"] == ["authagent-1"]


async def test_a_partner_is_pending_in_a_split_only(tmp_path: Path) -> None:
    """One that is down serves nobody; one out of reach may serve its proxies."""
    path = write_files(tmp_path, agents=2, more=QUICK)
    async with run_agents(path, 1) as (one,):
        assert (await one.ask("logout", all=True))["pending"] == []
        one.server.agent.election.partner = Partner.SILENT
        (pending,) = (await one.ask("logout", all=True))["pending"]
        assert (pending["node"], pending["reason"]) == ("authagent-2", "may serve apart")


async def test_a_logout_waits_for_a_master(tmp_path: Path) -> None:
    """Asked while nobody serves yet, it is carried out as soon as somebody does; or ends with code 3 in time."""
    path = write_files(tmp_path, agents=2, more=QUICK.replace("1\n", "3\n"))
    one = make(path, 1)
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, one)
        assert one.role == Role.STARTING
        with pytest.raises(ControlError, match="no master is known yet") as raised:
            await one.ask("logout", all=True, within_s=0.01)
        assert raised.value.code == ExitCode.UNREACHABLE
        assert (await one.ask("logout", all=True, within_s=8.0))["done"] == ["authagent-1"]
        nursery.cancel_scope.cancel()


async def test_a_master_that_does_not_answer_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slave says in time that it does not know, with code 4."""
    path = write_files(tmp_path, agents=2)
    async with run_agents(path, 1, 2) as agents:
        master, slave = master_and_slave(agents)

        async def never(body: bytes) -> bytes:
            await trio.sleep_forever()
            raise AssertionError

        master.server.carry_out = never
        with pytest.raises(ControlError, match="did not answer in time") as raised:
            await slave.ask("logout", all=True, within_s=0.2)
        assert raised.value.code == ExitCode.UNFINISHED


@pytest.mark.parametrize(
    "question",
    [
        {}, {"key": "k", "user": "u"}, {"all": True, "site": "s"}, {"all": "yes"}, {"key": 5}, {"user": ""},
        {"all": True, "within_s": 0}, {"all": True, "within_s": "x"}, {"all": True, "within_s": True},
        {"all": True, "within_s": float("nan")}, {"all": True, "within_s": 1e9},
    ],
    ids=str,
)  # fmt: skip
async def test_what_cannot_be_meant_is_refused_with_2(tmp_path: Path, question: dict[str, Any]) -> None:
    """Nobody, two at once, wrong types and endless times; nothing is ended."""
    async with run_agents(write_files(tmp_path)) as (one,):
        with pytest.raises(ControlError) as raised:
            await one.ask("logout", **question)
        assert raised.value.code == ExitCode.USAGE


async def test_what_a_partner_hands_over_cannot_break_the_master(tmp_path: Path) -> None:
    """Garbage, deep nesting and other verbs are answered with an error."""
    async with run_agents(write_files(tmp_path)) as (one,):
        for body in (b"", b"\xff", b"[]", b"[" * 50_000, b'{"verb": "reload"}', b'{"verb": "logout"}', b'{"a": 1}'):
            told = json.loads(await one.handler.for_partner(body))
            assert told["error"] and told["code"] == ExitCode.USAGE


async def test_many_sessions_are_ended_some_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, with steps between; the number is the sum, and heartbeats are sent meanwhile."""
    monkeypatch.setattr(logout, "ENDED_AT_ONCE", 7)
    path = write_files(tmp_path)
    async with run_agents(path) as (one,), proxyagent.open_proxy_agent(path, id="p1") as proxy:
        for number in range(100):
            proxy.login(f"10.1.0.{number}", user=f"u{number}")
        await until(lambda: one.server.agent.table.alive == 100)
        sequence = one.server.agent.replication.log.sequence
        told = await one.ask("logout", site="lan1")
        assert (told["ended"], told["pending"], len(proxy.sessions())) == (100, [], 0)
        assert one.server.agent.replication.log.sequence == sequence + 15


async def test_what_could_not_be_ended_in_time_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent itself is pending then, and the number is what was ended."""
    monkeypatch.setattr(logout, "ENDED_AT_ONCE", 1)
    path = write_files(tmp_path)
    async with run_agents(path) as (one,), proxyagent.open_proxy_agent(path, id="p1") as proxy:
        await log_in(proxy, one)
        real = one.server.ask_machine

        async def slow(make: Any) -> Any:
            await trio.sleep(0.2)
            return await real(make)

        monkeypatch.setattr(one.server, "ask_machine", slow)
        told = await one.ask("logout", all=True, within_s=0.3)
        assert told["ended"] == 1
        assert (told["pending"][0]["node"], told["pending"][0]["reason"]) == (
            "authagent-1", "has not ended all: ask again",
        )  # fmt: skip


async def test_a_switch_in_the_middle_is_no_pending_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asked the old master is answered by the new one, with what was ended before."""
    path = write_files(tmp_path, agents=2)
    async with run_agents(path, 1, 2) as agents, proxyagent.open_proxy_agent(path, id="p1") as proxy:
        master, slave = master_and_slave(agents)
        await until(lambda: master.server.agent.service.slave is not None)
        await log_in(proxy, *agents)
        told: list[dict[str, Any]] = []
        real = logout.Logout._passed

        def passed(asked: logout.Logout, log_id: int, sequence: int) -> set[str]:
            return set() if asked.server is master.server else real(asked, log_id, sequence)

        monkeypatch.setattr(logout.Logout, "_passed", passed)

        async def ask() -> None:
            told.append(await master.ask("logout", user="alice", within_s=10.0))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await until(lambda: master.server.agent.table.ended == 2)
            await master.ask("switch")
        assert slave.role == Role.MASTER
        assert (told[0]["ended"], told[0]["pending"]) == (2, [])
        assert "p1" in told[0]["done"]
