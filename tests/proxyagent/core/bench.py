"""A client machine on a bench: its clock moves by hand, and the test plays the agent at the other end of the link."""

import random
from typing import Any, TypeVar

from protocol import codec
from protocol import messages as wire
from protocol.changes import Changes
from protocol.messages import Message, Role
from protocol.stamp import Now
from proxyagent.core import commands, events
from proxyagent.core.client import Client
from proxyagent.core.settings import AgentName, Settings

WALL_MS = 1_700_000_000_000
LOG_ID = 77
Command = TypeVar("Command")

PAIR = (AgentName("lan1", "1"), AgentName("lan1", "2"))


def settings(**changes: Any) -> Settings:
    """Settings of proxy p1 of site lan1."""
    given: dict[str, Any] = {"site": "lan1", "id": "p1", "agents": PAIR, "digest_key": b"k" * 32} | changes
    return Settings(digest_key_id=b"line", **given)


class Bench:
    """One machine; `did` are the commands of the last step."""

    def __init__(self, *, wall_ms: int = WALL_MS, **changes: Any) -> None:
        self.now = Now(1_000.0, 5_000_000, wall_ms)
        self.client = Client(settings(**changes), random.Random(4), self.now)
        self.did: list[commands.Command] = []
        self.link = 0
        self.sent_ms = 0
        self.cluster_ahead_ms = 0  # of the agent's time, against this machine's wall clock

    # -- time ----

    def pass_s(self, seconds: float) -> None:
        """Let time pass without a step."""
        passed_ms = round(seconds * 1000)
        self.now = Now(self.now.monotonic_s + seconds, self.now.boot_ms + passed_ms, self.now.wall_ms + passed_ms)

    def run_s(self, seconds: float) -> list[commands.Command]:
        """Let time pass, with a step at each deadline; everything that was done."""
        end_s, done = self.now.monotonic_s + seconds, []
        while self.client.deadline < end_s:
            self.pass_s(max(0.001, self.client.deadline - self.now.monotonic_s))
            done += self.step(events.DeadlinePassed())
        self.pass_s(max(0.0, end_s - self.now.monotonic_s))
        return done

    # -- events ----

    def step(self, event: events.Event) -> list[commands.Command]:
        self.did = self.client.step(event, self.now)
        return self.did

    def start(self) -> None:
        self.step(events.Started())

    def open(self, agent: int = 0) -> None:
        """The dial has led to a link."""
        self.link += 1
        self.step(events.LinkOpened(self.link, agent, f"10.0.0.{agent + 1}:9023"))

    def hear(self, *messages: Message) -> list[commands.Command]:
        return self.step(events.MessagesReceived(self.link, messages))

    def close(self, code: Any = None, text: str = "reset", elsewhere: str = "") -> list[commands.Command]:
        return self.step(events.LinkClosed(self.link, code, text, elsewhere))

    def serve(self, agent: int = 0) -> None:
        """An agent is linked, serves, and has nothing to compare: the proxy is synchronised afterwards."""
        self.open(agent)
        self.hear(self.heartbeat(echo=True))
        self.hear(wire.Following(LOG_ID, 0, False))
        number = self.only(wire.Compare).comparison
        self.hear(self.compare_empty(number))
        self.finish(number)

    def finish(self, number: int) -> None:
        """Both say Compared."""
        self.step(events.LinkDrained(self.link))
        while self.sent(wire.Bulk):
            self.step(events.LinkDrained(self.link))
        self.hear(wire.Compared(number, 0))

    # -- what the agent says ----

    def heartbeat(
        self, role: Role = Role.MASTER, *, echo: bool = False, root: bytes | None = None, sequence: int = 0, **more: Any
    ) -> wire.Heartbeat:
        cluster_ms = self.now.wall_ms + self.cluster_ahead_ms
        return wire.Heartbeat(
            role=role,
            term=1,
            unsure=more.get("unsure", False),
            log_id=LOG_ID,
            sequence=sequence,
            cut_min=cluster_ms // 60_000,
            root=root,
            secret_id=b"line",
            cluster_ms=cluster_ms,
            wall_ms=cluster_ms,
            sent_ms=1,
            echo_ms=self.now.boot_ms if echo else None,
            held_ms=0,
            pending=0,
            sessions=0,
        )

    def compare_empty(self, number: int) -> wire.Compare:
        """The answer of an agent that holds nothing."""
        return wire.Compare(number, self.now.wall_ms // 60_000, b"line", b"\1" * 8, b"\0" * 8, 0, 0)

    # -- what the machine did ----

    def all(self, kind: type[Command]) -> list[Command]:
        return [each for each in self.did if isinstance(each, kind)]

    def sent(self, kind: type[Any]) -> list[Any]:
        return [each.message for each in self.all(commands.Send) if isinstance(each.message, kind)]

    def only(self, kind: type[Any]) -> Any:
        (message,) = self.sent(kind)
        return message

    def notices(self, kind: type[Any]) -> list[Any]:
        return [each.notice for each in self.all(commands.Notify) if isinstance(each.notice, kind)]

    def reported(self) -> list[Changes]:
        return [codec.decode_changes(report.payload) for report in self.sent(wire.Report)]

    # -- what the host program does ----

    def login(self, key: str, user: str = "alice", **more: Any) -> Any:
        self.client.notice_pause(self.now)
        return self.client.service.login(
            key, user, more.get("attributes"), more.get("idle_timeout_s"), more.get("lifetime_s"), self.now
        )

    def lookup(self, key: str, *, touch: bool = True) -> Any:
        return self.client.cache.lookup(key, self.now, touch=touch)

    def logout(self, key: str | None = None, user: str | None = None) -> Any:
        return self.client.service.logout(key, user, self.now)

    def leave(self) -> list[Changes]:
        """The tick is over; what was reported."""
        self.step(events.Changed())
        return self.reported()
