"""Asking every agent at once."""

import socket
from pathlib import Path

import attrs
import pytest
import trio
import trustme
from trio.testing import MockClock

from authagent.probe import Asker, ask, ask_all
from authagent.verdicts import Answered, Failed, Refused
from protocol.configuration import AuthAgentEntry, Configuration, parse
from protocol.errors import Code
from protocol.handshake import Identity
from protocol.io.accept import accept
from protocol.io.link import LinkClosed, LinkFailed, LinkRefused
from protocol.io.tls import Tls, self_made
from protocol.messages import Hello, Refusal
from protocol.secret import Secrets

SECRETS = Secrets(("q3V9x-7fKz0LmWc2RtY8uBn5HsJd1PaEoGi4TkXwZvM",))

TWO_SITES = parse(
    """
    [[authagent]]
    id = 1
    site = "lan2"
    host = "10.2.0.11"
    wan_host = "192.0.2.1"
    [[authagent]]
    id = 2
    site = "lan1"
    host = "10.1.0.12"
    [[authagent]]
    id = 1
    site = "lan1"
    host = "10.1.0.11"
    wan_host = "198.51.100.1"
    """,
    "authagent.toml",
)


async def test_every_agent_is_asked_where_the_asker_reaches_it(autojump_clock: MockClock) -> None:
    """The own site at host, others at wan_host; one finding each, by site and id."""
    asked: list[str] = []

    async def ask(host: str, agent: AuthAgentEntry, found: Configuration, secrets: Secrets, asker: Asker) -> Answered:
        asked.append(host)
        return Answered(agent.site, str(agent.id), "authagent/0.1.0", found.agreed_hash, 0)

    findings = await ask_all(TWO_SITES, SECRETS, Asker(site="lan1", id="p"), ask)
    assert sorted(asked) == ["10.1.0.11", "10.1.0.12", "192.0.2.1"]
    assert [finding.subject for finding in findings] == [
        "agent 1 of site lan1 at 10.1.0.11:9023",
        "agent 2 of site lan1 at 10.1.0.12:9023",
        "agent 1 of site lan2 at 192.0.2.1:9023",
    ]


async def test_a_silent_agent_holds_up_no_other_and_times_out(autojump_clock: MockClock) -> None:
    """All are asked at the same time, and after connect_timeout the silent one is named."""

    async def ask(
        host: str, agent: AuthAgentEntry, found: Configuration, secrets: Secrets, asker: Asker
    ) -> Answered | Failed:
        if agent.id == 1:
            await trio.sleep_forever()
        return Failed("refused", "")

    began_s = trio.current_time()
    findings = await ask_all(TWO_SITES, SECRETS, Asker(site="lan1", id="p"), ask)
    assert trio.current_time() - began_s == 3.0
    assert [finding.code for finding in findings] == ["timed_out", "refused", "timed_out"]
    assert "timed out after 3,000 ms" in findings[0].text


# -- real sockets


class Agent:
    """An agent's door on loopback, as far as a check goes: it accepts links as `identity` and refuses by `admit`."""

    def __init__(self, secrets: Secrets = SECRETS, contexts: Tls | None = None, refusal: Refusal | None = None) -> None:
        self.identity = Identity("agent", "lan1", "1", 7, "authagent 9.9", b"\1" * 8, secrets)
        self.contexts = contexts
        self.refusal = refusal
        self.hellos: list[Hello] = []

    async def serve(self, task_status: trio.TaskStatus[int]) -> None:
        """Serves until cancelled, and starts with its port."""
        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        async with listener, trio.open_nursery() as nursery:
            task_status.started(listener.socket.getsockname()[1])
            while True:
                nursery.start_soon(self.handle, await listener.accept())

    async def handle(self, stream: trio.SocketStream) -> None:
        """One connection, whatever comes of it."""
        try:
            link = await accept(stream, self.identity, self.contexts, self.admit)
        except (LinkFailed, LinkRefused):
            return
        try:
            with pytest.raises(LinkClosed):
                await link.receive()
        finally:
            link.close(Code.STOPPING, "")

    def admit(self, hello: Hello, address: str) -> Refusal | None:
        """Remembers who asked."""
        self.hellos.append(hello)
        return self.refusal


def file_of(port: int, mode: str, host: str = "127.0.0.1") -> Configuration:
    """A file that lists one agent at that port."""
    text = f'[tls]\nmode = "{mode}"\n[timing]\nconnect_timeout = "2s"\n'
    return parse(f'{text}[[authagent]]\nid = 1\nsite = "lan1"\nhost = "{host}"\nport = {port}\n', "authagent.toml")


async def asked(found: Configuration, secrets: Secrets = SECRETS) -> Answered | Refused | Failed:
    """What the only agent of the file answers to proxy p7."""
    agent = found.authagents[0]
    return await ask(agent.host, agent, found, secrets, Asker(site="lan1", id="p7"))


async def test_a_running_agent_answers(nursery: trio.Nursery) -> None:
    """Over plain loopback: who it is, its version, its configuration hash; and the link was of the kind check."""
    agent = Agent()
    port = await nursery.start(agent.serve)
    answer = await asked(file_of(port, "off"))
    assert isinstance(answer, Answered)
    assert (answer.site, answer.id, answer.software, answer.configuration) == ("lan1", "1", "authagent 9.9", b"\1" * 8)
    assert abs(answer.wall_offset_ms) < 1_000
    assert [(hello.kind, hello.site, hello.id) for hello in agent.hellos] == [("check", "lan1", "p7")]


async def test_a_machine_that_is_in_no_entry_can_ask(nursery: trio.Nursery) -> None:
    """Its id is then one that no file lists, and being called unlisted proves that agent and secret are right."""
    agent = Agent(refusal=Refusal(Code.UNLISTED, "not listed"))
    port = await nursery.start(agent.serve)
    findings = await ask_all(file_of(port, "off"), SECRETS, Asker(site="lan1", id=""), ask)
    assert [(each.level, each.code) for each in findings] == [("note", "agent_reached")]
    assert agent.hellos[0].id == "check"


async def test_a_running_agent_answers_under_tls(nursery: trio.Nursery, tmp_path: Path) -> None:
    """With the certificate that the agent made itself."""
    port = await nursery.start(Agent(contexts=self_made(tmp_path, "agent 1")).serve)
    assert isinstance(await asked(file_of(port, "auto")), Answered)


async def test_a_wrong_secret_is_told_apart(nursery: trio.Nursery) -> None:
    """SYNC_ERROR_UNAUTHORIZED is for the secret, and for nothing else."""
    port = await nursery.start(Agent().serve)
    answer = await asked(file_of(port, "off"), Secrets(("Zt7_pLw0aXc9Qe2Rv5Ty8Ui1Op4As6Df3Gh-JkMnBVy",)))
    assert isinstance(answer, Refused) and answer.code in (Code.UNKNOWN_SECRET, Code.UNAUTHORIZED)


async def test_an_unlisted_id_is_told_with_the_agents_words(nursery: trio.Nursery) -> None:
    """The refusal's text reaches the operator."""
    port = await nursery.start(Agent(refusal=Refusal(Code.UNLISTED, "p7 is not listed: add it")).serve)
    answer = await asked(file_of(port, "off"))
    assert answer == Refused(Code.UNLISTED, "p7 is not listed: add it")


async def test_an_agent_without_tls_is_told_apart(nursery: trio.Nursery) -> None:
    """Where TLS is expected and something else answers, or the reverse, the check says so."""

    async def greet(task_status: trio.TaskStatus[int]) -> None:
        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        async with listener:
            task_status.started(listener.socket.getsockname()[1])
            async with await listener.accept() as stream:
                await stream.send_all(b"220 mail.example ESMTP\r\n")
                await trio.sleep_forever()

    port = await nursery.start(greet)
    answer = await asked(file_of(port, "auto"))
    assert isinstance(answer, Failed) and answer.kind == "no_tls"


async def test_nobody_listens_or_the_name_is_unknown() -> None:
    """Refused and unknown host are different cures."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        answer = await asked(file_of(unused.getsockname()[1], "off"))
    assert isinstance(answer, Failed) and answer.kind == "refused"
    answer = await asked(file_of(9023, "insecure-plain", host="nobody.invalid"))
    assert isinstance(answer, Failed) and answer.kind == "unknown_host"


async def test_a_certificate_that_the_authority_did_not_sign(nursery: trio.Nursery, tmp_path: Path) -> None:
    """With an authority of one's own, a self-made certificate is not trusted."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "authority.pem")
    port = await nursery.start(Agent(contexts=self_made(tmp_path, "agent 1")).serve)
    found = file_of(port, "insecure-plain")
    files = attrs.evolve(found.tls, mode="files", authority=str(tmp_path / "authority.pem"))
    answer = await asked(attrs.evolve(found, tls=files))
    assert isinstance(answer, Failed) and answer.kind == "untrusted"


async def test_an_own_certificate_that_cannot_be_used_is_one_line() -> None:
    """The agent is not at fault, and there is no traceback."""
    found = file_of(9023, "insecure-plain")
    files = attrs.evolve(found.tls, mode="files", authority="/nowhere/authority.pem")
    answer = await asked(attrs.evolve(found, tls=files))
    assert isinstance(answer, Failed) and answer.kind == "own_certificate"
    assert "/nowhere/authority.pem" in answer.text and "\n" not in answer.text
