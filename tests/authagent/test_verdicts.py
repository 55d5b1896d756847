"""What an agent's answer means: the words that an operator reads."""

import attrs
import pytest

from authagent.findings import Finding
from authagent.verdicts import Answered, Failed, Refused, verdict
from protocol.configuration import AuthAgentEntry, default
from protocol.errors import Code

FOUND = default()
AGENT = AuthAgentEntry(id=1, site="lan1", host="10.1.0.11")


def judge(answer: Answered | Refused | Failed) -> Finding:
    """The verdict on an answer of agent 1, asked by proxy7."""
    return verdict(AGENT, AGENT.host, answer, "proxy7", FOUND)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("unknown_host", "SYNC_ERROR, unknown host 10.1.0.11"),
        ("refused", "SYNC_ERROR, connection refused"),
        ("timed_out", "SYNC_ERROR, timed out after 3,000 ms; is the machine up, and TCP port 9023 open?"),
        ("no_tls", "SYNC_ERROR, it speaks no TLS"),
        ("untrusted", "SYNC_ERROR, certificate not trusted"),
        ("reset", "SYNC_ERROR, it closed the connection in the middle"),
        ("protocol", "SYNC_ERROR, it does not speak our protocol"),
        ("something new", "SYNC_ERROR, it cannot be reached (detail)"),
    ],
)
def test_who_cannot_be_reached(kind: str, says: str) -> None:
    """Each way of failing has its own words, one line, and exit code 3."""
    found = judge(Failed(kind, "detail"))
    assert says in found.text and "\n" not in found.text
    assert (found.level, found.exit_code, found.subject) == ("error", 3, "agent 1 of site lan1 at 10.1.0.11:9023")


@pytest.mark.parametrize(
    ("code", "says", "word"),
    [
        (Code.UNAUTHORIZED, "SYNC_ERROR_UNAUTHORIZED", "unauthorized"),
        (Code.UNKNOWN_SECRET, "SYNC_ERROR_UNAUTHORIZED", "unauthorized"),
        (Code.UNLISTED, 'does not list id "proxy7"', "unlisted"),
        (Code.WRONG_SITE, 'does not list id "proxy7"', "unlisted"),
        (Code.CLOCK, "SYNC_ERROR, the text; synchronise the clocks (NTP)", "clock"),
        (Code.VERSION, "no common version: the text", "version"),
        (Code.TOO_MANY, "it refused the link: the text", "refused_link"),
    ],
)
def test_who_lets_nobody_in(code: Code, says: str, word: str) -> None:
    """Each refusal has its own words and exit code 3."""
    found = judge(Refused(code, "the text"))
    assert says in found.text and (found.code, found.exit_code) == (word, 3)


def test_all_well() -> None:
    """Same file, same time: ok with version and offset."""
    found = judge(Answered("lan1", "1", "authagent/0.1.0", FOUND.agreed_hash, -3))
    assert (found.level, found.exit_code) == ("ok", 0)
    assert found.text == "authagent/0.1.0 answers, clock 3 ms off, same configuration"


def test_another_configuration_file_is_named_by_both_hashes() -> None:
    """Different [session] or [[authagent]] is "not equal": exit code 1."""
    found = judge(Answered("lan1", "1", "authagent/0.1.0", b"\1" * 8, 0))
    assert (found.code, found.exit_code) == ("configuration_differs", 1)
    assert "0101010101010101" in found.text and FOUND.agreed_hash.hex() in found.text


def test_clocks() -> None:
    """Beyond the bound is an error with the seconds; beyond half of it, a warning."""
    off = judge(Answered("lan1", "1", "authagent/0.1.0", FOUND.agreed_hash, -4_200))
    assert (off.code, off.exit_code) == ("clock", 3) and "clock off by 4.2 s, 2 s are allowed" in off.text
    drifting = judge(Answered("lan1", "1", "authagent/0.1.0", FOUND.agreed_hash, 1_100))
    assert (drifting.level, drifting.exit_code) == ("warning", 0)


def test_the_timeout_named_is_the_one_configured() -> None:
    """An operator who sets another timeout reads that one."""
    slow = attrs.evolve(FOUND, timing=attrs.evolve(FOUND.timing, connect_timeout_s=10.0))
    assert "timed out after 10,000 ms" in verdict(AGENT, AGENT.host, Failed("timed_out", ""), "x", slow).text


def test_another_agent_at_the_address_is_named() -> None:
    """Two entries that lead to one agent are a mistake in host or port."""
    found = judge(Answered("lan1", "2", "authagent/0.1.0", FOUND.agreed_hash, 0))
    assert (found.code, found.exit_code) == ("another_agent", 3) and "agent 2 of site lan1 answers there" in found.text
