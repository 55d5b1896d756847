"""The verbs of an agent's control socket: who may, what is answered, and in which pieces."""

from pathlib import Path
from typing import Any

import pytest

import proxyagent
from authagent.admin import handler
from protocol.io.control import Request
from protocol.io.control_client import ControlError, ExitCode
from tests.authagent.running import run_agents, until, write_files


async def test_only_owner_and_root_change_anything(tmp_path: Path) -> None:
    """Others may ask."""
    async with run_agents(write_files(tmp_path)) as (one,):
        for verb, question in (("logout", {"all": True}), ("switch", {}), ("reload", {})):
            with pytest.raises(ControlError) as raised:
                await one.ask(verb, administrator=False, **question)
            assert raised.value.code == ExitCode.UNREACHABLE
        assert one.reloads == 0
        assert (await one.ask("status", administrator=False))["healthy"]
        assert await one.ask("sessions", administrator=False) == []
        assert (await one.ask("reload"))["reloaded"]


async def test_an_unknown_verb_names_the_known() -> None:
    """Exit code 2."""
    with pytest.raises(ControlError, match="status, sessions, logout, switch, explain, reload") as raised:
        await handler.Handler(None, None, None, None)(Request("dance", {}, True, 0))  # type: ignore[arg-type]
    assert raised.value.code == ExitCode.USAGE


async def test_sessions_come_in_pieces_and_within_the_limit(tmp_path: Path) -> None:
    """At most so many in a line, at most `limit` in all, and each of them once."""
    path = write_files(tmp_path)
    async with run_agents(path) as (one,), proxyagent.open_proxy_agent(path, id="p1") as proxy:
        for number in range(500):
            proxy.login(f"10.0.{number // 250}.{number % 250}", user=f"u{number % 7}")
        await until(lambda: one.server.agent.table.alive == 500)
        lines = await one.ask("sessions")
        assert [len(line["sessions"]) for line in lines] == [200, 200, 100]
        assert len({each["key"] for line in lines for each in line["sessions"]}) == 500
        assert [len(line["sessions"]) for line in await one.ask("sessions", limit=250)] == [200, 50]
        by_user = await one.ask("sessions", user="u3")
        assert {each["user"] for line in by_user for each in line["sessions"]} == {"u3"}
        assert [len(line["sessions"]) for line in await one.ask("sessions", key="::ffff:10.0.0.7")] == [1]
        assert await one.ask("sessions", proxy="p2") == []
        assert sum(len(line["sessions"]) for line in await one.ask("sessions", site="lan1", proxy="p1")) == 500


@pytest.mark.parametrize(
    "question", [{"limit": 0}, {"limit": "x"}, {"limit": True}, {"limit": 1.5}, {"user": 3}], ids=str
)
async def test_questions_of_the_wrong_type_are_refused_with_2(tmp_path: Path, question: dict[str, Any]) -> None:
    """Instead of an internal error."""
    async with run_agents(write_files(tmp_path)) as (one,):
        with pytest.raises(ControlError) as raised:
            await one.ask("sessions", **question)
        assert raised.value.code == ExitCode.USAGE


async def test_a_problem_keeps_its_beginning(tmp_path: Path) -> None:
    """From one status to the next its `since` stays, while its text may change."""
    path = write_files(tmp_path, proxies=("named",))
    async with run_agents(path) as (one,):
        (first,) = one.handler.problems()
        (second,) = one.handler.problems()
        assert first.code == second.code == "proxy_missing"
        assert second.since_s > first.since_s == 0.0
