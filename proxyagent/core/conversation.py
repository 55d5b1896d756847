"""What is said on one link with one agent, from its opening to its end.

Rules of this file:

- The agent serves when its heartbeat says MASTER and it is sure of itself. Then: Follow, and the outbox again from 1.
- Nothing is merged or sent before the master's time is known here, and none of a master whose time is too far from
  the one kept (timekeeping.py): the owner closes the link and stays without it.
- A link that only `waits`, since another one serves, is listened to: its agent's word is heard and answered, no more.
- A cursor says what the copy has: it follows the log only once the copy is complete, that is after a replay or a
  finished comparison.
- Digests are compared at each heartbeat while nothing of ours is under way; unequal for `unequal_after_s`, a
  comparison begins. If that does not help, the next one waits longer and longer.

Every method returns the messages to be sent, in order. RemoteProtocolError costs the link.
"""

import math
from collections.abc import Callable

from protocol import codec, limits
from protocol import messages as wire
from protocol.comparison import Comparison, Way
from protocol.errors import Code, RemoteProtocolError
from protocol.liveness import Liveness, Punctuality
from protocol.messages import Message, Role
from protocol.stamp import Now, OffsetEstimator
from protocol.table import Merged
from proxyagent.core import timekeeping
from proxyagent.core.cache import Cache
from proxyagent.core.progress import Compared, Progress
from proxyagent.core.settings import Settings

MINUTE_MS = 60_000

RETRY_S_MIN = 2.0
RETRY_S_MAX = 60.0
"""Between two comparisons that digests asked for: the first soon, then ever later while they do not help."""


class Conversation:
    """One link. `on_merged` is told what each merge did; `compared` holds finished comparisons until they are taken."""

    def __init__(
        self,
        link: int,
        agent: int,
        address: str,
        cache: Cache,
        progress: Progress,
        punctuality: Punctuality,
        on_merged: Callable[[Merged], None],
        now: Now,
        accept_any_time: bool,
    ) -> None:
        settings = cache.settings
        own = settings.is_own_site(settings.agents[agent])
        self.link = link
        self.agent = agent
        self.name = settings.agents[agent]
        self.address = address
        self.waits = False  # this link is only listened to: another one serves
        self._undecided_since_s = now.monotonic_s
        self.heartbeat_due_s = now.monotonic_s
        self.liveness = Liveness(settings.suspect_after_s if own else settings.wan_suspect_after_s, punctuality)
        self.estimator = OffsetEstimator()
        self.asked = False  # to follow
        self.following = False
        self._offer: wire.Heartbeat | None = None  # the last word of an agent that serves
        self._offered_since_s = 0.0
        self.equal: bool | None = None
        self.equal_at_s = 0.0
        self.compared: list[Compared] = []
        self._interval_s = settings.heartbeat_interval_s if own else settings.wan_heartbeat_interval_s
        self._settings: Settings = settings
        self._cache = cache
        self._progress = progress
        self._on_merged = on_merged
        self._accept_any_time = accept_any_time
        self._position = 0
        self._log_id = 0
        self._comparisons: dict[int, Comparison] = {}
        self._own_number = 0  # of the comparison that we opened and that runs; 0 when none does
        self._last_number = -1
        self._began_s = 0.0
        self._by_hand = False
        self._differs_since_s: float | None = None
        self._retry_s = RETRY_S_MIN
        self._not_before_s = 0.0
        self._questions = 0
        self.liveness.heard(now)

    # -- time ------------------------------------------------------------------------------------------------------

    @property
    def deadline(self) -> float:
        return min(self.heartbeat_due_s, self.liveness.deadline, self._patience_s)

    @property
    def _patience_s(self) -> float:
        """Until when the agent may take to say that it serves."""
        decided = self.asked or (self.waits and self._offer is not None)
        return math.inf if decided else self._undecided_since_s + self._settings.undecided_after_s

    def trouble(self, now: Now) -> tuple[Code, str] | None:
        """Why this link must be left, if it must."""
        if self.liveness.suspect(now):
            return Code.SILENT, "nothing was heard for too long"
        if now.monotonic_s >= self._patience_s:
            return Code.BUSY, "nobody has decided who serves"
        return None

    def due(self, now: Now) -> list[Message]:
        """A heartbeat when it is time for one."""
        if now.monotonic_s < self.heartbeat_due_s:
            return []
        self.heartbeat_due_s = max(self.heartbeat_due_s + self._interval_s, now.monotonic_s + self._interval_s / 2)
        return [self._heartbeat(now)]

    def _heartbeat(self, now: Now) -> wire.Heartbeat:
        cache = self._cache
        clock_set = cache.clock.is_set
        cluster_ms = cache.clock.now_ms(now)
        cut_min = cluster_ms // MINUTE_MS
        settled = clock_set and self.following and not self._comparisons
        echo_ms, held_ms = self.estimator.echo(now)
        return wire.Heartbeat(
            role=Role.PROXY,
            term=0,
            unsure=False,
            log_id=self._progress.log_id,
            sequence=self._progress.sequence,
            cut_min=cut_min,
            root=cache.table.root(cut_min) if settled else None,
            secret_id=self._settings.digest_key_id,
            cluster_ms=cluster_ms if clock_set else None,
            wall_ms=now.wall_ms,
            sent_ms=now.boot_ms,
            echo_ms=echo_ms,
            held_ms=held_ms,
            pending=cache.outbox.events,
            sessions=cache.table.alive,
            comparing=bool(self._comparisons),
        )

    # -- messages --------------------------------------------------------------------------------------------------

    def receive(self, message: Message, now: Now) -> list[Message]:
        """Take in one message. Raises RemoteProtocolError, or Refused for a master too far away in time."""
        match message:
            case wire.Update():
                self._update(message, now)
                return []
            case wire.Acknowledgement():
                if not self._cache.outbox.acknowledge(message.master, message.site):
                    raise RemoteProtocolError("an acknowledgement of a report that was never sent")
                return []
            case wire.Heartbeat():
                return self._heard(message, now)
            case wire.Bulk():
                return self._bulk(message, now)
            case wire.Following():
                return self._follow(message, now)
            case wire.Compare() | wire.Nodes() | wire.Pages() | wire.Want() | wire.Compared() | wire.SnapshotWait():
                return self._compare(message, now)
            case wire.IdleAnswer():
                self._on_merged(self._cache.merge(codec.decode_changes(message.payload), now))
                return []
            case wire.Verdict() | wire.Error():
                self._cache.questions.answered(message)
                return []
            case wire.Ping():
                return [wire.Pong(message.nonce)]
            case wire.Pong() | wire.Stored():
                return []
            case _:
                raise RemoteProtocolError(f"{type(message).__name__} is nothing that an agent says to a proxy")

    def _update(self, update: wire.Update, now: Now) -> None:
        if not self.following:
            raise RemoteProtocolError("an Update before Following")
        self._on_merged(self._cache.merge(codec.decode_changes(update.payload), now))
        self._advance(update.sequence)

    def _advance(self, sequence: int) -> None:
        self._position = max(self._position, sequence)
        if self.complete:
            self._progress.sequence = self._position

    @property
    def complete(self) -> bool:
        """Whether the copy holds everything up to the position in this link's log."""
        return self.following and self._progress.log_id == self._log_id

    # -- heartbeats ------------------------------------------------------------------------------------------------

    def _heard(self, heartbeat: wire.Heartbeat, now: Now) -> list[Message]:
        self.estimator.heard(heartbeat, now)
        if heartbeat.role != Role.MASTER or heartbeat.unsure or heartbeat.cluster_ms is None:
            if self._offer is not None and not self.asked:
                self._offer, self._undecided_since_s = None, now.monotonic_s
            return []
        if self._offer is None:
            self._offered_since_s = now.monotonic_s
        self._offer = heartbeat
        if self.waits:
            if not self._accept_any_time:
                timekeeping.check(self._cache, self.estimator, now)
            return []
        return self._serve(heartbeat, now)

    def step_in(self, now: Now) -> None:
        """The link that served is gone, and this one, which was only listened to, takes its place."""
        self.waits, self._undecided_since_s = False, now.monotonic_s

    def served_s(self, now: Now) -> float:
        """For how long the agent has said on this link that it serves; no time at all where it has not."""
        return 0.0 if self._offer is None else now.monotonic_s - self._offered_since_s

    def go_on(self, now: Now) -> list[Message]:
        """Let the agent, which has said that it serves, serve this proxy. Raises Refused."""
        assert self._offer is not None, "its agent serves"
        return self._serve(self._offer, now)

    def _serve(self, heartbeat: wire.Heartbeat, now: Now) -> list[Message]:
        assert heartbeat.cluster_ms is not None, "a master keeps the time"
        if not self._keep_time(heartbeat.cluster_ms, now):
            return []
        if not self.asked:
            return self._ask()
        if self.following and heartbeat.log_id == self._log_id:
            self._advance(heartbeat.sequence)
        return self._judge(heartbeat, now)

    def _keep_time(self, cluster_ms: int, now: Now) -> bool:
        """Follow the master's time; whether enough is known of it to go on."""
        any_time = self._accept_any_time
        kept = timekeeping.follow(self._cache, self.estimator, cluster_ms, now, any_time=any_time)
        if kept:
            self._accept_any_time = False
        return kept is not False

    def _ask(self) -> list[Message]:
        self.asked = True
        self._cache.outbox.link()
        self._cache.questions.link()
        return [wire.Follow(self._progress.log_id, self._progress.sequence), *self.reports()]

    def _follow(self, message: wire.Following, now: Now) -> list[Message]:
        if not self.asked or self.following:
            raise RemoteProtocolError("Following that was not asked for")
        self.following = True
        self._log_id, self._position = message.log_id, message.sequence
        if message.replay and message.log_id == self._progress.log_id and not self._cache.outbox.lost:
            return []
        if message.replay and message.log_id == self._progress.log_id:
            return self.compare(now)
        self._progress.log_id = self._progress.sequence = 0
        return self.compare(now)

    def _judge(self, heartbeat: wire.Heartbeat, now: Now) -> list[Message]:
        """Compare digests, where both mean something."""
        outbox = self._cache.outbox
        if heartbeat.root is None or heartbeat.secret_id != self._settings.digest_key_id or not self.complete:
            return []
        if self._comparisons or outbox.has_unsent or outbox.unacknowledged:
            self._differs_since_s = None
            return []
        self.equal = self._cache.table.root(heartbeat.cut_min) == heartbeat.root
        self.equal_at_s = now.monotonic_s
        if self.equal:
            self._differs_since_s = None
            self._retry_s = RETRY_S_MIN
            return []
        if self._differs_since_s is None:
            self._differs_since_s = now.monotonic_s
        patient = now.monotonic_s - self._differs_since_s < self._settings.unequal_after_s
        if patient or now.monotonic_s < self._not_before_s:
            return []
        self._not_before_s = now.monotonic_s + self._retry_s
        self._retry_s = min(RETRY_S_MAX, 2 * self._retry_s)
        return self.compare(now)

    # -- comparisons -----------------------------------------------------------------------------------------------

    def resync(self, now: Now) -> list[Message]:
        """Compare because somebody asked for it; one that runs already will do."""
        self._by_hand = True
        return self.compare(now, forced=True)

    def compare(self, now: Now, *, forced: bool = False) -> list[Message]:
        """Open a comparison, unless one runs. `forced` asks for an answer whatever the cuts."""
        if self._own_number or not self.following:
            return []
        self._last_number += 2
        self._own_number = self._last_number
        self._began_s = now.monotonic_s
        self._cache.outbox.lost = False
        since_ms = self._progress.compared_ms.get(self.name, 0)
        comparison = Comparison(
            self._cache.table,
            self._own_number,
            True,
            self._settings.digest_key_id,
            forced,
            since_ms=since_ms,
        )
        self._comparisons[self._own_number] = comparison
        return comparison.start(self._cache.clock.now_ms(now))

    @property
    def comparing(self) -> bool:
        """Whether a comparison runs, whoever opened it."""
        return bool(self._comparisons)

    def more(self, now: Now) -> list[Message]:
        """One message of a comparison, now that little is queued; none when there is nothing to send."""
        for comparison in list(self._comparisons.values()):
            sent = comparison.more(self._cache.clock.now_ms(now))
            if sent:
                self._finish(comparison, now)
                return sent
        return []

    def _compare(self, message: Message, now: Now) -> list[Message]:
        number: int = message.comparison  # type: ignore[attr-defined]
        comparison = self._comparisons.get(number)
        if comparison is None:
            if not isinstance(message, wire.Compare) or number % 2 or len(self._comparisons) > 2:
                raise RemoteProtocolError(f"{type(message).__name__} of a comparison that does not run")
            comparison = Comparison(
                self._cache.table,
                number,
                False,
                self._settings.digest_key_id,
                since_ms=self._progress.compared_ms.get(self.name, 0),
            )
            self._comparisons[number] = comparison
        answer = comparison.receive(message, self._cache.clock.now_ms(now))
        again = self._finish(comparison, now)
        return answer + again

    def _bulk(self, bulk: wire.Bulk, now: Now) -> list[Message]:
        comparison = self._comparisons.get(bulk.comparison)
        if comparison is None:
            raise RemoteProtocolError("Bulk of a comparison that does not run")
        changes = codec.decode_changes(bulk.payload)
        self._on_merged(self._cache.merge(changes, now))
        comparison.received_bulk(len(changes))
        return []

    def _finish(self, comparison: Comparison, now: Now) -> list[Message]:
        """When a comparison is over: what it means for the copy. A comparison that told nothing is opened again."""
        if not comparison.finished or comparison.number not in self._comparisons:
            return []
        del self._comparisons[comparison.number]
        self._differs_since_s = None
        if comparison.number != self._own_number:
            return []
        self._own_number = 0
        if comparison.way is Way.NEITHER:
            return self.compare(now, forced=True)
        self._progress.complete = True
        self._progress.log_id, self._progress.sequence = self._log_id, self._position
        self._progress.compared_ms[self.name] = comparison.began_ms
        asked, self._by_hand = self._by_hand, False
        self.compared.append(Compared(comparison.sent, comparison.received, now.monotonic_s - self._began_s, asked))
        return []

    # -- what this proxy has to say --------------------------------------------------------------------------------

    def reports(self) -> list[Message]:
        """The outbox, as far as it may leave."""
        return [*self._cache.outbox.take(), *self._cache.questions.send()] if self.asked else []

    def questions(self) -> list[Message]:
        """Ask about the sessions that fell idle here. Without a serving agent nobody can be asked: they stay idle."""
        asked, self._cache.shown.questions = self._cache.shown.questions, []
        if not self.following:
            return []
        out: list[Message] = []
        for start in range(0, len(asked), limits.BATCH_CHANGES_MAX):
            part = asked[start : start + limits.BATCH_CHANGES_MAX]
            self._questions += 1
            ids = [login_id for login_id, _ in part]
            out.append(
                wire.IdleQuestion(
                    self._questions,
                    tuple(login_id.proxy for login_id in ids),
                    tuple(login_id.epoch for login_id in ids),
                    tuple(login_id.sequence for login_id in ids),
                    tuple(active_at for _, active_at in part),
                )
            )
        return out

    def abandon(self) -> None:
        """The link is gone; an unfinished comparison of ours leaves the facts to the next."""
        self._cache.outbox.unlink()
        if self._own_number:
            self._cache.outbox.lost = True
