"""Which links count: one for each id, and what happens when a second one knocks.

Rules of this file:

- The same process on a new link replaces its old one at once: nobody dials twice without having lost the first.
- Two agents may dial each other at the same moment; then the link that the lower id dialled stays, on both sides; of
  two sites the one that the lesser name dialled.
- Another process with the same id is let in only if the first does not answer a Ping within a second. Until then it
  waits, and hears no more than that nothing is decided.

Source: DESIGN section 5, "one link per id".
"""

import attrs

from authagent.core.commands import Close, Command, Send
from authagent.core.events import LinkOpened
from authagent.core.peer import Peer
from authagent.core.settings import Settings
from protocol import limits
from protocol.errors import Code
from protocol.messages import Ping
from protocol.stamp import Now

CROSSED_S = 3.0
"""Links of one process dialled from both ends within this time crossed each other."""


@attrs.define
class Doorway:
    """Links that are proven but not let in yet, by number."""

    settings: Settings
    waiting: dict[int, LinkOpened] = attrs.field(factory=dict)

    def knock(self, event: LinkOpened, first: Peer | None, now: Now) -> tuple[str, list[Command]]:
        """A proven link of an id that may have one already: `enter`, `replace` (the first), `wait`, or `refuse`."""
        if first is None:
            return "enter", []
        if first.incarnation == event.incarnation:
            crossed = first.dialled != event.dialled and now.monotonic_s - first.opened_s < CROSSED_S
            if crossed and event.dialled != self._ours_stays(event):
                return "refuse", [Close(event.link, Code.SUPERSEDED, "the links crossed; the other one stays")]
            return "replace", []
        if first.rival is not None:
            return "refuse", [self._duplicate(event.link, first)]
        first.rival = event.link
        first.ping_deadline_s = now.monotonic_s + limits.DUPLICATE_PING_TIMEOUT_S
        self.waiting[event.link] = event
        return "wait", [Send((first.link,), Ping(event.link))]

    def answered(self, first: Peer) -> list[Command]:
        """The first link is alive: whoever waits for its place is refused."""
        if first.rival is None:
            return []
        link, first.rival, first.ping_deadline_s = first.rival, None, None
        return [self._duplicate(link, first)] if self.waiting.pop(link, None) is not None else []

    def take_place(self, first: Peer) -> LinkOpened | None:
        """The first link is gone, or silent: who waited for its place, if anybody."""
        return None if first.rival is None else self.waiting.pop(first.rival, None)

    def left(self, link: int) -> LinkOpened | None:
        """A link is gone: if it was one that waited here, what it was."""
        return self.waiting.pop(link, None)

    def _ours_stays(self, event: LinkOpened) -> bool:
        if event.site != self.settings.site:
            return self.settings.site < event.site
        return self.settings.partner is None or self.settings.id < self.settings.partner

    @staticmethod
    def _duplicate(link: int, first: Peer) -> Close:
        text = f"{first.name} is linked already, from {first.address}: stop that process, or give this one another id"
        return Close(link, Code.DUPLICATE, text)
