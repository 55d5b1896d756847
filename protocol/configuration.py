"""The configuration: one TOML file, the same on every machine (DESIGN section 7).

Rules of this file:

- All mistakes are reported at once, each with its key and what would be right. So each setting is read by itself, and
  what must fit together is checked over whatever could be read.
- Only [session] and [[authagent]] must agree between machines; `agreed_hash` is what they compare.
- Which entry a machine is, and where its folders are, the programs decide (authagent.config, proxyagent.config).

Theory. cattrs turns a table into its class and gathers the errors of all its fields; each field brings its own form
(protocol.settings). A table or list entry that could not be read is left out, with its mistakes noted, so that one
wrong word does not raise a second mistake elsewhere.
"""

import hashlib
import json
import tomllib
from collections.abc import Iterator
from typing import Any

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, override

from protocol import addresses, mistakes, settings
from protocol.adapter_sections import ForwardAuthSettings, HaproxySettings, SquidSettings
from protocol.login_sections import LdapSettings, LoginSettings
from protocol.mistakes import Mistake, MistakesFound
from protocol.sections import (
    LISTS,
    SECTIONS,
    AuthAgentEntry,
    ClientSettings,
    ControlSettings,
    CookieSettings,
    FailoverSettings,
    HttpSettings,
    LimitSettings,
    LoggingSettings,
    ProxyAgentEntry,
    RemoteEntry,
    SecuritySettings,
    SessionSettings,
    TimingSettings,
    TlsSettings,
    WebhookEntry,
)
from protocol.settings import setting

__all__ = [
    "AuthAgentEntry",
    "ClientSettings",
    "Configuration",
    "ControlSettings",
    "CookieSettings",
    "FailoverSettings",
    "ForwardAuthSettings",
    "HaproxySettings",
    "HttpSettings",
    "LdapSettings",
    "LimitSettings",
    "LoggingSettings",
    "LoginSettings",
    "ProxyAgentEntry",
    "RemoteEntry",
    "SecuritySettings",
    "SessionSettings",
    "SquidSettings",
    "TimingSettings",
    "TlsSettings",
    "WebhookEntry",
    "default",
    "parse",
]


@attrs.frozen(kw_only=True)
class Configuration:
    """All of the file. `path` is where it was read, empty when there is no file."""

    path: str = ""
    site: str = setting(settings.optional_name, "This machine's site, where its own entry does not tell.", default="")
    state_dir: str = setting(
        settings.text,
        "Where state is kept, in a folder per agent. Empty: $STATE_DIRECTORY, /var/lib/authagent (as root), else "
        "~/.local/state/authagent.",
        default="",
    )
    session: SessionSettings = attrs.field(factory=SessionSettings)
    security: SecuritySettings = attrs.field(factory=SecuritySettings)
    tls: TlsSettings = attrs.field(factory=TlsSettings)
    cookie: CookieSettings = attrs.field(factory=CookieSettings)
    control: ControlSettings = attrs.field(factory=ControlSettings)
    logging: LoggingSettings = attrs.field(factory=LoggingSettings)
    timing: TimingSettings = attrs.field(factory=TimingSettings)
    failover: FailoverSettings = attrs.field(factory=FailoverSettings)
    limits: LimitSettings = attrs.field(factory=LimitSettings)
    http: HttpSettings = attrs.field(factory=HttpSettings)
    client: ClientSettings = attrs.field(factory=ClientSettings)
    squid: SquidSettings = attrs.field(factory=SquidSettings)
    forward_auth: ForwardAuthSettings = attrs.field(factory=ForwardAuthSettings)
    haproxy: HaproxySettings = attrs.field(factory=HaproxySettings)
    login: LoginSettings = attrs.field(factory=LoginSettings)
    ldap: LdapSettings = attrs.field(factory=LdapSettings)
    authagents: tuple[AuthAgentEntry, ...] = ()
    proxyagents: tuple[ProxyAgentEntry, ...] = ()
    remotes: tuple[RemoteEntry, ...] = ()
    webhooks: tuple[WebhookEntry, ...] = ()

    @property
    def agreed_hash(self) -> bytes:
        """8 bytes over [session] and [[authagent]], whatever their order: equal where machines agree."""
        agents = sorted(self.authagents, key=lambda agent: (agent.site, agent.id))
        agreed: list[Any] = [attrs.asdict(self.session), [attrs.asdict(agent) for agent in agents]]
        return hashlib.blake2b(json.dumps(agreed, sort_keys=True).encode(), digest_size=8).digest()

    @property
    def sites(self) -> tuple[str, ...]:
        """All sites that have an agent, sorted."""
        return tuple(sorted({agent.site for agent in self.authagents}))

    @property
    def plain(self) -> bool:
        """Whether links are without TLS. "auto" has TLS on loopback too, so that both ends always expect the same."""
        return self.tls.mode in ("off", "insecure-plain")

    @property
    def http_certificate(self) -> tuple[str, str]:
        """Certificate and key that HTTP shows, as the file names them; empty for a self-made one."""
        own = self.tls if self.tls.mode == "files" and not self.http.certificate else self.http
        return own.certificate, own.key

    @property
    def login_certificate(self) -> tuple[str, str]:
        """Certificate and key that the login page shows, likewise."""
        own = self.login
        return (own.certificate, own.key) if own.certificate else self.http_certificate

    def agent(self, site: str, agent_id: int) -> AuthAgentEntry | None:
        """The entry of one agent, or None when it is not listed."""
        return next((agent for agent in self.agents_of(site) if agent.id == agent_id), None)

    def agents_of(self, site: str) -> tuple[AuthAgentEntry, ...]:
        """The agents of one site in the order of their ids."""
        return tuple(sorted((agent for agent in self.authagents if agent.site == site), key=lambda agent: agent.id))

    def proxy(self, site: str, proxy_id: str) -> ProxyAgentEntry | None:
        """The entry that lists a proxy: the one with exactly its id, else the first pattern that fits, else None."""
        fitting = [entry for entry in self.proxyagents if entry.site == site and entry.names(proxy_id)]
        return min(fitting, key=lambda entry: entry.is_pattern, default=None)


DEFAULT_SITE = "local"
"""The one site that exists without any file."""


def default(site: str = "") -> Configuration:
    """What holds without any file: a pair on loopback and any proxy id, in one site."""
    site = site or DEFAULT_SITE
    pair = (
        AuthAgentEntry(id=1, site=site, host="127.0.0.1", port=9023),
        AuthAgentEntry(id=2, site=site, host="127.0.0.1", port=9024),
    )
    return Configuration(site=site, authagents=pair, proxyagents=(ProxyAgentEntry(id="*", site=site),))


def parse(text: str, path: str) -> Configuration:
    """The configuration that `text`, read from `path`, stands for.

    A file that lists no [[authagent]] has those of `default`. Raises MistakesFound with everything that is wrong,
    one line each. Does not block.
    """
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits, and brackets by the thousand
        raise MistakesFound(path, [Mistake("", f"this is not TOML: {error}")]) from None
    found: list[Mistake] = []
    configuration = attrs.evolve(_read(content, found), path=path)
    found.extend(_disagreements(configuration))
    if found:
        raise MistakesFound(path, found)
    return configuration


# -- reading -----------------------------------------------------------------------------------------------------


def _reader(*classes: type[Any]) -> cattrs.Converter:
    """A converter that reads each class by the forms of its settings and knows no other keys."""
    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)
    for each in classes:
        overrides = {field.name: _override(field) for field in attrs.fields(each)}
        structure = make_dict_structure_fn(each, converter, _cattrs_forbid_extra_keys=True, **overrides)
        converter.register_structure_hook(each, structure)
    return converter


def _override(field: "attrs.Attribute[Any]") -> Any:
    form = field.metadata["form"]
    return override(rename=settings.key_of(field), struct_hook=lambda value, _type: form(value))


_READER = _reader(*SECTIONS.values(), *LISTS.values())

_TOP = {"site": settings.optional_name, "state_dir": settings.text}


def _read(content: dict[str, Any], found: list[Mistake]) -> Configuration:
    """Everything that can be read; what cannot is left at its default and noted in `found`."""
    parts: dict[str, Any] = {}
    for key, value in content.items():
        if key in SECTIONS:
            parts[key] = _table(SECTIONS[key], value, f"[{key}]", found)
        elif key in LISTS:
            continue
        elif key in _TOP:
            parts[key] = _value(key, value, found)
        else:
            found.append(_unknown(key, "", (*_TOP, *SECTIONS, *LISTS)))
    parts = {key: value for key, value in parts.items() if value is not None}
    site = parts.get("site", "")
    fallback = default(site)
    if "authagent" not in content:
        parts |= {"authagents": fallback.authagents, "proxyagents": fallback.proxyagents, "site": fallback.site}
    for key in content.keys() & LISTS.keys():
        parts[f"{key}s"] = tuple(_entries(key, content[key], site, found))
    return Configuration(**parts)


def _value(key: str, value: Any, found: list[Mistake]) -> Any:
    try:
        return _TOP[key](value)
    except ValueError as error:
        found.append(Mistake(key, str(error)))
        return None


def _entries(key: str, value: Any, site: str, found: list[Mistake]) -> Iterator[Any]:
    """The entries of one list of tables; where one has an `id`, a `site` that is not given is that of the file."""
    if not isinstance(value, list):
        found.append(Mistake(key, f"write a list of tables, each under [[{key}]]"))
        return
    found.extend(_duplicates(key, value, site))
    for number, table in enumerate(value, 1):
        where = f"[[{key}]] {number}"
        if isinstance(table, dict) and site and hasattr(attrs.fields(LISTS[key]), "id"):
            table = {"site": site} | table
        entry = _table(LISTS[key], table, where, found)
        if entry is not None:
            yield entry


def _duplicates(key: str, tables: list[Any], site: str) -> Iterator[Mistake]:
    """Entries with the (site, id) of an earlier one, other mistakes in them or not."""
    seen: dict[tuple[object, object], int] = {}
    for number, table in enumerate(tables, 1):
        identity = (table.get("site", site), table.get("id")) if isinstance(table, dict) else (None, None)
        if not all(isinstance(part, (str, int)) for part in identity):
            continue
        first = seen.setdefault(identity, number)
        if first != number:
            text = f"id {identity[1]} of site {identity[0]} is listed twice (entries {first} and {number}); keep one"
            yield Mistake(f"[[{key}]] {number} id", text)


def _table(kind: type[Any], value: Any, where: str, found: list[Mistake]) -> Any:
    if not isinstance(value, dict):
        found.append(Mistake(where, "write a table"))
        return None
    try:
        return _READER.structure(value, kind)
    except cattrs.ClassValidationError as errors:
        found.extend(_mistakes(errors, kind, where))
        return None


def _mistakes(errors: cattrs.ClassValidationError, kind: type[Any], where: str) -> Iterator[Mistake]:
    keys = {field.name: settings.key_of(field) for field in attrs.fields(kind)}
    noted, others = errors.group_exceptions()
    for error, note in noted:
        text = "missing, and it has no default" if isinstance(error, KeyError) else str(error)
        yield Mistake(f"{where} {keys[note.name]}", text)
    for other in others:
        if not isinstance(other, cattrs.ForbiddenExtraKeysError):
            raise other
        for key in sorted(other.extra_fields):
            yield _unknown(key, where, tuple(keys.values()))


def _unknown(key: str, where: str, known: tuple[str, ...]) -> Mistake:
    """An unknown key, with its right place when another table has it, else the nearest right name."""
    homes = [f"[{name}]" for name, kind in SECTIONS.items() if key in map(settings.key_of, attrs.fields(kind))]
    hint = f"it belongs under {' or '.join(homes)}" if homes else mistakes.nearest(key, known)
    return Mistake(f"{where} {key}".strip(), f"unknown key; {hint}")


# -- what must fit together --------------------------------------------------------------------------------------


def _disagreements(configuration: Configuration) -> Iterator[Mistake]:
    yield from _one_address(configuration.authagents)
    yield from _tls(configuration)
    yield from _timing(configuration.timing)
    yield from _failover(configuration)
    yield from _remotes(configuration)
    yield from _certificate("http", configuration.http)
    yield from _certificate("login", configuration.login)
    yield from _login(configuration)
    yield from _webhooks(configuration.webhooks)


def _one_address(agents: tuple[AuthAgentEntry, ...]) -> Iterator[Mistake]:
    seen: dict[tuple[str, str, int], AuthAgentEntry] = {}
    for agent in agents:
        first = seen.setdefault((agent.site, agent.host, agent.port), agent)
        if first.id != agent.id:
            text = f"{agent} has the address {addresses.join(agent.host, agent.port)} of {first}; give it another"
            yield Mistake("[[authagent]] port", text)


def _tls(configuration: Configuration) -> Iterator[Mistake]:
    tls = configuration.tls
    given = [name for name in ("certificate", "key") if getattr(tls, name)]
    if tls.mode == "files":
        for name in {"certificate", "key"} - set(given):
            yield Mistake(f"[tls] {name}", 'missing: with mode = "files" both certificate and key are needed')
    elif given:
        yield Mistake("[tls] mode", f'"{tls.mode}" does not use the {" and ".join(given)} given; set mode = "files"')
    if tls.client_certificates and not (tls.mode == "files" and tls.authority):
        yield Mistake("[tls] client_certificates", 'needs mode = "files" and an authority that signs the certificates')
    if tls.mode == "off":
        for agent in configuration.authagents:
            if not agent.on_loopback:
                text = f'"off" is for loopback only, and {agent} is beyond it; set mode = "auto"'
                yield Mistake("[tls] mode", text)


def _timing(timing: TimingSettings) -> Iterator[Mistake]:
    for prefix in ("", "wan_"):
        interval_s = getattr(timing, f"{prefix}heartbeat_interval_s")
        if getattr(timing, f"{prefix}suspect_after_s") < 2 * interval_s:
            yield Mistake(f"[timing] {prefix}suspect_after", f"must be at least twice {prefix}heartbeat_interval")


def _failover(configuration: Configuration) -> Iterator[Mistake]:
    for site in configuration.failover.other_sites:
        if site not in configuration.sites:
            text = f'"{site}" has no [[authagent]]; {mistakes.nearest(site, configuration.sites)}'
            yield Mistake("[failover] other_sites", text)


def _remotes(configuration: Configuration) -> Iterator[Mistake]:
    named = [remote.site for remote in configuration.remotes]
    for number, site in enumerate(named, 1):
        if site not in configuration.sites:
            text = f'"{site}" has no [[authagent]]; {mistakes.nearest(site, configuration.sites)}'
            yield Mistake(f"[[remote]] {number} site", text)
        elif site in named[: number - 1]:
            yield Mistake(f"[[remote]] {number} site", f'"{site}" has an entry already; put both into one')


def _certificate(section: str, given: HttpSettings | LoginSettings) -> Iterator[Mistake]:
    if bool(given.certificate) != bool(given.key):
        missing = "key" if given.certificate else "certificate"
        yield Mistake(f"[{section}] {missing}", "missing: both certificate and key are needed, or neither")


def _login(configuration: Configuration) -> Iterator[Mistake]:
    login, ldap = configuration.login, configuration.ldap
    if login.listen and not login.backend:
        yield Mistake("[login] backend", 'missing: write "htpasswd:FILE", "ldap" or "python:MODULE:FUNCTION"')
    if login.backend == "ldap":
        for name in ("urls", "base"):
            if not getattr(ldap, name):
                yield Mistake(f"[ldap] {name}", 'missing: [login] backend = "ldap" needs it')
    if bool(ldap.bind_dn) != bool(ldap.password_file):
        missing = "password_file" if ldap.bind_dn else "bind_dn"
        yield Mistake(f"[ldap] {missing}", "missing: both bind_dn and password_file are needed, or neither")


def _webhooks(webhooks: tuple[WebhookEntry, ...]) -> Iterator[Mistake]:
    for number, webhook in enumerate(webhooks, 1):
        if bool(webhook.secret) == bool(webhook.secret_file):
            yield Mistake(f"[[webhook]] {number} secret_file", "give a secret_file, or a secret, and not both")
