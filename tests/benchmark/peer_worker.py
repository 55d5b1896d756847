"""The peer's side of the job: a publisher that does SET + PUBLISH + WAIT 1, subscribers that keep a local dict.

    python -m tests.benchmark.peer_worker PORT

The commands are those of tests.benchmark.worker, so that a row asks both sides the same.
"""

import json
import sys
import threading
import time
from typing import Any

import redis

from tests.benchmark.keys import address

CHANNEL = "sessions"
TTL_S = 43_200
BATCH = 500
WAIT_MS = 1_000


class Subscriber:
    """A local dict kept up to date by a thread that reads the channel."""

    def __init__(self, port: int) -> None:
        self.sessions: dict[bytes, bytes] = {}
        self.seen_ns: dict[str, int] = {}
        self.stamping = False
        client: Any = redis.Redis(port=port)
        self._pubsub = client.pubsub(ignore_subscribe_messages=True)
        self._pubsub.subscribe(CHANNEL)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for message in self._pubsub.listen():
            key, _, value = message["data"].partition(b"\0")
            self.sessions[key] = value
            if self.stamping:
                self.seen_ns[key.decode()] = time.monotonic_ns()


class Worker:
    """Carries out commands; see tests.benchmark.worker for their meaning."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.client: Any = redis.Redis(port=port)
        self.subscriber: Subscriber | None = None

    def subscribe(self) -> dict[str, Any]:
        self.subscriber = Subscriber(self.port)
        return {}

    def burst(self, count: int, first: int) -> dict[str, Any]:
        """All at once, in pipelines of BATCH events, each closed by one WAIT."""
        began = time.monotonic_ns()
        for start in range(0, count, BATCH):
            pipe = self.client.pipeline(transaction=False)
            for index in range(start, min(start + BATCH, count)):
                key, value = address(first + index), f"user{index}"
                pipe.set(key, value, ex=TTL_S)
                pipe.publish(CHANNEL, f"{key}\0{value}")
            pipe.execute_command("WAIT", 1, WAIT_MS)
            pipe.execute()
        return {"began_ns": began, "acknowledged_ns": time.monotonic_ns()}

    def pace(self, rate: int, seconds: float, first: int) -> dict[str, Any]:
        """One after the other at `rate`; each is acknowledged by the replica before the next is sent."""
        sent_ns: dict[str, int] = {}
        acknowledged_ns: dict[str, int] = {}
        began = time.monotonic()
        for index in range(int(rate * seconds)):
            time.sleep(max(0.0, began + index / rate - time.monotonic()))
            key, value = address(first + index), f"user{index}"
            sent_ns[key] = time.monotonic_ns()
            pipe = self.client.pipeline(transaction=False)
            pipe.set(key, value, ex=TTL_S)
            pipe.publish(CHANNEL, f"{key}\0{value}")
            pipe.execute_command("WAIT", 1, WAIT_MS)
            pipe.execute()
            acknowledged_ns[key] = time.monotonic_ns()
        return {"sent_ns": sent_ns, "acknowledged_ns": {"site": acknowledged_ns}}

    def wait_count(self, count: int, within_s: float) -> dict[str, Any]:
        assert self.subscriber is not None
        deadline = time.monotonic() + within_s
        while len(self.subscriber.sessions) < count:
            if time.monotonic() > deadline:
                return {"error": f"{len(self.subscriber.sessions)} of {count} arrived within {within_s:g} s"}
            time.sleep(0.001)
        return {"at_ns": time.monotonic_ns()}

    def stamp(self) -> dict[str, Any]:
        assert self.subscriber is not None
        self.subscriber.stamping = True
        return {}

    def stamps(self) -> dict[str, Any]:
        assert self.subscriber is not None
        return {"seen_ns": self.subscriber.seen_ns}

    def lookup(self, count: int, rounds: int) -> dict[str, Any]:
        """Microseconds for one GET of a key that is there."""
        pipe = self.client.pipeline(transaction=False)
        for index in range(count):
            pipe.set(address(index), f"user{index}")
        pipe.execute()
        get = self.client.get
        keys = [address(index) for index in range(count)]
        began = time.perf_counter()
        for index in range(rounds):
            get(keys[index % count])
        return {"us": (time.perf_counter() - began) / rounds * 1e6}


def main() -> None:
    """Serve commands until standard input ends."""
    worker = Worker(int(sys.argv[1]))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        answer = getattr(worker, command.pop("do"))(**command)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
