"""The command line: its verbs, its options before and after them, and how light it is."""

import subprocess
import sys
from typing import Any

import pytest
from click.testing import CliRunner

from proxyagent import cli, verbs
from tests.proxyagent.processes import PATIENCE_S

VERBS = ("run", "send-sync-to-agent", "resync", "status", "sessions", "lookup", "login", "logout", "touch", "watch")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The options that a verb was called with."""
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr(verbs, "status", lambda options, **more: seen.append({**options, **more}) or 0)
    return seen


def test_every_verb_of_the_design_is_there_with_an_example() -> None:
    """DESIGN section 6, and those of later issues; each verb's help shows how it is used."""
    later = {"drain", "reload", "keygen", "code", "cookie", "squid-session", "squid-login"}
    assert {*VERBS, *later} == set(cli.cli.commands)
    for name in VERBS:
        shown = CliRunner().invoke(cli.cli, [name, "--help"])
        assert shown.exit_code == 0
        assert "Example: proxyagent" in shown.output
        assert "--control" in shown.output


def test_shared_options_stand_before_or_after_the_verb(asked: list[dict[str, Any]]) -> None:
    """The one after the verb counts where both are given."""
    runner = CliRunner()
    runner.invoke(cli.cli, ["--id", "p1", "--control", "/a", "status"])
    runner.invoke(cli.cli, ["status", "--id", "p1", "--control", "/a"])
    runner.invoke(cli.cli, ["--id", "p9", "status", "--id", "p1", "--control", "/a", "--json"])
    assert [each["id"] for each in asked] == ["p1"] * 3
    assert [each["control"] for each in asked] == ["/a"] * 3
    assert [each["as_json"] for each in asked] == [False, False, True]


def test_light_verbs_import_nothing_heavy() -> None:
    """A verb that only asks a control socket loads neither trio nor attrs, structlog, rich, msgpack or cryptography."""
    program = (
        "import sys\n"
        "import proxyagent.cli, proxyagent.verbs\n"
        "heavy = {'trio', 'attr', 'attrs', 'structlog', 'rich', 'msgpack', 'cryptography', 'cattrs', 'scramp'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    assert done.stdout.strip() == "[]"
