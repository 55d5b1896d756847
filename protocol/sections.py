"""The tables of the configuration file, one class each (DESIGN section 7).

Rules of this file:

- These classes are the truth: names, defaults, bounds and explanations stand here and nowhere else. The parser, the
  file that `authagent init` writes and docs/reference/config.md read them.
- Values only. What must fit together across tables is checked in protocol.configuration.
"""

import fnmatch
from typing import Any, Literal

import attrs

from protocol import addresses, limits, settings
from protocol.adapter_sections import ForwardAuthSettings, HaproxySettings, SquidSettings
from protocol.login_sections import LdapSettings, LoginSettings
from protocol.settings import setting

_DAY_S = 86_400.0
_LIFETIME_S_MAX = limits.LIFETIME_MS_MAX / 1000


@attrs.frozen(kw_only=True)
class SessionSettings:
    """[session]: how long users stay logged in. The same on every machine."""

    idle_timeout_s: float = setting(
        settings.duration(limits.IDLE_TIMEOUT_S_MIN, _LIFETIME_S_MAX),
        "A user whom no proxy saw for this long must log in again.",
        default=1800.0, key="idle_timeout", bounds="60s to 7d",
    )  # fmt: skip
    max_lifetime_s: float = setting(
        settings.duration(limits.IDLE_TIMEOUT_S_MIN, _LIFETIME_S_MAX),
        "However active, a user must log in again after this.",
        default=43200.0, key="max_lifetime", bounds="60s to 7d",
    )  # fmt: skip
    keep_sessions: Literal["until-expiry", "drop"] | float = setting(
        settings.duration_or("until-expiry", "drop", least_s=0, most_s=_LIFETIME_S_MAX),
        "What a proxy does while no agent answers: serve what it knows as ever, for a duration, or not at all.",
        default="until-expiry", bounds='"until-expiry", "drop", or a duration up to 7d',
    )  # fmt: skip
    key_scope: Literal["all", "site"] = setting(
        settings.choice("all", "site"),
        'Where a client address counts: "all", or "site" (of its login) when sites use the same private addresses.',
        default="all", bounds='"all", "site"',
    )  # fmt: skip
    user_names: Literal["exact", "lower"] = setting(
        settings.choice("exact", "lower"),
        '"lower" makes Alice and alice one user, as LDAP and Active Directory do.',
        default="exact", bounds='"exact", "lower"',
    )  # fmt: skip


@attrs.frozen(kw_only=True)
class SecuritySettings:
    """[security]: the secret that agents and proxies share."""

    secret_file: str = setting(
        settings.text,
        "The file that holds the secret, relative to this file; mode 0600 or 0640. It is the same on every machine.",
        default="secret",
    )


@attrs.frozen(kw_only=True)
class TlsSettings:
    """[tls]: how links are encrypted."""

    mode: Literal["auto", "files", "off", "insecure-plain"] = setting(
        settings.choice("auto", "files", "off", "insecure-plain"),
        '"auto": a certificate that the agent makes itself, vouched for by the secret; "files": your own; '
        '"off": none, on loopback only; "insecure-plain": none, anywhere.',
        default="auto", bounds='"auto", "files", "off", "insecure-plain"',
    )  # fmt: skip
    certificate: str = setting(
        settings.text, 'Certificate chain (PEM), relative to this file; with mode = "files".', default=""
    )
    key: str = setting(settings.text, 'Private key (PEM), relative to this file; with mode = "files".', default="")
    authority: str = setting(
        settings.text, "Certificates (PEM) of the authority that signed the agents' certificates.", default=""
    )
    client_certificates: bool = setting(
        settings.flag,
        "Mutual TLS: whoever dials must have a certificate of the authority that names its id.",
        default=False,
    )


@attrs.frozen(kw_only=True)
class CookieSettings:
    """[cookie]: the failover cookie, with which a browser carries its session past the loss of every agent."""

    key_files: tuple[str, ...] = setting(
        settings.files(limits.COOKIE_KEYS_MAX),
        "Keys made by `proxyagent keygen`, relative to this file, newest first: the first writes, all are read. The "
        "same in every program with browsers. Empty: no failover cookie.",
        default=(), bounds=f"up to {limits.COOKIE_KEYS_MAX} files",
    )  # fmt: skip
    name: str = setting(
        settings.cookie_name, "What browsers call it.", default="one-login", bounds="a token of RFC 6265, up to 64"
    )
    compatibility: Literal["none", "iag"] = setting(
        settings.choice("none", "iag"),
        '"iag" fills up short keys with zeros, to share cookies with an IBM gateway; with 32 bytes or less anybody '
        "can read them.",
        default="none", bounds='"none", "iag"',
    )  # fmt: skip


@attrs.frozen(kw_only=True)
class ControlSettings:
    """[control]: the Unix sockets that the command-line verbs talk to."""

    folder: str = setting(
        settings.text,
        "Folder of the sockets. Empty: $RUNTIME_DIRECTORY, /run/authagent (as root), else the state directory.",
        default="",
    )
    group: str = setting(settings.text, "Group that owns the sockets; empty: that of the process.", default="")
    mode: int = setting(
        settings.socket_mode,
        "Permissions of the sockets. Who is neither owner nor root may ask and report, not administer.",
        default=0o600, bounds='"0600", "0660", "0666"',
    )  # fmt: skip


@attrs.frozen(kw_only=True)
class LoggingSettings:
    """[logging]: what is written, and where."""

    level: int = setting(
        settings.whole(0, 2),
        "0: name and start; 1: also what is exchanged; 2: also keys and digests. Alarms always.",
        default=1, bounds="0, 1, 2",
    )  # fmt: skip
    path: str = setting(settings.text, "The log file; empty: standard error.", default="")
    format: Literal["text", "json"] = setting(
        settings.choice("text", "json"), "Lines of key=value, or of JSON.", default="text", bounds='"text", "json"'
    )
    statistics_interval_s: float = setting(
        settings.duration(1, _DAY_S),
        "How often a line with counts of users, logins and timeouts is written.",
        default=60.0, key="statistics_interval", bounds="1s to 24h",
    )  # fmt: skip


@attrs.frozen(kw_only=True)
class TimingSettings:
    """[timing]: how fast failures are noticed."""

    connect_attempts: int = setting(
        settings.whole(1, 100), "How often a starting agent tries its partner before it serves alone.",
        default=5, bounds="1 to 100",
    )  # fmt: skip
    connect_interval_s: float = setting(
        settings.duration(0.01, 60), "Time between two of these attempts.",
        default=0.5, key="connect_interval", bounds="10ms to 60s",
    )  # fmt: skip
    connect_timeout_s: float = setting(
        settings.duration(0.1, 60), "How long one attempt may take.",
        default=3.0, key="connect_timeout", bounds="100ms to 60s",
    )  # fmt: skip
    heartbeat_interval_s: float = setting(
        settings.duration(0.02, 60), "How often both ends of a link in one site say that they live.",
        default=0.2, key="heartbeat_interval", bounds="20ms to 60s",
    )  # fmt: skip
    suspect_after_s: float = setting(
        settings.duration(0.1, 300), "Silence after which the peer is taken for dead; twice the interval at least.",
        default=1.0, key="suspect_after", bounds="100ms to 5m",
    )  # fmt: skip
    max_clock_offset_s: float = setting(
        settings.duration(0.1, 60), "Peers whose clocks differ by more are refused.",
        default=limits.MAX_CLOCK_OFFSET_MS / 1000, key="max_clock_offset", bounds="100ms to 60s",
    )  # fmt: skip
    wan_heartbeat_interval_s: float = setting(
        settings.duration(0.02, 60), "As heartbeat_interval, between sites.",
        default=1.0, key="wan_heartbeat_interval", bounds="20ms to 60s",
    )  # fmt: skip
    wan_suspect_after_s: float = setting(
        settings.duration(0.1, 300), "As suspect_after, between sites.",
        default=5.0, key="wan_suspect_after", bounds="100ms to 5m",
    )  # fmt: skip


@attrs.frozen(kw_only=True)
class FailoverSettings:
    """[failover]: what a proxy does when no agent of its own site answers."""

    other_sites: tuple[str, ...] = setting(
        settings.names,
        "Sites whose agents may serve it then, in the order in which they are tried; its own is skipped, so that the "
        "list can be the same everywhere. Empty: none, and it goes on alone. Their [[proxyagent]] must list it.",
        default=(), bounds='["lan1", "lan2"]',
    )  # fmt: skip
    after_s: float = setting(
        settings.duration(1, 3600), "For how long none of its own agents must have answered.",
        default=5.0, key="after", bounds="1s to 1h",
    )  # fmt: skip
    return_after_s: float = setting(
        settings.duration(0, 3600), "For how long one of them must have served before it goes home.",
        default=10.0, key="return_after", bounds="0s to 1h",
    )  # fmt: skip


@attrs.frozen(kw_only=True)
class LimitSettings:
    """[limits]: what an operator may raise; the others are in docs/reference/limits.md."""

    sessions: int = setting(
        settings.whole(100, 50_000_000),
        "Records in the table. A login beyond it is refused with the reason; known sessions go on.",
        default=limits.SESSIONS_MAX, bounds="100 to 50,000,000",
    )  # fmt: skip
    connections: int = setting(
        settings.whole(4, 100_000),
        "Links at one agent; other agents come in beyond it.",
        default=limits.CONNECTIONS_MAX, bounds="4 to 100,000",
    )  # fmt: skip
    outbox_events: int = setting(
        settings.whole(100, 10_000_000),
        "Events that a proxy keeps for an agent that is away.",
        default=limits.OUTBOX_EVENTS_MAX, bounds="100 to 10,000,000",
    )  # fmt: skip


@attrs.frozen(kw_only=True)
class HttpSettings:
    """[http]: health, numbers and the status page, for browsers and Prometheus; needs the extra `http`."""

    listen: str = setting(
        settings.optional_listener,
        'Where an agent serves HTTP: "127.0.0.1:9080"; off loopback with TLS only. Empty: nowhere. Two agents on one '
        "machine need `--http` or $AUTHAGENT_HTTP, one each.",
        default="",
    )
    proxy_listen: str = setting(
        settings.optional_listener,
        "Where `proxyagent run` does; likewise `--http` and $PROXYAGENT_HTTP where several run on one machine.",
        default="",
    )
    certificate: str = setting(
        settings.text,
        'Certificate chain (PEM) for browsers, relative to this file. Empty: that of [tls] with mode = "files", else '
        "a self-made one.",
        default="",
    )
    key: str = setting(settings.text, "Private key (PEM) of that certificate.", default="")
    admin_file: str = setting(
        settings.text,
        "Where `authagent passwd` puts the hash of the page's password, relative to this file. Without it the page may "
        "be read on loopback and changes nothing, and is not served elsewhere.",
        default="admin",
    )


@attrs.frozen(kw_only=True)
class ClientSettings:
    """[client]: how the proxies beside `proxyagent run` recognise whose request it is."""

    key: Literal["address", "cookie", "both"] = setting(
        settings.choice("address", "cookie", "both"),
        '"address": everybody behind one address is one user, right for forward proxies on a LAN; "cookie": the '
        'session cookie of the login page, for reverse proxies; "both": that cookie, from that address only.',
        default="address", bounds='"address", "cookie", "both"',
    )  # fmt: skip
    cookie: str = setting(
        settings.cookie_name,
        "The name of that cookie. The default can be set over HTTPS only, for one host only.",
        default="__Host-login", bounds="a token of RFC 6265, up to 64",
    )  # fmt: skip
    trusted_proxies: tuple[str, ...] = setting(
        settings.networks,
        "From whom X-Forwarded-For is believed: addresses and networks of one's own proxies and switches.",
        default=("127.0.0.0/8", "::1"), bounds='["127.0.0.0/8", "10.1.0.0/24"]',
    )  # fmt: skip


@attrs.frozen(kw_only=True)
class AuthAgentEntry:
    """[[authagent]]: one agent of one site. The list is the same on every machine."""

    id: int = setting(settings.agent_id, "1 or 2: which of the site's pair.", bounds="1, 2")
    site: str = setting(settings.name, "The LAN it serves.", bounds="letters, digits, . _ -, up to 64")
    host: str = setting(settings.host, "Address or name that its own site dials.")
    wan_host: str = setting(settings.optional_host, "What other sites dial, when different.", default="")
    port: int = setting(settings.whole(1, 65535), "TCP port.", default=9023, bounds="1 to 65,535")
    listen: tuple[str, ...] = setting(
        settings.listeners, 'Where it listens, when not at host:port: ["0.0.0.0:9023", "[::]:9023"].', default=()
    )

    @property
    def on_loopback(self) -> bool:
        """Whether nobody beyond this machine can dial it, by all that the file says."""
        hosts = [self.host, self.wan_host, *(addresses.split(each)[0] for each in self.listen)]
        return all(addresses.is_loopback(host) for host in hosts if host)

    def __str__(self) -> str:
        return f"agent {self.id} of site {self.site}"


@attrs.frozen(kw_only=True)
class ProxyAgentEntry:
    """[[proxyagent]]: one proxy, or many, that may link."""

    id: str = setting(
        settings.pattern, 'A name, or a pattern for many: "squid-*".', bounds="letters, digits, . _ - * ?, up to 64"
    )
    site: str = setting(settings.name, "The LAN it is in.", bounds="letters, digits, . _ -, up to 64")
    host: str = setting(settings.origin, "Address, network or name that it must come from.", default="")

    @property
    def is_pattern(self) -> bool:
        """Whether it stands for many."""
        return "*" in self.id or "?" in self.id

    def names(self, proxy_id: str) -> bool:
        """Whether `proxy_id` is one of those that this entry lists."""
        return fnmatch.fnmatchcase(proxy_id, self.id)


@attrs.frozen(kw_only=True)
class RemoteEntry:
    """[[remote]]: which sessions a site shares with the others; the list is the same everywhere. Ends always cross."""

    site: str = setting(settings.name, "The site. Between two sites the entries of both count.", bounds="a known site")
    users: tuple[str, ...] = setting(
        settings.chosen,
        "Patterns of user names. Items with `!` in front exclude, others include; with none of these, all the rest is.",
        default=(), bounds='["!guest-*"]',
    )  # fmt: skip
    groups: tuple[str, ...] = setting(
        settings.chosen,
        "Patterns of groups (the attribute `groups`). One that is excluded is enough to keep a session at home.",
        default=(), bounds='["staff", "!visitors"]',
    )  # fmt: skip
    networks: tuple[str, ...] = setting(
        settings.chosen_networks,
        "Networks of client addresses. A key without an address is in none of them.",
        default=(), bounds='["10.1.0.0/16", "!10.1.99.0/24"]',
    )  # fmt: skip


WEBHOOK_EVENTS = (
    "session.opened", "session.ended", "user.logged_out", "role.master", "role.slave", "problem.began",
    "problem.ended",
)  # fmt: skip
"""Everything that a webhook can be told."""


@attrs.frozen(kw_only=True)
class WebhookEntry:
    """[[webhook]]: whom agents tell what happens, as JSON in a POST; needs the extra `http`."""

    url: str = setting(
        settings.web_address, "Where to: http:// or https://.", bounds="http:// or https://", private=True
    )
    events: tuple[str, ...] = setting(
        settings.patterns_of(*WEBHOOK_EVENTS),
        'What is told: "session.*" for many. Empty: everything.',
        default=(), bounds=", ".join(WEBHOOK_EVENTS),
    )  # fmt: skip
    secret_file: str = setting(
        settings.text,
        "The file that holds the secret that signs, relative to this file; one line or two, as that of [security].",
        default="",
    )
    secret: str = setting(settings.optional_secret, "That secret itself; a file is better.", default="", private=True)
    authority: str = setting(
        settings.text, "Certificates (PEM) that may vouch for the receiver. Empty: those of the system.", default=""
    )


SECTIONS: dict[str, type[Any]] = {
    "session": SessionSettings,
    "security": SecuritySettings,
    "tls": TlsSettings,
    "cookie": CookieSettings,
    "control": ControlSettings,
    "logging": LoggingSettings,
    "timing": TimingSettings,
    "failover": FailoverSettings,
    "limits": LimitSettings,
    "http": HttpSettings,
    "client": ClientSettings,
    "squid": SquidSettings,
    "forward_auth": ForwardAuthSettings,
    "haproxy": HaproxySettings,
    "login": LoginSettings,
    "ldap": LdapSettings,
}
"""The tables of the file, in the order in which it is written."""

LISTS: dict[str, type[Any]] = {
    "authagent": AuthAgentEntry,
    "proxyagent": ProxyAgentEntry,
    "remote": RemoteEntry,
    "webhook": WebhookEntry,
}
"""The lists of tables of the file."""
