"""What a scrape gets: every metric that can be told now, in the form that Prometheus asked for."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from protocol.io.http.metrics import Metric, metrics_route, of_states, process_families
from tests.protocol.io.http.asking import exchange, get, serving

METRICS = (
    Metric[int]("x_things", "gauge", "Things.", lambda number: number),
    Metric[int]("x_events_total", "counter", "Events.", lambda number: [(("a",), number), (("b",), None)], ("kind",)),
    Metric[int]("x_unknown_seconds", "gauge", "Nobody knows.", lambda number: None),
    Metric[int]("x_state", "gauge", "States.", lambda number: of_states("on", ("on", "off")), ("state",)),
)


async def scraped(*headers: str) -> tuple[str, str]:
    """Head and text of a scrape of 7 things."""
    async with serving(metrics_route("x", METRICS, lambda: 7)) as served:
        head, _, text = (await exchange(served.port, get("/metrics", *headers))).partition(b"\r\n\r\n")
    return head.decode(), text.decode()


async def test_what_can_be_told_is_told() -> None:
    """With its name, kind, explanation and labels; what is unknown is left out rather than told as 0."""
    _, text = await scraped()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert (families["x_things"].type, families["x_things"].documentation) == ("gauge", "Things.")
    assert [sample.value for sample in families["x_things"].samples] == [7.0]
    (events,) = families["x_events"].samples
    assert (events.name, events.labels, events.value) == ("x_events_total", {"kind": "a"}, 7.0)
    assert [sample.value for sample in families["x_state"].samples] == [1.0, 0.0]
    assert not families["x_unknown_seconds"].samples


async def test_the_form_is_what_was_asked_for() -> None:
    """Plain text as ever, OpenMetrics where it is asked for."""
    plain, _ = await scraped()
    assert "content-type: text/plain" in plain
    open_metrics, text = await scraped("Accept: application/openmetrics-text; version=1.0.0")
    assert "content-type: application/openmetrics-text" in open_metrics and text.endswith("# EOF\n")


@pytest.mark.parametrize("version", ["x", "1", "=1", "1.0.0.0", "1..0", "9" * 5_000, "1.0.0\u0661"], ids=range(7))
async def test_a_version_that_is_none_is_no_mistake_of_ours(version: str) -> None:
    """That form is passed over: for the next one, else for plain text. The library would raise."""
    asked = f"Accept: application/openmetrics-text; version={version}"
    head, _ = await scraped(asked)
    assert head.startswith("HTTP/1.1 200") and "content-type: text/plain" in head
    head, _ = await scraped(f"{asked}, application/openmetrics-text;version=1.0.0")
    assert "content-type: application/openmetrics-text; version=1.0.0" in head


def test_the_process_is_told_under_the_program_s_name() -> None:
    """Processor time, memory and open files, each with the prefix."""
    names = {family.name for family in process_families("x")}
    assert {"x_process_cpu_seconds", "x_process_resident_memory_bytes", "x_process_open_fds"} <= names
