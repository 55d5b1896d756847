"""Who looks at the page: from where, by which way, and as whom already.

Rules of this file:

- Addresses and schemes of others are believed from [client] trusted_proxies only. One of these that does not say for
  whom it asks has told nothing: with its own address all its users would be one. Only a browser on this machine
  itself, which asks by a loopback name, is known by the address of a trusted one.
- Any web site can have a name of its own lead here, and read what its visitor would see (DNS rebinding). Over TLS
  the certificate stands in its way; over plain HTTP the page answers to addresses and to [login] hosts only.
- The value of a cookie leaves this file in set-cookie headers only: forms bear what is computed from it.
"""

import hmac
from collections.abc import Sequence
from typing import Protocol
from urllib.parse import urlsplit

import attrs
from starlette.requests import Request

from protocol import addresses
from protocol.configuration import ClientSettings
from proxyagent.agent import ProxyAgent
from proxyagent.session import Session

FORM_COOKIE = "login-form"
HOST_PREFIX = "__Host-"
_SECURE_PREFIXES = (HOST_PREFIX, "__Secure-")


class Trouble(Exception):
    """Why somebody is not served: the name of a text for people, and the status of HTTP."""

    def __init__(self, text: str, status: int, retry_after_s: float = 0.0) -> None:
        super().__init__(text)
        self.text = text
        self.status = status
        self.retry_after_s = retry_after_s


class Keys(Protocol):
    """How clients of this machine's proxies are recognised: proxyagent.integrations.client_key."""

    @property
    def settings(self) -> ClientSettings: ...

    def key(self, address: str | None, cookie: str | None) -> str | None: ...

    def trusts(self, peer: str) -> bool: ...

    def address(self, peer: str, forwarded: Sequence[str]) -> str: ...


@attrs.frozen
class Visitor:
    """Somebody before the page. `form` is what the browser proves its forms with, empty before its first."""

    address: str
    scheme: str
    session: Session | None
    form: str = attrs.field(default="", repr=False)

    @property
    def secure(self) -> bool:
        """Whether the browser came over HTTPS."""
        return self.scheme == "https"

    @property
    def form_cookie(self) -> str:
        """The name of the cookie that its forms are bound to."""
        return f"{HOST_PREFIX if self.secure else ''}{FORM_COOKIE}"


def form_token(form: str) -> str:
    """What stands in the forms of a browser with this cookie; empty for none."""
    return hmac.digest(form.encode(), b"one-login form", "sha256").hex() if form else ""


@attrs.frozen
class Reception:
    """Finds out who comes. `hosts` are those of [login]."""

    agent: ProxyAgent
    keys: Keys
    hosts: Sequence[str]

    def receive(self, request: Request) -> Visitor:
        """Who asks. A failover cookie is honoured where nobody knows the key. Raises Trouble."""
        peer = request.client.host if request.client else ""
        scheme = self._scheme(request, peer)
        host = self._host(request.headers.get("host", ""), scheme)
        if scheme != "https" and self.keys.settings.key != "address":
            self._check_cookie_can_be_set()
        items = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
        forwarded = [each for each in items if each.strip()]
        found = addresses.address(self.keys.address(peer, forwarded))
        silent = not forwarded and self.keys.trusts(peer) and not addresses.is_loopback(host)
        if found is None or silent:
            raise Trouble("no_key", 400)
        key = self.keys.key(str(found), request.cookies.get(self.keys.settings.cookie))
        session = None if key is None else self._session(key, request)
        made = Visitor(str(found), scheme, session)
        return attrs.evolve(made, form=request.cookies.get(made.form_cookie, ""))

    def _session(self, key: str, request: Request) -> Session | None:
        held = request.cookies.get(self.agent.cookie_name)
        return self.agent.lookup(key) or self.agent.honour_cookie(held, key)

    def _scheme(self, request: Request, peer: str) -> str:
        """How the browser came: a trusted proxy in front of us may have spoken TLS for us."""
        forwarded = request.headers.get("x-forwarded-proto", "")
        return forwarded if forwarded in ("http", "https") and self.keys.trusts(peer) else str(request.scope["scheme"])

    def _host(self, header: str, scheme: str) -> str:
        """The name by which the browser asks, where the page answers to it."""
        try:
            host = urlsplit(f"//{header}").hostname or ""
        except ValueError:
            raise Trouble("wrong_host", 400) from None
        named = not {host, f"[{host}]"}.isdisjoint(self.hosts) or (scheme == "https" and not self.hosts)
        if not named and not addresses.address(host) and not addresses.is_loopback(host):
            raise Trouble("wrong_host", 421)
        return host

    def _check_cookie_can_be_set(self) -> None:
        if self.keys.settings.cookie.startswith(_SECURE_PREFIXES):
            raise Trouble("not_secure", 400)
