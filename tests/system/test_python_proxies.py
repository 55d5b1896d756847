"""mitmproxy, pproxy and proxy.py share one login: log in at one, kill -9 it, the other knows."""

import base64
import contextlib
import http.client
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest

from protocol.io.control_client import ask
from tests.ports import free_port
from tests.programs import Program, folder
from tests.system.daemons import PATIENCE_S, Machines, connects, open_machines
from tests.system.fronts import EXAMPLES, application, put
from tests.system.processes import Process, until
from tests.system.squids import client_address

ALICE = {"Proxy-Authorization": "Basic " + base64.b64encode(b"alice:wonderland").decode()}
SHA_OF_WONDERLAND = "{SHA}tiY7sUhYKUwI5L3866kDY+ENcrQ="

WITH_MORE_LIBRARIES = """
import runpy, sys
sys.path.append(sys.argv[1])
del sys.argv[:2]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""For a program of ours that also needs one of tests/programs: behind our own, whose versions count."""

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.fixture(scope="module")
def origin() -> Iterator[int]:
    """The port of a web server."""
    with application() as port:
        yield port


def get(
    proxy: int, origin: int, source: str, headers: Mapping[str, str] | None = None, *, timeout_s: float = PATIENCE_S
) -> int:
    """The status of one request through a proxy."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy, timeout=timeout_s, source_address=(source, 0))
    with contextlib.closing(connection):
        connection.request("GET", f"http://127.0.0.1:{origin}/", headers=dict(headers or {}))
        return connection.getresponse().status


async def start(processes: list[Process], ports: Iterable[int]) -> None:
    """Start proxies and wait until they take connections."""
    for process in processes:
        process.start()
    for process, port in zip(processes, ports, strict=True):
        await until(partial(_serves, process, port), PATIENCE_S, f"{process.name} listens")


def _serves(process: Process, port: int) -> object:
    return (process.running and connects(port)) or process.log_end()


def kill_all(process: Process) -> None:
    """kill -9, its workers too: they would keep the port."""
    pids = [process.process.pid]
    for pid in pids:
        with contextlib.suppress(FileNotFoundError):
            pids += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    for pid in pids[1:]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.kill()


# -- mitmproxy -----------------------------------------------------------------------------------------------------


async def test_two_mitmproxies_share_one_login(program: Program, origin: int) -> None:
    """As examples/mitmproxy says; after a logout a password that the browser still sends is refused once."""
    ports = {name: free_port() for name in ("mitm-1", "mitm-2")}
    async with open_machines(EXAMPLES / "mitmproxy" / "authagent.toml", list(ports)) as machines:
        await start([_mitmproxy(machines, program, *each) for each in ports.items()], ports.values())
        first, second = ports.values()
        source = client_address()
        for port in ports.values():
            await _until_status(partial(_try, port, origin, source), 407)
        assert get(first, origin, source, ALICE) == 200
        await machines["mitm-2"].wait_knows(source, "alice")
        machines.others[0].kill()
        machines["mitm-1"].daemon.kill()
        assert get(second, origin, source) == 200
        _log_out(machines, "mitm-2", source)
        assert [get(second, origin, source, ALICE) for _ in range(2)] == [407, 200]


def _mitmproxy(machines: Machines, program: Program, name: str, port: int) -> Process:
    home = machines.folder / f"conf-{name}"
    home.mkdir()
    (home / "passwords").write_text(f"alice:{SHA_OF_WONDERLAND}\n")
    places = {
        "8080": str(port),
        "/opt/authagent/lib/python3.11/site-packages/": f"{EXAMPLES.parent}/",
        "/run/authagent/lan1-proxyagent-mitm-1.squid": machines[name].helpers,
        "/etc/mitmproxy/passwords": f"{home}/passwords",
    }
    (home / "config.yaml").write_text(put((EXAMPLES / "mitmproxy" / "config.yaml").read_text(), places))
    command = [program("mitmdump"), "--set", f"confdir={home}", "--listen-host", "127.0.0.1"]
    return machines.process(f"mitmdump-{name}", command)


def _log_out(machines: Machines, name: str, key: str) -> None:
    ask(machines[name].control, "logout", key=key, wait="site")


# -- proxy.py ------------------------------------------------------------------------------------------------------


async def test_two_proxy_pys_share_one_login(program: Program, origin: int) -> None:
    """As examples/proxy_py says: a plugin in worker processes, which asks the daemon at every request."""
    ports = {name: free_port() for name in ("pp-1", "pp-2")}
    async with open_machines(EXAMPLES / "proxy_py" / "authagent.toml", list(ports)) as machines:
        (machines.folder / "users.txt").write_text("alice:wonderland\n")
        proxies = [_proxy_py(machines, program, *each) for each in ports.items()]
        try:
            await start(proxies, ports.values())
            first, second = ports.values()
            source = client_address()
            for port in ports.values():  # it listens before it serves, and loses what comes between
                await _until_status(partial(_try, port, origin, source), 407)
            assert get(first, origin, source, ALICE) == 200
            await machines["pp-2"].wait_knows(source, "alice")
            kill_all(proxies[0])
            machines["pp-1"].daemon.kill()
            assert get(second, origin, source) == 200
            _log_out(machines, "pp-2", source)
            assert [get(second, origin, source, ALICE) for _ in range(2)] == [407, 200]
            machines["pp-2"].daemon.kill()
            assert get(second, origin, source) == 503
            machines["pp-2"].daemon.start()
            await _until_status(lambda: get(second, origin, source), 200)
        finally:
            for process in proxies:
                kill_all(process)


def _proxy_py(machines: Machines, program: Program, name: str, port: int) -> Process:
    command = [program("proxy"), "--plugins", "one_login.OneLogin", "--hostname", "127.0.0.1", "--port", str(port)]
    return machines.process(
        f"proxy.py-{name}",
        [*command, "--num-workers", "1", "--num-acceptors", "1", "--data-dir", str(machines.folder / f"data-{name}")],
        ONE_LOGIN_SOCKET=machines[name].helpers,
        ONE_LOGIN_USERS=str(machines.folder / "users.txt"),
        PYTHONPATH=str(EXAMPLES / "proxy_py"),
    )


# -- pproxy --------------------------------------------------------------------------------------------------------


async def test_two_pproxies_share_one_login(program: Program, origin: int) -> None:
    """As examples/pproxy says: who logged in by SOCKS5 at one needs no password for HTTP and SOCKS5 at the other."""
    program("pproxy")
    async with open_machines(EXAMPLES / "pproxy" / "authagent.toml", ["pproxy-0"]) as machines:
        (machines.folder / "users.txt").write_text("bob:builder\nalice:wonderland\n")
        ports = {name: free_port() for name in ("pproxy-1", "pproxy-2")}
        await start([_pproxy(machines, *each) for each in ports.items()], ports.values())
        first, second = ports.values()
        source = client_address()
        await _until_status(partial(_try, first, origin, source), 407)
        assert socks(first, origin, source, "alice:wrong") is None
        assert socks(first, origin, source, "alice:wonderland") == 200
        await machines["pproxy-0"].wait_knows(source, "alice")
        await _until_status(lambda: socks(second, origin, source), 200)
        machines.others[0].kill()
        assert get(second, origin, source) == 200
        _log_out(machines, "pproxy-0", source)
        await _until_status(lambda: get(second, origin, source), 407)


def _try(port: int, origin: int, source: str) -> int | None:
    """As `get`, given up soon."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        return get(port, origin, source, timeout_s=1.0)
    return None


async def _until_status(got: Callable[[], int | None], status: int) -> None:
    await until(lambda: got() == status or str(got()), PATIENCE_S, f"the answer is {status}")


def _pproxy(machines: Machines, name: str, port: int) -> Process:
    libraries = next((folder() / "lib").glob("python3*/site-packages"))
    command = [sys.executable, "-c", WITH_MORE_LIBRARIES, str(libraries), str(EXAMPLES / "pproxy" / "one_login.py")]
    command += ["--listen", f"http+socks5://127.0.0.1:{port}", "--users", str(machines.folder / "users.txt")]
    return machines.process(name, [*command, "--id", name, "--config", str(machines.folder / "pproxy-0.toml")])


def socks(proxy: int, origin: int, source: str, password: str = "") -> int | None:
    """The status of one request by SOCKS5 (RFC 1928, 1929); None where the proxy refuses."""
    with socket.create_connection(("127.0.0.1", proxy), PATIENCE_S, (source, 0)) as connection:
        connection.sendall(b"\5\1\2" if password else b"\5\1\0")
        chosen = connection.recv(2)
        if chosen == b"\5\2":
            user, _, secret = password.encode().partition(b":")
            connection.sendall(b"\1%c%b%c%b" % (len(user), user, len(secret), secret))
            if connection.recv(2) != b"\1\0":
                return None
        elif chosen != b"\5\0":
            return None
        connection.sendall(b"\5\1\0\1\x7f\0\0\1" + origin.to_bytes(2, "big"))
        if connection.recv(10)[:2] != b"\5\0":
            return None
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status
