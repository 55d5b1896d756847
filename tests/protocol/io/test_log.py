"""What is logged at which level, what never is, and how a line looks."""

import json
import logging
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.io.log import Log, Severity, StandardLogging, quiet_log, render_line, render_value


class Lines:
    """Collects what a log writes; its clock stands still until the test moves it."""

    def __init__(self, level: int) -> None:
        self.lines: list[tuple[Severity, str, dict[str, object]]] = []
        self.now_s = 0.0
        self.log = Log(self._write, level=level, monotonic_s=lambda: self.now_s)

    def _write(self, severity: Severity, event: str, values: Mapping[str, object]) -> None:
        self.lines.append((severity, event, dict(values)))

    def events(self) -> list[str]:
        return [event for _, event, _ in self.lines]


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (0, ["started", "warning", "alarm"]),
        (1, ["started", "note", "session", "warning", "alarm"]),
        (2, ["started", "note", "session", "detail", "warning", "alarm"]),
    ],
)
def test_each_level_writes_what_it_should(level: int, expected: list[str]) -> None:
    """Level 0 has name and start, 1 what is exchanged, 2 details; warnings and alarms are written at every level."""
    lines = Lines(level)
    for kind in ("started", "note", "session", "detail", "warning", "alarm"):
        getattr(lines.log, kind)(kind)
    assert lines.events() == expected


@pytest.mark.parametrize(("level", "shown"), [(1, {"user": "alice"}), (2, {"user": "alice", "key": "10.0.0.1"})])
def test_keys_are_details(level: int, shown: dict[str, object]) -> None:
    """The key of a session stands in a line at level 2 only, whoever logs it."""
    lines = Lines(level)
    lines.log.session("session.opened", user="alice", key="10.0.0.1")
    assert lines.lines == [(Severity.INFO, "session.opened", shown)]


def test_session_lines_have_a_bound_and_then_a_count() -> None:
    """Of 1,000 logins in a second 200 are written; the next second begins with how many were not."""
    lines = Lines(1)
    for number in range(1000):
        lines.now_s = number / 1000
        lines.log.session("session.opened", user=f"user{number}")
    lines.log.alarm("store.broken")
    lines.now_s = 1.5
    lines.log.session("session.opened", user="one more")
    assert lines.events() == ["session.opened"] * 200 + ["store.broken", "log.suppressed", "session.opened"]
    assert lines.lines[-2][2] == {"count": 800}


def test_a_held_back_line_says_so_and_others_can_be_counted() -> None:
    """A caller learns that its line was held back, and may count the rest of a batch without making it."""
    lines = Lines(1)
    assert all(lines.log.session("session.opened") for _ in range(200))
    assert not lines.log.session("session.opened")
    lines.log.hold_back(299)
    lines.now_s = 1.0
    lines.log.settle()
    assert lines.lines[-1][1:] == ("log.suppressed", {"count": 300})


def test_a_level_can_be_changed_while_running() -> None:
    """A reload that raises the level shows more from the next line on."""
    lines = Lines(0)
    lines.log.note("one")
    lines.log.level = 1
    lines.log.note("two")
    assert lines.events() == ["two"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("alice", "alice"),
        ("", '""'),
        ("Alice Smith", '"Alice Smith"'),
        ('a"b', '"a\\"b"'),
        ("a=b", '"a=b"'),
        ("a\nalarm store.broken", '"a\\nalarm store.broken"'),
        ("\x1b[31m", '"\\u001b[31m"'),
        ("Zoë\u202e", '"Zo\\u00eb\\u202e"'),
        (None, "-"),
        (True, "yes"),
        (0.25, "0.25"),
        (2.0, "2"),
        (7, "7"),
        (b"secret", "<6_bytes>"),
        (bytearray(b"secret"), "<9_bytes>".replace("9", "6")),
    ],
)
def test_values_look_so(value: object, text: str) -> None:
    """Plain values stand as they are, others as JSON strings in ASCII; bytes never show their content."""
    assert render_value(value) == text


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.text(), max_size=4))
def test_no_value_can_forge_a_line(values: dict[str, str]) -> None:
    """Whatever the values hold, a line is one line of printable ASCII."""
    line = render_line("session.opened", values)
    assert line.isascii() and line.isprintable()


def test_a_long_value_is_cut() -> None:
    """A value that a peer chose cannot fill the disk."""
    assert len(render_value("x" * 100_000)) < 1_100
    assert json.loads(render_value("é" * 100_000)).endswith("...")


def test_the_library_hands_its_lines_to_standard_logging(caplog: pytest.LogCaptureFixture) -> None:
    """Lines arrive at the named logger with their levels, and no handler is added to it."""
    log = Log(StandardLogging("proxyagent"), level=1, monotonic_s=lambda: 0.0)
    with caplog.at_level(logging.DEBUG, logger="proxyagent"):
        log.note("agent.found", id="1")
        log.warning("agent.lost", id="1")
        log.alarm("agent.refused", reason="wrong secret 100%")
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "agent.found id=1"),
        ("WARNING", "agent.lost id=1"),
        ("ERROR", 'agent.refused reason="wrong secret 100%"'),
    ]
    assert logging.getLogger("proxyagent").handlers == []


def test_a_quiet_log_takes_everything() -> None:
    """The log for those who were given none accepts every kind of line and raises nothing."""
    log = quiet_log()
    log.started("a")
    log.session("b")
    log.alarm("c", key="d")
    log.settle()
