"""What one running agent has in hand: its configuration, who it is on every link, and its TLS.

Rules of this file:

- Frozen: a reload makes a new one and swaps it in whole, or changes nothing.
- Reading files is here; deciding what the file means is config.py's.
- What cannot change while the agent runs is named here, so that a reload can say so instead of pretending.
"""

import os
import tempfile
from pathlib import Path

import attrs

from authagent import __version__, certificate, config, receivers
from authagent.config import AgentSetup, Flags
from authagent.core.settings import RemoteSite
from authagent.receivers import Receiver
from protocol import addresses, codes, secret
from protocol.configuration import AuthAgentEntry, Configuration
from protocol.filter import Filter, between
from protocol.handshake import Identity
from protocol.io.log import Log
from protocol.io.tls import Tls, TlsError, from_files, self_made
from protocol.mistakes import Mistake, MistakesFound


@attrs.frozen
class Setup:
    """Everything from files and flags that a running agent needs."""

    made: AgentSetup
    identity: Identity
    tls: Tls | None
    certificate: bytes = b""
    """The operator's own certificate in PEM; empty with a self-made one, whose dates nobody checks."""
    receivers: tuple[Receiver, ...] = ()

    @property
    def configuration(self) -> Configuration:
        return self.made.configuration

    @property
    def site(self) -> str:
        return self.made.site

    @property
    def id(self) -> str:
        return self.made.id

    @property
    def partner(self) -> AuthAgentEntry | None:
        return self.made.partner

    @property
    def remotes(self) -> tuple[RemoteSite, ...]:
        """The other sites of the file, with the ids of their agents, and what crosses."""
        found = self.configuration
        return tuple(
            RemoteSite(name, tuple(str(agent.id) for agent in found.agents_of(name)), self._filter(name))
            for name in found.sites
            if name != self.site
        )

    def _filter(self, site: str) -> Filter:
        found = self.configuration
        return between(found.remotes, (site, self.site), lower=found.session.user_names == "lower")

    @property
    def listen(self) -> tuple[tuple[str, int], ...]:
        return self.made.listen

    @property
    def digest_key(self) -> bytes:
        return secret.digest_key(self.identity.secrets.oldest)

    @property
    def secret_id(self) -> bytes:
        """Names the line that keys the digest."""
        return secret.secret_id(self.identity.secrets.oldest)

    @property
    def code_lines(self) -> tuple[tuple[bytes, bytes], ...]:
        """The keys of one-time codes by the ids of the secret's lines, the newest first."""
        lines = self.identity.secrets.lines
        return tuple((secret.secret_id(line), codes.key_of(secret.digest_key(line))) for line in lines)

    def certificate_ending(self, now_s: float) -> str:
        """The warning for an own certificate that ends soon, else empty. `now_s` is Unix time."""
        return (certificate.ending(self.certificate, now_s) or "") if self.certificate else ""

    def same_identity(self, other: "Setup") -> bool:
        """Whether both are one agent of one pair, at the same place: what a reload cannot change."""
        pairs = [None if each.partner is None else each.partner.id for each in (self, other)]
        return self.made.identity() == other.made.identity() and pairs[0] == pairs[1]

    def needs_restart(self, other: "Setup") -> list[str]:
        """The settings in which `other` differs and which only a restart brings in."""
        old, new = self.configuration, other.configuration
        agents, other_agents = ({each.name: each.agents for each in of.remotes} for of in (self, other))
        filters, other_filters = ({each.name: each.filter for each in of.remotes} for of in (self, other))
        compared = {
            "[timing]": (old.timing, new.timing),
            "[[authagent]] of other sites": (agents, other_agents),
            "[[remote]]": (filters, other_filters),
            "[control]": (old.control, new.control),
            "[limits] sessions": (old.limits.sessions, new.limits.sessions),
            "[logging] path": (old.logging.path, new.logging.path),
            "[logging] format": (old.logging.format, new.logging.format),
        }
        return [name for name, (before, after) in compared.items() if before != after]


def read(flags: Flags, incarnation: int) -> Setup:
    """Read file, secret and certificates. Raises MistakesFound or TlsError, one line each. Blocks on the disk."""
    made = config.load(flags)
    secrets = config.read_secret(made)
    _check_password(made)
    identity = Identity(
        kind="agent",
        site=made.site,
        id=made.id,
        incarnation=incarnation,
        software=f"authagent/{__version__}",
        configuration=made.configuration.agreed_hash,
        secrets=secrets,
    )
    return Setup(made, identity, _tls(made), _own_certificate(made), receivers.read(made.configuration))


def _check_password(made: AgentSetup) -> None:
    """Off loopback the page is for those who can sign in. Raises MistakesFound. Blocks on the disk.

    A file that is there and cannot be used stops no agent: the page lets nobody in then, and says so in the log.
    """
    if not made.http:
        return
    host, _ = addresses.split(made.http)
    if not os.path.lexists(made.admin_path) and not addresses.is_loopback(host):
        text = f"{made.http} is not loopback, and there is no password for the status page: run authagent passwd, once"
        raise MistakesFound(made.configuration.path, [Mistake("[http] listen", text)])


def _own_certificate(made: AgentSetup) -> bytes:
    settings = made.configuration.tls
    return Path(made.file(settings.certificate)).read_bytes() if settings.mode == "files" else b""


def _tls(made: AgentSetup) -> Tls | None:
    settings = made.configuration.tls
    match settings.mode:
        case "off" | "insecure-plain":
            return None
        case "files":
            return from_files(
                made.file(settings.certificate),
                made.file(settings.key),
                made.file(settings.authority),
                settings.client_certificates,
            )
    name = f"authagent-{made.id}.{made.site}"
    folder = Path(made.state_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self_made(folder, name)
    except (OSError, TlsError):
        # A state folder that cannot be written stops nothing (the store says so): the secret vouches for any
        # certificate, so one for this run alone will do.
        with tempfile.TemporaryDirectory() as temporary:
            return self_made(Path(temporary), name)


def warn(setup: Setup, log: Log) -> None:
    """Tell what an operator should know about the file, at start and after a reload."""
    advice = secret.advice(setup.identity.secrets.newest)
    if advice:
        log.warning("secret.weak", advice=advice)
    if setup.configuration.tls.mode == "insecure-plain":
        log.warning("tls.none", text="links are not encrypted: mode is insecure-plain")
