"""Hosts, networks and listening addresses as text: what they are, and whether they fit each other. Pure.

Rules of this file:

- Nothing is resolved here: where a name must become addresses, the caller hands them in (protocol.io.machine).
- An IPv4 address inside IPv6 (`::ffff:10.0.0.1`) is the IPv4 address; a zone (`fe80::1%eth0`) does not count.
"""

import ipaddress
import re
from collections.abc import Collection, Iterable
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\.?")


def address(text: str) -> Address | None:
    """The address that `text` is, or None when it is a name or something else."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found


def network(text: str) -> Network | None:
    """The network that `text` is (an address counts as one of its own), or None."""
    single = address(text)
    try:
        return ipaddress.ip_network(single if single is not None else text, strict=False)
    except ValueError:
        return None


def is_name(text: str) -> bool:
    """Whether `text` can be a host name. Digits and dots alone are an address gone wrong, not a name."""
    return _NAME.fullmatch(text) is not None and not re.fullmatch(r"[\d.]+", text)


def is_loopback(host: str) -> bool:
    """Whether `host` can only mean this machine itself."""
    found = address(host)
    return host.rstrip(".").lower() == "localhost" if found is None else found.is_loopback


def split(text: str) -> tuple[str, int]:
    """Host and port of `10.1.0.11:9023`, `[::]:9023` or `:9023` (every address).

    Raises ValueError in words for the operator.
    """
    host, colon, port = text.rpartition(":")
    wrong = ValueError('write "HOST:PORT", such as "0.0.0.0:9023" or "[::]:9023"')
    if not colon or not port.isascii() or not port.isdigit() or not 0 < int(port) <= 65535:
        raise wrong
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise wrong
    host = host or "0.0.0.0"
    if address(host) is None and not is_name(host):
        raise wrong
    return host, int(port)


def join(host: str, port: int) -> str:
    """The reverse of split."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def comes_from(host: str, peer: str, resolved: Collection[str] = ()) -> bool:
    """Whether a link from the address `peer` fits the `host` of an entry: an address, a network or a name.

    For a name `resolved` holds its addresses. An empty host fits every peer.
    """
    if not host:
        return True
    found = address(peer)
    if found is None:
        return False
    allowed = network(host)
    return found in allowed if allowed is not None else any(address(each) == found for each in resolved)


def is_own(host: str, own: Iterable[Network], resolved: Collection[str] = ()) -> bool:
    """Whether `host` means the machine that has the addresses `own`.

    An address is own when it is one of them, a network when one of them lies in it, a name when one of its
    addresses `resolved` is. Loopback is every machine's own.
    """
    if is_loopback(host):
        return True
    asked = [network(host)] if network(host) is not None else [network(each) for each in resolved]
    mine = tuple(own)
    return any(each is not None and _meets(each, one) for each in asked for one in mine)


def _meets(asked: Network, one: Network) -> bool:
    return asked.version == one.version and asked.overlaps(one)
