"""mitmproxy's addon in the real mitmdump, with a scripted `proxyagent run` behind its socket."""

import base64
import contextlib
import hashlib
import http.client
import http.server
import os
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import attrs
import pytest

from proxyagent.integrations.squid.questions import DEADLINE_S
from tests.ports import free_port
from tests.programs import Program
from tests.proxyagent.processes import PATIENCE_S, until

ADDON = Path(__file__).resolve().parents[3] / "proxyagent" / "integrations" / "mitmproxy.py"
ALICE = {"Proxy-Authorization": "Basic " + base64.b64encode(b"alice:se:cret").decode()}
WRONG = {"Proxy-Authorization": "Basic " + base64.b64encode(b"alice:wrong").decode()}

pytestmark = [pytest.mark.system, pytest.mark.slow]


@attrs.define
class Scripted:
    """Answers the helpers' questions: who is known, and who must be asked again."""

    path: str
    known: dict[str, str] = attrs.field(factory=dict)
    asked_again: set[str] = attrs.field(factory=set)
    silent_about: set[str] = attrs.field(factory=set)
    questions: list[str] = attrs.field(factory=list)
    connections: list[socket.socket] = attrs.field(factory=list)

    def serve(self, listener: socket.socket) -> None:
        """Serve one connection after another until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                self.connections.append(connection)
                with connection.makefile("rwb", buffering=0) as lines, contextlib.suppress(OSError):
                    for line in lines:
                        self._answer(lines, line.decode().split())

    def _answer(self, lines: "socket.SocketIO", words: list[str]) -> None:
        number, verb, *fields = words
        self.questions.append(" ".join([verb, *fields]))
        user, address = (fields[0], fields[1]) if verb == "login" else ("", fields[0])
        if address in self.silent_about:
            return
        if verb == "login" and address in self.asked_again:
            self.asked_again.remove(address)
        elif verb == "login":
            self.known[address] = user
        found = self.known.get(address)
        lines.write(f"{number} OK user={found}\n".encode() if found else f"{number} ERR\n".encode())


@contextlib.contextmanager
def scripted() -> Iterator[Scripted]:
    """A socket and a thread behind it."""
    path = f"/tmp/aa-{secrets.token_hex(4)}.squid"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        daemon = Scripted(path)
        thread = threading.Thread(target=daemon.serve, args=(listener,))
        thread.start()
        yield daemon
        listener.shutdown(socket.SHUT_RDWR)
        for each in daemon.connections:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        thread.join()
        for each in daemon.connections:
            each.close()
    os.unlink(path)


class Origin(http.server.BaseHTTPRequestHandler):
    """Answers with the request's Proxy-Authorization, which should never get so far."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = f"origin {self.headers.get('Proxy-Authorization', '')}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def origin() -> Iterator[int]:
    """The port of a web server."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@attrs.frozen
class Mitmdump:
    """A running mitmdump and what it asks."""

    port: int
    origin: int
    daemon: Scripted

    def get(
        self, headers: dict[str, str] | None = None, *, source: str = "127.0.0.1", url: str = ""
    ) -> tuple[int, str]:
        """Status and body, or Location, of one request through the proxy."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S, source_address=(source, 0))
        with contextlib.closing(connection):
            connection.request("GET", url or f"http://127.0.0.1:{self.origin}/", headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers.get("Location") or answer.read().decode()

    def tunnel(self, source: str = "127.0.0.1", headers: str = "") -> socket.socket:
        """The connection on which CONNECT was asked for."""
        connection = socket.create_connection(("127.0.0.1", self.port), PATIENCE_S, (source, 0))
        head = f"CONNECT 127.0.0.1:{self.origin} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n"
        connection.sendall(head.encode())
        return connection


@contextlib.contextmanager
def mitmdump(program: Program, folder: Path, origin: int, *options: str) -> Iterator[Mitmdump]:
    port = free_port()
    with scripted() as daemon, (folder / "log").open("wb") as log:
        words = [f"one_login_socket={daemon.path}", f"confdir={folder}", *options]
        sets = [word for option in words for word in ("--set", option)]
        command = [program("mitmdump"), "--listen-host", "127.0.0.1", "--listen-port", str(port), "-s", str(ADDON)]
        process = subprocess.Popen([*command, *sets], stdout=log, stderr=log)
        try:
            running = Mitmdump(port, origin, daemon)
            until(lambda: process.poll() is not None or _listens(port))
            assert process.poll() is None, (folder / "log").read_text()
            yield running
        finally:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


@pytest.fixture(scope="module")
def with_passwords(
    program: Program, origin: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mitmdump]:
    """mitmdump that asks for passwords; a switch at 127.0.0.9 is trusted."""
    folder = tmp_path_factory.mktemp("passwords")
    digest = base64.b64encode(hashlib.sha1(b"se:cret").digest()).decode()
    (folder / "htpasswd").write_text(f"alice:{{SHA}}{digest}\n")
    options = (f"one_login_passwords=@{folder}/htpasswd", "one_login_trusted=127.0.0.9/32")
    with mitmdump(program, folder, origin, *options) as running:
        yield running


@pytest.fixture(scope="module")
def with_page(program: Program, origin: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mitmdump]:
    """mitmdump that sends browsers to a login page."""
    folder = tmp_path_factory.mktemp("page")
    page = f"http://localhost:{origin}/login"  # the origin plays its part
    with mitmdump(program, folder, origin, f"one_login_page={page}") as running:
        yield running


def test_who_is_known_passes_and_who_is_not_is_asked(with_passwords: Mitmdump) -> None:
    """407 without a password and with a wrong one; the right one logs in; from then on none is needed."""
    source = "127.0.1.1"
    assert with_passwords.get(source=source)[0] == 407
    assert with_passwords.get(WRONG, source=source)[0] == 407
    assert with_passwords.get({"Proxy-Authorization": "Basic ?"}, source=source)[0] == 407
    assert with_passwords.get(ALICE, source=source) == (200, "origin ")
    assert with_passwords.get(source=source) == (200, "origin ")
    assert with_passwords.daemon.questions.count(f"login alice {source}") == 1


def test_a_password_that_is_sent_by_itself_after_a_logout_is_refused_once(with_passwords: Mitmdump) -> None:
    """The daemon says who must be asked again; the browser gets a 407 for the password that it still has."""
    source = "127.0.1.2"
    with_passwords.daemon.asked_again.add(source)
    assert [with_passwords.get(ALICE, source=source)[0] for _ in range(2)] == [407, 200]


def test_the_address_of_a_client_behind_a_switch_is_what_the_switch_says(with_passwords: Mitmdump) -> None:
    """The last item that a trusted switch wrote counts; from others, X-Forwarded-For says nothing."""
    daemon = with_passwords.daemon
    daemon.known["10.0.0.7"] = "alice"
    forged = {"X-Forwarded-For": "10.0.0.7"}
    assert with_passwords.get(forged, source="127.0.1.3")[0] == 407
    assert with_passwords.get(forged, source="127.0.0.9")[0] == 200
    assert with_passwords.get({"X-Forwarded-For": "10.0.0.7, 10.0.0.8"}, source="127.0.0.9")[0] == 407


def test_a_switch_that_does_not_say_for_whom_it_asks_asks_for_nobody(with_passwords: Mitmdump) -> None:
    """Its own address would be that of all its clients: nobody is logged in under it, and nobody passes by it."""
    asked = list(with_passwords.daemon.questions)
    assert with_passwords.get(ALICE, source="127.0.0.9")[0] == 407
    assert with_passwords.get({**ALICE, "X-Forwarded-For": "10.0.0.9,"}, source="127.0.0.9")[0] == 407
    assert with_passwords.daemon.questions == asked


def _answer(tunnel: socket.socket, headers: str = "") -> int:
    """The status of a request inside a tunnel, whose answer is read to its end."""
    tunnel.sendall(f"GET / HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())
    answer = http.client.HTTPResponse(tunnel)
    answer.begin()
    answer.read()
    return answer.status


def test_requests_inside_a_tunnel_are_asked_too(with_passwords: Mitmdump) -> None:
    """Whoever is logged out inside a tunnel gets no further; a new one needs the password."""
    source = "127.0.1.4"
    with contextlib.closing(with_passwords.tunnel(source)) as refused:
        assert refused.recv(1_000).startswith(b"HTTP/1.1 407")
    with_passwords.daemon.known[source] = "alice"
    with contextlib.closing(with_passwords.tunnel(source)) as tunnel:
        assert tunnel.recv(1_000).startswith(b"HTTP/1.1 200")
        assert _answer(tunnel) == 200
        del with_passwords.daemon.known[source]
        assert _answer(tunnel) == 403


def test_inside_a_tunnel_through_a_switch_nobody_can_say_who_they_are(with_passwords: Mitmdump) -> None:
    """Requests are those of whose CONNECT it was, whatever they say; where that one is logged out nobody passes."""
    daemon = with_passwords.daemon
    daemon.known |= {"10.0.1.7": "mallory", "10.0.1.8": "alice"}
    with contextlib.closing(with_passwords.tunnel("127.0.0.9", "X-Forwarded-For: 10.0.1.7\r\n")) as tunnel:
        assert tunnel.recv(1_000).startswith(b"HTTP/1.1 200")
        assert _answer(tunnel) == 200
        assert _answer(tunnel, "X-Forwarded-For: 10.0.1.8\r\n") == 200
        assert daemon.questions[-2:] == ["session 10.0.1.7"] * 2
        del daemon.known["10.0.1.7"]
        assert _answer(tunnel, "X-Forwarded-For: 10.0.1.8\r\n") == 403


def test_a_daemon_that_does_not_answer_lets_nobody_pass_and_holds_nobody_up(with_passwords: Mitmdump) -> None:
    """Its silence is 503 after the deadline; others are answered meanwhile; a new connection is made when it breaks."""
    daemon = with_passwords.daemon
    daemon.silent_about.add("127.0.1.5")
    daemon.known["127.0.1.6"] = "bob"
    held: list[int] = []
    waiting = threading.Thread(target=lambda: held.append(with_passwords.get(ALICE, source="127.0.1.5")[0]))
    waiting.start()
    until(lambda: "session 127.0.1.5" in daemon.questions)
    began_s = time.monotonic()
    assert with_passwords.get(source="127.0.1.6")[0] == 200
    if time.monotonic() - began_s < DEADLINE_S / 2:  # a machine that stalls proves nothing
        assert held == []
    waiting.join(PATIENCE_S + DEADLINE_S)
    assert held == [503]
    daemon.connections[-1].shutdown(socket.SHUT_RDWR)
    assert with_passwords.get(source="127.0.1.6")[0] == 200


def test_browsers_are_sent_to_the_login_page(with_page: Mitmdump) -> None:
    """303 with what they wanted, escaped; the page itself needs no login; CONNECT cannot be redirected."""
    source, wanted = "127.0.2.1", f"http://127.0.0.1:{with_page.origin}/a?b=c&d=%26"
    location = f"http://localhost:{with_page.origin}/login?url={quote(wanted, safe='')}"
    assert with_page.get(source=source, url=wanted) == (303, location)
    assert with_page.get(ALICE, source=source)[0] == 303
    assert with_page.get(source=source, url=location)[0] == 200
    with contextlib.closing(with_page.tunnel(source)) as refused:
        assert refused.recv(1_000).startswith(b"HTTP/1.1 403")
    with_page.daemon.known[source] = "alice"
    assert with_page.get(source=source) == (200, "origin ")


def test_options_that_make_no_sense_end_it(program: Program, tmp_path: Path) -> None:
    """Without a socket, or without a way to log in, mitmdump says what is missing and does not start."""
    sets = ["--set", f"confdir={tmp_path}", "--set", "one_login_socket=/x"]
    done = subprocess.run(
        [program("mitmdump"), "-n", "-s", str(ADDON), *sets],
        capture_output=True, text=True, timeout=PATIENCE_S * 2, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "set one_login_socket, and one_login_passwords or one_login_page" in done.stdout + done.stderr
