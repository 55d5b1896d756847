"""The mind of a ProxyAgent: whom it is linked to, what must leave, and when it wants to be woken.

Rules of this file:

- One door: whatever happens outside enters through `step(event, now)` and leaves as commands. What the host program
  does needs its answer at once and goes through `service`; that something must leave because of it is the event
  Changed.
- It routes and orders. What is said on a link decides Conversation, whom to dial decides Failover, what a login
  means decides Cache.
- `deadline` is monotonic seconds; the caller steps DeadlinePassed when it is there, and may do so at any time.
- While another site serves, a link with an agent of the own site is only listened to (`scout`). Once that agent has
  served for return_after_s, or the other site is lost, it becomes the conversation.

Theory. A proxy is never without an answer: the copy answers, whatever the links do. "Isolated" only says that
nobody else hears of what happens here, and after keep_sessions it makes look-ups stop.
"""

import math
from collections.abc import Iterator
from typing import assert_never

from protocol import codec
from protocol.errors import Code, RemoteProtocolError
from protocol.liveness import Punctuality
from protocol.messages import Farewell, Message
from protocol.stamp import Now
from protocol.table import Merged
from proxyagent.core import commands, events, telling
from proxyagent.core.cache import Cache
from proxyagent.core.conversation import Conversation
from proxyagent.core.endings import Endings
from proxyagent.core.failover import Failover
from proxyagent.core.outbox import Outbox
from proxyagent.core.progress import Progress
from proxyagent.core.service import Service
from proxyagent.core.settings import Dice, Settings
from proxyagent.core.telling import Commands
from proxyagent.core.timekeeping import Refused

UPKEEP_S = 1.0
SWEEP_PAGES = 16
"""Pages swept at each upkeep, about 4,000 sessions and 2 ms: a million sessions are seen through in 4 minutes."""

ORDINARY = (Code.NOT_MASTER, Code.STOPPING, Code.SILENT, Code.BUSY)
"""Ends of a link that tell the operator nothing."""

PAUSE_S = 1.0
"""Standing still for longer draws a new epoch (DESIGN section 2, login id)."""


class Client:
    """One ProxyAgent, without its sockets. Everything on it is called from one thread at a time.

    `deadline` is when to step DeadlinePassed, in monotonic seconds, as of the last step; infinity before Started and
    after StopAsked.
    """

    def __init__(self, settings: Settings, dice: Dice, now: Now) -> None:
        self.settings = settings
        self.outbox = Outbox(codec.encode_payloads, settings.outbox_events_max)
        self.cache = Cache(settings, self.outbox, dice.getrandbits(64))
        self.endings = Endings(self.cache)
        self.service = Service(self.cache, self.outbox, self.endings, dice)
        self.conversation: Conversation | None = None
        self.scout: Conversation | None = None
        self.isolated = True
        self.last_refusal = ""
        self.agents_found = self.pauses = self.resynced = 0
        self._now = now
        self._dice = dice
        self.progress = Progress()
        self._punctuality = Punctuality()
        self._failover = Failover(settings.agents, settings.site, settings.away_after_s)
        self._refusals: dict[int, str] = {}
        self._farewells: dict[int, Farewell] = {}
        self._away_since_s: float | None = None
        self.isolated_since: tuple[float, int] = (now.monotonic_s, 0)
        self._upkeep_due_s = now.monotonic_s
        self._accept_any_time = False
        self._pause_after_ms = 0
        self._started = self._stopped = False
        self._wake(now)

    # -- the door --------------------------------------------------------------------------------------------------

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
                talk = self.conversation
                return [] if talk is None else _sends(talk, talk.reports())
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

    def _talks(self) -> Iterator[Conversation]:
        return (talk for talk in (self.conversation, self.scout) if talk is not None)

    def _talk(self, link: int) -> Conversation | None:
        return next((talk for talk in self._talks() if talk.link == link), None)

    def _opened(self, event: events.LinkOpened, now: Now) -> Commands:
        if self._stopped:
            return [commands.Close(event.link, Code.STOPPING, "leaving")]
        self._failover.opened(event.agent)
        talk = Conversation(
            event.link, event.agent, event.address, self.cache, self.progress, self._punctuality, self._merged, now,
            self._accept_any_time,
        )  # fmt: skip
        if self.conversation is None:
            self.conversation = talk
        else:
            assert self.scout is None and not self.settings.is_own_site(self.conversation.name), "only homeward"
            self.scout, talk.waits = talk, True
        return _sends(talk, talk.due(now))

    def _dial_failed(self, event: events.DialFailed, now: Now) -> Commands:
        name = self.settings.agents[event.agent]
        self._failover.dial_ended()
        if event.refused is not None:
            self._failover.answered(event.agent)
        if event.refused == Code.NOT_MASTER:
            self._failover.redirected(event.agent, name.site, event.elsewhere, now.monotonic_s, self._dice.random())
            return []
        self._failover.failed(now.monotonic_s, self._dice.random())
        return [] if event.refused is None else self._refused(event.agent, event.text)

    def _refused(self, agent: int, text: str) -> Commands:
        """Tell of a refusal, once as long as it is the same."""
        self.last_refusal = text
        if self._refusals.get(agent) == text:
            return []
        self._refusals[agent] = text
        return telling.refused(self.settings.agents[agent], text)

    def _closed(self, event: events.LinkClosed, now: Now) -> Commands:
        talk = self._talk(event.link)
        if talk is None:
            return []
        farewell = self._farewells.get(event.link)
        elsewhere = event.elsewhere or (farewell.elsewhere if farewell is not None else "")
        code = event.code if farewell is None else farewell.code
        served = talk.following
        out = self._lost(talk, event.text, now)
        if code == Code.NOT_MASTER and not self._succeeded:
            self._failover.redirected(talk.agent, talk.name.site, elsewhere, now.monotonic_s, self._dice.random())
        else:
            self._look_for_another(served, now)
        if code is not None and code not in ORDINARY and not served:
            out += self._refused(talk.agent, event.text)
        return out + self._due(now)

    def _leave(self, talk: Conversation, code: Code, text: str, now: Now) -> Commands:
        """Close a link from this side."""
        return [commands.Close(talk.link, code, text), *self._lost(talk, text, now)]

    def _lost(self, talk: Conversation, text: str, now: Now) -> Commands:
        """A conversation is over, whoever ended it."""
        self._farewells.pop(talk.link, None)
        if talk is self.scout:
            self.scout = None
            return []
        self.conversation, self.scout = self.scout, None
        if self.conversation is not None:
            self.conversation.step_in(now)
        talk.abandon()
        if not talk.following:
            return []
        self.isolated = True
        self.isolated_since = now.monotonic_s, self.cache.clock.now_ms(now)
        return telling.lost(talk.name, text)

    def _give_up(self, talk: Conversation, code: Code, text: str, now: Now) -> Commands:
        """Close a link from this side, and look for another agent."""
        served = talk.following
        out = self._leave(talk, code, text, now)
        self._look_for_another(served, now)
        return out + self._due(now)

    @property
    def _succeeded(self) -> bool:
        """Whether the scout has just taken the place of the link that served."""
        return self.conversation is not None and not self.conversation.following

    def _look_for_another(self, served: bool, now: Now) -> None:
        """A link is gone that has `served`, or has not: dial, unless the scout has taken its place."""
        if self._succeeded:
            self._failover.stepped_in(now.monotonic_s)
        elif served:
            self._failover.start(now.monotonic_s)
        else:
            self._failover.failed(now.monotonic_s, self._dice.random())

    # -- messages --------------------------------------------------------------------------------------------------

    def _received(self, event: events.MessagesReceived, now: Now) -> Commands:
        talk = self._talk(event.link)
        if talk is None:
            return []
        talk.liveness.heard(now)
        was_following = talk.following
        out: Commands = []
        answers: list[Message] = []
        try:
            for message in event.messages:
                if isinstance(message, Farewell):
                    self._farewells[event.link] = message
                else:
                    answers += talk.receive(message, now)
            if talk is self.scout and talk.served_s(now) >= self.settings.return_after_s:
                out += self._go_home(now)
                answers += talk.go_on(now)
        except RemoteProtocolError as error:
            return out + _sends(talk, answers) + self._give_up(talk, error.code, str(error), now)
        except Refused as error:
            return out + self._give_up(talk, Code.CLOCK, str(error), now) + self._refused(talk.agent, str(error))
        out += _sends(talk, answers)
        if talk.following and not was_following:
            out += self._found(talk, now)
        out += self._tell_compared(talk)
        if talk.comparing:
            out.append(commands.AwaitRoom(talk.link))
        out.append(commands.WakeWaiters())
        return out

    def _go_home(self, now: Now) -> Commands:
        """The scout has seen an agent of the own site serve for long enough: it serves this proxy from now on."""
        assert self.conversation is not None, "another site serves"
        out = self._leave(self.conversation, Code.SUPERSEDED, "an agent of the own site serves again", now)
        self._failover.stepped_in(now.monotonic_s)
        return out

    def _found(self, talk: Conversation, now: Now) -> Commands:
        self.isolated = False
        self.last_refusal = ""
        self.agents_found += 1
        self._refusals.clear()
        self._accept_any_time = False
        self.cache.answer_again()
        self._failover.served(talk.agent, now.monotonic_s, self._dice.random())
        since_s = self._away_since_s
        away = not self.settings.is_own_site(talk.name)
        self._away_since_s = (now.monotonic_s if since_s is None else since_s) if away else None
        return telling.found(talk, self.settings.site, None if since_s is None else now.monotonic_s - since_s)

    def _tell_compared(self, talk: Conversation) -> Commands:
        self.resynced += len(talk.compared)
        out = [command for done in talk.compared for command in telling.compared(talk.name, done)]
        talk.compared.clear()
        return out

    def _drained(self, link: int, now: Now) -> Commands:
        talk = self._talk(link)
        if talk is None:
            return []
        out = _sends(talk, talk.more(now))
        if out:
            out.append(commands.AwaitRoom(link))
        return out + self._tell_compared(talk)

    def _merged(self, merged: Merged) -> None:
        if merged.opened or merged.closed:
            self.endings.merged(merged, self._now)

    # -- time ------------------------------------------------------------------------------------------------------

    def _due(self, now: Now) -> Commands:
        """Everything whose time has come."""
        out: Commands = []
        for talk in self._talks():
            trouble = talk.trouble(now)
            if trouble is not None:
                return out + self._give_up(talk, *trouble, now)
            out += _sends(talk, talk.due(now))
        if now.monotonic_s >= self._upkeep_due_s:
            out += self._upkeep(now)
        dial_s = self._failover.due_s
        if dial_s is not None and now.monotonic_s >= dial_s and not self._stopped:
            agent = self._failover.choose(now.monotonic_s)
            timeout_s = self._failover.try_s(agent, now.monotonic_s, self.settings.connect_timeout_s)
            out.append(commands.Dial(agent, timeout_s))
        return out

    def _upkeep(self, now: Now) -> Commands:
        self._upkeep_due_s = now.monotonic_s + UPKEEP_S
        now_ms = self.cache.clock.now_ms(now)
        self.cache.shown.look_after(now, now_ms)
        self.endings.look_after(now)
        self.cache.table.sweep(now_ms, SWEEP_PAGES)
        if self.isolated:
            self.cache.keep_sessions(*self.isolated_since, now)
        talk = self.conversation
        if talk is None:
            self.cache.shown.questions.clear()
            return []
        return _sends(talk, talk.questions() + talk.reports())

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
        due_s = [self._upkeep_due_s, self._failover.due_s, *[talk.deadline for talk in self._talks()]]
        resting = not self._started or self._stopped
        self.deadline = math.inf if resting else min([each for each in due_s if each is not None])
        sleep_s = min(max(0.0, self.deadline - now.monotonic_s), UPKEEP_S) if self._started else math.inf
        self._pause_after_ms = 1 << 62 if sleep_s == math.inf else now.boot_ms + int((sleep_s + PAUSE_S) * 1000)

    # -- wishes ----------------------------------------------------------------------------------------------------

    def _reconfigure(self, settings: Settings, now: Now) -> Commands:
        """Take over other settings. The link is made anew: it was proven with what may be dropped now."""
        assert (settings.site, settings.id) == (self.settings.site, self.settings.id), "identity needs a restart"
        out: Commands = []
        for talk in (self.scout, self.conversation):  # the scout first, which would take the other's place
            out += [] if talk is None else self._leave(talk, Code.SUPERSEDED, "reading the file again", now)
        self.settings = settings
        self.cache.reconfigure(settings)
        self._failover = Failover(settings.agents, settings.site, settings.away_after_s)
        self._failover.start(now.monotonic_s)
        self._refusals.clear()
        self.last_refusal = ""
        return out + self._due(now)

    def _resync(self, now: Now) -> Commands:
        self._accept_any_time = True
        self._refusals.clear()
        self.last_refusal = ""
        if self.conversation is not None:
            return _sends(self.conversation, self.conversation.resync(now))
        if self._failover.due_s is not None:
            self._failover.due_s = now.monotonic_s
        return self._due(now)

    def _stop(self) -> Commands:
        self._stopped = True
        self.isolated = True
        out: Commands = [commands.Close(talk.link, Code.STOPPING, "leaving") for talk in self._talks()]
        if self.conversation is not None:
            self.conversation.abandon()
        self.conversation = self.scout = None
        return out

    # -- what the shell asks -----------------------------------------------------------------------------------------

    @property
    def synchronised(self) -> bool:
        """Whether the copy is full: it has been compared, or replayed, with the master that serves now."""
        return self.conversation is not None and self.conversation.complete

    @property
    def hurry(self) -> bool:
        """Whether what has just been put into the outbox should leave at once instead of at the end of the tick."""
        return self.conversation is not None and self.conversation.asked and not self.outbox.unacknowledged


def _sends(talk: Conversation, messages: list[Message]) -> Commands:
    return [commands.Send(talk.link, message) for message in messages]
