"""Why there is no link to the partner, told in the log as operators of the source know it, ever more seldom.

Rules of this file:

- The partner is tried all the while (core/election.py): how often that is told, and nothing else, is decided here.
- The first line comes when it has lasted for HOLD_S: two agents that are started one after the other have no error.
  The next ones come 10, 20, 30 and then every 60 seconds later, and at once when the reason is another one.
- "Time out now 20" says when the next line comes, as it says there when the next attempt does.

Source: seeds/000 (Appliance Synchronisation), "Troubleshooting"; reference/tokens.md 6.3.
"""

import attrs

from protocol.errors import Code
from protocol.io.log import Log

HOLD_S = 3.0
"""The connection timeout of the source."""

STEPS_S = (10, 20, 30, 60)

UNAUTHORIZED = frozenset({Code.UNAUTHORIZED, Code.UNKNOWN_SECRET})

WORDS = {
    "unknown_host": "unknown host",
    "refused": "connection refused",
    "timed_out": "timed out",
    "no_tls": "the partner does not speak TLS",
    "untrusted": "certificate or proof not trusted",
    "reset": "unexpected end of file from the partner",
    "protocol": "what answers is no AuthAgent, or TLS failed",
    "refused by": "the partner refuses",
}
"""What has happened, by the kinds of LinkFailed; the text behind it says where, and what to do."""


@attrs.define
class SyncErrors:
    """The lines of one agent about its partner. Times are monotonic seconds."""

    log: Log
    _since_s: float | None = None
    _reason: str = ""
    _due_s: float = 0.0
    _step: int = 0

    def failed(self, kind: str, text: str, code: Code | None, now_s: float) -> None:
        """An attempt came to nothing; `kind` is what LinkFailed calls it, or "refused by" with the reason in `code`."""
        if self._since_s is None:
            self._since_s, self._due_s = now_s, now_s + HOLD_S
        reason = f"{kind} {code}"
        if now_s < self._due_s and (reason == self._reason or now_s < self._since_s + HOLD_S):
            return
        wait_s = STEPS_S[min(self._step, len(STEPS_S) - 1)]
        self._step, self._reason, self._due_s = self._step + 1, reason, now_s + wait_s
        word = "SYNC_ERROR_UNAUTHORIZED" if code in UNAUTHORIZED else "SYNC_ERROR"
        self.log.warning("sync.error", said=f"{word}, {WORDS.get(kind, kind)} ({text}), Time out now {wait_s}")

    def linked(self) -> None:
        """The partner is there."""
        if self._step:
            self.log.note("sync.recovered", said="SESSION_UPDATE, synchronised again")
        self._since_s, self._reason, self._step = None, "", 0
