"""What an agent does for its followers and its master: reports in, updates out, acknowledgements back.

Rules of this file:

- Nothing here knows who serves; duty.py tells when acknowledgements must be held back.
- A report is acknowledged in the order in which it came, and only after what it said is where the level promises.
"""

import attrs

from authagent.core import commands as do
from authagent.core import events as on
from authagent.core.commands import Command
from authagent.core.peer import Peer, Peers
from authagent.core.replication import Replication
from authagent.core.settings import Settings
from protocol import acts, codec
from protocol.changes import Changes
from protocol.messages import Acknowledgement as AcknowledgementMessage
from protocol.messages import AdminRequest, Report, Role, Stored, Update
from protocol.session import State
from protocol.table import Table


@attrs.define
class Service:
    """The traffic of changes at one agent."""

    settings: Settings
    table: Table
    peers: Peers
    replication: Replication
    reports: int = 0  # sent to the lead on this link
    _owed: dict[int, None] = attrs.field(factory=dict)  # links whose reports are not acknowledged at level site

    # -- from peers -----------------------------------------------------------------------------------------------

    def take(
        self, peer: Peer, changes: Changes, payload: bytes, now_ms: int | None, message: str, site: str = ""
    ) -> list[Command]:
        """Changes from a peer of this site, whichever `message` brought them; they arose here unless `site` says where.

        A proxy of another site that is served here counts as one of this site.
        """
        return self.replication.take(
            changes, payload, site or self.settings.site, peer.link, peer.name, now_ms, message
        )

    def report(self, peer: Peer, message: Report, now_ms: int | None) -> list[Command]:
        """What arose at a follower. An empty one is a fence: only its acknowledgement is of interest."""
        commands: list[Command] = []
        if message.payload:
            changes = codec.decode_changes(message.payload)
            commands = self.take(peer, changes, message.payload, now_ms, "Report")
        peer.ledger.received(message.report, self.replication.position, self.replication.log.sequence)
        self._owed[peer.link] = None
        return commands

    def update(self, peer: Peer, message: Update, now_ms: int | None) -> list[Command]:
        """An entry of the log that this agent follows."""
        changes = codec.decode_changes(message.payload)
        commands = self.take(peer, changes, message.payload, now_ms, "Update", message.site)
        if peer.link == self.replication.lead:
            self.replication.heard(self.replication.cursor[0], message.sequence)
        return commands

    def stored(self, peer: Peer, message: Stored) -> None:
        """The slave has everything up to here on stable storage; from its first word on it counts."""
        if peer.is_partner and message.log_id == self.replication.log.log_id:
            peer.stored = message.sequence

    # -- to peers -------------------------------------------------------------------------------------------------

    def acknowledge(self) -> list[Command]:
        """Tell each follower how far its reports have come, where that is news."""
        slave = self.slave
        slave_stored = None if slave is None else slave.stored
        counted = (self.settings.name,) if slave is None else (self.settings.name, slave.id)
        commands: list[Command] = []
        for link in list(self._owed):
            peer = self.peers.get(link)
            if peer is None:
                del self._owed[link]
                continue
            ledger, site = peer.ledger, peer.ledger.site
            own_words = peer is slave  # it never gets them back, so it cannot tell that it has stored them
            ledger.settle(self.replication.stored, None if own_words else slave_stored)
            if ledger.site > site or not ledger.site:
                ledger.counted = counted
            if ledger.news:
                master, site = ledger.tell()
                commands.append(do.Send((link,), AcknowledgementMessage(master, site, ledger.counted)))
            if ledger.master == ledger.site:
                del self._owed[link]
        return commands

    def answer_stored(self) -> list[Command]:
        """Tell the lead how far its log is on stable storage here."""
        lead = self.replication.lead
        sequence = self.replication.answer_stored() if lead is not None else None
        if lead is None or sequence is None:
            return []
        return [do.Send((lead,), Stored(self.replication.cursor[0], sequence))]

    def fence(self, link: int) -> tuple[list[Command], int]:
        """An empty report to the lead; when it is acknowledged at level site, so is all that went before it."""
        self.reports += 1
        return [do.Send((link,), Report(self.reports, b""))], self.reports

    @property
    def slave(self) -> Peer | None:
        """The partner, where it counts: it follows, and has said that it is complete."""
        partner = self.peers.partner
        if partner is None or partner.stored is None or partner.link not in self.replication.followers:
            return None
        return partner

    # -- for the operator -----------------------------------------------------------------------------------------

    def logout(self, event: on.LogoutAsked, role: Role, now_ms: int) -> list[Command]:
        """End sessions at an operator's word. Only a master does; a slave asks it (AdminAsked)."""
        if role != Role.MASTER:
            return [do.Answer(event.request, error="this agent is not master")]
        changes = self._ends(event, now_ms)
        alive = sum(len(run.sequences) for run in changes.ends)
        commands = self.replication.take(changes, None, self.settings.site, None, "operator", now_ms)
        return [*commands, do.Answer(event.request, ended=alive, sequence=self.replication.log.sequence)]

    def _ends(self, event: on.LogoutAsked, now_ms: int) -> Changes:
        if event.key is not None:
            return acts.logout_key(self.table, event.key, now_ms=now_ms, state=event.state)
        if event.user is not None:
            return acts.logout_user(self.table, event.user, now_ms=now_ms, state=event.state)
        held = [record for key in dict.fromkeys(event.keys) for record in self.table.held(key)]
        return Changes(ends=acts.ends_of(held, State(event.state)))

    def ask_partner(self, event: on.AdminAsked) -> list[Command]:
        """Hand an admin verb to the other agent of the site."""
        partner = self.peers.partner
        if partner is None:
            return [do.Answer(event.request, error="no master is known yet: try again in a moment")]
        return [do.Send((partner.link,), AdminRequest(event.request, event.body))]
