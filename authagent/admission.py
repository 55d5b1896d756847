"""Who may link to this agent: the file decides, for whoever has proven the secret. And who was not let in lately.

Rules of this file:

- A node may speak only for itself: agents of sites that the file lists, proxies by id or pattern, from the address
  where one is given. Anything else is refused with the line that is missing.
- A proxy of another site is let in like one of this: it comes when no agent of its own site answers it. That site must
  have agents, since no other site would take in what arises at one that it does not know.
- Pure: where an entry's host is a name, the caller looks it up (`host_of`) and hands the addresses in.

Source: DESIGN section 5.
"""

from collections.abc import Collection

import attrs

from protocol import addresses
from protocol.configuration import Configuration
from protocol.errors import Code
from protocol.handshake import Peer
from protocol.messages import Hello, Refusal
from protocol.secret import Secrets


def host_of(hello: Hello, found: Configuration) -> str:
    """The host that the file ties a proxy to; empty when it may come from anywhere."""
    entry = found.proxy(hello.site, hello.id) if hello.kind == "proxy" else None
    return "" if entry is None else entry.host


def judge(
    hello: Hello, address: str, found: Configuration, site: str, own_id: str, resolved: Collection[str] = ()
) -> Refusal | None:
    """Why whoever said this Hello from `address` may not link, or None if it may.

    `resolved` are the addresses of `host_of`, where that is a name.
    """
    match hello.kind:
        case "agent":
            return _agent(hello, found, site, own_id)
        case "proxy":
            return _proxy(hello, address, found, site, resolved)
        case "check":
            listed = not hello.id or _lists_agent(hello, found) or found.proxy(hello.site, hello.id) is not None
            return None if listed else _unlisted(hello, f'add [[proxyagent]] id = "{hello.id}"')
        case _:
            return Refusal(Code.PROTOCOL, f"unknown kind {hello.kind!r}: agent, proxy or check")


def _agent(hello: Hello, found: Configuration, site: str, own_id: str) -> Refusal | None:
    if hello.site not in found.sites:
        text = f"{site} does not list site {hello.site}: add its [[authagent]] entries to the file, restart"
        return Refusal(Code.WRONG_SITE, text)
    if (hello.site, hello.id) == (site, own_id):
        text = f"this is agent {own_id} of {site} itself: two machines run with one id, or host and port are one's own"
        return Refusal(Code.DUPLICATE, text)
    if not _lists_agent(hello, found):
        return _unlisted(hello, f"add [[authagent]] id = {hello.id}")
    return None


def _proxy(hello: Hello, address: str, found: Configuration, site: str, resolved: Collection[str]) -> Refusal | None:
    if hello.site != site and hello.site not in found.sites:
        text = f"proxy {hello.id} is of site {hello.site}, which has no [[authagent]] in the file of {site}"
        return Refusal(Code.WRONG_SITE, text)
    entry = found.proxy(hello.site, hello.id)
    if entry is None:
        elsewhere = f', site = "{hello.site}"' if hello.site != site else ""
        return _unlisted(hello, f'add [[proxyagent]] id = "{hello.id}"{elsewhere}')
    if not addresses.comes_from(entry.host, address, resolved):
        return Refusal(Code.UNLISTED, f"proxy {hello.id} must come from {entry.host}, not from {address}")
    return None


def _lists_agent(hello: Hello, found: Configuration) -> bool:
    return hello.id in ("1", "2") and found.agent(hello.site, int(hello.id)) is not None


def _unlisted(hello: Hello, cure: str) -> Refusal:
    return Refusal(Code.UNLISTED, f"{hello.kind} {hello.id} of {hello.site} is not listed: {cure} to the file, reload")


def unwanted(peer: Peer, secrets: Secrets, found: Configuration) -> tuple[Code, str] | None:
    """Why a link must end after a reload, if it must.

    That its secret was dropped is no refusal: most machines have the new one, and link again at once with that.
    """
    if secrets.by_id(peer.secret_id) is None:
        return Code.SUPERSEDED, "the secret that proved this link was dropped: link with the new one"
    if peer.kind == "proxy" and found.proxy(peer.site, peer.id) is None:
        return Code.UNLISTED, f"proxy {peer.id} is no longer listed"
    return None


# -- who was not let in -------------------------------------------------------------------------------------------

LATELY_S = 30.0
"""Who has not knocked again for so long has gone; a proxy knocks every five seconds at least."""

REMEMBERED_MAX = 100
"""Refused ids that are kept: whoever holds the secret could make up any number."""


@attrs.frozen
class Refused:
    """Somebody who proved the secret and was not let in. Monotonic seconds."""

    kind: str
    site: str
    id: str
    address: str
    text: str
    last_s: float


@attrs.define
class Refusals:
    """Who was refused lately, by kind, site and id; for `status`."""

    total: int = 0
    _known: dict[tuple[str, str, str], Refused] = attrs.field(factory=dict)

    def note(self, kind: str, site: str, id: str, address: str, text: str, now_s: float) -> None:
        """Remember a refusal; the latest reason counts. Whoever only asks (`authagent check`) is not remembered."""
        self.total += 1
        self._known.pop((kind, site, id), None)
        if kind != "check":
            self._known[kind, site, id] = Refused(kind, site, id, address, text, now_s)
        if len(self._known) > REMEMBERED_MAX:
            del self._known[next(iter(self._known))]

    def lately(self, now_s: float) -> tuple[Refused, ...]:
        """Those who may still be knocking."""
        return tuple(each for each in self._known.values() if now_s - each.last_s < LATELY_S)

    def forget(self, kind: str, site: str, id: str) -> None:
        """It was let in."""
        self._known.pop((kind, site, id), None)
