"""A login page in the test's own loop: a ProxyAgent of its own, a back end that answers as told, and browsers."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio

from protocol.configuration import ClientSettings
from protocol.io.log import Log
from proxyagent.integrations.client_key import ClientKeys
from proxyagent.login import Identity, gate
from proxyagent.login.gate import Gate
from proxyagent.login.identity import Unavailable
from proxyagent.login.routes import LoginPage
from proxyagent.login.texts import Texts
from proxyagent.login.visitor import Reception
from proxyagent.testing import FakeProxyAgent
from tests.protocol.io.http import browser
from tests.protocol.io.http.asking import Served, serving
from tests.protocol.io.http.browser import Came

USER, PASSWORD = "alice", "wonder&land in Straßburg"

BY_COOKIE = ClientSettings(key="cookie", cookie="sid")
"""Without the prefix that only HTTPS can set."""


@attrs.define
class Answering:
    """A back end that knows one user, and has her name with a capital."""

    unavailable: bool = False
    raises: Exception | None = None
    asked: list[tuple[str, str, str]] = attrs.field(factory=list)
    held: Callable[[], Any] | None = None

    async def check(self, user: str, password: str, address: str) -> Identity | None:
        self.asked.append((user, password, address))
        if self.held is not None:
            await self.held()
        if self.unavailable:
            raise Unavailable("the directory is away")
        if self.raises is not None:
            raise self.raises
        right = (user.lower(), password) == (USER, PASSWORD)
        return Identity("Alice", {"groups": ("staff",)}) if right else None


class Browser(browser.Browser):
    """One that logs in at the page, from the address that it is given."""

    def __init__(self, port: int, address: str = "10.0.0.1", host: str = "") -> None:
        super().__init__(port, host)
        self.more = [f"X-Forwarded-For: {address}"]

    async def _ask(self, method: str, path: str, headers: list[str], body: str) -> Came:
        return await super()._ask(method, path, [*headers, *self.more], body)

    async def log_in(self, user: str = USER, password: str = PASSWORD, url: str = "", path: str = "/login") -> Came:
        asked = await self.get(path)
        return await self.post("/login", {"token": asked.token, "user": user, "password": password, "url": url})


@attrs.define
class Shown:
    """A page that is served."""

    agent: FakeProxyAgent
    backend: Answering
    gate: Gate
    served: Served

    def browser(self, address: str = "10.0.0.1", host: str = "") -> Browser:
        return Browser(self.served.port, address, host)


@asynccontextmanager
async def showing(
    client: ClientSettings | None = None,
    *,
    hosts: tuple[str, ...] = (),
    return_hosts: tuple[str, ...] = (),
    hsts: bool = False,
) -> AsyncIterator[Shown]:
    """A page until the end of the body. Requests come from loopback, whose X-Forwarded-For is believed."""
    lines: list[Any] = []
    agent, keys, backend = FakeProxyAgent(), ClientKeys(client or ClientSettings()), Answering()
    log = Log(lambda *line: lines.append(line), level=2, monotonic_s=trio.current_time)
    numbers = iter(range(1_000_000))
    made = Gate(agent, keys, backend, lambda: f"drawn-{next(numbers)}", log)
    page = LoginPage(made, Reception(agent, keys, hosts), Texts(), return_hosts, hsts=hsts)
    async with serving(*page.routes()) as served:
        served.lines = lines
        yield Shown(agent, backend, made, served)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong passwords are told at once."""
    monkeypatch.setattr(gate, "DELAY_S", 0.0)
