"""Findings: lines, JSON, exit codes."""

import pytest

from authagent.findings import Finding, Report


def finding(exit_code: int, level: str = "error") -> Finding:
    """A finding that would end the command with `exit_code`."""
    return Finding(level, "x", "agent 1", "what", exit_code)


@pytest.mark.parametrize(
    ("codes", "expected"), [((), 0), ((0, 0), 0), ((1, 0), 1), ((1, 3), 3), ((3, 2, 1), 2), ((0, 3), 3)]
)
def test_the_gravest_finding_is_the_exit_code(codes: tuple[int, ...], expected: int) -> None:
    """The file before the unreachable before the unequal."""
    assert Report(tuple(map(finding, codes))).exit_code == expected


def test_lines_sum_up() -> None:
    """One line a finding and a last one with counts."""
    report = Report((finding(3), finding(3), finding(0, "warning"), finding(0, "ok")))
    assert report.lines()[0] == "error   agent 1: what"
    assert report.lines()[-1] == "check: 2 errors, 1 warning"
    assert Report((finding(0, "ok"),)).lines()[-1] == "check: all is well"


def test_json_has_what_is_promised() -> None:
    """ok and findings, each with level, code, subject and text."""
    assert Report((finding(3),)).as_json() == {
        "ok": False,
        "findings": [{"level": "error", "code": "x", "subject": "agent 1", "text": "what"}],
    }
