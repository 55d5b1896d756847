"""What arose at this site and waits to cross to others, and whose logins came from elsewhere.

Rules of this file:

- Only changes that arose at the own site cross, whatever site a session is from; what came over a link between sites
  leaves over no other (DESIGN section 4, WAN).
- Nothing is kept while nobody follows: whoever comes then compares tables.
- A login of this site may have come back from another one (its proxy was served there, or this site lost all it had).
  What else is known of it is not known to have crossed from here: its origin is a stranger.
"""

import attrs

from protocol.changes import Changes
from protocol.session import Origin


@attrs.define
class Outgoing:
    """The changes of one site, on their way to the others."""

    site: str
    waiting: list[Changes] | None = None  # None while no other site follows
    strangers: set[Origin] = attrs.field(factory=set)
    arisen: int = 0  # changes of this site, since the start

    def note(self, changes: Changes, site: str) -> None:
        """Changes that were news here and arose at `site`."""
        if site == self.site:
            self.arisen += len(changes)
            if self.waiting is not None:
                self.waiting.append(changes)
            return
        for run in changes.logins:
            if run.site == self.site:
                self.strangers.add(run.origin)
