"""`authagent switch`: a planned hand-over of mastership, asked at either agent.

Rules of this file:

- It is one agent that shall be master, named when it is asked: the one that is not. So two who ask at the same time
  want the same, and whoever asks too late finds it done.
- The machine tries once, for 0.15 s at most, since nobody's login is acknowledged meanwhile. Here it is asked again,
  with pauses in which acknowledgements go on, until it is done or time is up.
- What cannot be is refused at once, with the reason and exit code 3; what was tried and given up ends with 4.
"""

from collections.abc import Mapping
from typing import Any

import attrs
import trio

from authagent.admin.asking import ask_partner, within_s
from authagent.core import events as on
from authagent.server import Server
from protocol.io.control_client import ControlError, ExitCode
from protocol.messages import Role

PAUSE_S = 0.5
"""Between two attempts, and while nobody serves yet."""


@attrs.define
class Switch:
    """Carries out one agent's part in switches."""

    server: Server

    async def anywhere(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Have the agent that is slave now serve. Raises ControlError."""
        until_s = trio.current_time() + within_s(question)
        while (to := self._slave()) is None:
            if trio.current_time() + PAUSE_S >= until_s:
                raise ControlError("no master is known yet: try again in a moment", ExitCode.UNREACHABLE)
            await trio.sleep(PAUSE_S)
        began_s = trio.current_time()
        if self.server.agent.election.role == Role.MASTER:
            await self._here(to, until_s)
        else:
            await self._at_master(to, until_s)
        took_s = trio.current_time() - began_s
        return {"master": to, "term": self.server.agent.election.term, "took_s": round(took_s, 4)}

    async def for_partner(self, question: dict[str, Any]) -> dict[str, Any]:
        """The same, asked by the slave, which says who shall serve. Raises ControlError."""
        to = question.get("to")
        if to != self.server.agent.settings.partner_name:
            raise ControlError("to: the id of the agent that asks", ExitCode.USAGE)
        await self._here(to, trio.current_time() + within_s(question))
        return {}

    def _slave(self) -> str | None:
        """The id of the agent that shall serve; None while that is not clear."""
        settings, role = self.server.agent.settings, self.server.agent.election.role
        if settings.partner is None:
            raise ControlError("there is no other agent: this site has one", ExitCode.UNREACHABLE)
        return {Role.MASTER: settings.partner_name, Role.SLAVE: settings.name}.get(role)

    async def _here(self, to: str, until_s: float) -> None:
        """At this agent, as master, again and again; nothing where it has been done already."""
        while self._slave() == to:
            answer = await self.server.ask_machine(on.SwitchAsked)
            if not answer.error:
                return
            if not answer.unfinished:
                raise ControlError(answer.error, ExitCode.UNREACHABLE)
            if trio.current_time() + PAUSE_S >= until_s:
                raise ControlError(answer.error, ExitCode.UNFINISHED)
            await trio.sleep(PAUSE_S)
        if self.server.agent.election.role == Role.STARTING:
            raise ControlError("the agent that served has lost its role meanwhile: ask again", ExitCode.UNREACHABLE)

    async def _at_master(self, to: str, until_s: float) -> None:
        """By the partner; that this agent serves then is what counts, whatever became of the answer."""
        late = "the master did not answer in time; `authagent status` says who serves"
        try:
            await ask_partner(self.server, "switch", {"to": to}, until_s, late)
        except ControlError:
            if self.server.agent.election.role != Role.MASTER:
                raise
