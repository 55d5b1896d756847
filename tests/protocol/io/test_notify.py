"""What the service manager is told, over a real socket of its kind."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from protocol.io.notify import ServiceManager, service_manager


class Manager:
    """The other end: what systemd would hear."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        """Every datagram since the last call."""
        words = []
        while True:
            try:
                words.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return words


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "notify.sock")


@pytest.fixture
def manager(path: str) -> Iterator[Manager]:
    made = Manager(path)
    yield made
    made.socket.close()


def test_ready_status_and_stopping_are_told_in_the_words_of_the_manual(path: str, manager: Manager) -> None:
    """One datagram each, assignments on lines of their own."""
    to = ServiceManager(path)
    to.ready("master of term 3")
    to.status("slave of term 4")
    to.stopping()

    heard = manager.heard()
    assert heard == ["READY=1\nSTATUS=master of term 3", "STATUS=slave of term 4", "STOPPING=1\nSTATUS=stopping"]


def test_a_status_that_is_known_is_not_told_again(path: str, manager: Manager) -> None:
    """It may be said each second."""
    to = ServiceManager(path)
    to.ready("serves")
    to.status("serves")
    to.status("serves no more")

    assert len(manager.heard()) == 2


def test_nothing_in_a_status_makes_a_line_of_its_own(path: str, manager: Manager) -> None:
    """Whatever it holds, it is one assignment, and not a long one."""
    to = ServiceManager(path)
    to.status("a\nSTOPPING=1\x1b" + "x" * 10_000)

    (word,) = manager.heard()
    assert "\n" not in word and "\x1b" not in word and len(word) < 500


def test_an_abstract_socket_is_one_too() -> None:
    """`@name` in the environment is a name that begins with a NUL."""
    name = f"authagent-test-{id(object())}"
    manager = Manager(f"\0{name}")
    try:
        service_manager({"NOTIFY_SOCKET": f"@{name}"}, 5).ready("")
        assert manager.heard() == ["READY=1\nSTATUS="]
    finally:
        manager.socket.close()


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:5"])
async def test_without_a_manager_nothing_happens(address: str) -> None:
    """Nor does the watchdog wait to be fed."""
    to = service_manager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"}, 5)
    to.ready("x")
    to.stopping()
    with trio.fail_after(5):
        await to.keep_fed()


def test_a_manager_that_has_gone_is_no_trouble(path: str) -> None:
    """Its socket is not there, or nobody listens."""
    to = ServiceManager(path)
    to.ready("x")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as once:
        once.bind(path)
    to.ready("x")


def test_what_a_busy_manager_could_not_take_is_told_later(path: str, manager: Manager) -> None:
    """READY is never lost, and no call waits."""
    to = ServiceManager(path)
    for number in range(10_000):
        to.status(f"number {number}")
    to.ready("at last")
    heard = manager.heard()
    assert not any("READY=1" in word for word in heard)

    to.status("and goes on")
    assert manager.heard() == ["STATUS=and goes on\nREADY=1"]


async def test_the_watchdog_is_fed_while_the_loop_runs(path: str, manager: Manager) -> None:
    """Three times in its time; not where it was meant for another process."""
    to = service_manager({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "60000", "WATCHDOG_PID": "7"}, 7)
    with trio.move_on_after(15) as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(to.keep_fed)
            fed = 0
            while fed < 5:
                fed += manager.heard().count("WATCHDOG=1")
                await trio.sleep(0.005)
            nursery.cancel_scope.cancel()
    assert not scope.cancelled_caught

    other = service_manager({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "60000", "WATCHDOG_PID": "8"}, 7)
    with trio.fail_after(5):
        await other.keep_fed()
