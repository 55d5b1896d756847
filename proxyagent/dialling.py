"""Makes links to the AuthAgents of the file.

Rules of this file:

- TLS is on unless the file says otherwise (DESIGN section 5).
- The machine's Settings and the addresses to dial are made from one setup here, so that places agree.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

import attrs

from protocol import addresses, codes, secret
from protocol.configuration import AuthAgentEntry, CookieSettings
from protocol.errors import Code
from protocol.handshake import Identity
from protocol.io import tls
from protocol.io.dial import dial
from protocol.messages import Message
from protocol.secret import Secrets
from proxyagent import cookie_key
from proxyagent.config import ProxySetup
from proxyagent.cookie import KeyRing, check_installed
from proxyagent.core.settings import AgentName, Settings
from proxyagent.errors import ConfigurationError

SOFTWARE = "proxyagent"


class AgentLink(Protocol):
    """What the library needs of a link: protocol.io.link.Link is one, and tests have others."""

    @property
    def queued_bytes(self) -> int: ...

    async def receive(self) -> list[Message]: ...

    def send(self, message: Message) -> None: ...

    def close(self, code: Code, text: str, elsewhere: str = "") -> None: ...

    async def wait_room(self, below_bytes: int) -> None: ...

    async def wait_closed(self) -> None: ...


Dialler: TypeAlias = Callable[[int, float], Awaitable[AgentLink]]
"""Dials the agent at a place of Settings.agents within so many seconds. Raises LinkRefused or LinkFailed."""


MakeLink: TypeAlias = Callable[[str, int, Identity, tls.Tls | None, float], Awaitable[AgentLink]]
"""Makes a link to a host and port within so many seconds: protocol.io.dial.dial, or what a test puts in its place."""


@attrs.frozen
class Site:
    """Whom one proxy dials and what its machine must know."""

    settings: Settings
    dialler: Dialler
    hosts: tuple[str, ...]  # where each agent of settings.agents is, for people to read
    ring: KeyRing | None = None  # the keys of the failover cookie; None: there is none
    cookie_name: str = CookieSettings().name


def site_of(
    setup: ProxySetup, secrets: Secrets, incarnation: int, version: str, make_link: MakeLink = dial
) -> Site:
    """Everything for one ProxyAgent. Raises ConfigurationError for a certificate that cannot be used. Reads files."""
    entries = setup.agents
    identity = Identity(
        "proxy",
        setup.site,
        setup.id,
        incarnation,
        f"{SOFTWARE}/{version}",
        setup.configuration.agreed_hash,
        secrets,
    )
    try:
        contexts = _tls(setup)
    except tls.TlsError as error:
        raise ConfigurationError(str(error)) from None
    where = [(setup.host(entry), entry.port) for entry in entries]

    async def dial_place(place: int, timeout_s: float) -> AgentLink:
        host, port = where[place]
        return await make_link(host, port, identity, contexts, timeout_s)

    hosts = tuple(addresses.join(host, port) for host, port in where)
    return Site(_settings(setup, secrets, entries), dial_place, hosts, cookie_name=setup.configuration.cookie.name)


def ring_of(setup: ProxySetup) -> KeyRing | None:
    """The keys of the failover cookie, where the file names some: for programs that speak with browsers. Reads files.

    Raises ConfigurationError where joserfc is missing, MistakesFound for a key that cannot be used.
    """
    settings = setup.configuration.cookie
    if not settings.key_files:
        return None
    check_installed()
    padded = settings.compatibility == "iag"
    keys = [(name, cookie_key.read(setup.file(name), padded=padded)) for name in settings.key_files]
    warnings = tuple(f"{name}: {warning}" for name, key in keys for warning in key.warnings)
    return KeyRing(tuple(key.octets for _, key in keys), warnings)


def _tls(setup: ProxySetup) -> tls.Tls | None:
    settings = setup.configuration.tls
    match settings.mode:
        case "off" | "insecure-plain":
            return None
        case "files" if settings.client_certificates:
            names = (setup.file(settings.certificate), setup.file(settings.key), setup.file(settings.authority))
            return tls.from_files(*names, client_certificates=True)
        case "files":
            return tls.dialling_only(setup.file(settings.authority))
        case _:
            return tls.dialling_only()


def _settings(setup: ProxySetup, secrets: Secrets, entries: tuple[AuthAgentEntry, ...]) -> Settings:
    configuration = setup.configuration
    session, timing = configuration.session, configuration.timing
    return Settings(
        site=setup.site,
        id=setup.id,
        agents=tuple(AgentName(entry.site, str(entry.id)) for entry in entries),
        digest_key=secret.digest_key(secrets.oldest),
        digest_key_id=secret.secret_id(secrets.oldest),
        code_keys=tuple((secret.secret_id(line), codes.key_of(secret.digest_key(line))) for line in secrets.lines),
        idle_timeout_s=int(session.idle_timeout_s),
        max_lifetime_ms=int(session.max_lifetime_s * 1000),
        keep_sessions=session.keep_sessions,
        key_scope=session.key_scope,
        user_names=session.user_names,
        connect_timeout_s=timing.connect_timeout_s,
        away_after_s=configuration.failover.after_s,
        return_after_s=configuration.failover.return_after_s,
        heartbeat_interval_s=timing.heartbeat_interval_s,
        suspect_after_s=timing.suspect_after_s,
        wan_heartbeat_interval_s=timing.wan_heartbeat_interval_s,
        wan_suspect_after_s=timing.wan_suspect_after_s,
        max_clock_offset_ms=int(timing.max_clock_offset_s * 1000),
        sessions_max=configuration.limits.sessions,
        outbox_events_max=configuration.limits.outbox_events,
    )
