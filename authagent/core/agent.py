"""The one door of the agent: `step(event, now) -> list[Command]`, and the deadline at which it wants to be woken.

Rules of this file:

- It routes and orders; it decides nothing. Who serves is election.py's, what goes where replication.py's, when tables
  are compared resync.py's, which links count doorway.py's.
- The order of performing is persist, send, tell.
- Ping and Farewell never come here: the connection answers the one, and the other is how a link closes.
- A bad peer costs its link: RemoteProtocolError is caught for one peer at a time. Any other exception is a broken
  invariant and must end the process.
- After a pause of more than a second the agent is unsure: it goes on listening, and says nothing as a master
  (no acknowledgement, no Following) until its partner has spoken or a second has passed.

Source: DESIGN section 4.
"""

import math

from authagent.core import commands as do
from authagent.core import events as on
from authagent.core.commands import Command
from authagent.core.doorway import Doorway
from authagent.core.duty import Duty
from authagent.core.election import Election
from authagent.core.events import Event
from authagent.core.handover import Handover
from authagent.core.outgoing import Outgoing
from authagent.core.peer import Peer, Peers, open_peer
from authagent.core.pulse import Pulse
from authagent.core.redemptions import Redemptions
from authagent.core.replication import Replication
from authagent.core.resync import ComparisonMessage, Resync
from authagent.core.service import Service
from authagent.core.settings import Dice, Settings
from authagent.core.sites import Sites
from authagent.core.timekeeping import Timekeeping
from protocol import acts, codec
from protocol.errors import Code, RemoteProtocolError
from protocol.liveness import Punctuality
from protocol.messages import (
    Acknowledgement,
    AdminAnswer,
    AdminRequest,
    Bulk,
    Compare,
    Compared,
    Creation,
    Crossing,
    Error,
    Follow,
    Following,
    Heartbeat,
    IdleAnswer,
    IdleQuestion,
    Message,
    Nodes,
    Pages,
    Pong,
    Redemption,
    Report,
    Revocation,
    Role,
    SnapshotWait,
    Stored,
    Update,
    Verdict,
    Want,
)
from protocol.stamp import ClusterClock, Now
from protocol.table import Table

SWEEP_PAGES = 16
"""Pages looked at closely at each tick: 3 ms at most, and a million quiet sessions are gone through in 3 s."""


class Agent:
    """One AuthAgent, without its sockets, files, clocks and dice.

    The caller restores what the store holds into `table`, then steps Started; performs the commands of each step in
    order before the next step; and steps DeadlinePassed when `deadline` (monotonic seconds, as of the last step) has
    come. It is None before Started and infinity after Exit.
    """

    def __init__(self, settings: Settings, table: Table, dice: Dice, secret_id: bytes) -> None:
        self.settings = settings
        self.table = table
        self.punctuality = Punctuality()
        self.peers = Peers()
        self.election = Election(settings, dice)
        self.replication = Replication(table, Outgoing(settings.site))
        filters = {remote.name: remote.filter for remote in settings.remotes if remote.filter}
        self.resync = Resync(table, secret_id, filters)
        self.service = Service(settings, table, self.peers, self.replication)
        clock = ClusterClock()
        self.pulse = Pulse(settings, table, self.peers, self.election, self.replication, self.resync, clock)
        handover = Handover(settings, self.peers, self.election, self.replication, self.service, self.pulse)
        self.sites = Sites(
            settings, table, dice, self.peers, self.election, self.replication, self.resync, self.pulse, clock
        )
        self.duty = Duty(
            settings, table, dice, self.peers, self.election, self.replication, self.resync, self.service,
            self.pulse, Timekeeping(settings, clock), handover, self.sites,
        )  # fmt: skip
        self.redemptions = Redemptions(
            settings, table, self.peers, self.election, self.replication, self.resync, self.service
        )
        self._doorway = Doorway(settings)
        self._tick_s: float | None = None
        self.deadline: float | None = None

    def step(self, event: Event, now: Now) -> list[Command]:
        """Take in one event and return what is to be done, in order. Never blocks."""
        if self.duty.left:
            return [do.Close(event.link, Code.STOPPING, "stopping")] if isinstance(event, on.LinkOpened) else []
        commands = self._wake(now)
        match event:
            case on.MessagesReceived():
                commands += self._receive(event, now)
            case on.Stored():
                self.replication.stored = event.position
            case on.DeadlinePassed():
                pass
            case on.LinkDrained():
                commands += self._more(event.link, now)
            case on.LinkOpened():
                commands += self._opened(event, now)
            case on.LinkClosed():
                commands += self._closed(event, now)
            case on.DialFailed():
                commands += self.duty.dial_failed(event, now)
            case on.NotReached():
                commands += self.sites.not_reached(event, now)
            case on.LogoutAsked() | on.ItemAsked() | on.AdminAsked() | on.SwitchAsked():
                commands += self._asked(event, now)
            case on.AdminDone():
                commands.append(do.Send((event.link,), AdminAnswer(event.request, event.body)))
            case on.StopAsked():
                commands += self.duty.handover.stop(now)
            case on.Started():
                self._tick_s = now.monotonic_s
                commands += self.duty.start(event, now)
            case _:
                raise AssertionError(f"an agent does not expect {event!r}")
        return commands + self._finish(now)

    def _asked(self, event: on.LogoutAsked | on.ItemAsked | on.AdminAsked | on.SwitchAsked, now: Now) -> list[Command]:
        """What an operator or a program of this machine wants."""
        match event:
            case on.LogoutAsked():
                role = Role.STARTING if self.duty.handover.holds_back else self.election.role  # the next master's
                return self.service.logout(event, role, self.duty.now_ms(now))
            case on.ItemAsked():
                return self._item(None, event.message, now)
            case on.AdminAsked():
                return self.service.ask_partner(event)
            case on.SwitchAsked():
                return self.duty.handover.switch(event.request, now, unsure=self.pulse.unsure)

    def rekey(self, digest_key: bytes, secret_id: bytes) -> None:
        """The oldest line of the secret file has changed: digests are keyed by another one from now on."""
        self.table.rekey(digest_key)
        self.resync.secret_id = secret_id
        for peer in self.peers:
            self.resync.close(peer.link)

    # -- around every event ---------------------------------------------------------------------------------------

    def _wake(self, now: Now) -> list[Command]:
        if self.deadline is None:
            return []
        slept_s = self.punctuality.woke(self.deadline, now)
        return self.duty.slept(slept_s, now) if slept_s else []

    def _finish(self, now: Now) -> list[Command]:
        """What follows from any event: deadlines that are here, then what waits to be relayed and acknowledged."""
        commands: list[Command] = []
        if self._tick_s is not None and now.monotonic_s >= self._tick_s:
            commands += self._tick(now)
        commands += self.duty.passed(now)
        commands += self.sites.passed(now)
        if self.redemptions.under_way:
            commands += self.redemptions.settle(now, self.duty.now_ms(now), decides=self.duty.may_acknowledge)
        if self.replication.due(now.monotonic_s):
            commands += self.replication.flush()
        if self.duty.may_acknowledge:
            commands += self.service.acknowledge()
        commands += self.service.answer_stored()
        self.deadline = self._next_s()
        return commands

    def _next_s(self) -> float | None:
        if self.duty.left:
            return math.inf
        due_s = (
            self._tick_s, self.election.deadline, self.replication.deadline, self.duty.deadline,
            self.redemptions.deadline, self.sites.deadline,
        )  # fmt: skip
        return None if self._tick_s is None else min([each for each in due_s if each is not None])

    def _tick(self, now: Now) -> list[Command]:
        """Every heartbeat interval: who is silent, what is old, and a word to everybody."""
        self._tick_s = now.monotonic_s + self.settings.heartbeat_interval_s
        now_ms = self.duty.keep_time(now)
        if self.duty.time.shared_ms(now) is not None:
            self.table.sweep(now_ms, SWEEP_PAGES)
        commands = self.duty.time.persist(now)
        for peer in self.peers:
            if peer.liveness.suspect(now):
                commands += self._close(peer, Code.SILENT, f"nothing heard from {peer.name}", now)
            elif peer.ping_deadline_s is not None and now.monotonic_s >= peer.ping_deadline_s:
                commands += self._close(peer, Code.SUPERSEDED, "another process took over after silence", now)
            elif self.resync.stalled(peer.link, now_ms):
                self.resync.close(peer.link)
            else:
                commands += self._more(peer.link, now)
        commands += self.replication.flush()
        return commands + self.pulse.tick(now) + self.sites.tick(now)

    # -- links ----------------------------------------------------------------------------------------------------

    def _opened(self, event: on.LinkOpened, now: Now) -> list[Command]:
        if event.dialled and event.site == self.settings.site:
            self.election.dialling = False
        elif event.dialled:
            self.sites.reached(event.site)
        if event.kind == "agent" and event.site not in (self.settings.site, *self.sites.known):
            text = f"site {event.site} was not in the file when this agent started: restart it"
            return [do.Close(event.link, Code.WRONG_SITE, text)]
        first = self.peers.named(event.kind, event.site, event.id)
        verdict, commands = self._doorway.knock(event, first, now)
        match verdict:
            case "enter":
                return commands + self._enter(event, now)
            case "replace":
                assert first is not None, "only a first link can be replaced"
                self.duty.dismiss(first)
                commands += self._doorway.answered(first)  # a process that dials is alive
                commands.append(do.Close(first.link, Code.SUPERSEDED, "a newer link of the same process"))
                return commands + self._enter(event, now)
            case "wait":
                return [*commands, do.Send((event.link,), self.pulse.undecided(now))]
        return commands

    def _enter(self, event: on.LinkOpened, now: Now) -> list[Command]:
        peer = open_peer(event, now, self.settings, self.punctuality)
        self.peers.enter(peer)
        return self.duty.opened(peer, now)

    def _closed(self, event: on.LinkClosed, now: Now) -> list[Command]:
        peer = self.peers.get(event.link)
        if peer is None:
            self._left(event.link)
            return []
        return self._gone(peer, event.code, event.text, event.proven_dead, now)

    def _left(self, link: int) -> None:
        """A link that was not let in is gone: if it waited for a first one to answer, nobody does any more."""
        waited = self._doorway.left(link)
        first = None if waited is None else self.peers.named(waited.kind, waited.site, waited.id)
        if first is not None and first.rival == link:
            first.rival = first.ping_deadline_s = None

    def _close(self, peer: Peer, code: Code, text: str, now: Now) -> list[Command]:
        return [do.Close(peer.link, code, text), *self._gone(peer, code, text, False, now)]

    def _gone(self, peer: Peer, code: Code | None, text: str, proven_dead: bool, now: Now) -> list[Command]:
        commands = self.duty.lost(peer, code, text, proven_dead, now)
        successor = self._doorway.take_place(peer)
        return commands + (self._enter(successor, now) if successor is not None else [])

    # -- messages -------------------------------------------------------------------------------------------------

    def _receive(self, event: on.MessagesReceived, now: Now) -> list[Command]:
        peer = self.peers.get(event.link)
        if peer is None:
            return []  # waits at the door, or has been closed
        peer.spoke(now)
        commands: list[Command] = []
        try:
            for message in event.messages:
                commands += self._message(peer, message, now)
                if peer.link not in self.peers:
                    break
        except RemoteProtocolError as error:
            commands.append(do.Log("link.refused", "warning", {"peer": peer.name, "reason": str(error)}))
            commands += self._close(peer, error.code, str(error), now)
        return commands

    def _message(self, peer: Peer, message: Message, now: Now) -> list[Command]:
        if peer.is_remote:
            return self._across(peer, message, now)
        match message:
            case Report():
                return self.service.report(peer, message, self.duty.time.judging_ms(peer, now))
            case Update() if peer.is_partner:
                return self.service.update(peer, message, self.duty.time.judging_ms(peer, now))
            case Heartbeat():
                return self.duty.heartbeat(peer, message, now)
            case Stored():
                self.service.stored(peer, message)
                return []
            case Follow():
                return self.duty.follow(peer, message, now)
            case Following():
                return self.duty.following(peer, message, now)
            case Compare() | Nodes() | Pages() | Want() | Compared() | SnapshotWait():
                return self._compare(peer, message, now)
            case Bulk():
                changes = codec.decode_changes(message.payload)
                self.resync.bulk(peer, message, len(changes))
                return self.service.take(peer, changes, message.payload, self.duty.time.judging_ms(peer, now), "Bulk")
            case Acknowledgement():
                return self.duty.acknowledged(peer, message, now)
            case IdleQuestion():
                payload = codec.encode_changes(acts.idle_answer(self.table, message))
                return [do.Send((peer.link,), IdleAnswer(message.question, payload))]
            case _:
                return self._further(peer, message, now)

    def _further(self, peer: Peer, message: Message, now: Now) -> list[Command]:
        """The rarer messages."""
        match message:
            case Pong():
                return self._doorway.answered(peer)
            case AdminRequest() if peer.is_partner:
                return [do.CarryOut(peer.link, message.request, message.body)]
            case Creation() | Redemption() | Revocation():
                return self._item(peer.link, message, now)
            case Verdict() if peer.is_partner:
                return self.redemptions.answered(message)
            case AdminAnswer() if peer.is_partner:
                return [do.Answer(message.request, message.body)]
            case Error():
                return [do.Log("peer.complains", "warning", {"peer": peer.name, "code": message.code})]
            case _:
                raise RemoteProtocolError(f"{type(message).__name__} is not for an agent to receive from {peer.kind}")

    def _across(self, peer: Peer, message: Message, now: Now) -> list[Command]:
        """What an agent of another site says."""
        match message:
            case Crossing():
                return self.sites.crossing(peer, message, now)
            case Heartbeat():
                peer.heard(message, now)
                return self.sites.heartbeat(peer, message, now)
            case Stored():
                self.sites.stored(peer, message)
                return []
            case Follow():
                return self.duty.follow(peer, message, now)
            case Following():
                return self.sites.following(peer, message, now)
            case Compare() | Nodes() | Pages() | Want() | Compared() | SnapshotWait():
                return self._compare(peer, message, now)
            case Bulk():
                return self.sites.bulk(peer, message, now)
            case Pong() | Error():
                return self._further(peer, message, now)
            case _:
                raise RemoteProtocolError(f"{type(message).__name__} is not for another site's agent to send")

    def _compare(self, peer: Peer, message: ComparisonMessage, now: Now) -> list[Command]:
        """A message of a comparison, with whomever."""
        commands, finished = self.resync.receive(peer, message, self.duty.now_ms(now))
        return commands + (self._compared(peer, now) if finished else [])

    def _compared(self, peer: Peer, now: Now) -> list[Command]:
        """A comparison is over."""
        log = do.Log("resync.finished", "info", {"peer": peer.name})
        return [log, *(self.sites if peer.is_remote else self.duty).compared(peer, now)]

    def _item(self, link: int | None, message: Creation | Redemption | Revocation, now: Now) -> list[Command]:
        decides = self.duty.may_acknowledge
        return self.redemptions.asked(link, message, now, self.duty.now_ms(now), decides=decides)

    def _more(self, link: int, now: Now) -> list[Command]:
        """The next of a comparison, when there is room."""
        peer = self.peers.get(link)
        if peer is None:
            return []
        commands, finished = self.resync.more(peer, self.duty.now_ms(now))
        return commands + (self._compared(peer, now) if finished else [])
