"""pproxy with one login for many: HTTP and SOCKS users who are known at any proxy need no password here.

    python one_login.py --listen http+socks5://127.0.0.1:8080 --users users.txt --id pproxy-1 --config authagent.toml

pproxy asks its AuthTable on every connection, in its only thread: the answer must be in memory. So the ProxyAgent is
embedded here, with its copy of all sessions, and a look-up takes a microsecond. pproxy and one-login need no library at
different versions and live in one environment: `pip install one-login pproxy`.

Users are clients' addresses. A password is asked for once a connection; who logs out keeps the open ones. Leave out
pproxy's `-v`: it prints wrong passwords.
"""

import argparse
import asyncio
import contextlib
import signal
from pathlib import Path

import pproxy
import pproxy.server

import proxyagent


class SharedTable:
    """What pproxy keeps for one client address, kept for all proxies instead."""

    agent: "proxyagent.BlockingProxyAgent"

    def __init__(self, remote_ip: str, authtime: int) -> None:
        self._key = remote_ip

    def authed(self) -> bytes | None:
        """Who is logged in there; counts as activity."""
        session = self.agent.lookup(self._key)
        return None if session is None else session.user.encode()

    def set_authed(self, user: bytes) -> None:
        """pproxy has checked `name:password`, or has had the name from `authed`."""
        name = user.partition(b":")[0].decode(errors="replace")
        with contextlib.suppress(proxyagent.LimitExceeded):  # who cannot be logged in is asked again
            self.agent.login(self._key, user=name)


async def serve(listen: str, users: Path) -> None:
    """Serve until told to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = await pproxy.Server(f"{listen}##{users}").start_server({"rserver": [], "verbose": lambda text: None})
    await stop.wait()
    server.close()


def main() -> None:
    """Read the command line, and serve."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--listen", default="http+socks5://127.0.0.1:8080", help="as pproxy's -l")
    parser.add_argument("--users", type=Path, required=True, help="a file of name:password lines, a toy")
    parser.add_argument("--id", help="which [[proxyagent]] this is")
    parser.add_argument("--config", help="the configuration file")
    given = parser.parse_args()
    pproxy.server.AuthTable = SharedTable
    with proxyagent.BlockingProxyAgent(given.config, id=given.id) as agent:
        SharedTable.agent = agent
        asyncio.run(serve(given.listen, given.users.resolve()))


if __name__ == "__main__":
    main()
