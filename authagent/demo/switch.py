"""The L4 switch in front of the proxies: HAProxy where it is installed, else a splitter of a few lines on trio.

Both do the same: round robin, the next proxy when one refuses, and one PROXY line (v1) so that the proxy learns the
client's address. Neither knows who is logged in where: that is the point of the demo.
"""

import itertools
import os
import shutil
from collections.abc import Sequence

import trio

_CONFIGURATION = """\
global
    maxconn 1000
defaults
    mode tcp
    timeout connect 500ms
    timeout client 30s
    timeout server 30s
    timeout check 500ms
    retries 3
    option redispatch 1
frontend switch
    bind 127.0.0.1:{port}
    default_backend farm
backend farm
    balance roundrobin
{servers}
"""

_SERVER = "    server {name} 127.0.0.1:{port} send-proxy check inter 500ms fall 2 rise 1"


def haproxy() -> str | None:
    """Where HAProxy is, if it is installed; Debian keeps it where ordinary users do not look."""
    return shutil.which("haproxy", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")


def haproxy_configuration(port: int, proxies: Sequence[tuple[str, int]]) -> str:
    """What HAProxy needs to spread connections to `port` over `proxies` (name and port each)."""
    servers = "\n".join(_SERVER.format(name=name, port=proxy_port) for name, proxy_port in proxies)
    return _CONFIGURATION.format(port=port, servers=servers)


class Splitter:
    """The same without HAProxy."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = itertools.cycle(ports)
        self._count = len(ports)

    async def serve(self, client: trio.SocketStream) -> None:
        """A handler for trio.serve_tcp: one client. Never raises for the network's sake."""
        async with client:
            try:
                host, port = client.socket.getpeername()[:2]
                own_host, own_port = client.socket.getsockname()[:2]
            except OSError:
                return
            server = await self._connect()
            if server is None:
                return
            async with server:
                line = f"PROXY TCP4 {host} {own_host} {port} {own_port}\r\n"
                await _both_ways(client, server, line.encode())

    async def _connect(self) -> trio.SocketStream | None:
        for _ in range(self._count):
            try:
                return await trio.open_tcp_stream("127.0.0.1", next(self._ports))
            except OSError:
                continue
        return None


async def _both_ways(client: trio.SocketStream, server: trio.SocketStream, first: bytes) -> None:
    try:
        await server.send_all(first)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_pass, client, server)
            await _pass(server, client)
            nursery.cancel_scope.cancel()
    except* (trio.BrokenResourceError, trio.ClosedResourceError):
        pass


async def _pass(source: trio.SocketStream, sink: trio.SocketStream) -> None:
    async for data in source:
        await sink.send_all(data)
    await sink.send_eof()
