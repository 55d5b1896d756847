"""The ProxyAgent for threads, asyncio and programs that fork; real time, agents that nobody runs."""

import asyncio
import logging
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import proxyagent
from protocol.session import Login, LoginId, Record, State
from proxyagent.cookie import KeyRing
from proxyagent.cookie_key import make
from proxyagent.core.claims import claims_of
from tests.proxyagent.processes import PATIENCE_S, until


def test_a_blocking_agent_serves_threads(file: Path) -> None:
    """Login and logout cross to the loop; look-ups, listings and figures come from any thread, many at once."""
    before = threading.active_count()
    with proxyagent.BlockingProxyAgent(str(file), id="p1", start_timeout=0.1) as agent:
        sessions = [agent.login(f"10.0.0.{number}", "alice") for number in range(50)]
        failures: list[object] = []

        def look_up() -> None:
            for _ in range(200):
                failures.extend(each for each in sessions if agent.lookup(each.key) != each)
                failures.extend(filter(None, [agent.lookup("10.9.9.9")]))

        threads = [threading.Thread(target=look_up) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        assert len(agent.sessions(user="alice")) == 50
        assert agent.isolated
        assert not agent.synchronised and not agent.ever_synchronised
        agent.wait_acknowledged(sessions[0], level="local")
        with pytest.raises(proxyagent.NotAcknowledged):
            agent.wait_acknowledged(sessions[0], timeout=0.1)
        with pytest.raises(proxyagent.NotAcknowledged):
            agent.resync(timeout=0.1)
        assert len(agent.logout(user="alice")) == 50
        assert not agent.touch(sessions[0].key)
        assert agent.statistics().tombstones == 50
    with pytest.raises(proxyagent.Closed):
        agent.lookup("10.0.0.1")
    with pytest.raises(proxyagent.Closed):
        agent.login("10.0.0.1", "alice")
    agent.close()
    until(lambda: threading.active_count() <= before + 1)  # trio keeps an idle worker thread for a while


def test_a_blocking_agent_has_failover_cookies(file: Path) -> None:
    """Sealed in this thread, honoured across; a proxy that was never linked seals what others made."""
    make(str(file.parent / "cookie.key"))
    file.write_text(file.read_text() + '[cookie]\nkey_files = ["cookie.key"]\n')
    ring = KeyRing(((file.parent / "cookie.key").read_bytes(),))
    now_ms = int(time.time() * 1000)
    login = Login("10.0.0.1", "alice", "lan1", now_ms - 60_000, now_ms + 600_000, 600, ())
    brought = Record(LoginId("p2", 5, 1), login, now_ms - 30_000, State.ALIVE)
    token = ring.seal("alice", claims_of(brought), expires_at_s=login.expires_at // 1000)
    with proxyagent.BlockingProxyAgent(str(file), id="p1", start_timeout=0.1) as agent:
        assert agent.cookie_name == "one-login"
        assert agent.honour_cookie(token, "10.0.0.2") is None
        session = agent.honour_cookie(token, "10.0.0.1")
        assert session is not None and session.login_id == brought.login_id and agent.lookup("10.0.0.1") == session
        assert agent.renew_cookie(session, token) is not None
        sealed = agent.seal_cookie(session)
        assert sealed is not None and agent.honour_cookie(sealed, "10.0.0.1") == session
        assert agent.seal_cookie(agent.login("10.0.0.3", "bob")) is None


def test_a_blocking_agent_tells_notices(file: Path) -> None:
    """notices() is an ordinary iterator that ends with the agent."""
    agent = proxyagent.BlockingProxyAgent(str(file), id="p1", start_timeout=0.1)
    notices = agent.notices()
    agent.login("10.0.0.1", "alice")
    told = next(each for each in notices if isinstance(each, proxyagent.SessionOpened))
    assert told.session.user == "alice"
    closer = threading.Timer(0.1, agent.close)
    closer.start()
    assert list(notices) == []
    closer.join()


def test_a_blocking_agent_raises_what_is_wrong_with_the_file(file: Path) -> None:
    """A bad file and an unlisted id are raised in the thread that opens, and leave no thread behind."""
    with pytest.raises(proxyagent.ConfigurationError, match="not listed"):
        proxyagent.BlockingProxyAgent(str(file), id="unknown")
    file.write_text("[sessions]\n")
    with pytest.raises(proxyagent.ConfigurationError, match="session"):
        proxyagent.BlockingProxyAgent(str(file), id="p1")


def test_a_blocking_agent_serves_asyncio(file: Path) -> None:
    """In asyncio look-ups are made in place, and what waits goes through a thread."""

    async def main() -> None:
        agent = await asyncio.to_thread(proxyagent.BlockingProxyAgent, str(file), id="p1", start_timeout=0.1)
        try:
            session = agent.login("10.0.0.1", "alice")
            assert agent.lookup("10.0.0.1") == session
            await asyncio.to_thread(agent.wait_acknowledged, session, "local")
        finally:
            await asyncio.to_thread(agent.close)

    asyncio.run(main())


def test_after_a_fork_every_call_raises_closed(file: Path) -> None:
    """The child of a fork is told to open its own; the parent goes on."""
    program = f"""
import os, proxyagent
agent = proxyagent.BlockingProxyAgent({str(file)!r}, id="p1", start_timeout=0.1)
session = agent.login("10.0.0.1", "alice")
child = os.fork()
if not child:
    good = 0
    for call in (lambda: agent.lookup("10.0.0.1"), lambda: agent.login("a", "b"), lambda: agent.logout("a"),
                 lambda: agent.sessions(), lambda: agent.statistics(), lambda: agent.wait_acknowledged(session)):
        try:
            call()
        except proxyagent.Closed:
            good += 1
    agent.close()
    os._exit(100 + good)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 106
assert agent.lookup("10.0.0.1") == session
agent.close()
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, timeout=PATIENCE_S)


def test_the_library_configures_no_logging(file: Path) -> None:
    """Opening an agent adds no handler anywhere."""
    before = list(logging.getLogger().handlers), list(logging.getLogger("proxyagent").handlers)
    with proxyagent.BlockingProxyAgent(str(file), id="p1", start_timeout=0.0):
        assert (list(logging.getLogger().handlers), list(logging.getLogger("proxyagent").handlers)) == before
