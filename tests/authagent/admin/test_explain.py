"""`authagent explain`: what happened to a session, as far as it is known, by both agents."""

import json
from pathlib import Path
from typing import Any

import pytest

import proxyagent
from authagent.admin.explain import SESSIONS_MAX, joined
from protocol.io.control_client import ControlError, ExitCode
from protocol.messages import Role
from tests.authagent.running import Running, run_agents, until, write_files


def events(session: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    return [(each["node"], each["what"], each["message"], each["from"]) for each in session["events"]]


async def known(key: str, *agents: Running) -> None:
    """Until every agent shows somebody at this key."""
    def shown(agent: Running) -> bool:
        machine = agent.server.agent
        return machine.table.view(key, machine.duty.now_ms(agent.server.clock())) is not None

    await until(lambda: all(map(shown, agents)))


async def test_a_session_is_told_from_its_login_to_its_end(tmp_path: Path) -> None:
    """Where it began, through whom each agent heard of it, what displaced and what ended it; at either agent."""
    path = write_files(tmp_path, agents=2)
    async with run_agents(path, 1, 2) as agents, proxyagent.open_proxy_agent(path, id="p1") as proxy:
        await until(lambda: any(each.server.agent.service.slave is not None for each in agents))
        first = proxy.login("10.0.0.1", user="alice")
        await known("10.0.0.1", *agents)
        second = proxy.login("10.0.0.1", user="bob")
        await proxy.wait_acknowledged(second, timeout=10.0)
        await agents[0].ask("logout", user="bob")
        master = next(each for each in agents if each.role == Role.MASTER)
        slave = next(each for each in agents if each.role == Role.SLAVE)
        names = [f"authagent-{each.number}" for each in (master, slave)]
        for asked in agents:
            told = await asked.ask("explain", administrator=False, key_or_user="10.0.0.1")
            assert sorted(told["told_by"]) == ["1", "2"] and told["silent"] == []
            alice, bob = told["sessions"]
            assert (alice["login_id"], alice["user"], alice["proxy"], alice["site"]) == (
                str(first.login_id), "alice", "p1", "lan1",
            )  # fmt: skip
            assert (alice["ended"], alice["displaced_by"]) == ("superseded", str(second.login_id))
            assert (bob["ended"], bob["state"], bob["displaced_by"]) == ("administrator", "administrator", None)
            assert set(events(alice)) == {
                (names[0], "login", "Report", "p1"), (names[1], "login", "Update", names[0]),
                (names[0], "superseded", "Report", "p1"), (names[1], "superseded", "Update", names[0]),
            }  # fmt: skip
            assert (names[0], "administrator", "", "operator") in events(bob)
            assert {node["node"] for node in told["nodes"]} == {*names, "p1"}
            by_user = await asked.ask("explain", key_or_user="bob")
            assert [each["login_id"] for each in by_user["sessions"]] == [str(second.login_id)]
            assert by_user["logged_out_everywhere_at"]


async def test_a_living_session_is_told_and_a_missing_node_named(tmp_path: Path) -> None:
    """The other agent cannot be asked, and a proxy listed by name is not linked."""
    quick = '[timing]\nconnect_attempts = 1\nconnect_interval = "100ms"\n'
    path = write_files(tmp_path, agents=2, proxies=("p*", "named"), more=quick)
    async with run_agents(path, 1) as (one,), proxyagent.open_proxy_agent(path, id="p1") as proxy:
        proxy.login("::ffff:10.0.0.1", user="alice")
        await known("10.0.0.1", one)
        told = await one.ask("explain", key_or_user="::ffff:10.0.0.1")
        (alice,) = told["sessions"]
        assert (alice["state"], alice["ended"], alice["idle_timeout_s"]) == ("shown", None, 1_800)
        assert [node["node"] for node in told["nodes"] if node["has_all"] is None] == ["named"]
        assert [each["agent"] for each in told["silent"]] == ["2"]


async def test_what_is_not_remembered_is_told_without_events(tmp_path: Path) -> None:
    """After a restart the table still knows how it stands."""
    path = write_files(tmp_path)
    async with run_agents(path) as (one,), proxyagent.open_proxy_agent(path, id="p1") as proxy:
        proxy.login("10.0.0.1", user="alice")
        await known("10.0.0.1", one)
        proxy.logout("10.0.0.1")
        await until(lambda: one.server.agent.table.ended == 1)
        one.server.recent._acts.clear()
        (alice,) = (await one.ask("explain", key_or_user="alice"))["sessions"]
        assert (alice["ended"], alice["events"]) == ("logged_out", [])


async def test_answers_are_bounded(tmp_path: Path) -> None:
    """The sessions that began last, and how many more there are."""
    path = write_files(tmp_path)
    async with run_agents(path) as (one,), proxyagent.open_proxy_agent(path, id="p1") as proxy:
        for number in range(SESSIONS_MAX + 5):
            proxy.login(f"10.0.0.{number}", user="alice")
        await until(lambda: one.server.agent.table.alive == SESSIONS_MAX + 5)
        told = await one.ask("explain", key_or_user="alice")
        assert (len(told["sessions"]), told["left_out"]) == (SESSIONS_MAX, 5)


async def test_nobody_and_nonsense(tmp_path: Path) -> None:
    """Nothing is known of a stranger; what is no question ends with 2, for the partner too."""
    async with run_agents(write_files(tmp_path)) as (one,):
        assert (await one.ask("explain", key_or_user="nobody"))["sessions"] == []
        for question in ({}, {"key_or_user": ""}, {"key_or_user": 5}, {"key_or_user": "x" * 300}):
            with pytest.raises(ControlError) as raised:
                await one.ask("explain", **question)
            assert raised.value.code == ExitCode.USAGE
        told = json.loads(await one.handler.for_partner(b'{"verb": "explain", "key_or_user": []}'))
        assert told["code"] == ExitCode.USAGE


def _answer(agent: str, **session: Any) -> dict[str, Any]:
    event = {"at": session.pop("at", "2026-01-01T00:00:00Z"), "node": f"authagent-{agent}", "what": "login"}
    whole = {"login_id": "p1:1:1", "login_at": "2026-01-01T00:00:00Z", "ended": None, "events": [event], **session}
    nodes = [{"node": f"authagent-{agent}", "has_all": True}, {"node": "p1", "has_all": session.get("has_all", False)}]
    return {"asked": "x", "sessions": [whole], "left_out": 0, "logged_out_everywhere_at": None, "nodes": nodes,
            "told_by": [agent], "silent": []}  # fmt: skip


def test_two_answers_become_one() -> None:
    """Events by time, the end where one of the two knows it, and whoever knows that a node has all is right."""
    told = joined(_answer("1", at="2026-01-01T00:00:02Z"), _answer("2", ended="idle", has_all=True))
    (session,) = told["sessions"]

    assert session["ended"] == "idle"
    assert [each["node"] for each in session["events"]] == ["authagent-2", "authagent-1"]
    assert told["nodes"] == [
        {"node": "authagent-2", "has_all": True}, {"node": "p1", "has_all": True},
        {"node": "authagent-1", "has_all": True},
    ]  # fmt: skip
    assert told["told_by"] == ["1", "2"]


def test_a_session_that_only_one_agent_knows_is_told() -> None:
    """Whichever it is."""
    told = joined(_answer("1"), _answer("2", login_id="p2:1:1", login_at="2025-01-01T00:00:00Z"))
    assert [each["login_id"] for each in told["sessions"]] == ["p2:1:1", "p1:1:1"]
