"""HAProxy that enforces who is logged in by a map, as examples/haproxy says, with real daemons beside it."""

import contextlib
import http.client
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import attrs
import pytest
import trustme

from protocol.io.control_client import ask
from protocol.key import key
from tests.ports import free_ports
from tests.proxyagent.integrations.haproxy.running import Haproxy, open_haproxy
from tests.system.daemons import PATIENCE_S, Machine, open_machines
from tests.system.fronts import EXAMPLES, HOST, Answer, Client, application, put
from tests.system.processes import until

EXAMPLE = EXAMPLES / "haproxy"
NAMES = ("haproxy-1", "haproxy-2")
ALICE = Client("127.0.0.1", "the cookie of alice")
HER_KEY = key(cookie=ALICE.cookie)

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
            assert one.get(**{"Remote-User": "root", "remote-user": "mallory"}).user == "alice"
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
