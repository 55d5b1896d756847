"""What `authagent check` found: values, and how they become lines, JSON and an exit code. Pure.

Rules of this file:

- A finding is one line: about what, and what to do. Its code is a word for programs and never changes its meaning.
- Exit codes are those of DESIGN section 6: 2 for the file, 3 for who cannot be reached or lets nobody in, 1 for "not
  equal", 0 otherwise. Warnings change nothing.
"""

from typing import Any

import attrs

LEVELS = ("ok", "note", "warning", "error")


@attrs.frozen
class Finding:
    """One thing that is so. `exit_code` is what it alone would end the command with."""

    level: str
    code: str
    subject: str
    text: str
    exit_code: int = 0

    def __str__(self) -> str:
        return f"{self.level:8}{self.subject}: {self.text}"


@attrs.frozen
class Report:
    """All findings of one check, in the order in which they were made."""

    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """0 when nothing is wrong; else the gravest: 2 before 3 before 1."""
        codes = {finding.exit_code for finding in self.findings}
        return next((code for code in (2, 3, 1) if code in codes), 0)

    def lines(self) -> list[str]:
        """One line for each finding, and one that sums up."""
        counts = {level: sum(finding.level == level for finding in self.findings) for level in ("error", "warning")}
        wrong = ", ".join(f"{count} {level}{'s'[: count != 1]}" for level, count in counts.items() if count)
        return [*map(str, self.findings), f"check: {wrong or 'all is well'}"]

    def as_json(self) -> dict[str, Any]:
        """What --json prints: {"ok": bool, "findings": [{"level", "code", "subject", "text"}]}."""
        shown = [
            {"level": each.level, "code": each.code, "subject": each.subject, "text": each.text}
            for each in self.findings
        ]
        return {"ok": self.exit_code == 0, "findings": shown}
