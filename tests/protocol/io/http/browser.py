"""A browser without a window: keeps cookies, follows nothing, and tells what came."""

import re
from collections.abc import Mapping
from urllib.parse import urlencode

import attrs

from tests.protocol.io.http.asking import exchange, status_of


@attrs.frozen
class Came:
    """One answer."""

    status: int
    headers: dict[str, list[str]]
    body: str

    @property
    def token(self) -> str:
        """That of the first form."""
        return re.findall(r'name="token" value="([^"]*)"', self.body)[0]


@attrs.define
class Browser:
    """Asks one server, as `host`."""

    port: int
    host: str = ""
    cookies: dict[str, str] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.host = self.host or f"127.0.0.1:{self.port}"

    async def get(self, path: str, *headers: str) -> Came:
        return await self._ask("GET", path, list(headers), "")

    async def post(self, path: str, fields: Mapping[str, str], *headers: str, origin: str | None = None) -> Came:
        """Send a form; without `origin` as a page of the same origin would."""
        origin = f"http://{self.host}" if origin is None else origin
        given = [f"Origin: {origin}", "Content-Type: application/x-www-form-urlencoded", *headers]
        return await self._ask("POST", path, given if origin else given[1:], urlencode(fields))

    async def _ask(self, method: str, path: str, headers: list[str], body: str) -> Came:
        if self.cookies:
            headers.append("Cookie: " + "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", "Connection: close", f"Content-Length: {len(body)}"]
        answer = await exchange(self.port, "\r\n".join([*lines, *headers, "", body]).encode())
        head, _, content = answer.partition(b"\r\n\r\n")
        came = Came(status_of(answer), _headers(head.decode()), content.decode())
        for cookie in came.headers.get("set-cookie", ()):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value.strip('"')
        return came


def _headers(head: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in head.split("\r\n")[1:]:
        name, _, value = line.partition(": ")
        found.setdefault(name.lower(), []).append(value)
    return found
