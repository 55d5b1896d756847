"""A forward proxy whose users log in once for the whole farm: one small file, no library but trio and proxyagent.

    python minimal_proxy.py --id proxy1 --config authagent.toml --users users.txt --listen 127.0.0.1:3128

Who is asking? The client's address is the key. A key that the ProxyAgent knows is let through, wherever its user
logged in. Anyone else gets 407 and, after a right name and password, is logged in at every proxy. A session that ends
anywhere closes its open tunnels here at the next byte. `http://login.internal/` tells who one is, and
`http://login.internal/logout` logs out. Behind a switch the client's address is taken from its PROXY line (v1).

Left out on purpose: several requests on one connection (each answer says `Connection: close`), TLS towards the client,
caching, and a real password store: `users.txt` holds `name:password` lines and is a toy.
"""

import argparse
import base64
import functools
import hmac
import signal
import sys
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import trio

import proxyagent

HEAD_BYTES_MAX, HEAD_TIMEOUT_S = 16 * 1024, 10.0
CONNECTIONS_MAX, CONNECT_TIMEOUT_S, IDLE_TIMEOUT_S = 1_000, 10.0, 300.0
ACKNOWLEDGED_WITHIN_S = 1.0
CONTROL_HOST = "login.internal"
NOT_FORWARDED = {"connection", "keep-alive", "proxy-authorization", "proxy-connection", "te", "upgrade"}
NETWORK_ERRORS = (OSError, trio.TooSlowError, trio.BrokenResourceError, trio.ClosedResourceError)


class Request(NamedTuple):
    """The head of one request, the key of who sent it, and the bytes that came after the head."""

    key: str
    method: str
    target: str
    headers: list[tuple[str, str]]
    rest: bytes


class Reply(Exception):
    """Ends a request with an answer of our own."""

    def __init__(self, status: str, text: str = "", header: str = "") -> None:
        body = f"{text or status}\n"
        head = f"HTTP/1.1 {status}\r\n{header}Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
        self.data = f"{head}Content-Length: {len(body.encode())}\r\n\r\n{body}".encode()


class Proxy:
    """One task per connection; all that they share is the agent, whose look-ups never block."""

    def __init__(self, agent: proxyagent.ProxyAgent, users: dict[str, str], switches: list[str]) -> None:
        self.agent, self.users, self.switches = agent, users, switches
        self.places = trio.Semaphore(CONNECTIONS_MAX)

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection, one request. What the network does to it ends this connection and nothing else."""
        try:
            async with self.places, stream:
                try:
                    request = await self.read(stream)
                    await self.admit(request)
                    await self.forward(stream, request)
                except Reply as reply:
                    await stream.send_all(reply.data)
        except* NETWORK_ERRORS:
            pass

    async def read(self, stream: trio.SocketStream) -> Request:
        """The head, bounded in bytes and in time."""
        data = b""
        with trio.fail_after(HEAD_TIMEOUT_S):
            while b"\r\n\r\n" not in data:
                more = await stream.receive_some(HEAD_BYTES_MAX)
                data += more
                if not more or len(data) > HEAD_BYTES_MAX:
                    raise Reply("400 Bad Request")
        head, _, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        address = stream.socket.getpeername()[0]
        try:
            if address in self.switches and first.startswith("PROXY TCP"):
                address, first, lines = first.split(" ")[2], lines[0], lines[1:]
            method, target, _version = first.split(" ")
            headers = [(name, value.strip()) for name, value in (line.split(":", 1) for line in lines)]
            return Request(proxyagent.key(address=address), method, target, headers, rest)
        except (ValueError, IndexError):
            raise Reply("400 Bad Request") from None

    async def admit(self, request: Request) -> None:
        """Return if the key may pass. A right password logs it in, and waits until the login would survive us."""
        session, user = self.agent.lookup(request.key), self.user_shown(request)
        if session is None and user is None:
            raise Reply("407 Proxy Authentication Required", header='Proxy-Authenticate: Basic realm="farm"\r\n')
        if user is not None and (session is None or session.user != user):
            try:
                session = self.agent.login(request.key, user=user)
                await self.agent.wait_acknowledged(session, level="site", timeout=ACKNOWLEDGED_WITHIN_S)
            except proxyagent.LimitExceeded as error:
                raise Reply("503 Service Unavailable", str(error)) from None
            except proxyagent.NotAcknowledged:
                pass  # no agent in reach: known here now, and elsewhere when one is back

    def user_shown(self, request: Request) -> str | None:
        """Whose right password the request carries, if any."""
        shown = next((value for name, value in request.headers if name.lower() == "proxy-authorization"), "")
        try:
            user, _, password = base64.b64decode(shown.removeprefix("Basic ")).decode().partition(":")
        except ValueError:
            return None
        right = self.users.get(user)
        return user if right and hmac.compare_digest(right.encode(), password.encode()) else None

    async def forward(self, stream: trio.SocketStream, request: Request) -> None:
        """Connect to where the request points and pass bytes both ways until the server is done."""
        tunnel = request.method == "CONNECT"
        try:
            url = urlsplit(f"//{request.target}" if tunnel else request.target)
            host, port = url.hostname, url.port or 80
        except ValueError:
            raise Reply("400 Bad Request") from None
        if not host or url.scheme != ("" if tunnel else "http"):
            raise Reply("400 Bad Request")
        if host == CONTROL_HOST:
            raise self.control(url.path, request.key)
        try:
            with trio.fail_after(CONNECT_TIMEOUT_S):
                server = await trio.open_tcp_stream(host, port)
        except (OSError, trio.TooSlowError):
            raise Reply("502 Bad Gateway", f"{host}:{port} cannot be reached") from None
        async with server, trio.open_nursery() as nursery:
            if tunnel:
                await stream.send_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = (url.path or "/") + (f"?{url.query}" if url.query else "")
                kept = "".join(f"{n}: {v}\r\n" for n, v in request.headers if n.lower() not in NOT_FORWARDED)
                head = f"{request.method} {path} HTTP/1.1\r\n{kept}Connection: close\r\n\r\n"
                await server.send_all(head.encode("latin-1"))
            await server.send_all(request.rest)
            nursery.start_soon(self.pipe, stream, server, request.key)
            await self.pipe(server, stream, request.key)
            nursery.cancel_scope.cancel()

    async def pipe(self, source: trio.SocketStream, sink: trio.SocketStream, key: str) -> None:
        """Pass bytes one way. Each look-up counts as activity; a session that has ended ends the connection."""
        while True:
            with trio.fail_after(IDLE_TIMEOUT_S):
                data = await source.receive_some(64 * 1024)
                if not data:
                    return await sink.send_eof()
                if self.agent.lookup(key) is None:
                    raise trio.BrokenResourceError
                await sink.send_all(data)

    def control(self, path: str, key: str) -> Reply:
        """The two pages that the proxy answers itself."""
        if path == "/logout":
            return Reply("200 OK", f"logged out {len(self.agent.logout(key))}")
        session = self.agent.lookup(key)
        return Reply("200 OK", f"{session.user} logged in at {session.proxy}" if session else "nobody")


async def main(options: argparse.Namespace, users: dict[str, str]) -> None:
    """Serve until SIGTERM; leaving the agent's block gives what is not yet acknowledged to an AuthAgent."""
    host, _, port = options.listen.rpartition(":")
    async with proxyagent.open_proxy_agent(options.config, id=options.id) as agent, trio.open_nursery() as nursery:
        serve = functools.partial(trio.serve_tcp, Proxy(agent, users, options.switch).serve, int(port), host=host)
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            listeners = await nursery.start(serve)
            print(f"{options.id} listens on {host}:{listeners[0].socket.getsockname()[1]}", flush=True)
            await anext(signals)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A forward proxy whose users log in once for the whole farm.")
    parser.add_argument("--id", default="proxy1", help="this proxy's id in the configuration")
    parser.add_argument("--config", help="authagent.toml; without it the ordinary places, else loopback")
    parser.add_argument("--users", required=True, help="a file of name:password lines")
    parser.add_argument("--listen", default="127.0.0.1:3128", help="HOST:PORT; port 0 takes a free one")
    parser.add_argument("--switch", action="append", default=[], help="an address whose PROXY lines are believed")
    given = parser.parse_args()
    try:
        user_lines = Path(given.users).read_text(encoding="utf-8").split()
        trio.run(main, given, dict(line.split(":", 1) for line in user_lines))
    except (proxyagent.ConfigurationError, OSError, ValueError) as error:
        sys.exit(f"minimal_proxy: {error}")
