"""Asks every listed agent at the same time, for `authagent check`.

Rules of this file:

- An asker's link is of the kind "check": the agent proves itself, is proven to, and neither counts nor keeps it.
- Each agent has the time of [timing] connect_timeout, and one that is silent holds up no other.
"""

import secrets as chance
from collections.abc import Awaitable, Callable

import attrs
import trio

import authagent
from authagent.findings import Finding
from authagent.verdicts import Answered, Failed, Refused, verdict
from protocol import addresses, places
from protocol.configuration import AuthAgentEntry, Configuration
from protocol.errors import Code
from protocol.handshake import Identity
from protocol.io import tls
from protocol.io.dial import dial
from protocol.io.link import LinkFailed, LinkRefused
from protocol.io.tls import Tls
from protocol.secret import Secrets


@attrs.frozen(kw_only=True)
class Asker:
    """As whom the agents are asked: an agent's or a proxy's id in a site, or no id."""

    site: str
    id: str


NOBODY = "check"
"""The id in the Hello of an asker that has none: an agent proves the secret to it, then calls it unlisted."""

Ask = Callable[[str, AuthAgentEntry, Configuration, Secrets, Asker], Awaitable[Answered | Refused | Failed]]


async def ask_all(found: Configuration, secrets: Secrets, asker: Asker, ask: Ask) -> tuple[Finding, ...]:
    """One finding for each listed agent, by site and id."""
    agents = [agent for site in found.sites for agent in found.agents_of(site)]
    findings: dict[int, Finding] = {}

    async def one(number: int, agent: AuthAgentEntry) -> None:
        host = agent.host if agent.site == asker.site else agent.wan_host or agent.host
        answer: Answered | Refused | Failed = Failed("timed_out", "")
        with trio.move_on_after(found.timing.connect_timeout_s):
            answer = await ask(host, agent, found, secrets, asker)
        findings[number] = verdict(agent, host, answer, asker.id, found)

    async with trio.open_nursery() as nursery:
        for number, agent in enumerate(agents):
            nursery.start_soon(one, number, agent)
    return tuple(findings[number] for number in sorted(findings))


async def ask(
    host: str, agent: AuthAgentEntry, found: Configuration, secrets: Secrets, asker: Asker
) -> Answered | Refused | Failed:
    """What the agent at `host` says to a link of the kind "check", which is closed at once.

    Blocks for [timing] connect_timeout at most.
    """
    software = f"authagent/{authagent.__version__}"
    identity = Identity(
        "check", asker.site, asker.id or NOBODY, chance.randbits(64), software, found.agreed_hash, secrets
    )
    where = addresses.join(host, agent.port)
    try:
        contexts = None if found.plain else dialling_tls(found)
        link = await dial(host, agent.port, identity, contexts, found.timing.connect_timeout_s)
    except LinkRefused as refused:
        return Refused(refused.code, refused.text.removeprefix(f"{where} refuses: "))
    except tls.TlsError as error:
        return Failed("own_certificate", str(error))
    except LinkFailed as failed:
        return Failed(failed.kind, failed.text.removeprefix(f"{where}: "))
    peer = link.peer
    link.close(Code.STOPPING, "checked")
    return Answered(peer.site, peer.id, peer.software, peer.configuration, peer.wall_offset_ms)


def dialling_tls(found: Configuration) -> Tls:
    """What TLS needs of [tls] for a process that only dials. Raises tls.TlsError. Reads files."""
    settings = found.tls
    certificate, key, authority = (
        places.beside(found.path, name) if name else ""
        for name in (settings.certificate, settings.key, settings.authority)
    )
    if settings.client_certificates:
        return tls.from_files(certificate, key, authority, client_certificates=True)
    return tls.dialling_only(authority) if settings.mode == "files" else tls.dialling_only()
