"""Numbers for Prometheus: a catalogue of metrics, each with the way to read it, and what a scrape gets.

Rules of this file:

- A metric is named, explained and read in one place; docs/reference/metrics.md is made from the catalogues.
- Everything is read when somebody asks, from what the program counts anyway: nothing here costs a login anything.
- No label may name a user or a key. Labels are names of nodes, kinds and roles: few, and known to the operator.
- What cannot be told now is left out, not told as 0.
- Which form a scrape gets is its sender's to ask: forms whose version is no version are passed over.
- Reading is done in the loop with a pause after each metric (2,000 peers are 10 ms each), making text of it in
  another thread.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Generic, Literal, TypeAlias, TypeVar

import attrs
import trio
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from protocol.io.http.server import HttpServer
    from protocol.io.http_door import HttpDoor

Source = TypeVar("Source")

Value: TypeAlias = float | None
Labelled: TypeAlias = Iterable[tuple[tuple[str, ...], Value]]

SCRAPES_AT_ONCE = 1
"""Text is made of one scrape at a time: a dozen Prometheuses must not hold a dozen copies."""

_VERSION = re.compile(r"version=(?:[0-9]{1,3}(?:\.[0-9]{1,3}){2})?", re.ASCII)


@attrs.frozen
class Metric(Generic[Source]):
    """One metric. `read` returns its value, or one value for each set of label values; None is left out."""

    name: str
    kind: Literal["gauge", "counter"]
    doc: str
    read: Callable[[Source], Value | Labelled]
    labels: tuple[str, ...] = ()

    def family(self, source: Source) -> Family:
        """The metric as it is now."""
        made = GaugeMetricFamily if self.kind == "gauge" else CounterMetricFamily
        family = made(self.name, self.doc, labels=self.labels)
        for labels, value in self._values(source):
            if value is not None:
                family.add_metric(labels, float(value))
        return family

    def _values(self, source: Source) -> Labelled:
        found = self.read(source)
        return [((), found)] if found is None or isinstance(found, int | float) else found


class Scraped(Collector):
    """What was read for one scrape."""

    def __init__(self, families: Sequence[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Family]:
        yield from self._families


def door_metrics(namespace: str, door: Callable[[Source], "HttpDoor"]) -> tuple[Metric[Source], ...]:
    """How the loop of a program is, and the door that its numbers come through."""

    def counted(read: Callable[["HttpServer"], int]) -> Callable[[Source], Value]:
        def value(source: Source) -> Value:
            server = door(source).server
            return None if server is None else read(server)

        return value

    return (
        Metric(f"{namespace}_loop_lag_seconds", "gauge", "The longest that its loop stood still in the last minute.",
               lambda source: door(source).lag.worst_s),
        Metric(f"{namespace}_http_requests_total", "counter", "HTTP requests, this one included.",
               counted(lambda server: server.guard.requests_total)),
        Metric(f"{namespace}_http_refused_total", "counter", "HTTP requests and connections beyond a bound.",
               counted(lambda server: server.refused_total)),
        Metric(f"{namespace}_http_failed_total", "counter", "HTTP requests answered with 500.",
               counted(lambda server: server.guard.failed_total)),
    )  # fmt: skip


def process_families(namespace: str) -> list[Family]:
    """What the system knows of this process: processor time, memory, open files. Reads /proc."""
    return list(ProcessCollector(namespace, lambda: "self", "/proc", None).collect())


def metrics_route(namespace: str, metrics: Sequence[Metric[Source]], source: Callable[[], Source]) -> Route:
    """GET /metrics."""
    limit = trio.CapacityLimiter(SCRAPES_AT_ONCE)

    async def answer(request: Request) -> Response:
        now = source()
        families = process_families(namespace)
        for metric in metrics:
            families.append(metric.family(now))
            await trio.lowlevel.checkpoint()
        encode, content_type = choose_encoder(_known(request.headers.get("accept", "")))
        text = await trio.to_thread.run_sync(partial(_text, encode, families), limiter=limit)
        return Response(text, headers={"content-type": content_type})

    return Route("/metrics", answer)


def _known(accept: str) -> str:
    """Of an Accept header what prometheus_client can read; at other versions it raises."""
    return ",".join(form for form in accept.split(",") if all(map(_is_version, form.split(";")[1:])))


def _is_version(parameter: str) -> bool:
    """Whether this is a version, or no word of one."""
    word = parameter.strip()
    return not word.startswith("version=") or _VERSION.fullmatch(word) is not None


def _text(encode: Callable[[CollectorRegistry], bytes], families: Sequence[Family]) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Scraped(families))
    return encode(registry)


def of_states(current: str, states: Iterable[str]) -> Labelled:
    """One series for each state, 1 for the current one."""
    return [((state,), state == current) for state in states]
