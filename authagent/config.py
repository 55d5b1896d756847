"""Which agent this process is, and where its files are (DESIGN section 7).

Rules of this file:

- A flag counts before the environment, the environment before the file, the file before the default.
- Which entry: the number with --site, else the environment, else the one entry whose host is an address of this
  machine. None or several is a mistake, which names the candidates.
- Choosing is pure: what this machine's addresses are is asked through `is_own`.
- All that is wrong is raised as MistakesFound: one line each, exit code 2.
"""

from collections.abc import Callable

import attrs

from protocol import addresses, configuration, places, settings
from protocol.configuration import AuthAgentEntry, Configuration
from protocol.io import machine, secret_file
from protocol.io.surroundings import find_config, read_config, surroundings
from protocol.mistakes import Mistake, MistakesFound, nearest
from protocol.places import Surroundings
from protocol.secret import Secrets

IsOwn = Callable[[str], bool]


@attrs.frozen(kw_only=True)
class Flags:
    """What the command line said; None or empty where it said nothing."""

    number: str | None = None
    config: str | None = None
    site: str | None = None
    listen: tuple[str, ...] = ()
    state_dir: str | None = None
    log_level: str | None = None
    http: str | None = None


@attrs.frozen(kw_only=True)
class AgentSetup:
    """Everything that follows from file, flags and machine for one agent."""

    configuration: Configuration
    entry: AuthAgentEntry
    listen: tuple[tuple[str, int], ...]
    """Where to listen: (host, port)."""
    state_dir: str
    """The folder of this agent alone."""
    control_path: str
    secret_path: str
    log_path: str
    """Empty: standard error."""
    http: str = ""
    """Where HTTP is served, HOST:PORT; empty: nowhere."""
    admin_path: str = ""
    """Where the hash of the page's password is, if there is one."""

    @property
    def site(self) -> str:
        return self.entry.site

    @property
    def id(self) -> str:
        """This agent's id as it stands on the wire."""
        return str(self.entry.id)

    @property
    def partner(self) -> AuthAgentEntry | None:
        """The other agent of the site, if there is one."""
        return next((each for each in self.configuration.agents_of(self.site) if each.id != self.entry.id), None)

    @property
    def remotes(self) -> tuple[AuthAgentEntry, ...]:
        """The agents of all other sites, by site and id."""
        others = [each for site in self.configuration.sites if site != self.site for each in
                  self.configuration.agents_of(site)]  # fmt: skip
        return tuple(others)

    def file(self, name: str) -> str:
        """The path of a file named in the configuration ([tls] certificate and the like); empty for none."""
        return places.beside(self.configuration.path, name) if name else ""

    def identity(self) -> tuple[object, ...]:
        """What a reload cannot change: site, id, where it listens, where it keeps its state."""
        return (self.site, self.id, self.listen, self.state_dir, self.control_path)


def load(flags: Flags, around: Surroundings | None = None, is_own: IsOwn = machine.is_own_host) -> AgentSetup:
    """The setup of this process.

    Raises MistakesFound with everything wrong in the file, or with what does not fit this machine. Blocks on the disk,
    and on the resolver where the file has host names. The secret is not read here: see read_secret.
    """
    around = surroundings() if around is None else around
    return setup(read(flags, around), flags, around, is_own)


def read(flags: Flags, around: Surroundings) -> Configuration:
    """The configuration with the flags that override it. Raises MistakesFound. Blocks on the disk."""
    path = find_config(flags.config, "authagent", around)
    site = places.given(flags.site, ("AUTHAGENT_SITE",), around)
    found = configuration.parse(read_config(path), path) if path else configuration.default(site)
    level = places.given(flags.log_level, ("AUTHAGENT_LOG_LEVEL",), around)
    if not level:
        return found
    if level not in ("0", "1", "2"):
        raise _mistake("--log-level", f'"{level}": levels are 0, 1 and 2')
    return attrs.evolve(found, logging=attrs.evolve(found.logging, level=int(level)))


def setup(found: Configuration, flags: Flags, around: Surroundings, is_own: IsOwn) -> AgentSetup:
    """What follows from the configuration for this machine. Raises MistakesFound."""
    number = places.given(flags.number, ("AUTHAGENT_ID",), around)
    site = places.given(flags.site, ("AUTHAGENT_SITE",), around)
    entry = choose(found, number, site, is_own)
    listen = _listen(found, entry, _listen_flag(flags, around), is_own)
    state = places.state_folder(flags.state_dir, found.state_dir, found.path, around)
    folder = places.control_folder(found.control.folder, found.path, state, around)
    try:
        control_path = places.agent_socket(folder, entry.site, entry.id)
    except places.PathTooLong as error:
        raise _mistake("", str(error)) from None
    return AgentSetup(
        configuration=found,
        entry=entry,
        listen=listen,
        state_dir=places.agent_folder(state, entry.site, entry.id),
        control_path=control_path,
        secret_path=secret_path(found, state),
        log_path=places.beside(found.path, found.logging.path) if found.logging.path else "",
        http=_http(found, places.given(flags.http, ("AUTHAGENT_HTTP",), around)),
        admin_path=admin_path(found, state),
    )


def secret_path(found: Configuration, state: str) -> str:
    """The secret file: beside the configuration file, or in the state folder when there is no such file."""
    return places.beside(found.path or f"{state}/", found.security.secret_file)


def admin_path(found: Configuration, state: str) -> str:
    """The file with the hash of the page's password, beside the secret."""
    return places.beside(found.path or f"{state}/", found.http.admin_file)


def read_secret(made: AgentSetup) -> Secrets:
    """The secret of this agent; made at first start when there is no configuration file. Raises MistakesFound."""
    if made.configuration.path:
        return secret_file.read(made.secret_path)
    return secret_file.read_or_make(made.secret_path)


# -- which entry -------------------------------------------------------------------------------------------------


def choose(found: Configuration, number: str, site: str, is_own: IsOwn) -> AuthAgentEntry:
    """The entry that this process is, `number` and `site` being empty where nobody named them. Raises MistakesFound."""
    if number not in ("", "1", "2"):
        raise _mistake("", f'agent ids are 1 and 2, not "{number}"')
    if site and site not in found.sites:
        raise _mistake("--site", f'"{site}" has no agent; {nearest(site, found.sites)}')
    fitting = [each for each in found.authagents if number in ("", str(each.id)) and site in ("", each.site)]
    if not fitting:
        where = f"of site {site} " if site else ""
        raise _mistake("", f"agent {number} {where}is not listed; listed: {_all(found.authagents)}")
    if not number and found.authagents == configuration.default(fitting[0].site).authagents:
        return fitting[0]  # the pair on loopback that nobody wrote down: who gives no number is agent 1
    own = [each for each in fitting if is_own(each.host)]
    here = [each for each in own or fitting if each.site == found.site] or own or fitting
    if len(here) == 1 and (own or number):
        return here[0]
    if not own and not number:
        text = f"no [[authagent]] has a host that is an address of this machine; candidates: {_all(fitting)}"
        raise _mistake("", f"{text}; say which: authagent 1 --site NAME")
    raise _mistake("", f"several entries fit this machine: {_all(here)}; say which: authagent 1 --site NAME")


def _all(entries: tuple[AuthAgentEntry, ...] | list[AuthAgentEntry]) -> str:
    return ", ".join(f"{each} ({addresses.join(each.host, each.port)})" for each in entries) or "none"


# -- where it listens --------------------------------------------------------------------------------------------


def _listen_flag(flags: Flags, around: Surroundings) -> tuple[str, ...]:
    from_environment = places.given(None, ("AUTHAGENT_LISTEN",), around)
    return flags.listen or tuple(part.strip() for part in from_environment.split(",") if part.strip())


def _listen(
    found: Configuration, entry: AuthAgentEntry, flag: tuple[str, ...], is_own: IsOwn
) -> tuple[tuple[str, int], ...]:
    """Where to listen. An agent that listens at its own host must be on the machine of that host."""
    try:
        asked = tuple(map(addresses.split, flag or entry.listen))
    except ValueError as error:
        raise _mistake("--listen", str(error)) from None
    for host, _ in asked:
        if found.tls.mode == "off" and not addresses.is_loopback(host):
            raise _mistake("--listen", f'{host} is not loopback, and [tls] mode is "off"; set mode = "auto"')
    if not asked and not is_own(entry.host):
        raise _mistake(
            "[[authagent]] host",
            f"{entry} has host {entry.host}, which is no address of this machine; "
            'run it there, correct the host, or set listen = ["0.0.0.0:9023"] where addresses are translated',
        )
    return asked or ((entry.host, entry.port),)


def _http(found: Configuration, flag: str) -> str:
    try:
        return settings.optional_listener(flag) or found.http.listen
    except ValueError as error:
        raise _mistake("--http", str(error)) from None


def _mistake(key: str, text: str) -> MistakesFound:
    return MistakesFound("", [Mistake(key, text)])
