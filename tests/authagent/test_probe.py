"""Asking every agent at once."""

import trio
from trio.testing import MockClock

from authagent.probe import Asker, ask_all
from authagent.verdicts import Answered, Failed
from protocol.configuration import AuthAgentEntry, Configuration, parse
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
        return Answered(agent.site, str(agent.id), "authagent 0.1.0", found.agreed_hash, 0)

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
