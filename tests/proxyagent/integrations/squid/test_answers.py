"""What squid's helpers are answered."""

from protocol.configuration import ClientSettings
from protocol.io.log import quiet_log
from proxyagent.integrations.client_key import ClientKeys
from proxyagent.integrations.squid.answers import Answers, known_as
from proxyagent.integrations.squid.fields import key_of
from proxyagent.integrations.squid.marks import Marks
from proxyagent.testing import FakeProxyAgent


def answers(agent: FakeProxyAgent) -> Answers:
    """Answers by address, as an adapter makes them."""
    return Answers(agent, key_of(ClientKeys(ClientSettings())), Marks(agent), quiet_log())


def test_a_session_is_told_and_counts_as_activity() -> None:
    """OK and the user for whoever is logged in, whom the question keeps from being idle; ERR for all others."""
    agent = FakeProxyAgent(idle_timeout_s=60)
    answer = answers(agent)
    agent.login("10.0.0.1", "alice")
    for _ in range(4):
        agent.advance(40)
        assert answer.session([b"10.0.0.1", b"-"]) == b"OK user=alice"
    agent.advance(61)
    assert answer.session([b"10.0.0.1", b"-"]) == b"ERR"
    assert [answer.session(fields) for fields in ([], [b""], [b"-"], [b"x" * 300])] == [b"ERR"] * 4


def test_a_login_is_recorded_and_after_a_logout_asked_for_again() -> None:
    """All that came together after a logout are refused, the next one is let in."""
    agent = FakeProxyAgent()
    answer = answers(agent)
    question = [b"alice", b"10.0.0.1", b"-"]
    session = answer.login(question, set())
    assert session is not None and agent.lookup("10.0.0.1") == session
    assert answer.login(question, set()) == session
    agent.logout(user="alice")
    together: set[str] = set()
    assert [answer.login(question, together) for _ in range(3)] == [None] * 3
    assert answer.login(question, set()) is not None


def test_a_login_that_makes_no_sense_is_refused() -> None:
    """No user, no address, a name over its bound: none of them logs anybody in."""
    agent = FakeProxyAgent()
    answer = answers(agent)
    here = b"10.0.0.1"
    questions = ([], [b"alice"], [b"-", here], [b"alice", b"-"], [b"x" * 5_000, here], [b"%00", here])
    assert [answer.login(fields, set()) for fields in questions] == [None] * len(questions)
    assert agent.sessions() == ()


def test_a_name_cannot_become_a_word_of_the_answer() -> None:
    """Blanks, line ends, quotes and letters beyond ASCII are escaped."""
    assert known_as('a b\n"c" tag=x ü%') == b"OK user=a%20b%0A%22c%22%20tag%3Dx%20%C3%BC%25"
