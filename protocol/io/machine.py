"""The addresses of this machine, read from the system.

Rules of this file:

- Reading is here, judging is in protocol.addresses.
- Linux lists its own addresses under /proc/net; where there is no such list, the addresses of the host's name stand in.

Source: `fib_trie` of proc(5) lists routes; a leaf followed by `/32 host LOCAL` is an address of this machine, one
followed by `/8 host LOCAL` a whole network of them. `if_inet6` has one address a line, 32 hex digits first.
"""

import ipaddress
import re
import socket
from pathlib import Path

from protocol import addresses
from protocol.addresses import Network

_FIB_LEAF = re.compile(r"\|-- (\S+)\s+((?:/\d+ \S+ \S+\s*)+)")
_FIB_LOCAL = re.compile(r"/(\d+) host LOCAL")


def networks_in_fib_trie(text: str) -> tuple[Network, ...]:
    """The machine's own IPv4 addresses in the content of /proc/net/fib_trie."""
    found = {
        ipaddress.IPv4Network(f"{leaf}/{bits}", strict=False)
        for leaf, routes in _FIB_LEAF.findall(text)
        for bits in _FIB_LOCAL.findall(routes)
    }
    return tuple(sorted(found))


def networks_in_if_inet6(text: str) -> tuple[Network, ...]:
    """The machine's own IPv6 addresses in the content of /proc/net/if_inet6."""
    firsts = (line.split(None, 1)[0] for line in text.splitlines() if line.strip())
    return tuple(ipaddress.IPv6Network(int(first, 16)) for first in firsts)


def own_networks() -> tuple[Network, ...]:
    """Every address of this machine, as networks. May block on the resolver where /proc/net is missing."""
    found = (*networks_in_fib_trie(_proc("fib_trie")), *networks_in_if_inet6(_proc("if_inet6")))
    if found:
        return found
    named = (addresses.network(each) for each in resolve(socket.gethostname()))
    return tuple(each for each in named if each is not None)


def _proc(name: str) -> str:
    try:
        return Path("/proc/net", name).read_text(encoding="ascii")
    except OSError:
        return ""


def resolve(host: str) -> tuple[str, ...]:
    """The addresses of a host name, none when it is unknown. Blocks on the resolver."""
    try:
        answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(answer[4][0]) for answer in answers))


def is_own_host(host: str) -> bool:
    """Whether `host`, an address, network or name, means this machine. Blocks on the resolver for a name."""
    resolved = () if addresses.network(host) is not None else resolve(host)
    return addresses.is_own(host, own_networks(), resolved)
