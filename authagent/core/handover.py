"""Handing over in order: a master told to stop or to switch gives its slave everything, then serves no more.

Rules of this file:

- From the asking on nothing is acknowledged. What is still taken in is relayed, and its proxies send it again to the
  next master. So what was acknowledged lies at or before the log's position at that moment; once the slave has that
  on stable storage, mastership goes over. Equal digests are not waited for: under load there are none.
- A stop ends in any case, with a farewell: the process goes. A switch is an offer: the master says STARTING, behind
  all that it relayed, and its slave serves. Until the slave says MASTER the old master keeps log, followers and term,
  so that it goes on as if nothing had been when the slave dies, cannot store, or is cut off.
- Whoever waits for an acknowledgement waits no longer than switch_timeout_s because of a switch that fails.

Source: DESIGN section 4, Return and Two masters; section 6, `authagent switch`.
"""

import attrs

from authagent.core import commands as do
from authagent.core.commands import Command
from authagent.core.election import Election
from authagent.core.peer import Peers
from authagent.core.pulse import Pulse
from authagent.core.replication import Replication
from authagent.core.service import Service
from authagent.core.settings import Settings
from protocol.messages import Role
from protocol.stamp import Now


@attrs.define
class Handover:
    """One master's way out of its mastership. Times are monotonic seconds."""

    settings: Settings
    peers: Peers
    election: Election
    replication: Replication
    service: Service
    pulse: Pulse
    stopping_until_s: float | None = None
    switching_until_s: float | None = None
    _sequence: int = 0  # everything that was acknowledged lies at or before it
    _asked: list[int] = attrs.field(factory=list)

    @property
    def deadline(self) -> float | None:
        """When to look again."""
        due_s = (self.stopping_until_s, self.switching_until_s)
        return min((each for each in due_s if each is not None), default=None)

    @property
    def holds_back(self) -> bool:
        """Whether nothing may be acknowledged, because the next master must not be surprised by it."""
        return self.stopping_until_s is not None or self.switching_until_s is not None

    # -- stopping -------------------------------------------------------------------------------------------------

    def stop(self, now: Now) -> list[Command]:
        """SIGTERM: a master gives its slave what it lacks first. A switch that is under way is given up for it."""
        if self.stopping_until_s is not None:
            return []
        commands = self.give_up(f"agent {self.settings.id} is stopping", now)
        self.stopping_until_s = now.monotonic_s + self.settings.handover_timeout_s
        self._sequence = self.replication.log.sequence
        return [*commands, do.Log("agent.stopping"), *self.replication.flush()]

    def may_leave(self, now: Now) -> bool:
        """Whether a stop need not wait any longer."""
        if self.stopping_until_s is None:
            return False
        return now.monotonic_s >= self.stopping_until_s or self.service.slave is None or self._given

    # -- switching ------------------------------------------------------------------------------------------------

    def switch(self, request: int, now: Now, *, unsure: bool) -> list[Command]:
        """An operator wants the slave to serve: begin, or answer why not. Who asks again meanwhile gets one answer."""
        reason = self._unfit(unsure)
        if reason:
            return [do.Answer(request, error=reason)]
        self._asked.append(request)
        if self.switching_until_s is not None:
            return []
        self.switching_until_s = now.monotonic_s + self.settings.switch_timeout_s
        self._sequence = self.replication.log.sequence
        return [do.Log("switch.begins", keys={"slave": self.settings.partner_name}), *self.replication.flush()]

    def passed(self, now: Now) -> list[Command]:
        """How a switch goes on: offer mastership once the slave has everything; give up when it is gone or late."""
        if self.switching_until_s is None:
            return []
        slave = self.settings.partner_name
        if self.service.slave is None:
            return self.give_up(f"agent {slave} was lost in the middle of it; {self._serves_on}", now)
        if now.monotonic_s >= self.switching_until_s:
            late = "answered" if self.election.offering else "stored everything"
            within = f"{self.settings.switch_timeout_s * 1000:.0f} ms"
            return self.give_up(f"agent {slave} has not {late} within {within}; {self._serves_on}", now)
        if self._given and not self.election.offering:
            self.election.offering = True
            return [*self.replication.flush(), *self.pulse.beat(now)]
        return []

    def give_up(self, reason: str, now: Now) -> list[Command]:
        """Serve on; harmless when no switch is under way."""
        if self.switching_until_s is None:
            return []
        answers = [do.Answer(request, error=f"given up: {reason}", unfinished=True) for request in self._end()]
        offered, self.election.offering = self.election.offering, False
        beats = self.pulse.beat(now) if offered else []
        return [do.Log("switch.given_up", "warning", {"reason": reason}), *answers, *beats]

    def done(self) -> list[Command]:
        """The slave serves now; harmless when no switch is under way."""
        return [do.Answer(request) for request in self._end()]

    def _end(self) -> list[int]:
        asked, self._asked = self._asked, []
        self.switching_until_s = None
        return asked

    def _unfit(self, unsure: bool) -> str:
        """Why there can be no switch now; nothing where there can."""
        if self.election.role != Role.MASTER:
            return "this agent is not master"
        if self.settings.partner is None:
            return "there is no other agent: this site has one"
        if self.stopping_until_s is not None:
            return "this agent is stopping"
        if self.peers.partner is None:
            why = f"refuses to link: {self.election.refused}" if self.election.refused else "is not linked"
            return f"agent {self.settings.partner} {why}"
        if unsure or self.election.split:
            return "it is not sure that no other agent serves: see `authagent status`"
        if self.service.slave is None:
            return f"agent {self.settings.partner} has not everything yet: wait until `authagent status` says equal"
        return ""

    @property
    def _serves_on(self) -> str:
        return f"agent {self.settings.id} goes on serving"

    @property
    def _given(self) -> bool:
        """Whether the slave has on stable storage all that was ever acknowledged."""
        slave = self.service.slave
        return slave is not None and (slave.stored or 0) >= self._sequence
