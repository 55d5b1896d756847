"""What an agent tells Prometheus: true numbers, under proper names, and never who is logged in."""

import re
from pathlib import Path

import proxyagent
from authagent.admin import problems
from authagent.http.metrics import METRICS
from tests.authagent.http.telling import ask, scraped
from tests.authagent.running import run_agents, until, write_files
from tests.repository import tree


async def test_a_pair_and_its_proxy_are_told(tmp_path: Path) -> None:
    """Sessions, events by kind, roles, links and their equality, at master and slave."""
    path = write_files(tmp_path, agents=2, proxies=("p1", "gone"))
    async with run_agents(path, 1, 2) as agents, proxyagent.open_proxy_agent(str(path), id="p1") as proxy:
        master, slave = sorted(agents, key=lambda each: each.role != each.role.MASTER)
        session = proxy.login("10.9.8.7", "alice.in.wonderland")
        proxy.logout(user="nobody.at.all")
        await proxy.wait_acknowledged(session, "site", 15)
        await until(lambda: all(peer.equal for each in agents for peer in each.server.agent.peers))
        at_master, at_slave = await scraped(master), await scraped(slave)
        _, text = await ask(master, "/metrics")

    assert at_master["authagent_sessions", ()] == at_slave["authagent_sessions", ()] == 1
    assert at_master["authagent_events_total", ("login",)] == 1
    assert at_master["authagent_events_total", ("user_logout",)] == 1
    assert at_master["authagent_role", ("master",)] == at_slave["authagent_role", ("slave",)] == 1
    assert at_master["authagent_role", ("slave",)] == at_slave["authagent_role", ("master",)] == 0
    assert at_master["authagent_link_up", ("agent", str(slave.number))] == 1
    assert at_master["authagent_link_up", ("proxy", "p1")] == 1
    assert at_master["authagent_link_up", ("proxy", "gone")] == 0
    assert at_master["authagent_problems", ("proxy_missing",)] == 1 and at_master["authagent_healthy", ()] == 0
    assert at_master["authagent_link_digest_equal", ("proxy", "p1")] == 1
    assert 0 <= at_master["authagent_link_digest_equal_age_seconds", ("proxy", "p1")] < 15
    assert abs(at_master["authagent_link_clock_offset_seconds", ("proxy", "p1")]) < 2
    assert at_master["authagent_unacknowledged_reports", ()] == 0
    assert at_master["authagent_split", ()] == at_master["authagent_isolated", ()] == 0
    assert at_master["authagent_http_requests_total", ()] == 1
    assert "alice" not in text and "10.9.8.7" not in text and "nobody.at.all" not in text


async def test_a_failover_is_counted(tmp_path: Path) -> None:
    """The slave that takes over tells one, and that it has lost its partner."""
    path = write_files(tmp_path, agents=2, more='[timing]\nconnect_interval = "100ms"\n')
    async with run_agents(path, 1, 2) as agents:
        master, slave = sorted(agents, key=lambda each: each.role != each.role.MASTER)
        assert (await scraped(slave))["authagent_failovers_total", ()] == 0
        master.server.stop()
        await until(lambda: slave.role == slave.role.MASTER)
        told = await scraped(slave)
    assert told["authagent_failovers_total", ()] == 1
    assert told["authagent_isolated", ()] == 1
    assert told["authagent_link_up", ("agent", str(master.number))] == 0


async def test_a_queue_and_a_broken_store_are_told(tmp_path: Path) -> None:
    """Numbers of the shell are those of the machine that is asked."""
    async with run_agents(write_files(tmp_path)) as (agent,):
        agent.store.errors_total, agent.store.queued_bytes = 3, 4_096
        told = await scraped(agent)
    assert told["authagent_store_errors_total", ()] == 3
    assert told["authagent_store_queue_bytes", ()] == 4_096
    assert told["authagent_store_ok", ()] == told["authagent_store_loaded_ratio", ()] == 1


def test_every_name_keeps_to_the_rules() -> None:
    """The program first, counters with _total, no label that could name a user, each name once."""
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert re.fullmatch(r"authagent_[a-z0-9_]+", metric.name), metric.name
        assert (metric.kind == "counter") == metric.name.endswith("_total"), metric.name
        assert not {"user", "key", "session", "login", "address"} & set(metric.labels), metric.name
        assert metric.doc.endswith("."), metric.name


def test_every_problem_has_its_series() -> None:
    """The codes that are told as 0 are those that problems.py can find."""
    source = (tree.ROOT / "authagent" / "admin" / "problems.py").read_text(encoding="utf-8")
    assert set(re.findall(r'Problem\(\s*"([a-z_]+)"', source)) == set(problems.CODES)

