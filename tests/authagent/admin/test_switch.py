"""`authagent switch`: at either agent, once, with the reason where it cannot be."""

import json
from pathlib import Path
from typing import Any

import pytest
import trio

import proxyagent
from authagent.core import events as on
from protocol.io.control_client import ControlError, ExitCode
from protocol.messages import Role
from tests.authagent.running import Running, make, run_agents, serve, until, write_files

QUICK = '[timing]\nconnect_attempts = 1\nconnect_interval = "100ms"\n'


def master_and_slave(agents: list[Running]) -> tuple[Running, Running]:
    first, second = agents
    return (first, second) if first.role == Role.MASTER else (second, first)


async def settled(agents: list[Running]) -> tuple[Running, Running]:
    """Wait until a switch would be let happen."""
    await until(lambda: any(each.server.agent.service.slave is not None for each in agents))
    return master_and_slave(agents)


async def test_asked_at_either_agent_the_other_one_serves(tmp_path: Path) -> None:
    """The proxy moves, and what is logged in then is acknowledged by the new master."""
    path = write_files(tmp_path, agents=2)
    async with run_agents(path, 1, 2) as agents, proxyagent.open_proxy_agent(path, id="p1") as proxy:
        for at_slave in (False, True, True, False):
            master, slave = await settled(agents)
            term = master.server.agent.election.term
            told = await (slave if at_slave else master).ask("switch")
            assert (told["master"], told["term"]) == (str(slave.number), term + 1)
            assert told["took_s"] >= 0
            assert (master.role, slave.role) == (Role.SLAVE, Role.MASTER)
            session = proxy.login("10.0.0.1", user=f"user{term}")
            await proxy.wait_acknowledged(session, level="site", timeout=10.0)


async def test_asked_at_both_it_is_one_switch(tmp_path: Path) -> None:
    """Both are told the same, and nothing is turned back."""
    path = write_files(tmp_path, agents=2)
    async with run_agents(path, 1, 2) as agents:
        master, slave = await settled(agents)
        told: list[Any] = []

        async def ask(where: Running) -> None:
            told.append(await where.ask("switch"))

        async with trio.open_nursery() as nursery:
            for each in agents:
                nursery.start_soon(ask, each)
        assert [each["master"] for each in told] == [str(slave.number)] * 2
        assert (master.role, slave.role) == (Role.SLAVE, Role.MASTER)


async def test_without_another_agent_the_reason_is_told(tmp_path: Path) -> None:
    """Exit code 3, at once."""
    async with run_agents(write_files(tmp_path)) as (one,):
        with pytest.raises(ControlError, match="this site has one") as raised:
            await one.ask("switch")
        assert raised.value.code == ExitCode.UNREACHABLE
    async with run_agents(write_files(tmp_path, agents=2, more=QUICK), 1) as (one,):
        with pytest.raises(ControlError, match="agent 2 is not linked") as raised:
            await one.ask("switch", within_s=60.0)
        assert raised.value.code == ExitCode.UNREACHABLE


async def test_what_was_given_up_is_tried_again_until_time_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slave that stores nothing makes each attempt fail; one that stores again takes over."""
    path = write_files(tmp_path, agents=2)
    async with run_agents(path, 1, 2) as agents, proxyagent.open_proxy_agent(path, id="p1") as proxy:
        master, slave = await settled(agents)
        await until(lambda: proxy.synchronised)
        stored, slave.store.stored = slave.store.stored, lambda position: None
        proxy.login("10.0.0.1", user="alice")
        await until(lambda: slave.server.agent.table.alive == 1)
        with pytest.raises(ControlError, match=r"agent \d has not stored everything") as raised:
            await master.ask("switch", within_s=0.4)
        assert raised.value.code == ExitCode.UNFINISHED
        assert master.role == Role.MASTER and master.server.agent.duty.may_acknowledge

        async with trio.open_nursery() as nursery:
            nursery.start_soon(master.ask, "switch")
            await until(lambda: len(master.logged("switch.given_up")) >= 2)
            slave.store.stored = stored
            slave.server.stored(slave.server.agent.replication.position)
        assert slave.role == Role.MASTER


async def test_a_time_that_is_no_time_is_refused(tmp_path: Path) -> None:
    """Exit code 2."""
    async with run_agents(write_files(tmp_path)) as (one,):
        for within_s in (0, -1, "x", True, float("nan"), 1e9):
            with pytest.raises(ControlError) as raised:
                await one.ask("switch", within_s=within_s)
            assert raised.value.code == ExitCode.USAGE


async def test_nobody_can_be_made_master_where_nobody_serves(tmp_path: Path) -> None:
    """While an agent still looks for its partner it says so, in time."""
    path = write_files(tmp_path, agents=2, more='[timing]\nconnect_attempts = 60\nconnect_interval = "1s"\n')
    one = make(path, 1)
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, one)
        with pytest.raises(ControlError, match="no master is known yet") as raised:
            await one.ask("switch", within_s=0.1)
        assert raised.value.code == ExitCode.UNREACHABLE
        nursery.cancel_scope.cancel()


async def test_a_partner_may_only_ask_for_itself(tmp_path: Path) -> None:
    """Whoever shall serve is named, so that a late question turns nothing back."""
    path = write_files(tmp_path, agents=2)
    async with run_agents(path, 1, 2) as agents:
        master, _ = await settled(agents)
        for to in (str(master.number), "3", None):
            told = json.loads(await master.handler.for_partner(json.dumps({"verb": "switch", "to": to}).encode()))
            assert told["code"] == ExitCode.USAGE
        assert master.role == Role.MASTER


async def test_a_late_question_finds_it_done(tmp_path: Path) -> None:
    """The slave's question arrives when the slave is master already: the answer is that all is well."""
    path = write_files(tmp_path, agents=2)
    async with run_agents(path, 1, 2) as agents:
        master, slave = await settled(agents)
        await master.ask("switch")
        question = json.dumps({"verb": "switch", "to": str(slave.number)}).encode()
        assert json.loads(await master.handler.for_partner(question)) == {}
        assert slave.role == Role.MASTER


async def test_a_slave_that_serves_does_not_mind_a_lost_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What became of the answer is nothing to an agent that is master."""
    path = write_files(tmp_path, agents=2)
    async with run_agents(path, 1, 2) as agents:
        master, slave = await settled(agents)

        async def switch_and_fail(body: bytes) -> bytes:
            await master.server.ask_machine(on.SwitchAsked)
            await until(lambda: slave.role == Role.MASTER)
            return b'{"error": "lost", "code": 3}'

        master.server.carry_out = switch_and_fail
        assert (await slave.ask("switch"))["master"] == str(slave.number)
