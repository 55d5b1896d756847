"""Searching sessions: a whole name in any table, a part of one in a bounded walk."""

from pathlib import Path

import pytest

import proxyagent
from authagent.page import search
from authagent.page.listing import Found
from authagent.page.search import Search
from tests.authagent.running import run_agents, until, write_files


def users(found: Found) -> list[str]:
    return sorted(each["user"] for each in found.sessions)


async def test_a_part_of_user_or_key_is_found_whatever_its_case(tmp_path: Path) -> None:
    """Blanks around it do not matter; nobody is found twice."""
    path = write_files(tmp_path)
    async with run_agents(path) as (one,), proxyagent.open_proxy_agent(path, id="p1") as proxy:
        for number, user in enumerate(("Alice", "alina", "bob"), 1):
            proxy.login(f"10.0.0.{number}", user=user)
        await until(lambda: one.server.agent.table.alive == 3)
        look = Search(one.server)
        assert users(await look.find("ALI")) == ["Alice", "alina"]
        assert users(await look.find(" bob ")) == ["bob"]
        assert users(await look.find("0.0.3")) == ["bob"]
        assert users(await look.find("10.0.0.1")) == ["Alice"]
        assert users(await look.find("")) == ["Alice", "alina", "bob"]
        nobody = await look.find("carol")
        assert (nobody.sessions, nobody.looked_at, nobody.total) == ((), 3, 3)
        assert users(await look.find("x" * 10_000)) == []
        assert users(await look.find("a\x00\n\udc80")) == []


async def test_what_is_told_and_what_is_looked_at_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole user name or key is found all the same."""
    monkeypatch.setattr(search, "LOOKED_AT_MAX", 300)
    path = write_files(tmp_path)
    async with run_agents(path) as (one,), proxyagent.open_proxy_agent(path, id="p1") as proxy:
        for number in range(600):
            proxy.login(f"10.0.{number // 250}.{number % 250}", user=f"user{number}")
        await until(lambda: one.server.agent.table.alive == 600)
        look = Search(one.server)
        some = await look.find("user")
        assert (len(some.sessions), some.more) == (search.TOLD_MAX, True)
        assert len((await look.find("")).sessions) == search.TOLD_UNASKED_MAX
        assert users(await look.find("user599")) == ["user599"]
        assert users(await look.find("10.0.2.99")) == ["user599"]
        nobody = await look.find("ser599")
        assert (nobody.sessions, nobody.looked_at, nobody.total) == ((), 300, 600)
