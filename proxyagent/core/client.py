"""The mind of a ProxyAgent: whom it is linked to, what must leave, and when it wants to be woken.

Rules of this file:

- One door: whatever happens outside enters through `step(event, now)` and leaves as commands. What the host program
  does needs its answer at once and goes through `service`; that something must leave because of it is the event
  Changed.
- It routes and orders. What is said on a link decides Conversation, whom to dial decides Failover, what a login
  means decides Cache.
- `deadline` is monotonic seconds; the caller steps DeadlinePassed when it is there, and may do so at any time.

Theory. A proxy is never without an answer: the copy answers, whatever the links do. "Isolated" only says that
nobody else hears of what happens here, and after keep_sessions it makes look-ups stop.
"""

import math
from typing import TypeAlias, assert_never

from protocol import codec
from protocol.errors import Code, RemoteProtocolError
from protocol.liveness import Punctuality
from protocol.messages import Farewell, Message
from protocol.stamp import Now
from protocol.table import Merged
from proxyagent.core import commands, events
from proxyagent.core.cache import Cache
from proxyagent.core.conversation import Conversation, Progress, Refused
from proxyagent.core.endings import Endings
from proxyagent.core.failover import Failover
from proxyagent.core.outbox import Outbox
from proxyagent.core.service import Service
from proxyagent.core.settings import Dice, Settings
from proxyagent.notices import AgentFound, AgentLost, AgentRefused, Resynced

Commands: TypeAlias = list[commands.Command]

UPKEEP_S = 1.0
SWEEP_PAGES = 16
"""Pages swept at each upkeep, about 4,000 sessions and 2 ms: a million sessions are seen through in 4 minutes."""

PAUSE_S = 1.0
"""Standing still for longer draws a new epoch (DESIGN section 2, login id)."""

GONE_AFTER_S = 2.0
"""With keep_sessions = "drop": no agent at all means none for longer than a failover may take (promise 6)."""


class Client:
    """One ProxyAgent, without its sockets. Everything on it is called from one thread at a time."""

    def __init__(self, settings: Settings, dice: Dice, now: Now) -> None:
        self.settings = settings
        self.outbox = Outbox(codec.encode_payloads, settings.outbox_events_max)
        self.cache = Cache(settings, self.outbox, dice.getrandbits(64))
        self.endings = Endings(self.cache)
        self.service = Service(self.cache, self.outbox, self.endings, dice)
        self.conversation: Conversation | None = None
        self.isolated = True
        self.last_refusal = ""
        self.agents_found = self.pauses = self.resynced = 0
        self._now = now
        self._dice = dice
        self.progress = Progress()
        self._punctuality = Punctuality()
        self._failover = Failover(settings.agents, settings.site)
        self._refusals: dict[int, str] = {}
        self._farewell: Farewell | None = None
        self.isolated_since: tuple[float, int] = (now.monotonic_s, 0)
        self._upkeep_due_s = now.monotonic_s
        self._accept_any_time = False
        self._pause_after_ms = 0
        self._started = self._stopped = False
        self._wake(now)

    # -- the door --------------------------------------------------------------------------------------------------

    @property
    def deadline(self) -> float:
        """When to be woken, in monotonic seconds; infinity before Started and after StopAsked."""
        if not self._started or self._stopped:
            return math.inf
        dial_s = self._failover.due_s
        talk_s = self.conversation.deadline if self.conversation is not None else math.inf
        return min(self._upkeep_due_s, talk_s, self._patience_s(), math.inf if dial_s is None else dial_s)

    def step(self, event: events.Event, now: Now) -> Commands:
        """Take in one event; returns what to do, in order."""
        self.notice_pause(now)
        self.cache.shown.slept(self._now, now)
        self._now = now
        out = self._route(event, now)
        out.extend(commands.Notify(notice) for notice in self.endings.take())
        self._wake(now)
        return out

    def _route(self, event: events.Event, now: Now) -> Commands:
        match event:
            case events.Started():
                self._started = True
                self._failover.start(now.monotonic_s)
                return self._due(now)
            case events.LinkOpened():
                return self._opened(event, now)
            case events.DialFailed():
                return self._dial_failed(event, now)
            case events.LinkClosed():
                return self._closed(event, now)
            case events.MessagesReceived():
                return self._received(event, now)
            case events.LinkDrained():
                return self._drained(event.link, now)
            case events.Changed():
                return self._sends(self.conversation.reports()) if self.conversation is not None else []
            case events.Reconfigured():
                return self._reconfigure(event.settings, now)
            case events.ResyncAsked():
                return self._resync(now)
            case events.StopAsked():
                return self._stop()
            case events.DeadlinePassed():
                self._punctuality.late(now.monotonic_s - self.deadline, now)
                return self._due(now)
            case _:
                assert_never(event)

    # -- links -----------------------------------------------------------------------------------------------------

    def _opened(self, event: events.LinkOpened, now: Now) -> Commands:
        if self._stopped:
            return [commands.Close(event.link, Code.STOPPING, "leaving")]
        out: Commands = []
        if self.conversation is not None:  # an agent of the own site is back: it serves from now on
            out += self._leave(Code.SUPERSEDED, "an agent of the own site serves", now)
        self._farewell = None
        self.conversation = Conversation(
            event.link,
            event.agent,
            event.address,
            self.cache,
            self.progress,
            self._punctuality,
            self._merged,
            now,
            self._accept_any_time,
        )
        return out + self._sends(self.conversation.due(now))

    def _dial_failed(self, event: events.DialFailed, now: Now) -> Commands:
        name = self.settings.agents[event.agent]
        if event.refused == Code.NOT_MASTER:
            self._failover.redirected(event.agent, name.site, event.elsewhere, now.monotonic_s, self._dice.random())
            return []
        self._failover.failed(now.monotonic_s, self._dice.random())
        if event.refused is None:
            return []
        return self._refused(event.agent, event.text)

    def _refused(self, agent: int, text: str) -> Commands:
        """Tell of a refusal, once as long as it is the same."""
        name = self.settings.agents[agent]
        self.last_refusal = text
        if self._refusals.get(agent) == text:
            return []
        self._refusals[agent] = text
        return [
            commands.Notify(AgentRefused(name.id, text)),
            commands.Log("agent.refused", "warning", {"agent": name.id, "site": name.site, "reason": text}),
            commands.WakeWaiters(),
        ]

    def _closed(self, event: events.LinkClosed, now: Now) -> Commands:
        if self.conversation is None or event.link != self.conversation.link:
            return []
        elsewhere = event.elsewhere or (self._farewell.elsewhere if self._farewell is not None else "")
        code = event.code if self._farewell is None else self._farewell.code
        talk = self.conversation
        served = talk.following
        out = self._lost(event.text, now)
        jitter = self._dice.random()
        if code == Code.NOT_MASTER:
            self._failover.redirected(talk.agent, talk.name.site, elsewhere, now.monotonic_s, jitter)
        elif served:
            self._failover.start(now.monotonic_s)
        else:
            self._failover.failed(now.monotonic_s, jitter)
        if code is not None and code not in (Code.NOT_MASTER, Code.STOPPING, Code.SILENT, Code.BUSY) and not served:
            out += self._refused(talk.agent, event.text)
        return out + self._due(now)

    def _leave(self, code: Code, text: str, now: Now) -> Commands:
        """Close the link from this side."""
        assert self.conversation is not None, "there is a link to leave"
        close = commands.Close(self.conversation.link, code, text)
        return [close, *self._lost(text, now)]

    def _lost(self, text: str, now: Now) -> Commands:
        """The conversation is over, whoever ended it."""
        talk, self.conversation = self.conversation, None
        assert talk is not None, "there was a link"
        talk.abandon()
        if not talk.following:
            return []
        self.isolated = True
        self.isolated_since = now.monotonic_s, self.cache.clock.now_ms(now)
        return [
            commands.Notify(AgentLost(talk.name.id, text)),
            commands.Log("agent.lost", "warning", {"agent": talk.name.id, "site": talk.name.site, "reason": text}),
            commands.WakeWaiters(),
        ]

    def _give_up(self, code: Code, text: str, now: Now) -> Commands:
        """Close the link from this side, and look for another agent."""
        served = self.conversation is not None and self.conversation.following
        out = self._leave(code, text, now)
        if served:
            self._failover.start(now.monotonic_s)
        else:
            self._failover.failed(now.monotonic_s, self._dice.random())
        return out + self._due(now)

    # -- messages --------------------------------------------------------------------------------------------------

    def _received(self, event: events.MessagesReceived, now: Now) -> Commands:
        talk = self.conversation
        if talk is None or event.link != talk.link:
            return []
        talk.liveness.heard(now)
        was_following = talk.following
        answers: list[Message] = []
        try:
            for message in event.messages:
                if isinstance(message, Farewell):
                    self._farewell = message
                else:
                    answers += talk.receive(message, now)
        except RemoteProtocolError as error:
            return self._sends(answers) + self._give_up(error.code, str(error), now)
        except Refused as error:
            refused = self._refused(talk.agent, str(error))
            return self._give_up(Code.CLOCK, str(error), now) + refused
        out = self._sends(answers)
        if talk.following and not was_following:
            out += self._found(talk, now)
        out += self._tell_compared(talk, now)
        if talk.comparing:
            out.append(commands.AwaitRoom(talk.link))
        out.append(commands.WakeWaiters())
        return out

    def _found(self, talk: Conversation, now: Now) -> Commands:
        self.isolated = False
        self.last_refusal = ""
        self.agents_found += 1
        self._refusals.clear()
        self._accept_any_time = False
        self.cache.answer_again()
        self._failover.served(talk.agent, now.monotonic_s, self._dice.random())
        keys: dict[str, object] = {"agent": talk.name.id, "site": talk.name.site, "address": talk.address}
        return [
            commands.Notify(AgentFound(talk.name.id, talk.name.site, talk.address)),
            commands.Log("agent.found", "info", keys),
        ]

    def _tell_compared(self, talk: Conversation, now: Now) -> Commands:
        out: Commands = []
        for done in talk.compared:
            self.resynced += 1
            out.append(commands.Notify(Resynced(done.sent, done.received, done.duration_s)))
            keys = {"sent": done.sent, "received": done.received, "duration_s": round(done.duration_s, 3)}
            out.append(commands.Log("resynced", "info", {"agent": talk.name.id, **keys}))
        talk.compared.clear()
        return out

    def _drained(self, link: int, now: Now) -> Commands:
        talk = self.conversation
        if talk is None or talk.link != link:
            return []
        messages = talk.more(now)
        out = self._sends(messages)
        if messages:
            out.append(commands.AwaitRoom(link))
        return out + self._tell_compared(talk, now)

    def _merged(self, merged: Merged) -> None:
        if merged.opened or merged.closed:
            self.endings.merged(merged, self._now)

    # -- time ------------------------------------------------------------------------------------------------------

    def _due(self, now: Now) -> Commands:
        """Everything whose time has come."""
        out: Commands = []
        talk = self.conversation
        if talk is not None:
            if talk.liveness.suspect(now):
                return self._give_up(Code.SILENT, "nothing was heard for too long", now)
            if now.monotonic_s >= self._patience_s():
                return self._give_up(Code.BUSY, "nobody has decided who serves", now)
            out += self._sends(talk.due(now))
        if now.monotonic_s >= self._upkeep_due_s:
            out += self._upkeep(now)
        dial_s = self._failover.due_s
        if dial_s is not None and now.monotonic_s >= dial_s and not self._stopped:
            agent = self._failover.choose(now.monotonic_s)
            out.append(commands.Dial(agent, self._failover.try_s(now.monotonic_s, self.settings.connect_timeout_s)))
        return out

    def _patience_s(self) -> float:
        """Until when an agent may take to say that it serves."""
        talk = self.conversation
        return math.inf if talk is None or talk.asked else talk.opened_s + self.settings.undecided_after_s

    def _upkeep(self, now: Now) -> Commands:
        self._upkeep_due_s = now.monotonic_s + UPKEEP_S
        now_ms = self.cache.clock.now_ms(now)
        self.cache.shown.look_after(now, now_ms)
        self.endings.look_after(now)
        self.cache.table.sweep(now_ms, SWEEP_PAGES)
        if self.isolated and self.cache.answering:
            self._keep_sessions(now, now_ms)
        talk = self.conversation
        if talk is None:
            self.cache.shown.questions.clear()
            return []
        return self._sends(talk.questions() + talk.reports())

    def _keep_sessions(self, now: Now, now_ms: int) -> None:
        keep = self.settings.keep_sessions
        if keep == "until-expiry":
            return
        since_s, since_ms = self.isolated_since
        if now.monotonic_s - since_s >= (GONE_AFTER_S if keep == "drop" else keep):
            self.cache.stop_answering(since_ms)

    def notice_pause(self, now: Now) -> None:
        """Draw a new epoch when this process has stood still: it may have been copied meanwhile."""
        if now.boot_ms <= self._pause_after_ms:
            return
        self.cache.shown.slept(self._now, now)
        self._now = now
        self.pauses += 1
        self.cache.new_epoch(self._dice.getrandbits(64))
        self._punctuality.late((now.boot_ms - self._pause_after_ms) / 1000 + PAUSE_S, now)
        self._wake(now)

    def _wake(self, now: Now) -> None:
        """This process runs; if it has not run again a second after its deadline, it stood still."""
        sleep_s = min(max(0.0, self.deadline - now.monotonic_s), UPKEEP_S) if self._started else math.inf
        self._pause_after_ms = 1 << 62 if sleep_s == math.inf else now.boot_ms + int((sleep_s + PAUSE_S) * 1000)

    # -- wishes ----------------------------------------------------------------------------------------------------

    def _reconfigure(self, settings: Settings, now: Now) -> Commands:
        """Take over other settings. The link is made anew: it was proven with what may be dropped now."""
        assert (settings.site, settings.id) == (self.settings.site, self.settings.id), "identity needs a restart"
        out = [] if self.conversation is None else self._leave(Code.SUPERSEDED, "reading the file again", now)
        self.settings = settings
        self.cache.reconfigure(settings)
        self._failover = Failover(settings.agents, settings.site)
        self._failover.start(now.monotonic_s)
        self._refusals.clear()
        self.last_refusal = ""
        return out + self._due(now)

    def _resync(self, now: Now) -> Commands:
        self._accept_any_time = True
        self._refusals.clear()
        self.last_refusal = ""
        if self.conversation is not None:
            return self._sends(self.conversation.resync(now))
        if self._failover.due_s is not None:
            self._failover.due_s = now.monotonic_s
        return self._due(now)

    def _stop(self) -> Commands:
        self._stopped = True
        talk, self.conversation = self.conversation, None
        self.isolated = True
        if talk is None:
            return []
        talk.abandon()
        return [commands.Close(talk.link, Code.STOPPING, "leaving")]

    def _sends(self, messages: list[Message]) -> Commands:
        if self.conversation is None:
            return []
        link = self.conversation.link
        return [commands.Send(link, message) for message in messages]

    # -- what the shell asks -----------------------------------------------------------------------------------------

    @property
    def synchronised(self) -> bool:
        """Whether the copy is full: it has been compared, or replayed, with the master that serves now."""
        return self.conversation is not None and self.conversation.complete

    @property
    def hurry(self) -> bool:
        """Whether what has just been put into the outbox should leave at once instead of at the end of the tick."""
        return self.conversation is not None and self.conversation.asked and not self.outbox.unacknowledged
