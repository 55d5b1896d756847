"""Which agent to try next, and when.

Rules of this file:

- The agents of the own site are tried in their order; a link that is lost is answered by trying at once.
- A redirect is followed at once, but at most REDIRECTS_MAX in a row: two agents that point at each other get jitter.
- Waiting is full jitter: a uniform part of a window. The window is WINDOW_S_MIN at first and grows with the time
  without an agent up to WINDOW_S_MAX, so that a fallen master's proxies meet its slave soon after its promotion, and
  a long outage costs one try a second.
- Agents of other sites are tried only when no own one has answered for `away_after_s`: a refusal, a redirect and a
  link are answers. Then each of them in turn, an own one after each; after the last of them AWAY_WINDOW_S passes.
- While an agent of another site serves, the own ones are tried again and again, HOME_WINDOW_S apart.
- A host that is down answers nothing at all, and would cost a whole connect_timeout. So, where the site has another
  agent, a try may take QUICK_S at most for the first QUICK_FOR_S without an agent; then slow networks get their turn.
- One dial at a time.

Chance is a number between 0 and 1 in the argument `jitter`. Source: DESIGN section 4, Proxies.
"""

import math

from protocol import limits
from proxyagent.core.settings import AgentName

WINDOW_S_MIN = 0.1
WINDOW_S_MAX = 1.0
AWAY_AFTER_S = 5.0
AWAY_WINDOW_S = 5.0
HOME_WINDOW_S = 2.0
QUICK_S = 1.0
QUICK_FOR_S = 5.0


class Failover:
    """The order of dialling of one proxy. `due_s` is when to dial next, or None while a dial or a link is there."""

    def __init__(self, agents: tuple[AgentName, ...], site: str, away_after_s: float = AWAY_AFTER_S) -> None:
        assert agents, "a proxy without any agent has nothing to fail over to"
        self._agents = agents
        self._own = [place for place, agent in enumerate(agents) if agent.site == site]
        self._away = [place for place, agent in enumerate(agents) if agent.site != site]
        self._away_after_s = away_after_s
        self._turn = 0  # how many own agents have been tried, counted for ever
        self._away_turn = 0
        self._away_last = False  # whether the last try was of another site's agent
        self._away_due_s = -math.inf
        self._next: int | None = None  # whom a redirect named
        self._redirects = 0
        self._alone_since_s: float | None = None
        self._unheard_since_s: float | None = None  # since when no own agent has answered
        self._served_away = False
        self._dialling = False
        self.due_s: float | None = None

    def start(self, now_s: float) -> None:
        """Nobody has been tried yet, or the link that served is lost: try at once."""
        self._served_away = False
        self._note_alone(now_s)
        self._wait_until(now_s)

    def stepped_in(self, now_s: float) -> None:
        """The link that served is gone, and one with an own agent takes its place: nobody is dialled."""
        self._served_away = False
        self._alone_since_s = now_s
        self.due_s = None

    def choose(self, now_s: float) -> int:
        """The agent to dial now, as its place; `due_s` is None until the dial has ended."""
        self.due_s, self._dialling = None, True
        if self._next is not None:
            chosen, self._next = self._next, None
            return chosen
        self._away_last = self._goes_away(now_s)
        if self._away_last:
            self._away_turn += 1
            return self._away[(self._away_turn - 1) % len(self._away)]
        chosen = self._own[self._turn % len(self._own)]
        self._turn += 1
        return chosen

    def try_s(self, agent: int, now_s: float, connect_timeout_s: float) -> float:
        """How long the dial of `agent` that begins now may take."""
        since_s = self._alone_since_s
        early = since_s is not None and now_s - since_s < QUICK_FOR_S
        quick = early and agent in self._own and len(self._own) > 1
        return min(QUICK_S, connect_timeout_s) if quick else connect_timeout_s

    def answered(self, agent: int) -> None:
        """`agent` lives: a dial has become a link, or was refused."""
        if agent in self._own:
            self._unheard_since_s = None

    def opened(self, agent: int) -> None:
        """The dial has become a link."""
        self.due_s = self._next = None
        self._dialling = False
        self.answered(agent)

    def dial_ended(self) -> None:
        """The dial has come to nothing; `failed` or `redirected` follows."""
        self._dialling = False

    def failed(self, now_s: float, jitter: float) -> None:
        """The dial, or the link that it became, has ended without an agent that serves."""
        self._redirects = 0
        if self._served_away:
            self._note_unheard(now_s)
            self._look_homeward(now_s, jitter)
            return
        self._note_alone(now_s)
        if self._away_last and self._away_turn % len(self._away) == 0:
            self._away_due_s = now_s + AWAY_WINDOW_S * (0.5 + jitter / 2)
        self._wait_until(now_s + jitter * self._window_s(now_s))

    def redirected(self, agent: int, site: str, elsewhere: str, now_s: float, jitter: float) -> None:
        """`agent` (of `site`) named another agent of its site; unknown names count as a failure."""
        named = [p for p, each in enumerate(self._agents) if each == AgentName(site, elsewhere) and p != agent]
        self._redirects += 1
        if agent in self._away:
            self._served_away = False
        if not named or self._redirects > limits.REDIRECTS_MAX:
            self.failed(now_s, jitter)
            return
        if not self._served_away:
            self._note_alone(now_s)
        self._next = named[0]
        self._wait_until(now_s)

    def served(self, agent: int, now_s: float, jitter: float) -> None:
        """`agent` serves this proxy now."""
        self._redirects = 0
        self._alone_since_s = None
        self._away_due_s = -math.inf
        self._away_last = False
        self._served_away = agent in self._away and bool(self._own)
        if agent in self._own:
            self._turn = self._own.index(agent) + 1  # when it is lost, the other one is tried first
        self.due_s = None
        if self._served_away:
            self._look_homeward(now_s, jitter)

    def _look_homeward(self, now_s: float, jitter: float) -> None:
        self._wait_until(now_s + HOME_WINDOW_S * (0.5 + jitter / 2))

    def _wait_until(self, due_s: float) -> None:
        """Dial then; where a dial is under way, its end tells."""
        self.due_s = None if self._dialling else due_s

    def _goes_away(self, now_s: float) -> bool:
        """Whether an agent of another site is to be tried now."""
        if not self._own or not self._away or self._served_away:
            return not self._own
        unheard_s = 0.0 if self._unheard_since_s is None else now_s - self._unheard_since_s
        return unheard_s >= self._away_after_s and now_s >= self._away_due_s and not self._away_last

    def _note_alone(self, now_s: float) -> None:
        if self._alone_since_s is None:
            self._alone_since_s = now_s
        self._note_unheard(now_s)

    def _note_unheard(self, now_s: float) -> None:
        if self._unheard_since_s is None:
            self._unheard_since_s = now_s

    def _window_s(self, now_s: float) -> float:
        if not self._own:
            return AWAY_WINDOW_S
        alone_s = now_s - (self._alone_since_s if self._alone_since_s is not None else now_s)
        return min(WINDOW_S_MAX, max(WINDOW_S_MIN, alone_s / 2))
