"""What the oracle knows of items: of which form each is, who made it, who asked for it, and what was answered.

Rules of this file:

- Facts only, seen where users see them, on disks, and in what agents say. No machine is asked what it thinks.
- Times are true time, in seconds of the run.
"""

import math

import attrs

from protocol.codes import PROVISION_CODE
from protocol.item import SINGLE_USE, SOLE, STRICT
from tests.simulation.agents import AgentProcess
from tests.simulation.lives import Witness
from tests.simulation.process import Process


@attrs.frozen
class Form:
    """One kind of item: its rules, and whether a secret opens it."""

    kind: str
    flags: int
    locked: bool

    @property
    def strict(self) -> bool:
        return bool(self.flags & STRICT)

    @property
    def single_use(self) -> bool:
        return bool(self.flags & SINGLE_USE)

    @property
    def sole(self) -> bool:
        return bool(self.flags & SOLE)


FORMS = (
    Form(PROVISION_CODE, SINGLE_USE | STRICT | SOLE, locked=True),
    Form("image", SINGLE_USE, locked=False),
    Form("sms", SINGLE_USE, locked=True),
    Form("door", SINGLE_USE | STRICT, locked=False),
    Form("pin", SINGLE_USE | STRICT, locked=True),
    Form("badge", 0, locked=False),
)
"""A one-time code, and challenges as hosts make them: consumed once or often, strict or not, with a secret or not."""


@attrs.define(eq=False)
class ItemLife:
    """One item, and what it was called at the last attempt to make it.

    `stored` are the disks that counted when it was acknowledged; `told` says that its maker has it.
    `doubtful`: somebody has asked for its end, or made a later one of which only the latest counts.
    """

    number: int
    form: Form
    user: str
    site: str
    asked_s: float
    expires_s: float
    disks: dict[AgentProcess, int]
    id: str = ""
    secret: str = ""
    made: Witness | None = None
    stored: dict[AgentProcess, int] = attrs.field(factory=dict)
    stored_s: float = math.inf
    told: bool = False
    doubtful: bool = False
    ended: dict[AgentProcess, int] = attrs.field(factory=dict)  # the disks that counted when its end was acknowledged
    asked: set[bytes] = attrs.field(factory=set)  # the requests that showed the right secret
    wrong: int = 0  # how often a wrong one was shown
    counted: list[dict[AgentProcess, int]] = attrs.field(factory=list)  # wrong tries answered, and the disks with them
    had: set[bytes] = attrs.field(factory=set)  # the requests that were told yes, and those that were told no
    refused: set[bytes] = attrs.field(factory=set)
    granted: dict[bytes, tuple[Process, int]] = attrs.field(factory=dict)  # by whom, in which of its generations
    holders: dict[AgentProcess, int] = attrs.field(factory=dict)  # the disks with a claim that was granted
    exhausted: bool = False  # whether all knew of five wrong tries when all was calm
    settled: bytes = b""  # the request that had it when all was calm

    def __str__(self) -> str:
        return f"{self.form.kind} {self.number} of {self.user}"

    @property
    def name(self) -> tuple[str, str]:
        return self.form.kind, self.id

    @property
    def known(self) -> bool:
        """Whether it must be known after healing."""
        return (self.made is not None and self.made.holds) or kept(self.stored)

    @property
    def is_untouched(self) -> bool:
        """Whether it was acknowledged, and nobody has wanted it, its end, or another with a secret of its own."""
        return self.known and bool(self.stored) and self.told and not (self.asked or self.doubtful or self.wrong)

    @property
    def remembered(self) -> bool:
        """Whether no agent has lost a disk, or had an older one brought back, since it was made."""
        return all(agent.disk.number == number for agent, number in self.disks.items())


def kept(disks: dict[AgentProcess, int]) -> bool:
    """Whether one of some disks is still there."""
    return any(agent.disk.number == number for agent, number in disks.items())


def disks_of(agents: list[AgentProcess]) -> dict[AgentProcess, int]:
    """Which disks some agents have now."""
    return {agent: agent.disk.number for agent in agents}
