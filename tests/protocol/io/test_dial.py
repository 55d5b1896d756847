"""From a host to a link: connecting, the lines of the secret, deadlines. Real sockets: tests/shell/test_link.py."""

import errno
import functools
import socket
import ssl
from pathlib import Path
from typing import NoReturn

import attrs
import pytest
import trio
import trio.testing

from protocol import limits
from protocol.errors import Code
from protocol.io import tls
from protocol.io.accept import accept
from protocol.io.dial import dial, open_link, patience_s
from protocol.io.link import LinkFailed, LinkRefused
from protocol.io.opening import start_tls
from protocol.messages import Hello, Refusal
from tests.protocol.io.test_tls import odd
from tests.shell.links import admit_all
from tests.shell.memory import MemoryTransport, pipe
from tests.wire.pair import AGENT, LINE, OTHER_LINE, PROXY, identity

CHANGING = identity("proxy", "squid-1", LINE, OTHER_LINE)


class Network:
    """Takes the place of the connect step: each connection is a pipe to an agent with these identities in turn."""

    def __init__(self, nursery: trio.Nursery, *agents: object, admit: object = admit_all) -> None:
        self.connections = 0
        self.outcomes: list[str] = []
        self._nursery, self._agents, self._admit = nursery, agents, admit

    async def connect(self, host: str, port: int) -> MemoryTransport:
        near, far = pipe()
        agent = self._agents[min(self.connections, len(self._agents) - 1)]
        self.connections += 1
        self._nursery.start_soon(self._listen, far, agent)
        return near

    async def _listen(self, far: MemoryTransport, agent: object) -> None:
        if agent is None:
            return
        try:
            await accept(far, agent, None, self._admit)  # type: ignore[arg-type]
            self.outcomes.append("linked")
        except (LinkRefused, LinkFailed) as failure:
            self.outcomes.append(str(getattr(failure, "code", None) or getattr(failure, "kind", None)))


async def dialled(*agents: object, who: object = PROXY, **keywords: object) -> Network:
    """One dial to these agents, over memory."""
    failed: LinkRefused | LinkFailed | None = None
    async with trio.open_nursery() as nursery:
        network = Network(nursery, *agents, **keywords)  # type: ignore[arg-type]
        try:
            await dial("agent.example", 9023, who, None, 3.0, connect=network.connect)  # type: ignore[arg-type]
        except (LinkRefused, LinkFailed) as failure:
            failed = failure
    if failed is not None:
        raise failed  # out of the nursery, so that it is not in a group
    return network


async def test_the_newest_line_is_tried_first(autojump_clock: trio.testing.MockClock) -> None:
    """One connection is enough where the agent knows it."""
    assert (await dialled(AGENT, who=CHANGING)).connections == 1


async def test_an_unknown_line_leads_to_the_next(autojump_clock: trio.testing.MockClock) -> None:
    """On a new connection, and no further than there are lines."""
    network = await dialled(identity("agent", "1", OTHER_LINE), who=CHANGING)
    assert (network.connections, network.outcomes) == (2, ["6", "linked"])
    with pytest.raises(LinkRefused, match=r"agent\.example:9023 refuses: this line"):
        await dialled(identity("agent", "1", "a line that nobody else has"), who=CHANGING)


async def test_another_refusal_is_an_answer(autojump_clock: trio.testing.MockClock) -> None:
    """Who is refused for his clock does not try his other secrets."""

    def admit(hello: Hello, host: str) -> Refusal:
        return Refusal(Code.CLOCK, "clocks differ by 9 s")

    with pytest.raises(LinkRefused) as caught:
        await dialled(AGENT, who=CHANGING, admit=admit)
    assert (caught.value.code, caught.value.text) == (Code.CLOCK, "agent.example:9023 refuses: clocks differ by 9 s")


async def test_both_lines_share_one_deadline(autojump_clock: trio.testing.MockClock) -> None:
    """A second line does not double the time."""
    started = trio.current_time()
    with pytest.raises(LinkFailed, match=r"agent\.example:9023: timed out after 3000 ms, waiting for the handshake"):
        await dialled(identity("agent", "1", OTHER_LINE), None, who=CHANGING)
    assert trio.current_time() - started == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        (errno.ECONNREFUSED, "refused", "connection refused"),
        (errno.ECONNRESET, "reset", "connection reset"),
        (errno.EHOSTUNREACH, "timed_out", "No route to host"),
        (errno.ETIMEDOUT, "timed_out", "Connection timed out"),
    ],
)
async def test_errors_of_connecting_have_words(
    monkeypatch: pytest.MonkeyPatch, code: int, kind: str, text: str
) -> None:
    """Whichever of several addresses failed; only a refused or reset connection proves that nobody is there."""

    async def fail(host: str, port: int) -> NoReturn:
        raise OSError("all attempts failed") from OSErrorGroup("x", [OSError(code, text), OSError(code, text)])

    monkeypatch.setattr(trio, "open_tcp_stream", fail)
    with pytest.raises(LinkFailed) as caught:
        await dial("::1", 9023, PROXY, None, 3.0)
    assert (caught.value.kind, text in caught.value.text) == (kind, True)
    assert caught.value.text.startswith("[::1]:9023: ")


OSErrorGroup = ExceptionGroup[OSError]


@pytest.mark.parametrize("error", [socket.gaierror(-2, "x"), UnicodeError("label too long")])
async def test_a_name_that_is_none_is_an_unknown_host(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Also one that cannot even be asked for."""

    async def fail(host: str, port: int) -> NoReturn:
        raise error

    monkeypatch.setattr(trio, "open_tcp_stream", fail)
    with pytest.raises(LinkFailed) as caught:
        await dial("agent..example", 9023, PROXY, None, 3.0)
    assert caught.value.kind == "unknown_host"


async def test_a_name_that_the_resolver_chokes_on_is_an_unknown_host() -> None:
    """The real resolver, with a label that no name may have."""
    with pytest.raises(LinkFailed) as caught:
        await dial("x" * 70 + ".example", 9023, PROXY, None, 3.0)
    assert caught.value.kind == "unknown_host"


async def test_a_failed_handshake_closes_its_transport(autojump_clock: trio.testing.MockClock) -> None:
    """Also when it is cancelled."""
    near, far = pipe()
    far.send(b"\xff\xff\xff\xff")
    with pytest.raises(LinkFailed):
        await open_link(near, PROXY, LINE.encode(), None)
    far.close()
    await trio.testing.wait_all_tasks_blocked()
    assert near.closed
    near, _ = pipe()
    with trio.move_on_after(1):
        await open_link(near, PROXY, LINE.encode(), None)
    assert near.closed


@pytest.mark.parametrize("what", ["version", "signature"])
async def test_an_odd_certificate_costs_the_link_and_nothing_else(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, what: str
) -> None:
    """Whoever answers at an agent's address may show any certificate that OpenSSL takes."""
    certificate_pem, key_pem = tls.make_certificate("agent/lan1/1")
    der = odd(what, ssl.PEM_cert_to_DER_cert(certificate_pem.decode()))
    (tmp_path / "c.pem").write_text(ssl.DER_cert_to_PEM_cert(der))
    (tmp_path / "k.pem").write_bytes(key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "c.pem", tmp_path / "k.pem")
    near, far = pipe()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(functools.partial(start_tls, far, context, server=True))
        with pytest.raises(LinkFailed) as caught:
            await open_link(near, PROXY, LINE.encode(), tls.dialling_only())
    assert (caught.value.kind, "certificate cannot be read" in caught.value.text) == ("untrusted", True)
    far.close()
    await trio.testing.wait_all_tasks_blocked()
    assert near.closed


def test_patience_follows_the_site() -> None:
    """Longer across a WAN, where heartbeats are slower."""
    assert patience_s(PROXY, "lan1") == limits.UNACKNOWLEDGED_TIMEOUT_S
    assert patience_s(attrs.evolve(PROXY, site="lan2"), "lan1") == limits.UNACKNOWLEDGED_WAN_TIMEOUT_S
