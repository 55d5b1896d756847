"""What an operator asks of real processes while nodes die: logouts told node by node, and histories of sessions."""

import json
from typing import Any

import pytest
import trio

from tests.system.harness import Site, until
from tests.system.test_switch import ask

pytestmark = [pytest.mark.system, pytest.mark.slow]

PATIENCE_S = 30.0


async def told(site: Site, number: int, *words: str, code: int = 0) -> dict[str, Any]:
    """What a verb with --json prints."""
    done = await ask(site, number, *words, "--json")
    assert done.returncode == code, done.stderr.decode()
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


async def test_a_logout_with_nodes_killed_in_the_middle_names_them(site: Site) -> None:
    """A proxy that cannot confirm is pending; killed while the operator waits, it is not linked. Back, it obeys."""
    await site.proxies[1].log_in("10.0.0.1", "alice", PATIENCE_S)
    await site.proxies[2].log_in("10.0.0.2", "bob", PATIENCE_S)
    await site.verify(PATIENCE_S)
    master = await site.master()
    answers: list[dict[str, Any]] = []

    async def log_out() -> None:
        answers.append(await told(site, 3 - master, "logout", "--user", "alice", "--timeout", "4", code=4))

    site.proxies[3].pause()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log_out)
        await until(lambda: _is_out(site, "10.0.0.1"), PATIENCE_S, "alice is out at proxy 1")
        site.proxies[3].kill()
    (answer,) = answers
    assert answer["ended"] == 1
    assert {"authagent-1", "authagent-2", "proxy1", "proxy2"} <= set(answer["done"])
    assert [each["node"] for each in answer["pending"]] == ["proxy3"]

    site.start_proxy(3)
    await site.wait_settled(PATIENCE_S)
    assert sorted((await site.proxies[3].shown()).values()) == ["10.0.0.2"]


async def _is_out(site: Site, key: str) -> bool:
    return key not in (await site.proxies[1].shown()).values()


async def test_a_history_outlives_the_agent_that_saw_it(site: Site) -> None:
    """Both agents tell how they heard of a session; with the master killed the other one still tells its part."""
    await site.proxies[1].log_in("10.0.0.1", "alice")
    await site.proxies[2].log_out(PATIENCE_S, key="10.0.0.1")
    await site.wait_settled(PATIENCE_S)
    master = await site.master()
    first = await told(site, 3 - master, "explain", "alice")
    assert sorted(first["told_by"]) == ["1", "2"]
    (session,) = first["sessions"]
    assert (session["ended"], session["proxy"], session["key"]) == ("logged_out", "proxy1", "10.0.0.1")
    heard = {(each["node"], each["what"], each["message"], each["from"]) for each in session["events"]}
    assert {
        (f"authagent-{master}", "login", "Report", "proxy1"),
        (f"authagent-{master}", "logged_out", "Report", "proxy2"),
        (f"authagent-{3 - master}", "login", "Update", f"authagent-{master}"),
    } <= heard

    site.agents[master].kill()
    await site.wait_role(3 - master, "master", PATIENCE_S)
    alone = await told(site, 3 - master, "explain", "10.0.0.1")
    assert (alone["told_by"], [each["agent"] for each in alone["silent"]]) == ([str(3 - master)], [str(master)])
    assert alone["sessions"][0]["ended"] == "logged_out" and alone["sessions"][0]["events"]

    site.agents[master].start()
    await site.wait_settled(PATIENCE_S)
    again = await told(site, master, "explain", "alice")
    assert sorted(again["told_by"]) == ["1", "2"]
    assert again["sessions"][0]["ended"] == "logged_out"
    assert (await ask(site, master, "explain", "nobody")).returncode == 1
