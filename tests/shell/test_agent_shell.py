"""Whole lives of agents, as processes: starts, mistakes, reloads, floods and ends.

What is asked of them goes through their control sockets; what they say is read from their logs. Nobody sleeps for
luck: every wait is for a condition, with a deadline.
"""

import contextlib
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from authagent.demo.cast import environment
from protocol.io.control_client import ControlError, ask
from tests.authagent.running import write_files, write_secret
from tests.ports import free_ports

pytestmark = [pytest.mark.system, pytest.mark.slow]

PATIENCE_S = 15.0
STOP_S_MAX = 4.0  # the promise is 2 s, proven on the virtual clock; an interpreter on a busy machine ends when it can
QUICK = '[timing]\nconnect_attempts = 1\nconnect_interval = "100ms"\n'
OLD, NEW = "kQ3vX8pLr2Zt7Wm9Bn4Yc6Hd", "Vb5Nj1Rw8Tq4Lx0Zs7Mf2Gk9"


def until(condition: Callable[[], Any], what: str, within_s: float = PATIENCE_S) -> Any:
    """Wait for a condition; returns what it returned."""
    deadline_s = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < deadline_s, f"not in time: {what}"
        time.sleep(0.02)
    return found


class Process:
    """One agent or proxy, with what it writes."""

    def __init__(self, path: Path, *words: str, name: str = "", **more: Any) -> None:
        self.log = path.parent / f"{name or words[-1]}.log"
        self.socket = str(path.parent / f"lan1-agent-{words[-1]}.sock")
        command = [sys.executable, "-m", *(("authagent",) if len(words) == 1 else ()), *words, "--config", str(path)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=path.parent, env=environment(), **more)

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def lines(self) -> list[str]:
        return self.said.splitlines()

    def ask(self, verb: str, **question: Any) -> dict[str, Any]:
        """What its control socket answers; empty while it does not."""
        try:
            return ask(self.socket, verb, **question)
        except ControlError as error:
            if error.code != 3:
                raise
            return {}

    def wait_role(self, role: str) -> None:
        until(lambda: self.ask("status").get("role") == role, f"{role}: {self.said[-500:]}")

    def wait_said(self, words: str) -> None:
        until(lambda: words in self.said, f"{words!r} in: {self.said[-500:]}")

    def wait_end(self) -> int:
        return self.process.wait(PATIENCE_S)

    def terminate(self) -> float:
        """SIGTERM, which must end it with 0; returns how long that took."""
        began_s = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE_S) == 0, self.said[-2_000:]
        assert "Traceback" not in self.said
        return time.monotonic() - began_s


class Cast:
    """All processes of one test."""

    def __init__(self) -> None:
        self.all: list[Process] = []

    def agent(self, path: Path, number: int = 1, **more: Any) -> Process:
        self.all.append(Process(path, str(number), **more))
        return self.all[-1]

    def proxy(self, path: Path, id: str) -> Process:
        self.all.append(Process(path, "proxyagent", "run", "--id", id, name=id))
        self.all[-1].socket = str(path.parent / f"lan1-proxyagent-{id}.sock")
        return self.all[-1]

    def pair(self, path: Path) -> tuple[Process, Process]:
        """Agent 1 as master, agent 2 as slave, with equal tables."""
        one, two = self.agent(path, 1), self.agent(path, 2)
        until(lambda: {each.ask("status").get("role") for each in (one, two)} == {"master", "slave"}, "a pair")
        master, slave = (one, two) if one.ask("status")["role"] == "master" else (two, one)
        until(lambda: (master.ask("status")["partner"] or {})["digest_equal"], "equal tables")
        return master, slave


@pytest.fixture
def cast() -> Iterator[Cast]:
    made = Cast()
    yield made
    for each in made.all:
        with contextlib.suppress(ProcessLookupError):
            each.process.send_signal(signal.SIGCONT)
        each.process.kill()
        each.process.wait()


def run(path: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """`authagent` to its end."""
    command = [sys.executable, "-m", "authagent", *words]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=path.parent, env=environment(), timeout=PATIENCE_S, check=False
    )


def port_of(path: Path) -> int:
    return int(path.read_text().partition("port = ")[2].splitlines()[0])


# -- starting and ending ------------------------------------------------------------------------------------------


def test_an_agent_comes_up_tells_of_itself_and_ends(tmp_path: Path, cast: Cast) -> None:
    """Level 0 has its start and its end and no more; the command line waits for it; SIGTERM ends it in time with 0."""
    path = write_files(tmp_path, more="[logging]\nlevel = 0\n")
    agent = cast.agent(path)
    done = run(path, "status", "--wait", "10", "--config", str(path))
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "Everything equal. 1 site, 0 proxies, 0 users.")
    told = json.loads(run(path, "--config", str(path), "status", "--json").stdout)
    assert (told["role"], told["store"]["ok"], told["uptime_s"] > 0) == ("master", True, True)
    assert agent.terminate() < STOP_S_MAX
    assert [line.split()[2] for line in agent.lines] == [
        "authagent.starting", "authagent.started", "authagent.stopped",
    ]  # fmt: skip
    assert run(path, "status", "--config", str(path)).returncode == 3


def test_a_slave_and_a_master_end_in_time(tmp_path: Path, cast: Cast) -> None:
    """A master hands over first: its slave serves at once."""
    master, slave = cast.pair(write_files(tmp_path, agents=2))
    assert master.terminate() < STOP_S_MAX
    slave.wait_role("master")
    assert slave.terminate() < STOP_S_MAX


def test_an_agent_without_a_role_ends_in_time(tmp_path: Path, cast: Cast) -> None:
    """While it still looks for its partner; and it tells so meanwhile."""
    path = write_files(tmp_path, agents=2, more="[timing]\nconnect_attempts = 100\n")
    agent = cast.agent(path)
    agent.wait_role("starting")
    done = run(path, "status", "--config", str(path))
    assert done.stdout.startswith("agent 1 has no role yet: it is looking for agent 2")
    agent.wait_said("authagent.started")
    assert agent.terminate() < STOP_S_MAX


def test_an_agent_that_only_comes_up_ends_in_time(tmp_path: Path, cast: Cast) -> None:
    """Before its table is loaded and its doors are open, too."""
    path = write_files(tmp_path)
    agent = cast.agent(path)
    agent.wait_said("authagent.starting")
    assert agent.terminate() < STOP_S_MAX


def test_peers_that_hang_hold_up_nobody(tmp_path: Path, cast: Cast) -> None:
    """A stopped slave and a stopped proxy: the master ends in time all the same, with 0."""
    path = write_files(tmp_path, agents=2)
    master, slave = cast.pair(path)
    proxy = cast.proxy(path, "p1")
    until(lambda: len(master.ask("status")["proxies"]) == 1, "a proxy")
    for each in (slave, proxy):
        each.process.send_signal(signal.SIGSTOP)
    assert master.terminate() < STOP_S_MAX
    assert "agent.stopping" in master.said


def test_a_broken_machine_ends_the_process_with_70(tmp_path: Path) -> None:
    """Whatever stepped it, here a control verb: an alarm, and a line that asks for a report."""
    path = write_files(tmp_path)
    code = (
        "import sys; from authagent.core.service import Service; from authagent.cli import main\n"
        "Service.logout = lambda *arguments: 1 / 0\n"
        f"sys.argv = ['authagent', '1', '--config', {str(path)!r}]; main()"
    )
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(command, cwd=path.parent, env=environment(), stderr=subprocess.PIPE, text=True)
    try:
        control = str(tmp_path / "lan1-agent-1.sock")
        until(lambda: os.path.exists(control) and run(path, "status", "--wait", "9", "--config", str(path)), "started")
        with pytest.raises(ControlError):
            ask(control, "logout", key="10.0.0.1", within_s=1.0)
        _, said = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 70
    assert "alarm authagent.broken error=" in said
    assert said.splitlines()[-1].startswith("authagent: internal error, please report it")


# -- mistakes -----------------------------------------------------------------------------------------------------


def test_what_an_agent_cannot_have_is_one_line_and_2(tmp_path: Path, cast: Cast) -> None:
    """A port in use, another machine's host, a state folder or a control socket that another process holds."""
    path = write_files(tmp_path)
    agent = cast.agent(path)
    agent.wait_role("master")
    (port,) = free_ports(1)
    elsewhere = tmp_path / "elsewhere.toml"
    text = path.read_text().replace(f'folder = "{tmp_path}"', f'folder = "{tmp_path}/d"')
    elsewhere.write_text(text.replace('mode = "off"', 'mode = "auto"'))
    own, other = ("--state-dir", str(tmp_path / "other")), ("--config", str(elsewhere))
    cases = [
        ((*other, *own), f"cannot listen at 127.0.0.1:{port_of(path)}: another process listens there"),
        ((*other, *own, "--listen", "203.0.113.1:9023"), "cannot listen at 203.0.113.1:9023: no address of this"),
        ((*other, "--listen", f"127.0.0.1:{port}"), "lan1-agent-1"),
        (("--config", str(path), *own, "--listen", f"127.0.0.1:{port}"), "lan1-agent-1.sock is in use"),
    ]
    for words, said in cases:
        done = run(path, "1", *words)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
        (line,) = [each for each in done.stderr.splitlines() if each.startswith("authagent: ")]
        assert said in line
    assert agent.ask("status")["healthy"]


# -- reloading ----------------------------------------------------------------------------------------------------


def test_a_bad_file_changes_nothing(tmp_path: Path, cast: Cast) -> None:
    """By the verb and by SIGHUP: one line, exit code 2, and the agent serves on as it was."""
    path = write_files(tmp_path)
    agent = cast.agent(path)
    agent.wait_role("master")
    good = path.read_text()
    path.write_text(good + "[sesion]\n")
    done = run(path, "reload", "--config", str(path), "--control", agent.socket)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "nothing was changed" in done.stderr and "sesion" in done.stderr
    agent.process.send_signal(signal.SIGHUP)
    until(lambda: agent.said.count("alarm reload.refused") == 2, "refused twice")
    write_secret(tmp_path, "password")
    path.write_text(good)
    assert not agent.ask("reload")["reloaded"]
    assert agent.ask("status")["healthy"]


def test_what_needs_a_restart_is_said(tmp_path: Path, cast: Cast) -> None:
    """Another port changes nothing; other times wait, while the level of the log is changed at once."""
    path = write_files(tmp_path)
    agent = cast.agent(path)
    agent.wait_role("master")
    good = path.read_text()
    path.write_text(good.replace(f"port = {port_of(path)}", f"port = {free_ports(1)[0]}"))
    told = agent.ask("reload")
    assert not told["reloaded"] and "need a restart" in told["text"]
    path.write_text(good.replace("[tls]", '[timing]\nsuspect_after = "2s"\n[logging]\nlevel = 0\n[tls]'))
    told = agent.ask("reload")
    assert told == {"reloaded": True, "text": "reloaded; a restart is needed for: [timing]", "restart": ["[timing]"]}
    path.write_text(good)
    assert agent.ask("reload")["text"] == "reloaded"


def test_the_secret_is_changed_without_losing_anybody(tmp_path: Path, cast: Cast) -> None:
    """Add, reload everywhere, drop, reload everywhere: links are made anew, everything is equal, alice stays."""
    path = write_files(tmp_path, agents=2)
    write_secret(tmp_path, OLD)
    master, slave = cast.pair(path)
    proxy = cast.proxy(path, "p1")
    until(lambda: master.ask("status")["proxies"], "a proxy")
    assert proxy.ask("login", key="10.0.0.1", user="alice", wait="site", within_s=5.0)["acknowledged"]
    for lines in ((NEW, OLD), (NEW,)):
        write_secret(tmp_path, *lines)
        assert all(each.ask("reload") for each in (master, slave, proxy))

    def settled() -> bool:
        told = [each.ask("status") for each in (master, slave)]
        linked = [each["digest_equal"] for status in told for each in (status["partner"], *status["proxies"])]
        return linked == [True] * 3 and all(status["healthy"] and status["sessions"] == 1 for status in told)

    until(lambda: master.said.count("link.opened peer=p1") > 1, "a new link of the proxy")
    until(settled, "everything equal again")
    assert "partner.refuses" not in master.said + slave.said
    assert {each.ask("status")["role"] for each in (master, slave)} == {"master", "slave"}


# -- floods -------------------------------------------------------------------------------------------------------


def test_1000_connections_at_once_are_borne(tmp_path: Path, cast: Cast) -> None:
    """Silent strangers are bounded; status answers meanwhile, and a proxy is let in when they are gone."""
    path = write_files(tmp_path)
    agent = cast.agent(path)
    agent.wait_role("master")
    strangers = []
    for _ in range(1_000):
        strangers.append(socket.socket())
        strangers[-1].setblocking(False)
        strangers[-1].connect_ex(("127.0.0.1", port_of(path)))
    assert agent.ask("status")["healthy"]
    for stranger in strangers:
        stranger.close()
    cast.proxy(path, "p1")
    until(lambda: [each["connected"] for each in agent.ask("status")["proxies"]] == [True], "the proxy is let in")
    assert len(agent.lines) < 300


def test_an_agent_out_of_files_waits_and_goes_on(tmp_path: Path, cast: Cast) -> None:
    """One alarm with the cure while nothing can be accepted; afterwards a proxy is let in."""
    path = write_files(tmp_path)

    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))

    agent = cast.agent(path, preexec_fn=few)
    agent.wait_role("master")
    strangers = [socket.create_connection(("127.0.0.1", port_of(path))) for _ in range(60)]
    agent.wait_said("alarm listener.exhausted")
    for stranger in strangers:
        stranger.close()
    agent.wait_said("listener.accepts_again")
    cast.proxy(path, "p1")
    until(lambda: [each["connected"] for each in agent.ask("status").get("proxies", [])] == [True], "a proxy is let in")
    assert "raise LimitNOFILE" in agent.said
    assert agent.said.count("listener.exhausted") < 10


# -- what happens is told -----------------------------------------------------------------------------------------


def statistics(agent: Process) -> tuple[int, int, int, int]:
    """Users as of the last line of statistics; logins, logouts and timeouts summed over all of them."""
    told = re.findall(r" statistics users=(\d+) logins=(\d+) logouts=(\d+) timeouts=(\d+)\n", agent.said)
    lines = [tuple(map(int, each)) for each in told] or [(0, 0, 0, 0)]
    logins, logouts, timeouts = (sum(line[column] for line in lines) for column in (1, 2, 3))
    return lines[-1][0], logins, logouts, timeouts


def test_sessions_have_a_line_each_at_level_1(tmp_path: Path, cast: Cast) -> None:
    """Login, logout at the slave, timeout, statistics; no touch, no key."""
    path = write_files(tmp_path, agents=2, more='[logging]\nstatistics_interval = "1s"\n')
    master, slave = cast.pair(path)
    proxy = cast.proxy(path, "p1")
    until(lambda: master.ask("status")["proxies"], "a proxy")
    for key, user in (("10.0.0.1", "alice"), ("10.0.0.2", "bob")):
        assert proxy.ask("login", key=key, user=user, wait="site", within_s=5.0)["acknowledged"]
    proxy.ask("touch", key="10.0.0.2")
    proxy.ask("login", key="10.0.0.3", user="carol", lifetime_s=2.0)
    master.wait_said("session.ended user=carol reason=expired site=lan1 proxy=p1")
    until(lambda: master.ask("status")["timeouts_total"] == 1, "a timeout is counted")
    done = run(path, "--control", slave.socket, "logout", "--user", "alice", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["ended"], told["pending"]) == (0, 1, [])
    assert sorted(told["done"]) == ["authagent-1", "authagent-2", "p1"]
    master.wait_said("user.logged_out user=alice by=operator")
    until(lambda: statistics(master) == (1, 3, 1, 1), "bob is there; 3 logins, a logout and a timeout, over all lines")
    assert master.said.count("session.opened") == 3
    assert master.said.count("session.ended user=alice reason=administrator by=operator") == 1
    assert "10.0.0.1 " not in master.said and "touch" not in master.said
    shown = run(path, "--control", master.socket, "sessions")
    assert [line.split()[1] for line in shown.stdout.splitlines()] == ["bob", "session"]


def test_a_restart_keeps_sessions_and_terms(tmp_path: Path, cast: Cast) -> None:
    """What is on the disk is there again, and the next mastership has a greater number."""
    path = write_files(tmp_path)
    first = cast.agent(path)
    first.wait_role("master")
    proxy = cast.proxy(path, "p1")
    until(lambda: first.ask("status")["proxies"], "a proxy")
    assert proxy.ask("login", key="10.0.0.1", user="alice", wait="site", within_s=5.0)["acknowledged"]
    proxy.process.kill()
    proxy.wait_end()
    first.process.kill()
    first.wait_end()
    second = cast.agent(path)
    second.wait_role("master")
    told = second.ask("status")
    assert (told["term"], told["sessions"]) == (2, 1)
