"""`proxyagent run` as a real process, asked by the real command line."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.proxyagent.processes import PATIENCE_S, call, until


def test_a_daemon_answers_every_verb(file: Path, daemon: subprocess.Popen[str]) -> None:
    """login, lookup, touch, sessions, logout, status and their JSON, with the exit codes of DESIGN section 6."""
    shared = ("--config", str(file))
    assert call("lookup", "10.0.0.1", *shared, code=1).strip() == "nobody is logged in there"
    login = call("login", "10.0.0.1", "--user", "alice", "--attribute", "g=a", "--attribute", "g=b", "--json", *shared)
    session = json.loads(login)
    assert {"key", "user", "site", "proxy", "login_id", "attributes", "idle_left_s", "lifetime_left_s"} <= set(session)
    assert (session["user"], session["proxy"], session["attributes"]) == ("alice", "p1", {"g": ["a", "b"]})
    assert json.loads(call(*shared, "lookup", "::ffff:10.0.0.1", "--json"))["login_id"] == session["login_id"]
    assert call("touch", "10.0.0.1", *shared).strip() == "touched"
    assert [each["key"] for each in json.loads(call("sessions", "--json", *shared))] == ["10.0.0.1"]
    status = json.loads(call("--control", str(file.parent / "lan1-proxyagent-p1.sock"), "status", "--json"))
    assert {"id", "site", "agent", "isolated", "outbox", "sessions", "digest"} <= set(status)
    assert (status["id"], status["agent"], status["isolated"], status["sessions"]) == ("p1", None, True, 1)
    assert "isolated" in call("status", *shared)
    assert "not acknowledged" in call(
        "logout", "--user", "alice", "--wait", "site", "--timeout", "0.1", *shared, code=4
    )
    assert call("lookup", "10.0.0.1", *shared, "--json", code=1).strip() == "null"
    assert "no AuthAgent answers" in call("send-sync-to-agent", "--timeout", "0.1", *shared, code=3)
    assert "no AuthAgent answers" in call("resync", "--timeout", "0.1", *shared, code=3)


def test_mistakes_get_one_line_and_code_2(file: Path, daemon: subprocess.Popen[str]) -> None:
    """A key over its bound, an idle time too short, a second process, an unlisted id: a line that says what to do."""
    shared = ("--config", str(file))
    assert "longer than 256 bytes" in call("login", "k" * 300, "--user", "alice", *shared, code=2)
    assert "idle_timeout" in call("login", "k", "--user", "alice", "--idle-timeout", "5", *shared, code=2)
    assert "NAME=VALUE" in call("login", "k", "--user", "alice", "--attribute", "x", *shared, code=2)
    assert "give a KEY or --user" in call("logout", *shared, code=2)
    assert "in use" in call("run", "--id", "p1", *shared, code=2)
    assert "not listed" in call("run", "--id", "nobody", *shared, code=2)
    assert "allows 107" in call("run", "--id", "p2", "--control", f"{file.parent}/{'x' * 120}.sock", *shared, code=2)
    assert "No such command" in call("frobnicate", code=2)
    assert "no ProxyAgent p7 runs here" in call("status", "--id", "p7", *shared, code=3)


def test_watch_tells_what_happens(file: Path, daemon: subprocess.Popen[str]) -> None:
    """One line of JSON for each thing, as it happens."""
    told = file.parent / "watched"
    command = [sys.executable, "-m", "proxyagent", "watch", "--json", "--config", str(file)]
    with told.open("w") as output:
        watcher = subprocess.Popen(command, stdout=output)

    def something() -> bool:
        call("login", "10.0.0.1", "--user", "alice", "--config", str(file))
        call("logout", "10.0.0.1", "--config", str(file))
        return told.read_text().endswith("\n")

    try:
        until(something)
    finally:
        watcher.terminate()
        watcher.wait()
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    assert {"session_opened", "session_ended"} >= {line["event"] for line in lines}
    assert {"at", "key", "user", "site", "proxy"} <= set(lines[0])


def test_a_daemon_ends_and_reads_again_by_signal(file: Path, daemon: subprocess.Popen[str]) -> None:
    """SIGHUP with a bad file changes nothing and says so; SIGTERM ends with 0, soon, and removes the socket."""
    call("login", "10.0.0.1", "--user", "alice", "--config", str(file))
    assert "read file and secret again" in call("reload", "--config", str(file))
    good = file.read_text()
    file.write_text(good + "\n[sessions]\n")
    assert "session" in call("reload", "--control", str(file.parent / "lan1-proxyagent-p1.sock"), code=2)
    daemon.send_signal(signal.SIGHUP)
    file.write_text(good)
    assert "alice" in call("lookup", "10.0.0.1", "--config", str(file))
    began = time.monotonic()
    daemon.send_signal(signal.SIGTERM)
    _, log = daemon.communicate(timeout=PATIENCE_S)
    assert time.monotonic() - began < 4.0  # the promise is 2 s, of a machine that does nothing else
    assert daemon.returncode == 0
    assert "proxyagent.started id=p1" in log
    assert "session.opened user=alice" in log
    assert "proxyagent.stopped" in log
    assert not (file.parent / "lan1-proxyagent-p1.sock").exists()


def test_a_daemon_tells_of_itself_over_http(file: Path) -> None:
    """With --http it is alive, not ready while nobody serves it, and tells its numbers; SIGTERM ends it as ever."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "proxyagent", "run", "--id", "p1", "--http", f"127.0.0.1:{port}"]
    process = subprocess.Popen([*command, "--config", str(file)], stderr=subprocess.PIPE, text=True)

    def get(path: str) -> tuple[int, str]:
        asked = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        try:
            asked.request("GET", path)
            answer = asked.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            asked.close()

    try:
        until(lambda: get("/health")[0] == 200)
        assert get("/ready")[0] == 503
        assert "\nproxyagent_isolated 1.0\n" in get("/metrics")[1]
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0 and "http.listening" in said
