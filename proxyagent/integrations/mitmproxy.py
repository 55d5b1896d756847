"""mitmproxy's addon: `mitmdump -s .../proxyagent/integrations/mitmproxy.py --set one_login_socket=...`.

Rules of this file:

- The standard library and mitmproxy alone, nothing of ours: mitmproxy pins libraries at versions that ours refuse, so
  it runs in an environment of its own and asks `proxyagent run` at the socket of squid's helpers ([squid] helpers).
- Every request asks, and is activity, inside intercepted tunnels too. Nothing blocks mitmproxy's loop: questions are
  awaited, with a deadline, and passwords are checked in a thread.
- What a trusted switch says of its client counts from outside a tunnel only: inside, all that comes is the client's own
  word, and the switch has no part in it. Whose tunnel it is was said with its CONNECT. A switch that says nothing is
  never taken for its client.
- Nobody passes who is not known. Where `proxyagent run` does not answer, that is said with 503.
- Passwords are checked as mitmproxy's own `proxyauth` checks them. After a logout a password that a browser sends by
  itself is refused once: `proxyagent run` sees to that.

Source: the language of the socket is in squid/questions.py.
"""

import asyncio  # noqa: TID251 - the loop is mitmproxy's
import base64
import contextlib
import ipaddress
import logging
import weakref
from collections.abc import Sequence
from urllib.parse import quote, unquote, urlsplit

from mitmproxy import connection, ctx, exceptions, http
from mitmproxy.addonmanager import Loader
from mitmproxy.addons import proxyauth

DEADLINE_S = 1.0
"""For one question; it is answered in a fraction of a millisecond."""

ANSWER_BYTES_MAX = 64 * 1024

log = logging.getLogger(__name__)

NEVER_STORED = {"Cache-Control": "no-store"}
PORTS = {"http": 80, "https": 443, "": 0}


class Daemon:
    """`proxyagent run`, asked over one connection that is made anew when it breaks."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[str]] = {}
        self._asked = 0

    async def ask(self, verb: str, *fields: str) -> str | None:
        """As whom the client is known; None for nobody. Raises OSError where nobody answers in time."""
        question = " ".join([verb, *(quote(each, safe=":.") or "-" for each in fields)])
        async with asyncio.timeout(DEADLINE_S):
            try:
                answer = await self._answer(question)
            except ConnectionError:  # it was started anew since the last question
                answer = await self._answer(question)
        verdict, _, user = answer.partition(" user=")
        return unquote(user) if verdict == "OK" else None

    async def _answer(self, question: str) -> str:
        if self._writer is None:
            reader, self._writer = await asyncio.open_unix_connection(self._path, limit=ANSWER_BYTES_MAX)
            self._reading = asyncio.create_task(self._read(reader, self._writer))
        self._asked += 1
        number = self._asked
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self._writer.write(f"{number} {question}\n".encode())
            return await answer
        finally:
            del self._waiting[number]

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError):
            while line := await reader.readline():
                number, _, answer = line.decode().strip().partition(" ")
                waiting = self._waiting.get(int(number))
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        writer.close()
        if self._writer is writer:
            self._writer = None
        for each in self._waiting.values():
            if not each.done():
                each.set_exception(ConnectionResetError(f"{self._path} was closed"))


OPTIONS: Sequence[tuple[str, type, object, str]] = (
    ("one_login_socket", str, "", "The socket of `proxyagent run`, beside its control socket: ...-ID.squid."),
    ("one_login_passwords", str, "", "Ask for passwords; who they are checked by is said as for `proxyauth`."),
    ("one_login_page", str, "", "The login page to which browsers are sent."),
    ("one_login_trusted", Sequence[str], [], "Switches whose X-Forwarded-For is believed: addresses, networks."),
)


class OneLogin:
    """The addon."""

    def __init__(self) -> None:
        self._tunnels: weakref.WeakKeyDictionary[connection.Client, str] = weakref.WeakKeyDictionary()

    def load(self, loader: Loader) -> None:
        """Name the options."""
        for name, kind, default, told in OPTIONS:
            loader.add_option(name, kind, default, told)

    def configure(self, updated: set[str]) -> None:
        """Take the options. Raises OptionsError."""
        given = ctx.options
        if not given.one_login_socket or not (given.one_login_passwords or given.one_login_page):
            raise exceptions.OptionsError("set one_login_socket, and one_login_passwords or one_login_page")
        try:
            self._trusted = [ipaddress.ip_network(each) for each in given.one_login_trusted]
        except ValueError as error:
            raise exceptions.OptionsError(f"one_login_trusted: {error}") from None
        self._daemon = Daemon(given.one_login_socket)
        self._page = urlsplit(given.one_login_page)
        self._check = _validator(given.one_login_passwords)
        self._checking = asyncio.Lock()  # the LDAP connection takes one question at a time

    async def http_connect(self, flow: http.HTTPFlow) -> None:
        """A tunnel is asked for."""
        await self._judge(flow)

    def http_connected(self, flow: http.HTTPFlow) -> None:
        """A tunnel is open."""
        self._tunnels[flow.client_conn] = self._client(flow)

    async def requestheaders(self, flow: http.HTTPFlow) -> None:
        """A request, also one inside a tunnel."""
        if not flow.is_replay:
            await self._judge(flow)

    async def _judge(self, flow: http.HTTPFlow) -> None:
        """Let the flow pass, or answer it."""
        request = flow.request
        given = request.headers.pop("Proxy-Authorization", "")
        if request.host == self._page.hostname and request.port == (self._page.port or PORTS[self._page.scheme]):
            return
        client = self._client(flow)
        try:
            user = (await self._daemon.ask("session", client) or await self._log_in(given, client)) if client else None
        except Exception as error:  # noqa: BLE001 - mitmproxy lets pass what an addon fails to judge
            log.warning("one login: %r", error)
            flow.response = http.Response.make(503, "Nobody can be logged in now; try again.\n", NEVER_STORED)
            return
        flow.metadata["one_login_user"] = user
        if user is None:
            flow.response = self._refusal(flow)

    async def _log_in(self, given: str, client: str) -> str | None:
        """Who has just proved who they are, and is logged in everywhere now."""
        scheme, _, encoded = given.partition(" ")
        if self._check is None or scheme.lower() != "basic":
            return None
        try:
            user, _, password = base64.b64decode(encoded).decode().partition(":")
        except ValueError:
            return None
        async with self._checking:
            right = await asyncio.to_thread(self._check, user, password)
        return await self._daemon.ask("login", user, client) if right else None

    def _refusal(self, flow: http.HTTPFlow) -> http.Response:
        request = flow.request
        if self._page.netloc and request.method != "CONNECT":
            there = f"{self._page.geturl()}?url={quote(request.pretty_url, safe='')}"
            return http.Response.make(303, b"", {"Location": there, **NEVER_STORED})
        if self._check is not None and flow.client_conn not in self._tunnels:
            return proxyauth.make_auth_required_response(True)
        return http.Response.make(403, "You are not logged in.\n", {"Connection": "close", **NEVER_STORED})

    def _client(self, flow: http.HTTPFlow) -> str:
        """The client's address: what trusted switches say, the last item that none of them wrote; "" for nobody's."""
        found = self._tunnels.get(flow.client_conn)
        if found is not None:
            return found
        found = str(flow.client_conn.peername[0])
        for item in reversed(",".join(flow.request.headers.get_all("X-Forwarded-For")).split(",")):
            if not self._trusts(found):
                break
            found = item.strip()
        return found

    def _trusts(self, text: str) -> bool:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        return any((getattr(address, "ipv4_mapped", None) or address) in each for each in self._trusted)


def _validator(passwords: str) -> proxyauth.Validator | None:
    """What checks a password, as mitmproxy's own option `proxyauth` would. Raises OptionsError."""
    if passwords.startswith("@"):
        return proxyauth.Htpasswd(passwords)
    if passwords.startswith("ldap"):
        return proxyauth.Ldap(passwords)
    return proxyauth.SingleUser(passwords) if passwords else None


addons = [OneLogin()]
