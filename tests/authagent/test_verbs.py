"""What the verbs that ask a running agent print, and what they end with; the agent is played."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from authagent import verbs
from protocol.io.control_client import ControlError, ExitCode
from protocol.io.sockets import NobodyThere

OPTIONS = dict.fromkeys(("config", "state_dir", "site", "id", "control"))
LINKED = {
    "connected": True, "address": "10.1.0.12:9023", "since": "2026-01-31T12:00:00.000Z", "version": "authagent/1",
    "digest_equal": True, "digest_age_s": 0.2, "clock_offset_s": 0.001, "refused": "",
}  # fmt: skip
GONE = dict.fromkeys(LINKED) | {"connected": False, "refused": ""}
STATUS: dict[str, Any] = {
    "sentence": "Everything equal. 1 site, 2 proxies, 1 user.", "healthy": True, "problems": [], "id": "1",
    "site": "lan1", "role": "master", "term": 3, "version": "0.1.0", "partner": {"id": "2", "role": "slave", **LINKED},
    "proxies": [{"id": "p1", "lag_events": 1, **LINKED}, {"id": "p2", "lag_events": None, **GONE}],
    "remotes": [], "sessions": 1, "tombstones": 0, "events_total": 1_234, "timeouts_total": 2,
}  # fmt: skip
REMOTE: dict[str, Any] = {
    "site": "lan2", "agent": "1", "lag_s": 0.5, "queued_events": 3, "events_out": 10, "bytes_out": 150,
    "events_in": 1, "bytes_in": 20, **LINKED,
}  # fmt: skip
SESSION: dict[str, Any] = {
    "key": "10.0.0.1", "user": "alice", "site": "lan1", "proxy": "p1", "login_id": "p1:0:1",
    "attributes": {"groups": ["staff", "it"], "mail": "a@b"}, "idle_left_s": 1_790.0, "lifetime_left_s": 43_190.0,
}  # fmt: skip
UNREACHABLE = ControlError("nothing is running", ExitCode.UNREACHABLE)


class Played:
    """Control sockets that answer what they are given."""

    def __init__(self) -> None:
        self.paths: tuple[str, ...] = ("/1.sock",)
        self.answers: dict[str, list[Any]] = {}
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.found: list[dict[str, Any]] = []

    def ask_for_many(self, path: str, verb: str, *, timeout_s: float, **question: Any) -> Iterator[dict[str, Any]]:
        self.asked.append((path, verb, question))
        for answer in self.answers[path]:
            if isinstance(answer, Exception):
                raise answer
            yield answer

    def find_agents(self, around: object, **options: Any) -> tuple[str, ...]:
        self.found.append(options)
        if options["site"] == "elsewhere":
            raise NobodyThere("no AuthAgent of site elsewhere runs here")
        return self.paths


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    made = Played()
    monkeypatch.setattr(verbs, "ask_for_many", made.ask_for_many)
    monkeypatch.setattr(verbs, "find_agents", made.find_agents)
    return made


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


# -- status -------------------------------------------------------------------------------------------------------


def test_status_prints_its_sentence_first(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    """Then the agent, its links, the counts and the problems."""
    problem = {"code": "proxy_missing", "text": "proxy p2 is not linked", "since": "2026-01-31T12:00:00.000Z"}
    played.answers["/1.sock"] = [STATUS | {"problems": [problem]}]
    assert verbs.status(OPTIONS, as_json=False, wait_s=0) == 0
    assert printed(capsys) == [
        "Everything equal. 1 site, 2 proxies, 1 user.",
        "agent 1 of lan1: master, term 3, version 0.1.0",
        "partner 2: equal, 0.2 s ago, from 10.1.0.12:9023, clock +0.001 s",
        "proxy p1: equal, 0.2 s ago, 1 event behind, from 10.1.0.12:9023, clock +0.001 s",
        "proxy p2: not linked",
        "1 session, 0 tombstones, 1,234 events, 2 timeouts since the start",
        "problem proxy_missing: proxy p2 is not linked (since 2026-01-31T12:00:00.000Z)",
    ]


def test_status_of_a_single_agent_has_no_partner(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor of one whose partner refuses it a clock."""
    played.answers["/1.sock"] = [STATUS | {"partner": None, "proxies": []}]
    verbs.status(OPTIONS, as_json=False, wait_s=0)
    assert not [line for line in printed(capsys) if line.startswith(("partner", "proxy"))]
    played.answers["/1.sock"] = [STATUS | {"partner": {"id": "2", **GONE, "refused": "wrong secret"}}]
    verbs.status(OPTIONS, as_json=False, wait_s=0)
    assert "partner 2: not linked: wrong secret" in printed(capsys)


def test_waiting_ends_with_0_or_1(
    played: Played, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As soon as it is healthy; or 1 when time is up; without --wait it is 0 whatever is wrong."""
    now = [100.0]
    monkeypatch.setattr(verbs, "_monotonic_s", lambda: now[0])
    monkeypatch.setattr("time.sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    ill = STATUS | {"healthy": False}
    played.answers["/1.sock"] = [ill]
    assert verbs.status(OPTIONS, as_json=True, wait_s=0) == 0
    assert verbs.status(OPTIONS, as_json=True, wait_s=5) == 1
    assert 104.9 < now[0] < 105.2
    before = len(played.asked)
    played.answers["/1.sock"] = [STATUS]
    assert verbs.status(OPTIONS, as_json=True, wait_s=5) == 0
    assert len(played.asked) == before + 1
    assert json.loads(printed(capsys)[-1])["id"] == "1"


def test_waiting_bears_an_agent_that_is_not_there_yet(
    played: Played, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until time is up; then it is told as ever."""
    now = [100.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds
        if now[0] > 101:
            played.answers["/1.sock"] = [STATUS]

    monkeypatch.setattr(verbs, "_monotonic_s", lambda: now[0])
    monkeypatch.setattr("time.sleep", sleep)
    played.answers["/1.sock"] = [UNREACHABLE]
    with pytest.raises(ControlError):
        verbs.status(OPTIONS, as_json=False, wait_s=0.5)
    assert verbs.status(OPTIONS, as_json=False, wait_s=5) == 0


# -- which agent --------------------------------------------------------------------------------------------------


def test_of_two_agents_the_first_that_answers_is_asked(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    """One whose process has ended is passed over; the last one's error is told; any other error is final."""
    played.paths = ("/1.sock", "/2.sock")
    played.answers = {"/1.sock": [UNREACHABLE], "/2.sock": [STATUS]}
    assert verbs.status(OPTIONS, as_json=False, wait_s=0) == 0
    played.answers["/2.sock"] = [ControlError("nothing there either", ExitCode.UNREACHABLE)]
    with pytest.raises(ControlError, match="nothing there either"):
        verbs.status(OPTIONS, as_json=False, wait_s=0)
    played.answers = {"/1.sock": [ControlError("internal error", ExitCode.INTERNAL)], "/2.sock": [STATUS]}
    with pytest.raises(ControlError, match="internal error"):
        verbs.status(OPTIONS, as_json=False, wait_s=0)


def test_the_agent_of_the_site_in_question_is_asked_where_it_runs_here(
    played: Played, capsys: pytest.CaptureFixture[str]
) -> None:
    """Otherwise the one that runs here; `--site` before the verb decides."""
    played.answers["/1.sock"] = [{"sessions": []}]
    question = {"key": None, "user": None, "proxy": None, "limit": 10}
    for given, of_site, chosen in ((None, "lan2", "lan2"), (None, "elsewhere", None), ("lan1", "lan2", "lan1")):
        verbs.sessions({**OPTIONS, "site": given}, {**question, "site": of_site}, as_json=False)
        assert played.found[-1]["site"] == chosen
        assert played.asked[-1][2]["site"] == of_site


# -- sessions -----------------------------------------------------------------------------------------------------


def test_sessions_are_printed_as_they_come(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    """A line each, and how many; the same as a list of JSON, an empty one too."""
    question = {"site": None, "limit": 10}
    played.answers["/1.sock"] = [{"sessions": [SESSION]}, {"sessions": [SESSION, SESSION]}]
    assert verbs.sessions(OPTIONS, question, as_json=False) == 0
    lines = printed(capsys)
    left = "idle in 29 min, ends in 11 h 59 min"
    assert lines[0] == f"10.0.0.1  alice  lan1/p1  {left} groups=staff,it mail=a@b"
    assert lines[-1] == "3 sessions"
    verbs.sessions(OPTIONS, {"site": None, "limit": 3}, as_json=False)
    assert printed(capsys)[-1] == "3 sessions (there may be more: --limit)"
    verbs.sessions(OPTIONS, question, as_json=True)
    assert json.loads("\n".join(printed(capsys))) == [SESSION] * 3
    played.answers["/1.sock"] = []
    verbs.sessions(OPTIONS, question, as_json=True)
    assert json.loads("\n".join(printed(capsys))) == []
    verbs.sessions(OPTIONS, question, as_json=False)
    assert printed(capsys) == ["0 sessions"]


def test_nothing_that_a_user_chose_steers_the_terminal(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    """Escapes, line ends and the like are printed as question marks."""
    played.answers["/1.sock"] = [{"sessions": [SESSION | {"user": "a\x1b[2J\nb\u202e"}]}]
    verbs.sessions(OPTIONS, {"site": None, "limit": 10}, as_json=False)
    assert "a?[2J?b?" in printed(capsys)[0]


@pytest.mark.parametrize("told", [{"sessions": 1}, {"sessions": [{}]}, {"sessions": [SESSION | {"attributes": []}]}])
def test_an_answer_of_another_shape_is_an_error(played: Played, told: dict[str, Any]) -> None:
    """An agent of another version may answer; that is told in a line, with exit code 70."""
    played.answers["/1.sock"] = [told]
    with pytest.raises(ControlError, match="is it of another version") as caught:
        verbs.sessions(OPTIONS, {"site": None, "limit": 10}, as_json=False)
    assert caught.value.code == ExitCode.INTERNAL


# -- logout, switch and reload ------------------------------------------------------------------------------------


def test_status_tells_of_other_sites(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    """A line each, with what waits and what has crossed; a slave leaves that to its master."""
    gone = {**REMOTE, **GONE, "site": "lan3", "lag_s": 9.0, "since": "2026-01-31T12:00:00.000Z", "refused": "no"}
    played.answers["/1.sock"] = [{**STATUS, "remotes": [REMOTE, gone]}]
    verbs.status(OPTIONS, as_json=False, wait_s=0)
    crossed = "3 events queued; 10 events in 150 bytes sent, 1 event in 20 bytes received"
    linked = "equal, 0.2 s ago, from 10.1.0.12:9023, clock +0.001 s, since 2026-01-31T12:00:00.000Z; 0.5 s late"
    assert [line for line in printed(capsys) if line.startswith("site ")] == [
        f"site lan2: {linked}, {crossed}",
        f"site lan3: not linked: no, since 2026-01-31T12:00:00.000Z; {crossed}",
    ]
    played.answers["/1.sock"] = [{**STATUS, "role": "slave", "remotes": [gone]}]
    verbs.status(OPTIONS, as_json=False, wait_s=0)
    assert "site lan3: linked by the master" in printed(capsys)


COUNTS = {"proxies": {"done": 0, "total": 2}, "sites": {"done": 1, "total": 1}}


def test_a_logout_names_who_is_pending(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 4 with what may still happen there; 0 when it is done everywhere."""
    question = {"key": None, "user": "alice", "site": None, "all": None, "within_s": 5.0}
    pending = [
        {"node": "p2", "reason": "is not linked", "serves_at_most_s": 1_800.0},
        {"node": "p3", "reason": "has not confirmed it yet", "serves_at_most_s": 0.0},
    ]
    played.answers["/1.sock"] = [{"ended": 1, "done": ["authagent-1"], "pending": pending, **COUNTS}]
    assert verbs.logout(OPTIONS, question, as_json=False) == 4
    assert printed(capsys) == [
        "ended 1 session; done on 0 of 2 proxies and 1 of 1 site: authagent-1",
        "pending on p2 (is not linked): may serve for 30 min more at most",
        "pending on p3 (has not confirmed it yet): serves nobody any more",
    ]
    played.answers["/1.sock"] = [{"ended": 2, "done": ["authagent-1"], "pending": []}]
    assert verbs.logout(OPTIONS, question, as_json=True) == 0
    assert json.loads(printed(capsys)[0])["ended"] == 2


@pytest.mark.parametrize(("within_s", "deadline_s"), [(5.0, 10.0), (100.0, 105.0), (3_600.0, 3_600.0)])
def test_a_patient_logout_is_not_cut_off(played: Played, within_s: float, deadline_s: float) -> None:
    """The control socket is told how long the answer may take."""
    played.answers["/1.sock"] = [{"ended": 0, "done": [], "pending": []}]
    verbs.logout(OPTIONS, {"site": None, "within_s": within_s}, as_json=True)
    assert played.asked[-1][2]["deadline_s"] == deadline_s


def test_a_switch_tells_who_serves(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, or as JSON; what kept it from happening is an error with its own exit code."""
    played.answers["/1.sock"] = [{"master": "2", "term": 8, "took_s": 0.0123}]
    assert verbs.switch(OPTIONS, within_s=5.0, as_json=False) == 0
    assert printed(capsys) == ["agent 2 is master now, of term 8 (12 ms)"]
    assert played.asked[-1][1] == "switch"
    assert (played.asked[-1][2]["within_s"], played.asked[-1][2]["deadline_s"]) == (5.0, 10.0)
    assert verbs.switch(OPTIONS, within_s=5.0, as_json=True) == 0
    assert json.loads(printed(capsys)[0])["master"] == "2"
    played.answers["/1.sock"] = [ControlError("given up", ExitCode.UNFINISHED)]
    with pytest.raises(ControlError, match="given up"):
        verbs.switch(OPTIONS, within_s=5.0, as_json=False)


EXPLAINED: dict[str, Any] = {
    "asked": "alice", "left_out": 0, "logged_out_everywhere_at": None, "told_by": ["1"],
    "sessions": [
        {
            "login_id": "p1:01:1", "key": "10.0.0.1", "user": "alice", "site": "lan1", "proxy": "p1",
            "login_at": "T1", "active_at": "T2", "expires_at": "T9", "idle_timeout_s": 1_800,
            "state": "superseded", "ended": "superseded", "displaced_by": "p2:02:7",
            "events": [
                {"at": "T1", "node": "authagent-1", "what": "login", "message": "Report", "from": "p1"},
                {"at": "T3", "node": "authagent-1", "what": "superseded", "message": "", "from": "operator"},
            ],
        },
    ],
    "nodes": [{"node": "authagent-1", "has_all": True}, {"node": "p3", "has_all": None}],
    "silent": [{"agent": "2", "reason": "not in time"}],
}  # fmt: skip


def test_what_happened_is_told_line_by_line(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    """How it stands first, then how it came; nodes and silent agents last."""
    played.answers["/1.sock"] = [EXPLAINED]
    assert verbs.explain(OPTIONS, "alice", as_json=False) == 0
    assert printed(capsys) == [
        "alice at 10.0.0.1: over, displaced by a later login",
        "  began T1 at lan1/p1, login id p1:01:1",
        "  last active T2, over at the latest T9",
        "  displaced by p2:02:7",
        "  T1 authagent-1: login, by Report of p1",
        "  T3 authagent-1: superseded, by operator",
        "known to authagent-1",
        "not linked: p3",
        "agent 2 could not be asked: not in time",
    ]
    assert verbs.explain(OPTIONS, "alice", as_json=True) == 0
    assert json.loads(printed(capsys)[0]) == EXPLAINED


def test_of_a_stranger_nothing_is_known(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1; of a session of which only the end has come, there is less to tell."""
    played.answers["/1.sock"] = [EXPLAINED | {"sessions": [], "silent": []}]
    assert verbs.explain(OPTIONS, "alice", as_json=False) == 1
    assert printed(capsys)[0].startswith("nothing is known of alice")
    partial = {"site": None, "login_at": None, "active_at": None, "displaced_by": None, "events": []}
    more = {"left_out": 4, "logged_out_everywhere_at": "T5", "sessions": [EXPLAINED["sessions"][0] | partial]}
    played.answers["/1.sock"] = [EXPLAINED | more]
    assert verbs.explain(OPTIONS, "alice", as_json=False) == 0
    assert printed(capsys)[:5] == [
        "the last 1 of 5 sessions:", "alice at 10.0.0.1: over, displaced by a later login",
        "  began at p1, unseen here, login id p1:01:1", "  longer ago than agents remember how it came",
        "logged out everywhere at T5",
    ]  # fmt: skip


def test_a_reload_that_changed_nothing_ends_with_2(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    """As an error of one line."""
    played.answers["/1.sock"] = [{"reloaded": True, "text": "reloaded", "restart": []}]
    assert verbs.reload(OPTIONS) == 0
    assert printed(capsys) == ["reloaded"]
    played.answers["/1.sock"] = [{"reloaded": False, "text": "nothing was changed: x", "restart": []}]
    with pytest.raises(ControlError, match="nothing was changed: x") as raised:
        verbs.reload(OPTIONS)
    assert raised.value.code == ExitCode.USAGE


# -- codes --------------------------------------------------------------------------------------------------------


STATE: dict[str, Any] = {
    "user": "gfield", "id": "c0de", "state": "used", "made_at": "2026-01-31T12:00:00.000Z",
    "expires_at": "2026-01-31T12:10:00.000Z", "validity_left_s": 570.0, "device": "phone-1", "tries_left": 5,
}  # fmt: skip


def test_a_code_is_printed_once(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    """On a line of its own, so that it can be sent on; as JSON for programs."""
    played.answers["/1.sock"] = [{**STATE, "state": "open", "device": "", "code": "BCDF-GHJK"}]
    assert verbs.create_code(OPTIONS, "gfield", 600, 5, as_json=False) == ExitCode.DONE
    assert printed(capsys) == ["BCDF-GHJK", 'Provision code created for user "gfield", valid for 9 min']
    verbs.create_code(OPTIONS, "gfield", 600, 5, as_json=True)
    assert json.loads(printed(capsys)[0])["code"] == "BCDF-GHJK"


def test_a_code_comes_from_standard_input(
    played: Played, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line of it for `-`, and the argument where somebody gives one."""
    played.answers["/1.sock"] = [STATE]
    monkeypatch.setattr("sys.stdin", io.StringIO("BCDF-GHJK\nmore\n"))
    question = {"user": "gfield", "device": "phone-1", "request": None, "within_s": 5.0}
    verbs.redeem_code(OPTIONS, question, "-", as_json=False)
    verbs.redeem_code(OPTIONS, question, "JKLM-NPQR", as_json=False)

    assert [asked["code"] for _, _, asked in played.asked] == ["BCDF-GHJK\n", "JKLM-NPQR"]
    assert printed(capsys) == ['User "gfield" provisioned successfully'] * 2


def test_codes_are_listed_and_revoked(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    """Whose they are and what became of them, never what they are."""
    played.answers["/1.sock"] = [{"codes": [STATE, {**STATE, "state": "open", "device": ""}]}]
    verbs.list_codes(OPTIONS, None, as_json=False)
    assert printed(capsys) == ["gfield  used  9 min left  phone-1", "gfield  open  9 min left", "2 codes"]
    verbs.list_codes(OPTIONS, None, as_json=True)
    assert json.loads(printed(capsys)[0])[0] == STATE
    played.answers["/1.sock"] = [{"revoked": 1}]
    verbs.revoke_code(OPTIONS, "gfield", 5, as_json=False)
    assert printed(capsys) == ["revoked 1 code"]
