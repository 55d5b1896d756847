"""What the verbs print, and what they end with."""

import json
from typing import Any

import pytest

from protocol.io.control_client import ControlError, ExitCode
from proxyagent import verbs

SESSION = {
    "key": "10.0.0.1",
    "user": "alice",
    "site": "lan1",
    "proxy": "p1",
    "login_id": "p1:00:1",
    "attributes": {"g": ["a", "b"]},
    "idle_left_s": 10.0,
    "lifetime_left_s": 20.0,
}
STATUS = {
    "id": "p1", "site": "lan1", "agent": "1", "agent_site": "lan1", "agent_address": "10.1.0.11:9023",
    "isolated": False, "answering": True, "outbox": 0, "sessions": 3, "tombstones": 1,
    "digest": "00", "digest_equal": True, "version": "1",
    "problems": ["http: port 80 is taken"],
    "last_refusal": "",
}  # fmt: skip


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What each verb is answered with."""
    given: dict[str, Any] = {}
    monkeypatch.setattr(verbs, "find_proxy", lambda around, **options: "/a.sock")
    monkeypatch.setattr(verbs, "ask", lambda path, verb, **more: given[verb])
    monkeypatch.setattr(verbs, "ask_for_many", lambda path, verb, **more: iter(given[verb]))
    return given


def test_status_is_one_sentence(answers: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Served or isolated, with the reason of the last refusal."""
    answers["status"] = STATUS
    assert verbs.status({}, as_json=False) == 0
    assert "served by agent 1 at 10.1.0.11:9023, tables equal" in capsys.readouterr().out
    answers["status"] = STATUS | {"agent_site": "lan2"}
    verbs.status({}, as_json=False)
    assert "served by agent 1 of site lan2 at 10.1.0.11:9023" in capsys.readouterr().out
    answers["status"] = STATUS | {"isolated": True, "last_refusal": "p1 is not listed", "answering": False}
    assert verbs.status({}, as_json=False) == 0
    out = capsys.readouterr().out
    assert "isolated" in out
    assert "p1 is not listed" in out
    assert "look-ups have stopped" in out
    verbs.status({}, as_json=True)
    assert json.loads(capsys.readouterr().out)["id"] == "p1"


def test_a_look_up_ends_with_0_or_1(answers: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """1 means "no", and nothing else does."""
    answers["lookup"] = {"session": SESSION}
    assert verbs.lookup({}, "10.0.0.1", touch=False, as_json=False) == 0
    assert "g=a,b" in capsys.readouterr().out
    answers["lookup"] = {"session": None}
    assert verbs.lookup({}, "10.0.0.1", touch=False, as_json=True) == 1
    assert capsys.readouterr().out == "null\n"
    answers["touch"] = {"touched": False}
    assert verbs.touch({}, "10.0.0.1") == 1


def test_nothing_that_a_user_chose_steers_the_terminal(
    answers: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Escapes, line ends and the like are printed as question marks, in what went wrong too."""
    odd = "a\x1b[2J\nb\u202e"
    answers["login"] = {"session": SESSION | {"attributes": {"g": [odd]}}, "acknowledged": False, "text": odd}
    assert verbs.login({}, {"within_s": 1.0}, as_json=False) == 4
    printed = capsys.readouterr()
    assert printed.out.endswith("g=a?[2J?b?\n") and "proxyagent: a?[2J?b?; the change stands" in printed.err
    answers["watch"] = [{"event": "logged_in", "at": "now", "user": odd}]
    verbs.watch({}, as_json=False)
    assert capsys.readouterr().out == "now logged_in user=a?[2J?b?\n"


@pytest.mark.parametrize("told", [{}, {"session": {}}, {"session": SESSION | {"idle_left_s": "soon"}}], ids=range(3))
def test_an_answer_of_another_shape_is_an_error(answers: dict[str, Any], told: dict[str, Any]) -> None:
    """A daemon of another version may answer; that is told in a line, with exit code 70."""
    answers["lookup"] = told
    with pytest.raises(ControlError, match="is it of another version") as caught:
        verbs.lookup({}, "10.0.0.1", touch=False, as_json=False)
    assert caught.value.code == ExitCode.INTERNAL


def test_late_acknowledgements_end_with_4(answers: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """The session is printed, and standard error says that the change stands."""
    late = {"acknowledged": False, "reached": "local", "text": "not acknowledged"}
    answers["login"] = {"session": SESSION, **late}
    assert verbs.login({}, {"within_s": 1.0}, as_json=True) == 4
    printed = capsys.readouterr()
    assert json.loads(printed.out)["user"] == "alice"
    assert "the change stands" in printed.err
    answers["logout"] = {"ended": [], "acknowledged": True}
    assert verbs.logout({}, {"within_s": 1.0}, as_json=False) == 0
    assert "nobody was logged in here" in capsys.readouterr().out


def test_lists_and_happenings(answers: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Sessions in pieces are one list; what happens is one line each; a resync tells what it moved."""
    answers["sessions"] = [{"sessions": [SESSION]}, {"sessions": [SESSION]}]
    assert verbs.sessions({}, None, as_json=True) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    assert verbs.sessions({}, None, as_json=False) == 0
    answers["sessions"] = [{"sessions": [SESSION]}]
    assert verbs.sessions({}, None, as_json=False) == 0
    assert capsys.readouterr().out.endswith("1 session\n")
    answers["watch"] = [{"event": "agent_lost", "at": "2023-11-14T22:13:20.000Z", "agent": "1", "reason": "x"}]
    assert verbs.watch({}, as_json=False) == 0
    assert capsys.readouterr().out == "2023-11-14T22:13:20.000Z agent_lost agent=1 reason=x\n"
    answers["resync"] = {"agent": "1", "sent": 2, "received": 3, "duration_s": 0.5}
    assert verbs.resync({}, 5.0, as_json=False) == 0
    assert capsys.readouterr().out == "resynced with agent 1: sent 2, received 3, took 0.500 s\n"
    answers["reload"] = {"text": "done"}
    assert verbs.reload({}) == 0
    answers["drain"] = {"draining": True}
    assert verbs.drain({}, undo=False) == 0
