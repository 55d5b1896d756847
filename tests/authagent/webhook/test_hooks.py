"""All receivers of one agent: who is told what, and what a reload changes."""

import builtins
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

import proxyagent
from authagent.admin.problems import Problem
from authagent.receivers import Receiver
from authagent.webhook.hooks import Hooks
from protocol.messages import Role
from protocol.secret import Secrets
from tests.authagent.running import run_agents, until, write_files
from tests.authagent.webhook import receiving as sites
from tests.authagent.webhook.receiving import SECRET, TIMEOUT_S, Lines, receiving, sources


def to(site: sites.Receiver, *events: str) -> Receiver:
    return Receiver(site.url, events, Secrets((SECRET,)))


@asynccontextmanager
async def hooked(lines: Lines, role: Role, *receivers: Receiver) -> AsyncIterator[Hooks]:
    hooks = Hooks(sources(lines), lambda: role)
    hooks.configure(receivers)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hooks.run)
        yield hooks
        nursery.cancel_scope.cancel()


async def test_what_happens_at_a_master_is_told(tmp_path: Path) -> None:
    """A login and a logout at a real agent, through its tally, to one receiver; to another only what it wants."""
    path = write_files(tmp_path)
    async with (
        receiving(200) as all_of_it,
        receiving(200) as ends,
        run_agents(path) as (agent,),
        hooked(Lines(), Role.MASTER, to(all_of_it), to(ends, "session.ended")) as hooks,
    ):
        agent.server.tally.heard = hooks.changes
        async with proxyagent.open_proxy_agent(str(path), id="p1") as proxy:
            await proxy.wait_acknowledged(proxy.login("10.1.1.1", "alice"), timeout=TIMEOUT_S)
            await proxy.wait_acknowledged(proxy.logout("10.1.1.1"), timeout=TIMEOUT_S)
            await all_of_it.until(2)
            await ends.until(1)
    assert [(each["event"], each["user"]) for each in all_of_it.events] == [
        ("session.opened", "alice"), ("session.ended", "alice"),
    ]  # fmt: skip
    assert [each["reason"] for each in ends.events] == ["logged_out"]


async def test_a_slave_tells_of_itself_only(tmp_path: Path) -> None:
    """Its master tells what happens to sessions; its own role and problems it tells itself."""
    async with (
        receiving(200) as site,
        run_agents(write_files(tmp_path)) as (agent,),
        hooked(Lines(), Role.SLAVE, to(site)) as hooks,
    ):
        agent.server.tally.heard = hooks.changes
        async with proxyagent.open_proxy_agent(str(agent.path), id="p1") as proxy:
            await proxy.wait_acknowledged(proxy.login("10.1.1.1", "alice"), timeout=TIMEOUT_S)
        hooks.role(Role.SLAVE, 3)
        await site.until(1)
    assert [each["event"] for each in site.events] == ["role.slave"]


async def test_problems_are_told_when_they_begin_and_when_they_end() -> None:
    """Once each, however often they are seen."""
    clock, split = Problem("clock", "p1", "its clock is off"), Problem("split", "", "both serve")
    async with receiving(200) as site, hooked(Lines(), Role.MASTER, to(site, "problem.*")) as hooks:
        for found in ([clock], [clock], [clock, split], [split], []):
            hooks.problems(found)
        told = await site.until(4)
    assert [(each["event"], each["code"]) for each in told] == [
        ("problem.began", "clock"), ("problem.began", "split"), ("problem.ended", "clock"), ("problem.ended", "split"),
    ]  # fmt: skip


async def test_a_reload_keeps_what_has_not_changed() -> None:
    """A receiver that stays keeps its counts; one that goes is told no more; a new one is told from then on."""
    async with receiving(200) as first, receiving(200) as second, hooked(Lines(), Role.MASTER, to(first)) as hooks:
        hooks.role(Role.MASTER, 1)
        await first.until(1)
        (kept,) = hooks.senders
        await until(lambda: kept.delivered_total)
        hooks.configure((to(second), to(first)))
        hooks.role(Role.MASTER, 2)
        await first.until(2)
        await second.until(1)
        assert hooks.senders[1] is kept
        hooks.configure((to(second),))
        hooks.role(Role.MASTER, 3)
        await second.until(2)
    assert [each["term"] for each in first.events] == [1, 2]
    assert [each["term"] for each in second.events] == [2, 3]


async def test_a_missing_extra_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare install has no h11: the line says what to install, and so does `status`."""
    real = builtins.__import__

    def bare(name: str, *arguments: Any, **more: Any) -> Any:
        if name == "protocol.io.http.post":
            raise ModuleNotFoundError("No module named 'h11'", name="h11")
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", bare)
    lines = Lines()
    async with hooked(lines, Role.MASTER, Receiver("http://x.test/", (), Secrets((SECRET,)))) as hooks:
        await until(lambda: hooks.doubts)
        text = '[[webhook]] needs h11, which is not installed: pip install "one-login[http]"'
        assert hooks.doubts == {"http://x.test": text}
    assert lines.of("webhook.unusable") == [{"error": text}]


async def test_an_authority_that_is_none_is_told() -> None:
    """What is no certificate vouches for nobody, and everything else goes on."""
    lines = Lines()
    receiver = Receiver("https://x.test/", (), Secrets((SECRET,)), "-----BEGIN CERTIFICATE-----\nnone\n")
    async with receiving(200) as site, hooked(lines, Role.MASTER, receiver, to(site)) as hooks:
        await until(lambda: hooks.doubts)
        assert "authority" in hooks.doubts["https://x.test"]
        hooks.role(Role.MASTER, 1)
        await site.until(1)


async def test_without_receivers_nothing_is_kept() -> None:
    """What nobody wants costs no memory."""
    async with hooked(Lines(), Role.MASTER) as hooks:
        hooks.problems([Problem("split", "", "both serve")])
        hooks.timed_out([])
        hooks.role(Role.MASTER, 1)
        assert not hooks.senders and not hooks.doubts
