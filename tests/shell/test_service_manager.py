"""Both programs as a service manager sees them: whole processes, and the datagrams that they send it."""

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.authagent.running import write_files, write_secret
from tests.shell.test_agent_shell import QUICK, STOP_S_MAX, Cast, cast, until

__all__ = ["cast"]

pytestmark = [pytest.mark.system, pytest.mark.slow]


class Manager:
    """What $NOTIFY_SOCKET names."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = f"/tmp/notify-{os.getpid()}-{id(self):x}.sock"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.setblocking(False)
        self.path = path
        self.words: list[str] = []
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        monkeypatch.setenv("WATCHDOG_USEC", "600000")

    def heard(self, word: str) -> bool:
        """Whether a line of what has come so far begins so."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.words += self.socket.recv(4096).decode().split("\n")
        return any(each.startswith(word) for each in self.words)

    def close(self) -> None:
        self.socket.close()
        os.unlink(self.path)


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    made = Manager(tmp_path, monkeypatch)
    yield made
    made.close()


def test_an_agent_is_ready_once_its_role_is_decided(tmp_path: Path, cast: Cast, manager: Manager) -> None:
    """Not while it looks for its partner; the watchdog is fed all along, and its end is told."""
    path = write_files(tmp_path, agents=2, more=QUICK.replace("= 1\n", "= 12\n"))
    agent = cast.agent(path)
    agent.wait_role("starting")
    assert not manager.heard("READY=1")
    until(lambda: manager.heard("READY=1"), "ready")
    assert agent.ask("status")["role"] == "master"
    assert "STATUS=master of term 1" in manager.words
    fed = manager.words.count("WATCHDOG=1")
    until(lambda: manager.heard("") and manager.words.count("WATCHDOG=1") > fed + 2, "fed")
    assert agent.terminate() < STOP_S_MAX
    assert manager.heard("STOPPING=1")


def test_an_agent_that_nobody_will_have_is_never_ready(tmp_path: Path, cast: Cast, manager: Manager) -> None:
    """Its partner refuses it, so it serves nobody; it lives, and goes on trying."""
    path = write_files(tmp_path, agents=2, more=QUICK)
    cast.agent(path, 1).wait_role("master")
    manager.words.clear()
    write_secret(tmp_path)
    other = cast.agent(path, 2)
    other.wait_said("partner.refuses")
    assert manager.heard("WATCHDOG=1")
    assert not [word for word in manager.words if word.startswith("STATUS=slave")]


def test_a_role_that_changes_is_told(tmp_path: Path, cast: Cast, manager: Manager) -> None:
    """`systemctl status` shows who serves."""
    path = write_files(tmp_path, agents=2)
    master, _ = cast.pair(path)
    until(lambda: manager.heard("STATUS=slave of term 1"), "a slave")
    master.process.send_signal(signal.SIGKILL)
    until(lambda: manager.heard("STATUS=master of term 2"), "its promotion")


def test_a_proxy_is_ready_with_a_full_copy_or_after_a_while(tmp_path: Path, cast: Cast, manager: Manager) -> None:
    """Alone it waits for two seconds, and says that it is; linked it is ready when it has everything."""
    path = write_files(tmp_path)
    lonely = cast.proxy(path, "p1")
    until(lambda: lonely.ask("status").get("isolated"), "it runs")
    assert not manager.heard("READY=1")
    until(lambda: manager.heard("READY=1"), "ready all the same")
    until(lambda: manager.heard("STATUS=isolated"), "its status")
    cast.agent(path).wait_role("master")
    until(lambda: manager.heard("STATUS=served by an AuthAgent"), "served")

    manager.words.clear()
    proxy = cast.proxy(path, "p2")
    until(lambda: manager.heard("READY=1"), "ready")
    assert proxy.ask("status")["synchronised"]
    assert proxy.terminate() < STOP_S_MAX
    assert manager.heard("STOPPING=1")
