"""HAProxy that enforces who is logged in by a map, as examples/haproxy says, with real daemons beside it."""

import contextlib
import http.client
import socket
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import attrs
import pytest
import trio
import trustme

from protocol.io.control_client import ask
from protocol.io.log import quiet_log
from protocol.key import key
from proxyagent.integrations.haproxy.agent_check import AgentCheck
from proxyagent.integrations.haproxy.runtime import Runtime
from proxyagent.testing import FakeProxyAgent
from tests.ports import free_ports
from tests.proxyagent.integrations.haproxy.running import Haproxy, open_haproxy
from tests.system.daemons import PATIENCE_S, Machine, open_machines
from tests.system.fronts import EXAMPLES, HOST, Answer, Client, application, put
from tests.system.processes import until

EXAMPLE = EXAMPLES / "haproxy"
NAMES = ("haproxy-1", "haproxy-2")
ALICE = Client("127.0.0.1", "the cookie of alice")
HER_KEY = key(cookie=ALICE.cookie)
FORGED = dict.fromkeys(("Remote-User", "remote-user", "Remote_User", "REMOTE-GROUPS", "Remote_Groups"), "root")

pytestmark = [pytest.mark.system, pytest.mark.slow]


@attrs.frozen
class Web:
    """One HAProxy as the example has it."""

    running: Haproxy
    door: int
    log: int
    page: int

    def get(self, who: Client = ALICE, path: str = "/", **headers: str) -> Answer:
        """One request."""
        return who.get(self.door, path, headers=headers)

    async def becomes(self, status: int, user: str | None = None) -> None:
        """Wait until Alice's requests are answered like this."""
        await until(self._answers(status, user), PATIENCE_S, f"the answer is {status} for {user}")

    def _answers(self, status: int, user: str | None) -> Callable[[], object]:
        def right() -> object:
            try:
                answer = self.get()
            except (OSError, http.client.HTTPException) as error:
                return repr(error)
            return (answer.status, answer.user) == (status, user) or f"{answer.status} {answer.user}"

        return right

    def places(self) -> dict[str, str]:
        """What stands in the example, and what stands there in this test, in both files."""
        return {
            "/run/haproxy/admin.sock": self.running.socket,
            "/etc/haproxy/sessions.map": f"{self.running.folder}/sessions.map",
            "127.0.0.1:9514": f"127.0.0.1:{self.log}",
            "127.0.0.1:9081": f"127.0.0.1:{self.page}",
        }


@contextlib.contextmanager
def enforcing(behind: int) -> Iterator[Web]:
    """HAProxy as the example has it, before an application."""
    with open_haproxy() as running:
        web = Web(running, *free_ports(3))
        (running.folder / "sessions.map").touch()
        (running.folder / "passwords").touch()
        certificate = running.folder / "example.pem"
        trustme.CA().issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(str(certificate))
        own = {
            "    user haproxy\n    group haproxy\n": "",
            " group authagent": "",
            ":443 ssl crt /etc/haproxy/example.pem": f"127.0.0.1:{web.door} ssl crt {certificate}",
            "127.0.0.1:8000": f"127.0.0.1:{behind}",
        }
        running.start(put((EXAMPLE / "haproxy.cfg").read_text(), {**web.places(), **own}))
        yield web


async def test_haproxy_lets_through_whoever_is_logged_in() -> None:
    """Logged in at one machine, let through at both; told to log in elsewise; a forged name gets no further."""
    with application() as behind, enforcing(behind) as one, enforcing(behind) as two:
        webs = dict(zip(NAMES, (one, two), strict=True))

        def places(name: str) -> dict[str, str]:
            web = webs[name]
            return {**web.places(), "/etc/authagent/passwords": f"{web.running.folder}/passwords"}

        async with open_machines(EXAMPLE / "authagent.toml", NAMES, places) as machines:
            first, second = (machines[name] for name in NAMES)
            wanted = "/a b?c=d&e=f".replace(" ", "%20")
            refused = one.get(path=wanted)
            assert (refused.status, refused.headers["location"]) == (303, f"/login/?url={quote(wanted, safe='')}")
            ask(first.control, "login", key=HER_KEY, user="alice", wait="site")
            await one.becomes(200, "alice")
            await two.becomes(200, "alice")
            seen = one.get(**FORGED).seen
            assert {name: seen[name] for name in seen if name.startswith("remote")} == {"remote-user": "alice"}
            assert one.get(Client("127.0.0.1", "another")).status == 303
            await _is_activity(first, one)
            await _survives(first, second, one, two)


async def _is_activity(machine: Machine, web: Web) -> None:
    """What passes HAProxy keeps a session from becoming idle."""
    before_s = _idle_left_s(machine)
    await until(lambda: _idle_left_s(machine) < before_s - 0.2, PATIENCE_S, "the session is idle")

    def later() -> object:
        web.get()
        return _idle_left_s(machine) > before_s - 0.1 or _idle_left_s(machine)

    await until(later, PATIENCE_S, "a request is activity")


def _idle_left_s(machine: Machine) -> float:
    session: Any = ask(machine.control, "lookup", key=HER_KEY)["session"]
    return float(session["idle_left_s"])


async def _survives(first: Machine, second: Machine, one: Web, two: Web) -> None:
    """A HAProxy and a ProxyAgent that were killed know again what they must; what happened meanwhile counts."""
    one.running.kill()
    one.running.start()
    await one.becomes(200, "alice")
    first.daemon.kill()
    assert one.get().user == "alice"
    ask(second.control, "logout", key=HER_KEY, wait="site")
    await two.becomes(303)
    first.daemon.start()
    await one.becomes(303)
    assert two.get().status == 303


# -- as a switch ---------------------------------------------------------------------------------------------------

SWITCH = """\
global
    stats socket {folder}/admin.sock mode 600 level admin
defaults
    mode tcp
    timeout connect 1s
    timeout client 60s
    timeout server 60s
    timeout check 5s
backend proxies
    server one 127.0.0.1:{behind} check inter 50ms agent-check agent-port {check} agent-inter 50ms
"""


async def test_a_switch_hears_of_draining() -> None:
    """`proxyagent drain` and its undoing reach a real HAProxy; a process that drains ends in order all the same."""
    check, behind = free_ports(2)
    with open_haproxy() as running, socket.create_server(("127.0.0.1", behind), backlog=1_000):
        example = running.folder / "example.toml"  # without the Squid that is not here
        lines = (EXAMPLES / "squid_farm" / "squid.toml").read_text()
        agent_check = lines[lines.index("[haproxy]") :].replace(":9088", f"127.0.0.1:{check}")
        example.write_text((EXAMPLES / "squid_farm" / "authagent.toml").read_text() + agent_check)
        async with open_machines(example, ["squid-1"]) as machines:
            running.start(SWITCH.format(folder=running.folder, behind=behind, check=check))
            machine, runtime = machines["squid-1"], Runtime(running.socket)
            await _becomes(runtime, "UP")
            ask(machine.control, "drain")
            await _becomes(runtime, "DRAIN (agent)")
            ask(machine.control, "drain", undo=True)
            await _becomes(runtime, "UP")
            await machine.daemon.terminate(PATIENCE_S)
            assert machine.daemon.returncode == 0


async def test_users_are_asked_rather_than_refused_where_nobody_knows_anybody(nursery: trio.Nursery) -> None:
    """The farm's switch uses no proxy that has no copy yet, unless none has; then it uses them all."""
    door, check = free_ports(2)
    agent, checked = FakeProxyAgent(), AgentCheck(f"127.0.0.1:{check}")
    with open_haproxy() as running, application() as port:
        places = {
            "    user haproxy\n    group haproxy\n": "",
            "/run/haproxy/admin.sock mode 660 group authagent": f"{running.socket} mode 600",
            "bind :3128": f"bind 127.0.0.1:{door}",
            "9088": str(check),
            " send-proxy": "",
            **{f"10.1.0.1{squid}:3129": f"127.0.0.1:{port}" for squid in (1, 2, 3)},
        }
        nursery.start_soon(checked.serve, agent, quiet_log())
        running.start(put((EXAMPLES / "squid_farm" / "haproxy.cfg").read_text(), places))
        runtime = Runtime(running.socket)
        for squid in ("squid-1", "squid-2", "squid-3"):
            await _becomes(runtime, "DOWN (agent)", "squids", squid)
        await _becomes(runtime, "UP", "squids_anyway", "squid-1")
        assert await trio.to_thread.run_sync(_status, door) == 200
        agent.shell.client.progress.complete = True
        await _becomes(runtime, "UP", "squids", "squid-1")
        assert await trio.to_thread.run_sync(_status, door) == 200
        assert await _requests(runtime, "squids") == 1
        assert await _requests(runtime, "squids_anyway") == 1
    nursery.cancel_scope.cancel()


def _status(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    with contextlib.closing(connection):
        connection.request("GET", "/")
        return connection.getresponse().status


async def _requests(runtime: Runtime, backend: str) -> int:
    return int((await _row(runtime, backend, "BACKEND"))["stot"])


async def _row(runtime: Runtime, backend: str, server: str) -> dict[str, str]:
    """What HAProxy counts of one server."""
    told: list[str] = []
    await runtime._ask("show stat", told.append)
    head, *rows = (line.split(",") for line in told)
    return next(dict(zip(head, row, strict=False)) for row in rows if row[:2] == [backend, server])


async def _becomes(runtime: Runtime, status: str, backend: str = "proxies", server: str = "one") -> None:
    """Wait until HAProxy says so of a server."""

    async def right() -> object:
        found = (await _row(runtime, backend, server))["status"]
        return found == status or found

    await until(right, PATIENCE_S, f"the server is {status}")
