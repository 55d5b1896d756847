"""What is said of other sites: linked, cut off, refusing; in status, problems, logout, explain, numbers and the log."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import trio

import proxyagent
from authagent.admin.problems import Problem
from authagent.admin.remotes import remotes, remotes_of_master
from authagent.core.border import Border
from protocol.messages import Role
from tests.authagent.http.telling import scraped
from tests.authagent.running import Running, clock, make, serve, until, write_files
from tests.ports import free_ports

QUICK = '[timing]\nwan_heartbeat_interval = "50ms"\nwan_suspect_after = "3s"\n'


def write_sites(folder: Path) -> Path:
    """The file of two sites of one agent each, and any proxy."""
    path = write_files(folder, more=QUICK)
    (port,) = free_ports(1)
    there = f'[[authagent]]\nid = 1\nsite = "lan2"\nhost = "127.0.0.1"\nport = {port}\n'
    path.write_text(path.read_text() + there + '[[proxyagent]]\nid = "p*"\nsite = "lan2"\n')
    return path


@attrs.define
class Two:
    """Two sites in one loop; the second can be ended."""

    here: Running
    there: Running
    second: trio.CancelScope

    async def wait_linked(self) -> None:
        """Until both know that all is equal, and that all has crossed."""
        await until(lambda: all(each.handler.status()["healthy"] for each in (self.here, self.there)))
        await until(lambda: all(told(each)["digest_equal"] for each in (self.here, self.there)))
        await until(lambda: all(not told(each)["queued_events"] for each in (self.here, self.there)))


def told(agent: Running) -> dict[str, Any]:
    """What the agent's status says of the one other site."""
    (remote,) = agent.handler.status()["remotes"]
    return dict(remote)


@asynccontextmanager
async def open_sites(path: Path) -> AsyncIterator[Two]:
    """Both serve until the end of the body."""
    two = Two(make(path, site="lan1"), make(path, site="lan2"), trio.CancelScope())

    async def run_second(task_status: trio.TaskStatus[None]) -> None:
        with two.second:
            await serve(two.there, task_status)

    async with trio.open_nursery() as nursery:
        await nursery.start(serve, two.here)
        await nursery.start(run_second)
        await two.wait_linked()
        yield two
        nursery.cancel_scope.cancel()


async def test_two_sites_say_that_all_is_equal(tmp_path: Path) -> None:
    """Linked, nothing queued, what crossed counted at both ends alike, and no site among the proxies."""
    path = write_sites(tmp_path)
    async with open_sites(path) as two, proxyagent.open_proxy_agent(path, id="p1", site="lan1") as proxy:
        proxy.login("10.0.0.1", user="alice")
        await until(lambda: two.there.server.agent.table.alive == 1)
        await two.wait_linked()
        here, there = told(two.here), told(two.there)
        numbers = await scraped(two.here)
        assert two.here.handler.status()["sentence"] == "Everything equal. 2 sites, 1 proxy here, 1 user."
        (listed,) = await two.there.ask("sessions", site="lan1")
        assert [(each["user"], each["site"], each["proxy"]) for each in listed["sessions"]] == [("alice", "lan1", "p1")]
        assert await two.there.ask("sessions", site="lan2") == []
        assert [each["id"] for each in two.here.handler.status()["proxies"]] == ["p1"]
        assert (here["site"], here["agent"], here["refused"], here["lag_s"]) == ("lan2", "1", "", 0.0)
        assert here["since"] is not None and here["version"].startswith("authagent/")
        assert (here["events_out"], here["bytes_out"]) == (there["events_in"], there["bytes_in"]) != (0, 0)
        assert numbers["authagent_site_link_up", ("lan2",)] == numbers["authagent_site_digest_equal", ("lan2",)] == 1
        assert numbers["authagent_site_events_total", ("out", "lan2")] == here["events_out"]
        assert numbers["authagent_site_bytes_total", ("out", "lan2")] == here["bytes_out"]
        assert not [labels for _, labels in numbers if labels[:2] == ("agent", "1")]


async def test_a_logout_is_done_where_the_other_site_has_stored_it(tmp_path: Path) -> None:
    """It is waited for and counted; explain says that the site has all."""
    path = write_sites(tmp_path)
    async with open_sites(path) as two, proxyagent.open_proxy_agent(path, id="p1", site="lan1") as proxy:
        proxy.login("10.0.0.1", user="alice")
        await until(lambda: two.there.server.agent.table.alive == 1)
        answer = await two.here.ask("logout", user="alice")
        assert two.there.server.agent.table.alive == 0
        assert (answer["pending"], answer["done"]) == ([], ["authagent-1", "p1", "site lan2"])
        assert (answer["proxies"], answer["sites"]) == ({"done": 1, "total": 1}, {"done": 2, "total": 2})
        nodes = (await two.here.ask("explain", key_or_user="alice"))["nodes"]
        assert {"node": "site lan2", "has_all": True} in nodes


async def test_a_site_that_is_gone_is_a_problem_with_its_price(tmp_path: Path) -> None:
    """Since when, what waits, that logouts do not reach it; a logout is pending there at once, and says so."""
    path = write_sites(tmp_path)
    async with open_sites(path) as two, proxyagent.open_proxy_agent(path, id="p1", site="lan1") as proxy:
        proxy.login("10.0.0.1", user="alice")
        await two.wait_linked()
        two.second.cancel()
        await until(lambda: not told(two.here)["connected"])
        proxy.login("10.0.0.2", user="bob")
        await until(lambda: told(two.here)["queued_events"])
        gone = told(two.here)
        assert (gone["connected"], gone["queued_events"]) == (False, 1)
        assert gone["lag_s"] >= 0 and gone["since"] is not None
        (problem,) = two.here.handler.status()["problems"]
        assert problem["code"] == "site_missing"
        assert problem["text"].startswith("site lan2 is not linked, 1 event waits: logouts of the last ")
        answer = await two.here.ask("logout", user="alice", within_s=60.0)
        ((node, reason),) = [(each["node"], each["reason"]) for each in answer["pending"]]
        assert (node, reason, answer["sites"]) == ("site lan2", "is not linked", {"done": 1, "total": 2})
        nodes = (await two.here.ask("explain", key_or_user="alice"))["nodes"]
        assert {"node": "site lan2", "has_all": None} in nodes
        assert (await scraped(two.here))["authagent_site_link_up", ("lan2",)] == 0


async def test_what_is_wrong_with_a_linked_site(tmp_path: Path) -> None:
    """Different for long, not complete, late; its reason while it refuses; nothing of it at a slave."""
    async with open_sites(write_sites(tmp_path)) as two:
        agent = two.here.server.agent
        border: Border = next(agent.sites.links("lan2"))

        def problem() -> Problem:
            (found,) = two.here.handler.problems()
            return found

        border.complete = False
        assert (problem().code, problem().text[:9]) == ("catching_up", "site lan2")
        border.complete = True
        border.crossed(agent.replication.log.sequence + 1, 1, 10, clock().monotonic_s - 30)
        assert problem().text.startswith("site lan2 is 30 s behind") and problem().code == "site_behind"
        border.sent.clear()
        border.peer.unequal_since_s = clock().monotonic_s - agent.settings.wan_unequal_after_s - 1
        assert (problem().code, problem().about) == ("unequal", "site lan2")
        del agent.sites.borders[border.peer.link]
        agent.sites.known["lan2"].refused = "wrong secret"
        assert "site lan2 is not linked (wrong secret)" in problem().text
        assert [each.refused for each in remotes(agent, clock())] == ["wrong secret"]
        agent.sites.borders[border.peer.link] = border
        agent.election.role = Role.SLAVE
        assert remotes_of_master(agent, clock()) == []
        agent.election.role = Role.MASTER


async def test_of_two_masters_the_worse_is_told(tmp_path: Path) -> None:
    """In a split of the other site there are two links; the one of the greater term is named."""
    async with open_sites(write_sites(tmp_path)) as two:
        agent = two.here.server.agent
        border: Border = next(agent.sites.links("lan2"))
        other = attrs.evolve(border.peer, link=99, id="2", equal=False)
        heartbeat = border.peer.heartbeat
        assert heartbeat is not None
        other.heartbeat = attrs.evolve(heartbeat, term=heartbeat.term + 1)
        agent.sites.borders[99] = Border(other, border.traffic)
        (remote,) = remotes(agent, clock())
        assert remote.peer is other
        assert (remote.equal, remote.complete, remote.has(0)) == (False, False, False)
        del agent.sites.borders[99]
