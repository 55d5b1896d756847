"""Whom to dial next at another site, and when.

Rules of this file:

- Its agents are tried in turn, for ever, by a master only. A redirect is followed at once, by trying the other agent,
  but at most REDIRECTS_MAX in a row.
- Waiting is full jitter: a uniform part of a window that grows from WINDOW_S_MIN to WINDOW_S_MAX. Whoever refuses us
  is asked again every REFUSED_S or so: an operator must set something right.
- A host that is cut off answers nothing at all. So most tries are short (QUICK_S, four round trips of a third of a
  second); every third one may take as long as the file allows.

Chance is a number between 0 and 1 in the argument `jitter`. Source: DESIGN section 4, WAN.
"""

import attrs

from authagent.core.settings import RemoteSite
from protocol import limits

WINDOW_S_MIN = 0.1
WINDOW_S_MAX = 1.0
REFUSED_S = 5.0
QUICK_S = 1.5
PATIENT_TRY = 3


@attrs.define
class Reaching:
    """The dialling of one site. `due_s` is when to dial next, or None while a dial or a link is there."""

    site: RemoteSite
    due_s: float | None = None
    dialling: bool = False
    _turn: int = 0
    _tries: int = 0  # without a link
    _redirects: int = 0

    def start(self, now_s: float) -> None:
        """Nobody of that site is linked: dial at once."""
        if not self.dialling:
            self.due_s = now_s

    def stop(self) -> None:
        """A link is there, or this agent is not master."""
        self.due_s = None

    def choose(self, connect_timeout_s: float) -> tuple[str, float]:
        """The agent to dial now, and how long that may take, in seconds."""
        self.due_s, self.dialling = None, True
        self._tries += 1
        quick = self._tries % PATIENT_TRY != 0
        agent = self.site.agents[self._turn % len(self.site.agents)]
        self._turn += 1
        return agent, min(QUICK_S, connect_timeout_s) if quick else connect_timeout_s

    def failed(self, now_s: float, jitter: float, *, refused: bool) -> None:
        """The dial has ended without a link."""
        self.dialling = False
        self._redirects = 0
        window_s = min(WINDOW_S_MAX, WINDOW_S_MIN * 2 ** min(self._tries, 10))
        self.due_s = now_s + (REFUSED_S * (0.5 + jitter / 2) if refused else jitter * window_s)

    def redirected(self, now_s: float, jitter: float) -> None:
        """The agent that was linked is not master: try the next one, now."""
        self._redirects += 1
        if self._redirects > limits.REDIRECTS_MAX:
            self.failed(now_s, jitter, refused=False)
        else:
            self.due_s = now_s

    def reached(self) -> None:
        """The dial has become a link."""
        self.dialling = False

    def serves(self, agent: str) -> None:
        """This agent is linked and says that it is master; when it is lost, the next one is tried first."""
        self._tries = self._redirects = 0
        if agent in self.site.agents:  # a reload may list another one
            self._turn = self.site.agents.index(agent) + 1
