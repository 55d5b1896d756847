"""What became of a session, on the page: the same as `authagent explain` tells."""

from pathlib import Path
from typing import Any

import proxyagent
from authagent.page.explanation import explanation
from tests.authagent.page.browsing import showing, write_page_files
from tests.authagent.running import run_agents, until
from tests.protocol.io.http.test_markup import read


def told(*sessions: dict[str, Any], **more: Any) -> dict[str, Any]:
    empty = {"asked": "<alice>", "sessions": list(sessions), "left_out": 0, "logged_out_everywhere_at": None}
    return {**empty, "nodes": [], "told_by": ["1"], "silent": [], **more}


def session(**more: Any) -> dict[str, Any]:
    at = "2026-01-31T12:00:0{}.000Z"
    event = {"at": at.format(1), "node": "authagent-1", "what": "login", "message": "Report", "from": "p1"}
    full = {"key": "10.0.0.1", "user": "alice", "site": "lan1", "proxy": "p1", "login_at": at.format(0)}
    full |= {"active_at": at.format(5), "expires_at": at.format(9), "state": "shown", "displaced_by": None}
    return {**full, "events": [event], **more}


def test_a_session_has_its_beginning_its_events_and_its_end() -> None:
    """Times as times of day; the whole is there too."""
    made = explanation(told(session(state="superseded", displaced_by="p2:1:7")))
    text = read(made.text).text
    for part in ("What happened to <alice>", "alice at 10.0.0.1: over, displaced by a later login", "12:00:00 began at",
                 "12:00:01 authagent-1: login, by Report of p1", "displaced by p2:1:7"):  # fmt: skip
        assert part in text
    assert 'datetime="2026-01-31T12:00:01.000Z"' in made.text


def test_what_is_not_known_is_said() -> None:
    """Nobody of that name, older sessions, an end without its login, agents that could not be asked."""
    assert "Nothing is known" in read(explanation(told()).text).text
    nodes = [{"node": "p1", "has_all": True}, {"node": "p2", "has_all": False}, {"node": "p3", "has_all": None}]
    silent = [{"agent": "2", "reason": "it is away"}]
    unseen = session(login_at=None, site="", events=[], state="logged_out")
    everywhere = "2026-01-31T12:00:00.000Z"
    full = told(unseen, left_out=30, nodes=nodes, silent=silent, logged_out_everywhere_at=everywhere)
    text = read(explanation(full).text).text
    for part in ("The last 1 of 31 sessions", "began at p1, unseen here", "longer ago than agents remember",
                 "Logged out everywhere at 12:00:00.", "Known to p1.", "Perhaps not yet known to p2.",
                 "Not linked: p3.", "Agent 2 could not be asked: it is away."):  # fmt: skip
        assert part in text


async def test_the_page_explains_a_user_who_is_gone(tmp_path: Path) -> None:
    """As a part, and in the whole page without a script."""
    path = write_page_files(tmp_path, password=False)
    async with run_agents(path) as (one,), proxyagent.open_proxy_agent(path, id="p1") as proxy:
        proxy.login("10.0.0.1", user="alice")
        proxy.logout("10.0.0.1")
        await until(lambda: one.server.agent.table.ended == 1)
        async with showing(one) as (browser, _):
            for address in ("/history?of=alice", "/?q=alice&explain=10.0.0.1"):
                assert "alice at 10.0.0.1: over, logged out" in read((await browser.get(address)).body).text
            assert "say which KEY or USER" in (await browser.get("/history?of=")).body
