"""Metrics and what is built on them: Prometheus's own tool accepts both, and no expression names what nobody tells."""

import itertools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import proxyagent
from authagent.http import metrics as agent_metrics
from protocol.io.http.metrics import process_families
from proxyagent.http import metrics as proxy_metrics
from tests.authagent.http import telling as agents
from tests.authagent.running import run_agents, until, write_files
from tests.proxyagent.http import telling as proxies
from tests.repository import tree

EXAMPLES = tree.ROOT / "examples"
ALERTS, DASHBOARD = EXAMPLES / "prometheus" / "alerts.yml", EXAMPLES / "grafana" / "one-login.json"


def _names() -> set[str]:
    """Every name that a scrape of either program can have."""
    own = {metric.name for metric in (*agent_metrics.METRICS, *proxy_metrics.METRICS)}
    families = [family for program in ("authagent", "proxyagent") for family in process_families(program)]
    return own | {f"{each.name}_total" if each.type == "counter" else each.name for each in families}


def _expressions(path: Path) -> Iterator[str]:
    if path == ALERTS:
        yield from re.findall(r"^ +expr: (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    else:
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            yield from (target["expr"] for target in panel.get("targets", ()))


def _promtool(*words: str | Path, given: str | None = None) -> str:
    """What promtool says; fails when it finds anything wrong."""
    command = shutil.which("promtool")
    if command is None:
        if os.environ.get("CI") == "true":
            pytest.fail("not installed: promtool (tests/components.py)")
        pytest.skip("not installed: promtool; as root: python tests/components.py")
    done = subprocess.run([command, *map(str, words)], input=given, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("path", [ALERTS, DASHBOARD], ids=lambda path: path.name)
def test_every_expression_names_what_exists(path: Path) -> None:
    """An alert on a name that nobody tells would never fire, and nobody would know."""
    expressions = list(_expressions(path))
    assert len(expressions) > 10
    named = {name for each in expressions for name in re.findall(r"\b(?:authagent|proxyagent)_\w+", each)}
    assert named <= _names(), sorted(named - _names())


def test_the_dashboard_is_one_that_grafana_can_import() -> None:
    """One data source to choose, panels that do not overlap, each with its own id."""
    board: Any = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    assert [each["name"] for each in board["templating"]["list"]] == ["datasource"]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        columns = range(place["x"], place["x"] + place["w"])
        cells = set(itertools.product(columns, range(place["y"], place["y"] + place["h"])))
        assert columns[-1] < 24 and not cells & taken, panel["title"]
        taken |= cells
        sources = {target["datasource"]["uid"] for target in panel.get("targets", ())}
        assert sources == (set() if panel["type"] == "row" else {"${datasource}"}), panel["title"]


def test_alert_rules_are_accepted_and_do_what_they_say() -> None:
    """promtool checks the rules, runs their tests, and reads the example configuration."""
    assert "SUCCESS" in _promtool("check", "rules", ALERTS)
    assert "SUCCESS" in _promtool("test", "rules", ALERTS.with_name("alerts_test.yml"))
    assert "SUCCESS" in _promtool("check", "config", "--syntax-only", ALERTS.with_name("prometheus.yml"))


async def test_prometheus_has_nothing_to_say_about_the_metrics(tmp_path: Path) -> None:
    """`promtool check metrics` finds neither a mistake nor a breach of its naming rules in real scrapes of both."""
    path = write_files(tmp_path, agents=2)
    async with run_agents(path, 1, 2) as running, proxyagent.open_proxy_agent(str(path), id="p1") as proxy:
        await until(lambda: all(len(each.server.agent.peers) for each in running))
        _, of_agent = await agents.ask(running[0], "/metrics")
        _, of_proxy = await proxies.ask(proxy, "/metrics")
    for text in (of_agent, of_proxy):
        assert not _promtool("check", "metrics", given=text).strip()

