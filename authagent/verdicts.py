"""What an agent's answer to `authagent check` means for the operator. Pure.

Rules of this file:

- One answer, one line, one exit code: who cannot be reached or lets nobody in is 3, a difference is 1.
- The first word is that of the partner state an administrator of such systems knows: SYNC_ERROR, and
  SYNC_ERROR_UNAUTHORIZED for a wrong secret.
"""

import attrs

from authagent.findings import Finding
from protocol import addresses
from protocol.configuration import AuthAgentEntry, Configuration
from protocol.errors import Code


@attrs.frozen
class Answered:
    """The link was opened: both sides have proven the secret. `site` and `id` are whom the agent says it is."""

    site: str
    id: str
    software: str
    configuration: bytes
    wall_offset_ms: int


@attrs.frozen
class Refused:
    """The agent, or the handshake, said no; `code` is a protocol.errors.Code."""

    code: int
    text: str


@attrs.frozen
class Failed:
    """There was nobody to say no. `kind` is one of protocol.io.link.FAILURES, or own_certificate."""

    kind: str
    text: str


def verdict(
    agent: AuthAgentEntry, host: str, answer: Answered | Refused | Failed, asker_id: str, found: Configuration
) -> Finding:
    """The finding about one agent, dialled at `host` by `asker_id`, which is empty for who is in no entry."""
    subject = f"{agent} at {addresses.join(host, agent.port)}"
    match answer:
        case Answered():
            return _answered(subject, agent, answer, found)
        case Refused():
            return _refused(subject, answer, asker_id)
        case Failed():
            return _failed(subject, host, agent, answer, found)


def _answered(subject: str, agent: AuthAgentEntry, answer: Answered, found: Configuration) -> Finding:
    if (answer.site, answer.id) != (agent.site, str(agent.id)):
        text = f"agent {answer.id} of site {answer.site} answers there; correct host or port of one of them"
        return Finding("error", "another_agent", subject, text, 3)
    if answer.configuration != found.agreed_hash:
        text = (
            f"another configuration file: its hash is {answer.configuration.hex()}, here it is "
            f"{found.agreed_hash.hex()}; [session] and [[authagent]] must be the same everywhere"
        )
        return Finding("error", "configuration_differs", subject, text, 1)
    offset_s = answer.wall_offset_ms / 1000
    if abs(offset_s) > found.timing.max_clock_offset_s:
        return _clock_off(subject, f"{abs(offset_s):.1f} s", found)
    text = f"{answer.software} answers, clock {abs(answer.wall_offset_ms)} ms off, same configuration"
    if abs(offset_s) > found.timing.max_clock_offset_s / 2:
        return Finding("warning", "clock_drifts", subject, f"{text}; synchronise the clocks before it is too much")
    return Finding("ok", "agent", subject, text)


def _clock_off(subject: str, by: str, found: Configuration) -> Finding:
    text = f"SYNC_ERROR, clock off by {by}, {found.timing.max_clock_offset_s:g} s are allowed; synchronise it (NTP)"
    return Finding("error", "clock", subject, text, 3)


def _refused(subject: str, answer: Refused, asker_id: str) -> Finding:
    match answer.code:
        case Code.UNAUTHORIZED | Code.UNKNOWN_SECRET:
            text = "SYNC_ERROR_UNAUTHORIZED, its secret is not the one here; copy the secret file, then reload"
            return Finding("error", "unauthorized", subject, text, 3)
        case Code.UNLISTED | Code.WRONG_SITE if not asker_id:
            text = "answers, and the secret is right; it lists no id of this machine, so nothing more was compared"
            return Finding("note", "agent_reached", subject, text)
        case Code.UNLISTED | Code.WRONG_SITE:
            text = f'SYNC_ERROR, it does not list id "{asker_id}": {answer.text}'
            return Finding("error", "unlisted", subject, text, 3)
        case Code.CLOCK:
            text = f"SYNC_ERROR, {answer.text}; synchronise the clocks (NTP)"
            return Finding("error", "clock", subject, text, 3)
        case Code.VERSION:
            return Finding("error", "version", subject, f"SYNC_ERROR, no common version: {answer.text}", 3)
        case _:
            return Finding("error", "refused_link", subject, f"SYNC_ERROR, it refused the link: {answer.text}", 3)


def _failed(subject: str, host: str, agent: AuthAgentEntry, answer: Failed, found: Configuration) -> Finding:
    timeout_ms = found.timing.connect_timeout_s * 1000
    texts = {
        "unknown_host": f"unknown host {host}; correct it in the file, or in the name service",
        "refused": "connection refused; start the agent there, or correct host and port",
        "timed_out": f"timed out after {timeout_ms:,.0f} ms; is the machine up, and TCP port {agent.port} open?",
        "no_tls": "it speaks no TLS; another program has the port, or [tls] mode differs there",
        "untrusted": "certificate not trusted; correct [tls] authority here or the certificate there",
        "own_certificate": "it was not asked, since our own certificate cannot be used",
        "reset": "it closed the connection in the middle; its log says why",
        "protocol": "it does not speak our protocol; another program has the port, or [tls] mode differs there",
    }
    detail = f" ({answer.text})" if answer.text and answer.kind not in ("unknown_host", "refused", "timed_out") else ""
    text = texts.get(answer.kind, "it cannot be reached")
    return Finding("error", answer.kind, subject, f"SYNC_ERROR, {text}{detail}", 3)
