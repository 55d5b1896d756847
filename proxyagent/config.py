"""Which proxy this process is, whom it dials, and where its files are (DESIGN section 7).

Rules of this file:

- An argument or flag counts before the environment, the environment before the file, the file before the default.
- Which entry: the id that was named, with its site; else the one entry without a pattern whose host is this machine's.
- Choosing is pure: what this machine's addresses are is asked through `is_own`.
- All that is wrong is raised as MistakesFound, one line each: the command line ends with exit code 2, the library
  raises ConfigurationError.
"""

from collections.abc import Callable

import attrs

from protocol import configuration, places, settings
from protocol.configuration import AuthAgentEntry, Configuration, ProxyAgentEntry
from protocol.io import machine, secret_file
from protocol.io.surroundings import find_config, read_config, surroundings
from protocol.mistakes import Mistake, MistakesFound, nearest
from protocol.places import Surroundings
from protocol.secret import Secrets

IsOwn = Callable[[str], bool]

DEFAULT_ID = "proxy1"
"""The id of a proxy that nobody named, when there is no file."""


@attrs.frozen(kw_only=True)
class ProxySetup:
    """Everything that follows from file, arguments and machine for one ProxyAgent."""

    configuration: Configuration
    id: str
    site: str
    agents: tuple[AuthAgentEntry, ...]
    """Whom to dial, in order: the site's own agents, then those of [failover] other_sites; all where it has none."""
    control_path: str
    secret_path: str
    http: str = ""
    """Where `proxyagent run` serves HTTP, HOST:PORT; empty: nowhere."""

    @property
    def meets_browsers(self) -> bool:
        """Whether `proxyagent run` answers browsers, so that the failover cookie is its business."""
        return bool(self.configuration.forward_auth.listen or self.configuration.login.listen)

    def host(self, agent: AuthAgentEntry) -> str:
        """What this proxy dials to reach `agent`."""
        return agent.host if agent.site == self.site else agent.wan_host or agent.host

    def file(self, name: str) -> str:
        """The path of a file named in the configuration ([tls] certificate and the like); empty for none."""
        return places.beside(self.configuration.path, name) if name else ""


def load(
    config: str | None = None,
    *,
    id: str | None = None,
    site: str | None = None,
    control: str | None = None,
    http: str | None = None,
    around: Surroundings | None = None,
    is_own: IsOwn = machine.is_own_host,
) -> ProxySetup:
    """The setup of this proxy; every argument may be None.

    Raises MistakesFound with everything wrong in the file, or with what does not fit this machine. Blocks on the disk,
    and on the resolver where the proxy's entry has a host name. The secret is not read here: see read_secret.
    """
    around = surroundings() if around is None else around
    path = find_config(config, "proxyagent", around)
    wanted_site = places.given(site, ("PROXYAGENT_SITE",), around)
    found = configuration.parse(read_config(path), path) if path else configuration.default(wanted_site)
    named, entry = choose(found, places.given(id, ("PROXYAGENT_ID",), around), wanted_site, is_own)
    state = places.state_folder(None, found.state_dir, found.path, around)
    return ProxySetup(
        configuration=found,
        id=named,
        site=entry.site,
        agents=_agents(found, entry.site),
        control_path=_control_path(control, found, state, entry.site, named, around),
        secret_path=places.beside(found.path or f"{state}/", found.security.secret_file),
        http=_http(found, places.given(http, ("PROXYAGENT_HTTP",), around)),
    )


def _agents(found: Configuration, site: str) -> tuple[AuthAgentEntry, ...]:
    own = found.agents_of(site)
    others = [other for other in found.failover.other_sites or (() if own else found.sites) if other != site]
    return own + tuple(each for other in others for each in found.agents_of(other))


def read_secret(made: ProxySetup) -> Secrets:
    """The secret of this proxy; made at first start when there is no configuration file. Raises MistakesFound."""
    if made.configuration.path:
        return secret_file.read(made.secret_path)
    return secret_file.read_or_make(made.secret_path)


def _control_path(
    control: str | None, found: Configuration, state: str, site: str, proxy_id: str, around: Surroundings
) -> str:
    named = places.given(control, ("PROXYAGENT_CONTROL",), around)
    folder = places.control_folder(found.control.folder, found.path, state, around)
    try:
        if named:
            return places.checked_socket(places.absolute(named, around))
        return places.proxy_socket(folder, site, proxy_id)
    except places.PathTooLong as error:
        raise _mistake("", str(error)) from None


def _http(found: Configuration, flag: str) -> str:
    try:
        return settings.optional_listener(flag) or found.http.proxy_listen
    except ValueError as error:
        raise _mistake("--http", str(error)) from None


# -- which entry -------------------------------------------------------------------------------------------------


def choose(found: Configuration, proxy_id: str, site: str, is_own: IsOwn) -> tuple[str, ProxyAgentEntry]:
    """The id of this proxy and its entry, `proxy_id` and `site` being empty where nobody named them.

    Raises MistakesFound when it is not listed, when several entries fit, or when its host is not this machine's.
    """
    if proxy_id:
        _check_id(proxy_id)
        return proxy_id, _listed(found, proxy_id, site, is_own)
    if not found.path:
        return DEFAULT_ID, _listed(found, DEFAULT_ID, site, is_own)
    named = [each for each in found.proxyagents if site in ("", each.site) and each.host and not each.is_pattern]
    own = [each for each in named if is_own(each.host)]
    if len(own) != 1:
        what = (
            f"several fit this machine: {_all(own)}" if own else "no [[proxyagent]] has this machine's address as host"
        )
        raise _mistake("proxy id", f"{what}; name it with --id, PROXYAGENT_ID or open_proxy_agent(id=...)")
    return own[0].id, own[0]


def _check_id(proxy_id: str) -> None:
    try:
        settings.name(proxy_id)
    except ValueError as error:
        raise _mistake("proxy id", f'"{proxy_id}": {error}') from None


def _listed(found: Configuration, proxy_id: str, site: str, is_own: IsOwn) -> ProxyAgentEntry:
    """The entry that lists `proxy_id`, checked to be this machine's where it has a host."""
    sites = {each.site for each in found.proxyagents}
    if site and site not in sites:
        raise _mistake("--site", f'"{site}" has no proxy; {nearest(site, sorted(sites))}')
    fitting = [entry for each in sorted(sites) if site in ("", each) and (entry := found.proxy(each, proxy_id))]
    if not fitting:
        known = sorted({each.id for each in found.proxyagents})
        hint = nearest(proxy_id, known) if known else "the file lists no [[proxyagent]]"
        raise _mistake("proxy id", f'"{proxy_id}" is not listed; {hint}')
    own = [each for each in fitting if not each.host or is_own(each.host)]
    if not own:
        hosts = ", ".join(each.host for each in fitting)
        text = f"{proxy_id} must come from {hosts}, which is no address of this machine; correct the host or the id"
        raise _mistake("[[proxyagent]] host", text)
    exact = [each for each in own if each.host] or own
    here = [each for each in exact if each.site == found.site] or exact
    if len(here) > 1:
        raise _mistake("proxy id", f"several entries fit {proxy_id}: {_all(here)}; name the site with --site")
    return here[0]


def _all(entries: list[ProxyAgentEntry]) -> str:
    return ", ".join(f"{each.id} of site {each.site}" for each in entries)


def _mistake(key: str, text: str) -> MistakesFound:
    return MistakesFound("", [Mistake(key, text)])
