"""Whoever asks for an item at a node: goes on until there is a yes or a no, as proxyagent/asking.py and
`authagent code` do.

Rules of this file:

- "Not now" is asked again after RETRY_S; a proxy's machine asks the next master of itself. After PATIENCE_S the asker
  goes away with neither.
- What may be decided without an agent is, once none has served the proxy for ALONE_AFTER_S.
- A question dies with its node.
"""

from collections.abc import Callable
from typing import TypeAlias

import attrs

from protocol.item import Item
from protocol.messages import Creation, Redemption, Revocation, Ruling
from proxyagent.asking import ALONE_AFTER_S, RETRY_S
from tests.simulation.agents import AgentProcess
from tests.simulation.process import Process
from tests.simulation.proxies import ProxyProcess

PATIENCE_S = 5.0
LOOKS_EVERY_S = 0.25

Question: TypeAlias = Creation | Redemption | Revocation


@attrs.frozen
class Answered:
    """What an asker was told: by whom, and what was shown of the item. `ruling` None: nothing in time."""

    ruling: Ruling | None
    items: tuple[Item, ...] = ()
    by: Process | None = None


@attrs.define(eq=False)
class Asker:
    """One question at one node, which `draw` makes for each attempt: of an item that is to be made it is another one.

    `alone` decides at a proxy that nobody serves; `told` is called once, if at all.
    """

    node: AgentProcess | ProxyProcess
    draw: Callable[[], Question]
    told: Callable[[Answered], None]
    alone: Callable[[], tuple[bool | None, Item | None]] | None = None
    over: bool = False
    _number: int = 0
    _until_s: float = 0.0

    def begin(self) -> None:
        """Ask for the first time. The node must be active."""
        self._until_s = self.node.loop.now_s + PATIENCE_S
        self.node.later(LOOKS_EVERY_S, self._look)
        self._ask()

    def _ask(self) -> None:
        if not self.over:
            self._number = self.node.ask(self.draw(), self.answered)

    def answered(self, ruling: Ruling, items: tuple[Item, ...], by: Process) -> None:
        """The word of an agent."""
        if self.over:
            return
        if ruling == Ruling.UNAVAILABLE:
            self.node.later(RETRY_S, self._ask)
        else:
            self._end(Answered(ruling, items, by))

    def _look(self) -> None:
        if self.over:
            return
        if self.node.loop.now_s >= self._until_s:
            self.node.give_up(self._number)
            self._end(Answered(None))
            return
        if self.alone is not None and isinstance(self.node, ProxyProcess) and self.node.alone_s >= ALONE_AFTER_S:
            granted, item = self.alone()
            if granted is not None:
                self.node.give_up(self._number)
                ruling = Ruling.GRANTED if granted else Ruling.REFUSED
                self._end(Answered(ruling, () if item is None else (item,), self.node))
                return
        self.node.later(LOOKS_EVERY_S, self._look)

    def _end(self, answered: Answered) -> None:
        self.over = True
        self.told(answered)
