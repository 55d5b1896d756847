"""The price of a problem: who may still be let in where, and for how long."""

from pathlib import Path

import pytest

import proxyagent
from authagent.admin.prices import priced
from authagent.admin.problems import Problem
from authagent.missed import Missed
from protocol import configuration
from tests.authagent.core.machine import NOW_MS, ends
from tests.authagent.running import run_agents, until, write_files

AWAY = Problem("proxy_missing", "squid-7", "proxy squid-7 is not linked: logouts do not reach it", since_s=185.0)


def text(*users: str, keep: str = "until-expiry", since_s: float = 185.0, later_ms: int = 0) -> str:
    """What is said of squid-7, which has missed the logouts of these users."""
    away = Missed()
    away.left("squid-7", 10.0)
    for user in users:
        away.note(ends("10.0.0.1", user=user), 11.0)
    agent = '[[authagent]]\nid = 1\nhost = "h"\nsite = "a"\n'
    file = configuration.parse(f'[session]\nkeep_sessions = "{keep}"\n{agent}', "f")
    problem = Problem(AWAY.code, AWAY.about, AWAY.text, since_s)
    return priced(problem, away, file, NOW_MS + later_ms).text


def test_a_proxy_alone_costs_what_was_logged_out_meanwhile() -> None:
    """Nobody, one, two, many."""
    alone = "proxy squid-7 alone for 3 min; logouts do not reach it"
    assert text() == alone
    assert text("alice", later_ms=33 * 60_000) == f"{alone}; alice at most 27 min more"
    assert text("alice", "bob") == f"{alone}; alice and bob at most 1 h 0 min more"
    assert text("alice", "bob", "carol") == f"{alone}; alice and 2 others at most 1 h 0 min more"
    assert text("alice", later_ms=3_600_000) == alone
    assert "alone for 45 s" in text(since_s=45.0)


@pytest.mark.parametrize(
    ("keep", "price"),
    [("drop", ""), ("4m", "; alice at most 55 s more"), ("2m", ""), ("2h", "; alice at most 1 h 0 min more")],
)
def test_keep_sessions_bounds_the_price(keep: str, price: str) -> None:
    """A proxy that stops answering lets nobody in."""
    assert text("alice", keep=keep).partition("reach it")[2] == price


def test_a_site_that_is_not_linked_costs_the_logouts_since() -> None:
    """However many events wait, and why ever it is."""
    text = "site lan2 is not linked, 7 events wait: logouts do not reach it"
    found = Problem("site_missing", "site lan2", text, 185.0)
    file = configuration.parse('[[authagent]]\nid = 1\nhost = "h"\nsite = "a"\n', "f")
    said = priced(found, Missed(), file, NOW_MS).text
    assert said == "site lan2 is not linked, 7 events wait: logouts of the last 3 min do not reach it"


def test_other_problems_have_no_price() -> None:
    """They are told as they are."""
    other = Problem("split", "", "both agents serve")
    assert priced(other, Missed(), configuration.default("lan1"), NOW_MS) is other


async def test_status_tells_who_may_stay(tmp_path: Path) -> None:
    """A proxy leaves, a user logs out elsewhere: the first line of `status` says what that means; back, all is well."""
    path = write_files(tmp_path, proxies=("p1", "p2"))
    async with run_agents(path) as (one,), proxyagent.open_proxy_agent(path, id="p1") as proxy:
        async with proxyagent.open_proxy_agent(path, id="p2"):
            session = proxy.login("10.0.0.1", user="alice")
            await proxy.wait_acknowledged(session, timeout=10.0)
        await until(lambda: one.server.missed.watching)
        await proxy.wait_acknowledged(proxy.logout("10.0.0.1"), timeout=10.0)
        sentence = (await one.ask("status"))["sentence"]
        assert sentence.startswith("proxy p2 alone for ") and "; alice at most 11 h 59 min more" in sentence
        async with proxyagent.open_proxy_agent(path, id="p2"):
            await until(lambda: one.handler.status()["healthy"])
            assert not one.server.missed.watching
