"""What follows from an agent's role: to serve, to follow, to yield, to leave.

Rules of this file:

- election.py decides on a role; here is what must then be done, in which order, and what is said to whom.
- A master that yields (DESIGN section 4, "Two masters") stops acknowledging, gives its partner everything, has a fence
  behind it acknowledged at level site, and only then demotes. Never demote before merging; never discard. A partner
  whose store is broken has the fence in memory only: that will do, since this agent keeps all it has.
- Whoever is unsure, yielding or stopping acknowledges nothing: what it takes in is sent again to the next master.
- A proxy is told "not master" only by a slave that has heard its master just now. While nothing is decided it is kept
  waiting, which is quicker than sending it away: to a host that is dead it would dial in vain for seconds.
"""

import attrs

from authagent.core import commands as do
from authagent.core import events as on
from authagent.core.commands import Command
from authagent.core.election import Election, Verdict
from authagent.core.handover import Handover
from authagent.core.peer import Peer, Peers
from authagent.core.pulse import Pulse
from authagent.core.replication import Replication
from authagent.core.resync import Resync
from authagent.core.service import Service
from authagent.core.settings import Dice, Settings
from authagent.core.sites import Sites
from authagent.core.timekeeping import Timekeeping
from protocol.errors import Code
from protocol.messages import Acknowledgement, Follow, Following, Heartbeat, Role
from protocol.stamp import Now
from protocol.table import Table

REFUSALS = {
    Code.CLOCK: "its clock and ours are too far apart",
    Code.DUPLICATE: "another process with this id is linked to it",
    Code.UNAUTHORIZED: "wrong secret",
    Code.UNKNOWN_SECRET: "it does not know our secret",
    Code.UNLISTED: "we are not listed in its file",
    Code.VERSION: "no protocol version in common",
    Code.WRONG_SITE: "it is of another site",
}
"""Reasons for which a partner will not have us: an answer, so it lives (DESIGN section 4, Start)."""

FENCE_STORED_S = 2.0
"""How long a yielding master, which acknowledges nothing, waits for its partner's store once its memory has all."""

HEARTBEATS_MISSED_MAX = 2.5
"""A master that has missed so many heartbeats may be dead, though nobody is suspected yet."""


@attrs.define
class Duty:
    """One agent's role, lived."""

    settings: Settings
    table: Table
    dice: Dice
    peers: Peers
    election: Election
    replication: Replication
    resync: Resync
    service: Service
    pulse: Pulse
    time: Timekeeping
    handover: Handover
    sites: Sites
    unsure_until_s: float | None = None
    left: bool = False  # Exit was said: nothing is done any more
    _woke_ms: int = 0
    _fence: int | None = None
    _fence_until_s: float | None = None  # the fence is in the partner's memory
    _alarmed: str = ""

    # -- time -----------------------------------------------------------------------------------------------------

    @property
    def deadline(self) -> float | None:
        """When to look again, in monotonic seconds."""
        due_s = (self.unsure_until_s, self.handover.deadline, self._fence_until_s)
        return min((each for each in due_s if each is not None), default=None)

    def now_ms(self, now: Now) -> int:
        """Cluster time."""
        return self.time.clock.now_ms(now)

    def keep_time(self, now: Now) -> int:
        """At each tick: the master's clock leads, a slave's follows; returns cluster time."""
        if self.election.role == Role.MASTER:
            self.time.lead(now)
        elif self.lead is not None:
            self.time.follow(self.lead, now)
        return self.now_ms(now)

    def slept(self, slept_s: float, now: Now) -> list[Command]:
        """The process stood still: the partner may serve by now, so ask before serving."""
        commands: list[Command] = [do.Log("agent.slept", "warning", {"seconds": round(slept_s, 1)})]
        if self.settings.partner is None or self.election.role == Role.STARTING:
            return commands
        self.unsure_until_s = now.monotonic_s + self.settings.unsure_after_s
        self.pulse.unsure = True  # before an offer is taken back, which is said to everybody
        self._woke_ms = now.boot_ms
        commands += self.handover.give_up("this process stood still, and is not sure who serves", now)
        if self.peers.partner is None and not self.election.dialling:
            self.election.deadline = now.monotonic_s
        return commands + self.pulse.beat(now)

    def passed(self, now: Now) -> list[Command]:
        """Deadlines that are here."""
        commands: list[Command] = []
        if self.unsure_until_s is not None and now.monotonic_s >= self.unsure_until_s:
            commands += self._sure(now)
        if self.handover.may_leave(now):
            return commands + self._leave()
        commands += self.handover.passed(now)
        if self._fence_until_s is not None and now.monotonic_s >= self._fence_until_s and self.lead is not None:
            commands += self._demote(self.lead, now)
        return commands + self._act(self.election.passed(now.monotonic_s), now)

    # -- links ----------------------------------------------------------------------------------------------------

    @property
    def lead(self) -> Peer | None:
        """The agent that this one follows."""
        return self.peers.get(self.replication.lead)

    def _has_master(self, now: Now) -> bool:
        """Whether this agent is slave of a master that it has heard just now."""
        lead = self.lead
        if self.election.role != Role.SLAVE or lead is None:
            return False
        return now.monotonic_s - lead.heard_s <= HEARTBEATS_MISSED_MAX * self.settings.heartbeat_interval_s

    def start(self, event: on.Started, now: Now) -> list[Command]:
        """The table is loaded."""
        self.time.kept_ms = event.offset_ms
        return self._act(self.election.started(event.term, now.monotonic_s), now)

    def opened(self, peer: Peer, now: Now) -> list[Command]:
        """A link was let in."""
        log = do.Log("link.opened", "info", {"peer": peer.name, "address": peer.address, "version": peer.software})
        commands: list[Command] = [log]
        if not peer.configuration_equal:
            commands.append(do.Log("peer.configuration", "warning", {"peer": peer.name, "text": "another file"}))
        if peer.is_partner:
            self.election.partner_linked()
            self.service.reports = 0
        elif self._has_master(now):
            return [*commands, *self._redirect(peer)]
        if peer.is_remote:
            commands += self.sites.opened(peer, now)
        return [*commands, self.pulse.greet(peer, now)]

    def dismiss(self, peer: Peer) -> None:
        """A link counts no more."""
        self.peers.leave(peer)
        if peer.is_partner:
            self._forget_fence()
        self.resync.close(peer.link)
        self.replication.leave(peer.link)
        self.sites.dismiss(peer)
        if self.replication.lead == peer.link:
            self.replication.unfollow()

    def _forget_fence(self) -> None:
        self.election.yielding, self._fence, self._fence_until_s = False, None, None

    def lost(self, peer: Peer, code: Code | None, text: str, proven_dead: bool, now: Now) -> list[Command]:
        """A link that was let in is gone."""
        self.dismiss(peer)
        keys = {"peer": peer.name, "code": "" if code is None else code.name.lower(), "reason": text}
        commands: list[Command] = [do.Log("link.lost", "info", keys)]
        if peer.is_remote:
            return commands + self.sites.lost(peer, code, text, now)
        if not peer.is_partner:
            return commands
        if code in REFUSALS:
            return commands + self._refused(REFUSALS[code], text, now)
        farewell = code == Code.STOPPING
        verdict = self.election.partner_lost(now.monotonic_s, proven_dead=proven_dead, farewell=farewell)
        return commands + self._act(verdict, now)

    def dial_failed(self, event: on.DialFailed, now: Now) -> list[Command]:
        """The partner could not be reached, or would not have us."""
        if event.refused in REFUSALS and self.peers.partner is None:
            return self._refused(REFUSALS[event.refused], event.text, now)
        return self._act(self.election.dial_failed(now.monotonic_s, refused="", proven_dead=event.proven_dead), now)

    def _refused(self, reason: str, text: str, now: Now) -> list[Command]:
        commands: list[Command] = []
        if self._alarmed != reason:
            self._alarmed = reason
            keys = {"partner": self.settings.partner_name, "reason": reason, "text": text}
            commands.append(do.Log("partner.refuses", "alarm", keys))
        return commands + self._act(self.election.partner_refused(reason, now.monotonic_s), now)

    # -- heartbeats -----------------------------------------------------------------------------------------------

    def heartbeat(self, peer: Peer, message: Heartbeat, now: Now) -> list[Command]:
        """A peer's word."""
        peer.heard(message, now)
        if not peer.is_partner:
            self.pulse.judge_follower(peer, message, now)
            return self.time.heard(peer, message, now)
        if abs(peer.wall_offset_ms) > self.settings.max_clock_offset_ms:
            return self._clock(peer, now)
        if message.unsure and message.role == Role.STARTING:
            return []  # we wait at its door: its word says nothing of its role (Pulse.undecided)
        self._alarmed = ""
        commands: list[Command] = []
        if message.term > self.election.term_seen:
            commands.append(do.PersistTerm(message.term))
        if self.unsure_until_s is not None and (message.echo_ms or 0) >= self._woke_ms:
            commands += self._sure(now)
        commands += self._act(self.election.partner_heard(Role(message.role), message.term), now)
        if self.election.role == Role.MASTER != message.role and peer.link == self.replication.lead:
            self.replication.unfollow()  # the split is over: the partner has yielded
            self._forget_fence()
        if peer.link == self.replication.lead:
            self.replication.heard(message.log_id, message.sequence)
            commands += self.pulse.judge_lead(peer, message, now)
            if self.election.role == Role.SLAVE:
                commands += self._redirect_all()  # whoever waited to learn whether this master lives
        elif self.election.role == Role.MASTER == message.role:
            commands.append(do.Send((peer.link,), Follow(*self.replication.attach(peer.link))))
        elif peer.link in self.replication.followers:
            self.pulse.judge_follower(peer, message, now)
        return commands

    def _clock(self, peer: Peer, now: Now) -> list[Command]:
        """Wall clocks too far apart: who serves refuses; of two that do not, the lower id."""
        serves = peer.role == Role.MASTER
        ours_refuses = self.election.role == Role.MASTER or (not serves and self.election.lower)
        if not ours_refuses:
            return []
        apart_s = peer.wall_offset_ms / 1000
        text = f"the clocks of {peer.name} and authagent-{self.settings.id} are {abs(apart_s):.1f} s apart"
        commands: list[Command] = [do.Close(peer.link, Code.CLOCK, f"{text}: set them by NTP")]
        if self._alarmed != "clock":
            self._alarmed = "clock"
            commands.append(do.Log("partner.clock", "alarm", {"partner": peer.id, "ahead_s": round(apart_s, 1)}))
        self.dismiss(peer)
        verdict = self.election.partner_lost(now.monotonic_s, proven_dead=not serves, farewell=False)
        commands += self._act(verdict, now)
        return commands + (self._promote(now) if self.election.role != Role.MASTER else [])

    # -- following ------------------------------------------------------------------------------------------------

    def follow(self, peer: Peer, message: Follow, now: Now) -> list[Command]:
        """A follower asks for what comes after its cursor."""
        if self.election.role != Role.MASTER:
            return self._redirect(peer) if self.election.role == Role.SLAVE and not peer.is_partner else []
        if self.unsure_until_s is not None and not peer.is_partner:
            self.dismiss(peer)
            return [do.Close(peer.link, Code.BUSY, "not sure yet who serves: try again")]
        if peer.is_remote:
            return self.sites.follow(peer, message, now)
        self.time.followed(peer)
        log = self.replication.log
        commands = [*self.time.persist(now), *self.replication.flush()]
        replay = log.holds(message.log_id, message.sequence)
        sequence = message.sequence if replay else log.sequence
        commands.append(do.Send((peer.link,), Following(log.log_id, sequence, replay)))
        if replay:
            commands += self.replication.replay(peer.link, sequence)
        self.replication.follow(peer.link)
        return commands

    def following(self, peer: Peer, message: Following, now: Now) -> list[Command]:
        """The lead tells where its updates begin; tables are compared in any case (DESIGN section 4, Return)."""
        if peer.link != self.replication.lead:
            return []
        self.replication.begin(message.log_id, message.sequence)
        if self.election.role == Role.MASTER and not self.election.loses:
            return []
        return self.resync.open(peer, self.now_ms(now))

    def compared(self, peer: Peer, now: Now) -> list[Command]:
        """A comparison is over."""
        if peer.link != self.replication.lead:
            return []
        self.replication.completed()
        if self.election.role != Role.MASTER or not self.election.loses or self._fence is not None:
            return []
        self.election.yielding = True
        flushed = self.replication.flush()
        fence, self._fence = self.service.fence(peer.link)
        return [*flushed, do.Log("split.yields", "warning", {"partner": peer.id, "term": self.election.term}), *fence]

    def acknowledged(self, peer: Peer, message: Acknowledgement, now: Now) -> list[Command]:
        """The lead has what this agent reported."""
        if peer.link != self.replication.lead or self._fence is None or message.master < self._fence:
            return []
        if message.site >= self._fence:
            return self._demote(peer, now)
        self._fence_until_s = now.monotonic_s + FENCE_STORED_S
        return []

    # -- roles ----------------------------------------------------------------------------------------------------

    def _act(self, verdict: Verdict, now: Now) -> list[Command]:
        match verdict:
            case Verdict.DIAL:
                return [do.Dial(self.election.dial_timeout_s)]
            case Verdict.PROMOTE:
                return self._promote(now)
            case Verdict.FOLLOW if (partner := self.peers.partner) is not None:
                return [] if self.replication.lead == partner.link else self._follow(partner, now)
            case Verdict.YIELD if self.election.yielding is False and (partner := self.peers.partner) is not None:
                if partner.link != self.replication.lead or self._fence is not None:
                    return []
                return [] if self.resync.comparing(partner.link) else self._yield(partner, now)
        return []

    def _yield(self, partner: Peer, now: Now) -> list[Command]:
        """Of two masters this one will demote: compare first, unless that is done."""
        if self.replication.complete is None:
            return []
        return self.compared(partner, now)

    def _promote(self, now: Now) -> list[Command]:
        """Serve: a new term, kept on disk, and a new log."""
        if self.handover.stopping_until_s is not None:
            return []
        self.election.promoted(now.monotonic_s)
        self.replication.lead_off(self.dice.getrandbits(63) | 1)
        taken = self.time.promoted(self.peers, now)
        self.sites.promoted(now)
        term = self.election.term
        return [
            do.PersistTerm(term),
            do.Log("role.master", "info", {"term": term, "partner": self.election.partner.value}),
            *taken,
            do.AnnounceRole(Role.MASTER, term),
            *self.pulse.beat(now),
        ]

    def _follow(self, partner: Peer, now: Now) -> list[Command]:
        """Become slave of the partner, which serves."""
        resigned = self._resign(partner, now, {"after": "switch"} if self.election.offering else {})
        cursor = self.replication.attach(partner.link)
        return [
            *resigned,
            *self.handover.done(),
            *self._redirect_all(),
            do.Send((partner.link,), Follow(*cursor)),
            *self.pulse.beat(now),
        ]

    def _demote(self, partner: Peer, now: Now) -> list[Command]:
        """Everything is given and acknowledged: be the slave of the other master. The stream from it goes on."""
        self._forget_fence()
        return [*self._resign(partner, now, {"after": "split"}), *self._redirect_all(), *self.pulse.beat(now)]

    def _resign(self, partner: Peer, now: Now, after: dict[str, str]) -> list[Command]:
        """Whatever there was of a mastership is over."""
        self.election.following(now.monotonic_s)
        self.replication.resign()
        self.sites.resigned()
        self.time.resigned(partner, now)
        partner.stored = None
        keys = {"master": partner.id, "term": self.election.term, **after}
        return [do.Log("role.slave", "info", keys), do.AnnounceRole(Role.SLAVE, self.election.term)]

    def _redirect_all(self) -> list[Command]:
        return [command for peer in self.peers if not peer.is_partner for command in self._redirect(peer)]

    def _redirect(self, peer: Peer) -> list[Command]:
        """Send a proxy to the master."""
        self.dismiss(peer)
        master = self.settings.partner_name
        return [do.Close(peer.link, Code.NOT_MASTER, f"authagent-{master} is master", master)]

    def _sure(self, now: Now) -> list[Command]:
        self.unsure_until_s = None
        self.pulse.unsure = False
        return self.pulse.beat(now)

    # -- leaving --------------------------------------------------------------------------------------------------

    @property
    def may_acknowledge(self) -> bool:
        """Whether what is said now will still be true: not while unsure, yielding or leaving."""
        if self.unsure_until_s is not None or self.election.yielding or self.handover.holds_back:
            return False
        return self.election.role == Role.MASTER

    def _leave(self) -> list[Command]:
        """Say farewell to the slave first, so that it serves when the proxies come."""
        self.left = True
        partner = self.peers.partner
        commands: list[Command] = []
        if partner is not None:
            commands.append(do.Close(partner.link, Code.STOPPING, "stopping"))
        code, master = (Code.STOPPING, "") if partner is None else (Code.NOT_MASTER, self.settings.partner_name)
        for peer in self.peers:
            if peer is not partner:
                commands.append(do.Close(peer.link, code, "stopping", master))
            self.dismiss(peer)
        return [*commands, do.PersistClock(None), do.Exit()]  # an operator may have stopped it to set the clocks
