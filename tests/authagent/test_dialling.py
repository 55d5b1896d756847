"""Dialling another agent: nobody else's answer will do, and no mistake goes further than its attempt."""

from pathlib import Path
from typing import Any

import attrs
import pytest

from authagent import dialling
from authagent.dialling import Dialling
from protocol.configuration import AuthAgentEntry
from protocol.errors import Code
from protocol.io.dial import connect_tcp
from protocol.io.link import Link, LinkFailed, LinkRefused
from protocol.secret import Secrets
from tests.authagent.running import Running, clock, run_agents, write_files

TIMEOUT_S = 10.0
QUICK = '[timing]\nconnect_attempts = 1\nconnect_interval = "100ms"\n'
"""The partner is not there; that is found out soon."""


def dialler(one: Running) -> Dialling:
    """Dials as agent 2 of the same pair."""
    setup = one.server.setup
    as_two = attrs.evolve(setup, identity=attrs.evolve(setup.identity, id="2", incarnation=77))
    return Dialling(lambda: as_two, one.server.log, clock, connect_tcp)


def entry_of(one: Running) -> AuthAgentEntry:
    found = one.server.setup.configuration.agent(one.server.setup.site, 1)
    assert found is not None
    return found


async def test_the_agent_that_the_file_names_is_linked(tmp_path: Path) -> None:
    """A proven link, with the peer that was meant; over the address that the caller chose."""
    async with run_agents(write_files(tmp_path, agents=2, more=QUICK)) as (one,):
        entry = entry_of(one)
        link = await dialler(one).link_to(entry, "localhost", TIMEOUT_S)
        assert (link.peer.kind, link.peer.site, link.peer.id) == ("agent", entry.site, "1")
        link.close(Code.STOPPING, "seen")


async def test_whoever_else_answers_there_is_refused(tmp_path: Path) -> None:
    """Another id, or another site, at that address: the line names both."""
    async with run_agents(write_files(tmp_path, agents=2, more=QUICK)) as (one,):
        for meant in ({"id": 2}, {"site": "lan9"}):
            with pytest.raises(LinkRefused, match="not agent") as refused:
                await dialler(one).link_to(attrs.evolve(entry_of(one), **meant), "127.0.0.1", TIMEOUT_S)
            assert refused.value.code == Code.WRONG_SITE


async def test_a_mistake_of_ours_is_a_link_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One alarm, and an error that the caller knows how to take."""

    async def broken(*arguments: Any, **options: Any) -> Link:
        raise KeyError("a bug")

    async with run_agents(write_files(tmp_path, agents=2, more=QUICK)) as (one,):
        monkeypatch.setattr(dialling, "dial", broken)
        with pytest.raises(LinkFailed, match="a bug"):
            await dialler(one).link_to(entry_of(one), "127.0.0.1", TIMEOUT_S)
        assert one.logged("link.broken")[-1]["error"] == "KeyError('a bug')"


async def test_a_link_by_a_secret_that_was_dropped_meanwhile_is_none(tmp_path: Path) -> None:
    """It is closed, and counts as no answer: the next attempt is made with the new one."""
    async with run_agents(write_files(tmp_path, agents=2, more=QUICK)) as (one,):
        before = attrs.evolve(one.server.setup, identity=attrs.evolve(one.server.setup.identity, id="2"))
        after = attrs.evolve(before, identity=attrs.evolve(before.identity, secrets=Secrets(("another " * 4,))))
        setups = iter((before, after))
        dialling = Dialling(lambda: next(setups), one.server.log, clock, connect_tcp)
        with pytest.raises(LinkFailed, match="dropped"):
            await dialling.link_to(entry_of(one), "127.0.0.1", TIMEOUT_S)
