"""The job that both sides do, asked of their workers in the same words.

One publisher, three subscribers: a login made at the publisher must be known to each subscriber and acknowledged by
the second server (our slave, Redis's replica).
"""

import time
from pathlib import Path

import attrs

from tests.benchmark.children import Child, RowFailed
from tests.benchmark.farm import Farm
from tests.benchmark.figures import median, percentile
from tests.benchmark.keys import block
from tests.benchmark.peer import RedisFarm

SUBSCRIBERS = 3


@attrs.frozen
class Bench:
    """What every row gets: a folder for logs and state, and whether small numbers will do."""

    folder: Path
    quick: bool

    def place(self, name: str) -> Path:
        """A new folder for one farm."""
        path = self.folder / name
        path.mkdir(parents=True)
        return path

    def scaled(self, full: int, quick: int) -> int:
        """How many, for a full or for a quick run."""
        return quick if self.quick else full


@attrs.frozen
class Crew:
    """One publisher and its subscribers."""

    publisher: Child
    subscribers: list[Child]


@attrs.frozen
class Delays:
    """Milliseconds from sending, per subscriber and per level of acknowledgement."""

    visible_ms: list[list[float]]
    acknowledged_ms: dict[str, list[float]]

    @property
    def p50_ms(self) -> float:
        """The median of the slowest subscriber."""
        return max(median(delays) for delays in self.visible_ms)

    @property
    def p99_ms(self) -> float:
        """The 99th percentile of the slowest subscriber."""
        return max(percentile(delays, 0.99) for delays in self.visible_ms)


def our_crew(farm: Farm) -> Crew:
    """Four proxies of a started farm."""
    return Crew(farm.proxy("p0"), [farm.proxy(f"p{number}") for number in range(1, SUBSCRIBERS + 1)])


def peer_crew(farm: RedisFarm) -> Crew:
    """A publisher and three subscribed workers."""
    crew = Crew(farm.worker("publisher"), [farm.worker(f"subscriber{number}") for number in range(SUBSCRIBERS)])
    for subscriber in crew.subscribers:
        subscriber.ask(do="subscribe")
    return crew


def burst(crew: Crew, count: int, known: int, within_s: float = 120.0) -> float:
    """Events per second until `count` logins are known to all subscribers, who knew `known`, and acknowledged."""
    for subscriber in crew.subscribers:
        subscriber.send(do="wait_count", count=known + count, within_s=within_s)
    done = crew.publisher.ask(within_s, do="burst", count=count, first=block())
    ends = [done["acknowledged_ns"]]
    for subscriber in crew.subscribers:
        answer = subscriber.answer(within_s + 5.0)
        if "error" in answer:
            raise RowFailed(f"{subscriber.name}: {answer['error']}")
        ends.append(answer["at_ns"])
    return count / ((max(ends) - done["began_ns"]) / 1e9)


def pace(crew: Crew, rate: int, seconds: float, **options: list[str]) -> Delays:
    """How long each login takes at a steady rate."""
    for subscriber in crew.subscribers:
        subscriber.ask(do="stamp")
    done = crew.publisher.ask(seconds * 3 + 30.0, do="pace", rate=rate, seconds=seconds, first=block(), **options)
    sent = done["sent_ns"]
    visible = []
    for subscriber in crew.subscribers:
        seen = _stamps(subscriber, set(sent))
        visible.append([(seen[key] - at) / 1e6 for key, at in sent.items()])
    acknowledged = {
        level: [(times[key] - at) / 1e6 for key, at in sent.items()] for level, times in done["acknowledged_ns"].items()
    }
    return Delays(visible, acknowledged)


def _stamps(subscriber: Child, wanted: set[str]) -> dict[str, int]:
    """When a subscriber saw each login; the last ones may still be on their way."""
    for _ in range(20):
        seen: dict[str, int] = subscriber.ask(do="stamps")["seen_ns"]
        missing = wanted - seen.keys()
        if not missing:
            return seen
        time.sleep(0.1)
    raise RowFailed(f"{subscriber.name} did not see {len(missing)} of {len(wanted)} logins")
