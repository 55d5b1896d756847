"""The other sites: one link with the master of each, what crosses it both ways, and whether tables are equal there too.

Rules of this file:

- Only masters speak across; a slave is silent to other sites, and sends whoever comes on to its master (duty.py).
- Both ends follow each other. A cursor that is still in the other's log is answered by Crossings; any other by a
  comparison of whole tables, which knows no horizon: so a site that lost everything learns all from whoever it reaches.
- What comes over is taken in as having arisen at its site, and leaves over no other link.
- What a comparison brought was missed by this site, so maybe by others too: it is followed by one with each of them.
- Digests are compared at each heartbeat. Under load on both sides there is no moment at which they are equal; so
  tables that differ are judged when nothing has changed since the last heartbeat. Still they are compared in the end:
  soon where the other master lacks a link that this one has, or the reverse; else after UNEQUAL_LOADED_S.
- One of the two begins that comparison: the one of the lesser site.
- With a filter both sides mean the same one, or do not speak; each compares what it lets pass (Resync.disclosed).
- Another site's mistakes (clock, secret, version, a site that our file does not list, another filter) cost its link
  and one alarm.

Source: DESIGN section 4, WAN and Resync.
"""

from collections.abc import Iterator

import attrs

from authagent.core import commands as do
from authagent.core import events as on
from authagent.core.border import Border, Traffic
from authagent.core.commands import Command
from authagent.core.departures import Departures
from authagent.core.election import Election
from authagent.core.peer import Peer, Peers
from authagent.core.pulse import Pulse
from authagent.core.reaching import Reaching
from authagent.core.replication import Replication
from authagent.core.resync import Resync
from authagent.core.settings import Dice, Settings
from protocol import codec, crossing
from protocol.changes import Changes
from protocol.digest import MINUTE_MS
from protocol.errors import Code, RemoteProtocolError
from protocol.filter import Filter
from protocol.messages import Bulk, Crossing, Follow, Following, Heartbeat, Role, Stored
from protocol.stamp import ClusterClock, Now
from protocol.table import Table

UNEQUAL_LOADED_S = 60.0
"""Tables that differ while both sides change are compared so seldom: what is on its way differs always."""

WELL_AFTER_S = 30.0
"""A link that has lasted so long is well: what kept the sites apart is over, and would be alarmed anew."""


@attrs.define
class Site:
    """What this agent knows of one other site, linked or not. Times are monotonic seconds."""

    reaching: Reaching
    traffic: Traffic = attrs.field(factory=Traffic)
    cursors: dict[str, tuple[int, int]] = attrs.field(factory=dict)  # by agent: (log id, sequence)
    lost_s: float | None = None  # since when nobody there is linked; None before the first time
    waited: int = 0  # changes not known to be there when the link was lost
    arisen: int = 0  # changes of our site until then
    refused: str = ""  # why it will not have us, or we it
    alarmed: Code | None = None  # of what kind that was, when it was alarmed last
    returned: tuple[float, int, int] | None = None  # (away for, events out and in) until tables are known to be equal

    @property
    def filter(self) -> Filter:
        """What crosses between it and this one."""
        return self.reaching.site.filter


@attrs.define
class Sites:
    """All other sites, at one agent."""

    settings: Settings
    table: Table
    dice: Dice
    peers: Peers
    election: Election
    replication: Replication
    resync: Resync
    pulse: Pulse
    clock: ClusterClock
    known: dict[str, Site] = attrs.field(init=False)
    borders: dict[int, Border] = attrs.field(factory=dict)
    departures: Departures = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.known = {remote.name: Site(Reaching(remote)) for remote in self.settings.remotes}
        self.departures = Departures(self.settings, self.table, self.replication)

    # -- time -----------------------------------------------------------------------------------------------------

    @property
    def deadline(self) -> float | None:
        """When to look again, in monotonic seconds."""
        due_s = [self.departures.deadline, *(site.reaching.due_s for site in self.known.values())]
        return min((each for each in due_s if each is not None), default=None)

    def passed(self, now: Now) -> list[Command]:
        """Whoever must be dialled now, and what has waited for long enough."""
        commands: list[Command] = []
        for site in self.known.values():
            due_s = site.reaching.due_s
            if due_s is not None and now.monotonic_s >= due_s:
                agent, timeout_s = site.reaching.choose(self.settings.wan_connect_timeout_s)
                commands.append(do.Reach(site.reaching.site.name, agent, timeout_s))
        if self.departures.due(now.monotonic_s):
            commands += self.departures.flush(self.borders.values(), now.monotonic_s)
        return commands

    def tick(self, now: Now) -> list[Command]:
        """The regular word to each other site, with all that waits before it.

        What has changed is judged by the filters at each tick, on a slave too: a million records at once, at its
        promotion, would take it seconds.
        """
        for found in self.resync.filters.values():
            self.table.selection(found).root(self.clock.now_ms(now) // MINUTE_MS)
        due = [border for border in self.borders.values() if now.monotonic_s >= border.beat_due_s]
        if not due:
            return []
        commands = self.departures.flush(self.borders.values(), now.monotonic_s)
        for border in due:
            border.beat_due_s = now.monotonic_s + self.settings.wan_heartbeat_interval_s
            stored = border.newly_stored(self.replication.stored)
            if stored is not None:
                commands.append(do.Send((border.peer.link,), Stored(border.log_id, stored)))
            commands.append(self.pulse.greet(border.peer, now))
        return commands

    # -- links ----------------------------------------------------------------------------------------------------

    def promoted(self, now: Now) -> None:
        """This agent serves: it speaks for its site."""
        for name, site in self.known.items():
            if not self._linked(name):
                site.reaching.start(now.monotonic_s)

    def resigned(self) -> None:
        """The other agent of this site serves: it speaks across. Its links are closed by duty.py."""
        for site in self.known.values():
            site.reaching.stop()

    def reached(self, site: str) -> None:
        """A Reach has become a link, whether it is let in or not."""
        if site in self.known:
            self.known[site].reaching.reached()

    def not_reached(self, event: on.NotReached, now: Now) -> list[Command]:
        """A Reach came to nothing."""
        site = self.known[event.site]
        site.reaching.failed(now.monotonic_s, self.dice.random(), refused=event.refused is not None)
        if self.election.role != Role.MASTER or self._linked(event.site):
            site.reaching.stop()
        if event.refused is None or event.refused in (Code.NOT_MASTER, Code.STOPPING, Code.BUSY):
            return []
        return self._alarm(site, event.agent, event.refused, event.text)

    def opened(self, peer: Peer, now: Now) -> list[Command]:
        """A link with an agent of another site was let in."""
        site = self.known[peer.site]
        site.reaching.stop()
        waited = self.queued(peer.site)
        border = Border(peer, site.traffic, site.filter, patience_s=self.settings.wan_unequal_after_s)
        self.borders[peer.link] = border
        away_s = 0.0 if site.lost_s is None else now.monotonic_s - site.lost_s
        if site.lost_s is not None:
            site.returned = (away_s, site.traffic.events_out, site.traffic.events_in)
        site.lost_s = None
        keys = {"site": peer.site, "peer": peer.name, "away_s": round(away_s, 1), "waited": waited}
        return [do.Log("site.linked", "info", keys)]

    def dismiss(self, peer: Peer) -> None:
        """A link counts no more."""
        border = self.borders.pop(peer.link, None)
        if border is None:
            return
        site = self.known[peer.site]
        if border.complete:
            site.cursors[peer.id] = (border.log_id, border.cursor)
        site.waited, site.arisen = border.queued, self.replication.outgoing.arisen
        if not any(each.follows for each in self.borders.values()):
            self.departures.close()

    def lost(self, peer: Peer, code: Code | None, text: str, now: Now) -> list[Command]:
        """A link that was let in is gone: dial again, if no other master of that site is linked."""
        if self._linked(peer.site):
            return []
        site = self.known[peer.site]
        site.lost_s = now.monotonic_s
        if self.election.role == Role.MASTER:
            if code == Code.NOT_MASTER:
                site.reaching.redirected(now.monotonic_s, self.dice.random())
            elif code in REFUSALS:
                site.reaching.failed(now.monotonic_s, self.dice.random(), refused=True)
                return self._alarm(site, peer.id, code, text)
            else:
                site.reaching.start(now.monotonic_s)
        keys = {
            "site": peer.site, "peer": peer.name, "reason": text, "waits": site.waited,
            "linked_s": round(now.monotonic_s - peer.opened_s, 1),
        }  # fmt: skip
        return [do.Log("site.lost", "warning", keys)]

    def _linked(self, name: str) -> bool:
        return any(border.peer.site == name for border in self.borders.values())

    def _alarm(self, site: Site, agent: str, code: Code, text: str) -> list[Command]:
        """Say once why another site and this one do not come together."""
        site.refused = text
        if site.alarmed == code:
            return []  # the text may differ: its other agent says the same, or it refuses us in its own words
        site.alarmed = code
        keys = {"site": site.reaching.site.name, "agent": agent, "reason": text}
        return [do.Log("site.refused", "alarm", keys)]

    # -- heartbeats -----------------------------------------------------------------------------------------------

    def heartbeat(self, peer: Peer, message: Heartbeat, now: Now) -> list[Command]:
        """The other side's word."""
        border, site = self.borders[peer.link], self.known[peer.site]
        if abs(peer.wall_offset_ms) > self.settings.max_clock_offset_ms:
            apart_s = abs(peer.wall_offset_ms) / 1000
            text = f"the clocks of {peer.name} and {self.settings.site} are more than the file allows apart"
            raise RemoteProtocolError(f"{text} ({apart_s:.0f} s): set them by NTP", Code.CLOCK)
        if message.role != Role.MASTER or self.election.role != Role.MASTER:
            return []
        if now.monotonic_s - peer.opened_s >= WELL_AFTER_S:
            site.refused, site.alarmed = "", None
        site.reaching.serves(peer.id)
        if not border.asked:
            border.asked = True
            return [do.Send((peer.link,), Follow(*site.cursors.get(peer.id, (0, 0)), site.filter.meaning))]
        if border.log_id and message.log_id == border.log_id:
            border.heard_up_to(message.sequence, self.replication.position)
        return self._judge(border, site, message, now)

    def _judge(self, border: Border, site: Site, message: Heartbeat, now: Now) -> list[Command]:
        """Whether the tables are equal; compare them if they have differed for too long."""
        peer = border.peer
        if not border.complete or self.resync.comparing(peer.link):
            again = not border.complete and border.log_id and not self.resync.comparing(peer.link)
            return self.resync.open(peer, self.clock.now_ms(now)) if again else []
        if not self.pulse.comparable(message, now):
            return []
        quiet, border.position = border.position == self.replication.position, self.replication.position
        if message.root == self.resync.disclosed(peer).root(message.cut_min):
            peer.compared(True, now)
            border.differs_since_s, border.patience_s = None, self.settings.wan_unequal_after_s
            return self._told_equal(site, peer, True)
        if quiet:
            peer.compared(False, now)
        if border.differs_since_s is None:
            border.differs_since_s = now.monotonic_s
        return self._compare_if_due(border, message, now, quiet=quiet)

    def _compare_if_due(self, border: Border, message: Heartbeat, now: Now, *, quiet: bool) -> list[Command]:
        since_s, peer = border.differs_since_s, border.peer
        assert since_s is not None, "they differ"
        ours = {each.peer.site for each in self.borders.values()} | {self.settings.site}
        lacking = ours ^ ({*message.sites, peer.site})
        patience_s = self.settings.wan_unequal_after_s if lacking else border.patience_s
        if not (quiet or lacking):
            patience_s = max(patience_s, UNEQUAL_LOADED_S)
        if now.monotonic_s - since_s < patience_s:
            return []
        border.patience_s = min(UNEQUAL_LOADED_S, 2 * border.patience_s)
        border.differs_since_s = now.monotonic_s
        commands = self._told_equal(self.known[peer.site], peer, False)
        if self.settings.site > peer.site:
            return commands
        return commands + self.resync.open(peer, self.clock.now_ms(now))

    def _told_equal(self, site: Site, peer: Peer, equal: bool) -> list[Command]:
        """After a cut: say once what crossed since, and whether that made the tables equal."""
        if site.returned is None:
            return []
        (away_s, events_out, events_in), site.returned = site.returned, None
        keys = {
            "site": peer.site, "away_s": round(away_s, 1), "sent": site.traffic.events_out - events_out,
            "received": site.traffic.events_in - events_in, "equal": equal,
        }  # fmt: skip
        return [do.Log("site.caught_up", "info" if equal else "warning", keys)]

    # -- what crosses ---------------------------------------------------------------------------------------------

    def follow(self, peer: Peer, message: Follow, now: Now) -> list[Command]:
        """The other side asks for what comes after its cursor. The caller knows that this agent serves.

        Raises RemoteProtocolError when it means another filter.
        """
        if message.filter != self.known[peer.site].filter.meaning:
            both = " and ".join(sorted((peer.site, self.settings.site)))
            text = f"what [[remote]] lets cross between {both} is not the same in both files"
            raise RemoteProtocolError(f"{text}: make them equal, and restart", Code.WRONG_SITE)
        border, log = self.borders[peer.link], self.replication.log
        self.departures.open()
        commands = self.departures.flush(self.borders.values(), now.monotonic_s)
        replay = self.departures.replayable(message.log_id, message.sequence)
        sequence = message.sequence if replay else log.sequence
        border.follows, border.holds, peer.crossed = True, replay, sequence
        border.early |= not replay and self.resync.comparing(peer.link)
        commands.append(do.Send((peer.link,), Following(log.log_id, sequence, replay)))
        return commands + (self.departures.replay(border, sequence, now.monotonic_s) if replay else [])

    def following(self, peer: Peer, message: Following, now: Now) -> list[Command]:
        """The other side tells where its Crossings begin."""
        border = self.borders[peer.link]
        border.log_id, border.cursor = message.log_id, message.sequence
        border.complete = message.replay
        border.early |= not message.replay and self.resync.comparing(peer.link)
        return [] if message.replay else self.resync.open(peer, self.clock.now_ms(now))

    def compared(self, peer: Peer, now: Now) -> list[Command]:
        """A comparison with the other side is over: each holds what the other held."""
        border = self.borders[peer.link]
        border.traffic.left(*peer.supplied)
        others = [each for each in self.borders.values() if each is not border] if border.news else []
        border.news = False
        commands = [command for other in others for command in self._compare_again(other, now)]
        if border.early:
            border.early = False
            return commands + self.resync.open(peer, self.clock.now_ms(now))
        border.complete = bool(border.log_id)
        border.holds = border.follows
        return commands

    def _compare_again(self, border: Border, now: Now) -> list[Command]:
        """Compare with another site, if need be after the comparison that is under way."""
        if self.resync.comparing(border.peer.link):
            border.early = True
            return []
        return self.resync.open(border.peer, self.clock.now_ms(now))

    def crossing(self, peer: Peer, message: Crossing, now: Now) -> list[Command]:
        """What arose at the other site. Raises RemoteProtocolError."""
        border = self.borders[peer.link]
        if not border.log_id:
            raise RemoteProtocolError("a Crossing before Following")
        batch = crossing.decode(message.payload)
        border.arrived(message.sequence, len(batch), len(message.payload), now.monotonic_s)
        changes = crossing.expand(batch, self.table)
        commands = self.take(peer, changes, None, now, "Crossing")
        border.heard_up_to(message.sequence, self.replication.position)
        return commands

    def bulk(self, peer: Peer, message: Bulk, now: Now) -> list[Command]:
        """A repair of a comparison. Raises RemoteProtocolError."""
        changes = codec.decode_changes(message.payload)
        self.resync.bulk(peer, message, len(changes))
        border = self.borders[peer.link]
        border.traffic.came(len(changes), len(message.payload))
        commands = self.take(peer, changes, message.payload, now, "Bulk")
        border.news |= bool(commands)
        return commands

    def take(self, peer: Peer, changes: Changes, payload: bytes | None, now: Now, name: str) -> list[Command]:
        """Merge what came over. Raises RemoteProtocolError when it names a site that our file does not list."""
        for run in changes.logins:
            if run.site != self.settings.site and run.site not in self.known:
                text = f"it speaks of site {run.site}, which our file does not list"
                raise RemoteProtocolError(text, Code.WRONG_SITE)
        now_ms = self.clock.now_ms(now)
        return self.replication.take(changes, payload, peer.site, peer.link, peer.name, now_ms, name)

    def stored(self, peer: Peer, message: Stored) -> None:
        """The other side has our log up to here on stable storage."""
        if message.log_id == self.replication.log.log_id:
            self.borders[peer.link].stored(message.sequence)

    # -- for status -----------------------------------------------------------------------------------------------

    def links(self, name: str) -> Iterator[Border]:
        """The links with one other site: one, or in a split of that site two."""
        return (border for border in self.borders.values() if border.peer.site == name)

    def queued(self, name: str) -> int:
        """Changes of this site that are not known to be on stable storage at the other one."""
        linked = [border.queued for border in self.links(name)]
        if linked:
            return max(linked)
        site = self.known[name]
        return site.waited + self.replication.outgoing.arisen - site.arisen


REFUSALS = frozenset(
    {Code.CLOCK, Code.UNAUTHORIZED, Code.UNKNOWN_SECRET, Code.UNLISTED, Code.VERSION, Code.WRONG_SITE, Code.PROTOCOL}
)
"""Reasons for which an operator must look; asking again at once would change nothing."""
