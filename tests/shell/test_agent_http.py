"""HTTP and webhooks at real agents: what they answer, and that nothing that callers or receivers do keeps them.

As in test_agent_shell.py every wait is for a condition, with a deadline.
"""

import http.client
import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.authagent.running import write_files
from tests.ports import free_ports
from tests.shell.test_agent_shell import PATIENCE_S, QUICK, STOP_S_MAX, Process, until

pytestmark = [pytest.mark.system, pytest.mark.slow]

SECRET = "Vb5Nj1Rw8Tq4Lx0Zs7Mf2Gk9"


@contextmanager
def agent(folder: Path, more: str, *after: str) -> Iterator[Process]:
    """A single agent, ended at the end of the body if it still runs."""
    path = write_files(folder, more=QUICK + more)
    path.write_text(path.read_text() + "".join(after))
    process = Process(path, "1")
    try:
        yield process
    finally:
        if process.process.poll() is None:
            process.process.kill()
        process.process.wait(PATIENCE_S)


def get(port: int, path: str) -> tuple[int, str]:
    """Status and content of an answer; 0 when nobody answers."""
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        asked.request("GET", path)
        answer = asked.getresponse()
        return answer.status, answer.read().decode()
    except OSError:
        return 0, ""
    finally:
        asked.close()


def _connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)


def end(process: Process) -> float:
    """SIGTERM; how long it took to end with 0."""
    began_s = time.monotonic()
    process.process.send_signal(signal.SIGTERM)
    assert process.process.wait(PATIENCE_S) == 0, process.said
    return time.monotonic() - began_s


def test_an_agent_answers_until_it_ends_and_a_held_connection_does_not_keep_it(tmp_path: Path) -> None:
    """Health, readiness and numbers; SIGTERM ends it in time though callers hold connections and a receiver hangs."""
    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        hook = f'[[webhook]]\nurl = "http://127.0.0.1:{deaf.getsockname()[1]}/"\nsecret = "{SECRET}"\n'
        with agent(tmp_path, f'[http]\nlisten = "127.0.0.1:{port}"\n', hook) as process:
            until(lambda: get(port, "/ready")[0] == 200, "the agent is ready")
            assert get(port, "/health") == (200, '{"alive":true}')
            status, text = get(port, "/metrics")
            assert status == 200 and 'authagent_role{role="master"} 1.0' in text
            assert "\nauthagent_webhook_queue_events" in text and SECRET not in text
            with _connected(port) as idle, _connected(port) as half:
                half.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")
                idle.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                assert end(process) < STOP_S_MAX
            assert "webhook.left" in process.said and SECRET not in process.said


def test_a_port_that_is_taken_stops_nothing(tmp_path: Path) -> None:
    """The agent serves on, says so once, names it in `status`, and opens once the port is free."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with agent(tmp_path, f'[http]\nlisten = "127.0.0.1:{port}"\n') as process:
            until(lambda: "authagent.started" in process.said, "it serves")
            until(lambda: "alarm http.failed" in process.said, "the alarm")
            command = [*process.process.args[:3], "status", "--json", "--config", process.process.args[-1]]
            told = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S).stdout)
            assert [each["code"] for each in told["problems"]] == ["http"]
            holder.close()
            until(lambda: get(port, "/ready")[0] == 200, "it opens")
            end(process)


def test_a_receiver_is_told_who_serves(tmp_path: Path) -> None:
    """A real agent tells its role to a real receiver, and nothing else that was not asked for."""
    told: list[Any] = []

    def receive(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as file:
            length = 0
            while line := file.readline().strip():
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            told.append(json.loads(file.read(length)))
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)
        receiver = threading.Thread(target=receive, args=(listener,), daemon=True)
        receiver.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with agent(tmp_path, "", f'[[webhook]]\nurl = "{url}"\nevents = ["role.*"]\nsecret = "{SECRET}"\n') as process:
            receiver.join(PATIENCE_S)
            assert [each["event"] for each in told[0]["events"]] == ["role.master"]
            end(process)
