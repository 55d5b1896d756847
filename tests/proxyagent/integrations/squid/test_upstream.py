"""A helper's connection to the daemon."""

import socket
from pathlib import Path

import pytest

from proxyagent.integrations.squid.questions import DEADLINE_S
from proxyagent.integrations.squid.upstream import RETRY_S, Upstream


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where the daemon would listen."""
    return str(tmp_path / "squid")


def test_why_nobody_is_reached_is_told_once(path: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Tries are RETRY_S apart; the same reason is one line on standard error, another one is another line."""
    reasons = iter(["no ProxyAgent runs here", "no ProxyAgent runs here"])

    def find() -> str:
        reason = next(reasons, None)
        if reason is not None:
            raise LookupError(reason)
        return path

    upstream = Upstream(find, 0.0)
    for turn in range(4):
        assert not upstream.reach(turn * RETRY_S)
        assert not upstream.reach(turn * RETRY_S + RETRY_S / 2)
    told = capfd.readouterr().err.splitlines()
    reason = f"{path}: No such file or directory; start proxyagent run, with helpers = true under [squid]"
    assert told == ["proxyagent: no ProxyAgent runs here", f"proxyagent: {reason}"]


def test_it_connects_sends_what_fits_and_notices_an_end(path: str) -> None:
    """What does not fit waits; an end is noticed when reading, and a new connection is made after it."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        upstream = Upstream(lambda: path, 0.0)
        assert upstream.reach(0.0) and upstream.connected and upstream.fileno() >= 0
        peer, _ = listener.accept()
        with peer:
            upstream.send(b"x" * 10_000_000, 0.0)
            assert upstream.has_unsent
            got = 0
            while got < 10_000_000:
                got += len(peer.recv(1 << 20))
                upstream.flush(0.0)
            assert upstream.receive(1.0) == b""
            peer.sendall(b"1 OK\n")
            assert upstream.receive(2.0) == b"1 OK\n"
        assert upstream.receive(3.0) == b""
        assert (upstream.connected, upstream.fileno(), upstream.gone_since_s) == (False, -1, 3.0)
        assert upstream.reach(4.0)
        upstream.drop(5.0)


def test_one_that_stands_still_is_given_up(path: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A daemon that is stopped accepts and says nothing: after as long as a question may take it is let go."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        upstream = Upstream(lambda: path, 0.0)
        assert upstream.reach(0.0)
        upstream.drop_if_silent(DEADLINE_S / 2)
        assert upstream.connected
        upstream.drop_if_silent(DEADLINE_S)
        assert not upstream.connected
        assert "does not answer" in capfd.readouterr().err
