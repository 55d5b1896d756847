"""What whoever watches is sent: everything first, then what changes, until the end."""

import json
from pathlib import Path
from typing import Any

import attrs
import trio
from starlette.exceptions import HTTPException

import proxyagent
from authagent.page import watch
from authagent.page.history import History
from authagent.page.watch import Message, Watch
from protocol.messages import Role
from tests.authagent.running import Running, run_agents, until, write_files


@attrs.define
class Listener:
    """A browser's end of a stream."""

    gone: trio.Event = attrs.field(factory=trio.Event)
    parts: dict[str, str] = attrs.field(factory=dict)
    events: list[str] = attrs.field(factory=list)

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        for event in message.get("body", b"").decode().split("\n\n"):
            if event.startswith("data: "):
                self.parts |= json.loads(event.removeprefix("data: "))
            self.events += [event] if event else []


async def let_in() -> bool:
    """For ever."""
    return True


def watching(running: Running) -> Watch:
    return Watch(running.server, running.handler, History())


async def test_everything_comes_first_then_what_has_changed(tmp_path: Path) -> None:
    """A proxy that links is shown at once, and nothing is sent twice."""
    path = write_files(tmp_path)
    async with run_agents(path) as (one,), trio.open_nursery() as nursery:
        shown, browser = watching(one), Listener()
        nursery.start_soon(shown.stream, browser.receive, browser.send, [], let_in)
        await until(lambda: set(browser.parts) == {"headline", "picture", "numbers", "about"})
        assert "p1" not in browser.parts["picture"]
        async with proxyagent.open_proxy_agent(path, id="p1"):
            await until(lambda: "proxy-p1" in browser.parts["picture"])
        await until(lambda: "proxy-p1" not in browser.parts["picture"])
        assert len(browser.events) == len(set(browser.events)) + browser.events.count(BEAT) - (BEAT in browser.events)
        browser.gone.set()
        await until(lambda: shown.streams == 0)


BEAT = "event: beat\ndata: {}"


async def test_a_stream_beats_while_nothing_changes(tmp_path: Path) -> None:
    """So that silence means that the agent is gone."""
    async with run_agents(write_files(tmp_path)) as (one,), trio.open_nursery() as nursery:
        shown, browser = watching(one), Listener()
        nursery.start_soon(shown.stream, browser.receive, browser.send, [], let_in)
        await until(lambda: BEAT in browser.events)
        browser.gone.set()


async def test_a_stream_ends_with_what_let_it_in(tmp_path: Path) -> None:
    """The browser is told, and asks again as a stranger."""
    async with run_agents(write_files(tmp_path)) as (one,):
        shown, browser = watching(one), Listener()
        answers = [True, True, False]

        async def lasts() -> bool:
            return answers.pop(0)

        await shown.stream(browser.receive, browser.send, [], lasts)
        assert browser.events[-1] == "event: over\ndata: {}"
        assert shown.streams == 0


async def test_a_stream_ends_when_its_sender_talks_too_much(tmp_path: Path) -> None:
    """Whoever asks for events sends nothing more; a body beyond the bound is no mistake of ours."""

    async def receive() -> Message:
        await trio.lowlevel.checkpoint()
        raise HTTPException(413)

    async with run_agents(write_files(tmp_path)) as (one,):
        shown = watching(one)
        await shown.stream(receive, Listener().send, [], let_in)
        assert shown.streams == 0


async def test_the_parts_are_made_once_for_all(tmp_path: Path) -> None:
    """While nothing happens, and no second has passed, they are the same objects."""
    async with run_agents(write_files(tmp_path)) as (one,):
        shown = watching(one)
        await until(lambda: shown.parts() is shown.parts())


async def test_a_slave_shows_its_masters_proxies(tmp_path: Path) -> None:
    """It asks while somebody watches; when the master is gone it shows what it knows."""
    path = write_files(tmp_path, agents=2)
    site, proxy = run_agents(path, 1, 2), proxyagent.open_proxy_agent(path, id="p1")
    async with site as agents, proxy, trio.open_nursery() as nursery:
        (slave,) = [each for each in agents if each.role == Role.SLAVE]
        shown, browser = watching(slave), Listener()
        nursery.start_soon(shown.stream, browser.receive, browser.send, [], let_in)
        await until(lambda: "proxy-p1" in browser.parts.get("picture", ""))
        assert "agent 2 · this page" in browser.parts["picture"]
        browser.gone.set()


async def test_a_partner_that_answers_nonsense_is_as_good_as_silent(tmp_path: Path) -> None:
    """The slave shows what it knows."""
    path = write_files(tmp_path, agents=2)
    async with run_agents(path, 1, 2) as agents:
        (slave,) = [each for each in agents if each.role == Role.SLAVE]
        (master,) = [each for each in agents if each.role == Role.MASTER]
        answers: list[Any] = [{"agents": 7}, {"error": "what is a view?", "code": 2}]

        async def answer(body: bytes) -> bytes:
            return json.dumps(answers.pop(0)).encode()

        master.server.carry_out = answer
        shown = watching(slave)
        for _ in range(2):
            shown._asked_s = float("-inf")
            await shown.ask_master()
        assert answers == [] and shown._told is None
        assert "agent 2" in shown.parts()["picture"]
        assert watch.ASKED_EVERY_S <= watch.TOLD_FOR_S
