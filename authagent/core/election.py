"""Who serves: one agent's role, from its start to its end.

Rules of this file:

- A role is decided by bounded attempts to reach the partner, never by a vote: two nodes have no majority. That both
  serve is therefore possible, and harmless, because tables merge; here it is only brought to an end.
- A term is the number of a mastership: it grows at every promotion and decides who demotes. It never refuses service.
- A refusal by the partner is an answer: the partner lives. A refused agent serves nobody and keeps trying.
- Decides, and does nothing: what follows from a promotion or a demotion is agent.py's business.

States (DESIGN section 4):

    STARTING --- attempts used up, or partner is starting too and this is the lower id ---> MASTER
    STARTING --- partner is master ---------------------------------------------------------> SLAVE
    SLAVE    --- link to the master lost: STARTING again (`seeking`), with few and quick attempts; a partner that
                 starts anew meanwhile finds a slave whose master is gone, and follows it
    SLAVE    --- partner starts anew, took its leave in order, or offers its mastership ----> MASTER
    MASTER   --- partner is master too, and has the greater (term, lower id): yields -------> SLAVE
    MASTER   --- says STARTING (`offering`), so that its slave serves; that one is master --> SLAVE
"""

import enum

import attrs

from authagent.core.settings import Dice, Settings
from protocol.messages import Role


class Verdict(enum.Enum):
    """What the agent must do about its role now."""

    NOTHING = "nothing"
    DIAL = "dial"
    PROMOTE = "promote"
    FOLLOW = "follow"
    YIELD = "yield"


class Partner(enum.Enum):
    """What is known of the partner."""

    UNKNOWN = "unknown"
    LINKED = "linked"
    DOWN = "down"  # refused or reset the connection, or said farewell: its process is gone
    SILENT = "silent"  # no answer: dead, or cut off and perhaps serving


@attrs.define
class Election:
    """One agent's part in deciding who serves. Times are monotonic seconds."""

    settings: Settings
    dice: Dice
    role: Role = Role.STARTING
    term: int = 0
    term_seen: int = 0
    partner: Partner = Partner.UNKNOWN
    partner_role: Role | None = None
    partner_term: int = 0
    refused: str = ""
    seeking: bool = False
    yielding: bool = False
    offering: bool = False
    dialling: bool = False
    deadline: float | None = None
    dial_timeout_s: float = 0.0
    _attempts_left: int = 0
    _interval_s: float = 0.0
    _dialled_s: float = 0.0

    def started(self, term: int, now_s: float) -> Verdict:
        """The table is loaded: look for the partner, or serve at once where there is none."""
        self.term = self.term_seen = term
        if self.settings.partner is None:
            return Verdict.PROMOTE
        return self._seek(self.settings.connect_attempts, self.settings.connect_interval_s, now_s)

    def promoted(self, now_s: float) -> None:
        """The agent has become master of a term greater than any it has seen."""
        self.term_seen = self.term = max(self.term, self.term_seen) + 1
        self.role = Role.MASTER
        self._settled(now_s)

    def following(self, now_s: float) -> None:
        """The agent has become slave of its partner."""
        self.role = Role.SLAVE
        self.term = self.term_seen
        self._settled(now_s)

    @property
    def said(self) -> Role:
        """The role that peers are told: whoever seeks a lost master is a slave that lacks one, and whoever offers its
        mastership says that nothing is decided, so that its slave serves."""
        if self.offering:
            return Role.STARTING
        return Role.SLAVE if self.seeking else self.role

    def partner_heard(self, role: Role, term: int) -> Verdict:
        """A heartbeat of the partner."""
        self.partner, self.partner_role, self.partner_term = Partner.LINKED, role, term
        self.term_seen = max(self.term_seen, term)
        self.refused = ""
        match self.said, role:
            case Role.STARTING | Role.SLAVE, Role.MASTER:
                return Verdict.FOLLOW
            case (Role.STARTING, Role.STARTING) | (Role.SLAVE, Role.SLAVE) if self.lower:
                return Verdict.PROMOTE
            case Role.SLAVE, Role.STARTING:
                return Verdict.PROMOTE
            case Role.MASTER, Role.MASTER if self.loses and not self.yielding:
                return Verdict.YIELD
        return Verdict.NOTHING

    @property
    def lower(self) -> bool:
        """Whether this agent's id is the lower of the two; it decides where nothing else does."""
        return self.settings.partner is None or self.settings.id < self.settings.partner

    @property
    def loses(self) -> bool:
        """Of two masters, whether this one demotes: the lower term, then the higher id."""
        return (self.term, self.lower) < (self.partner_term, not self.lower)

    @property
    def split(self) -> bool:
        """Whether this agent serves while its partner serves too, or may for all that is known."""
        if self.role != Role.MASTER or self.settings.partner is None:
            return False
        if self.partner == Partner.LINKED:
            return self.partner_role == Role.MASTER
        return self.partner == Partner.SILENT

    def partner_linked(self) -> None:
        self.partner = Partner.LINKED
        self.dialling = False
        self.deadline = None

    def partner_lost(self, now_s: float, *, proven_dead: bool, farewell: bool) -> Verdict:
        """The link to the partner is gone; `farewell`: it took its leave in order."""
        self.partner = Partner.DOWN if proven_dead or farewell else Partner.SILENT
        self.partner_role = None
        self.dialling = False
        if self.role == Role.MASTER:
            self.yielding = self.offering = False
            return self._probe(now_s)
        if farewell and self.role == Role.SLAVE:
            return Verdict.PROMOTE
        if self.role == Role.SLAVE:
            self.role, self.seeking = Role.STARTING, True
            return self._seek(self.settings.retry_attempts, self.settings.retry_interval_s, now_s)
        self._attempts_left -= 1
        return self._again(now_s)

    def dial_failed(self, now_s: float, *, refused: str, proven_dead: bool) -> Verdict:
        """An attempt came to nothing."""
        self.dialling = False
        if self.partner == Partner.LINKED:
            return Verdict.NOTHING  # the partner's own attempt was quicker
        if refused:
            return self.partner_refused(refused, now_s)
        self.refused = ""
        self.partner = Partner.DOWN if proven_dead else Partner.SILENT
        if self.role != Role.STARTING:
            return self._probe(now_s)
        self._attempts_left -= 1
        return self._again(now_s)

    def partner_refused(self, reason: str, now_s: float) -> Verdict:
        """The partner lives and will not have us: serve nobody unless we serve already, and keep trying."""
        self.refused = reason
        self.partner, self.partner_role, self.dialling = Partner.SILENT, None, False
        self.seeking = False
        if self.role == Role.SLAVE:
            self.role = Role.STARTING
        self._attempts_left = self.settings.connect_attempts
        return self._probe(now_s)

    def passed(self, now_s: float) -> Verdict:
        """The deadline is here: dial. After the last attempt there is none (`_again`)."""
        if self.deadline is None or now_s < self.deadline:
            return Verdict.NOTHING
        self.deadline = None
        return self._dial(now_s)

    # -- within ---------------------------------------------------------------------------------------------------

    def _seek(self, attempts: int, interval_s: float, now_s: float) -> Verdict:
        """Begin bounded attempts, the first of them now."""
        self._attempts_left, self._interval_s = attempts, interval_s
        self.dial_timeout_s = max(interval_s, self.settings.retry_timeout_s)
        self.deadline = None
        return Verdict.NOTHING if self.dialling else self._dial(now_s)

    def _again(self, now_s: float) -> Verdict:
        """The next attempt an interval after the last; after the last of all nothing is waited for."""
        if self._attempts_left <= 0:
            return Verdict.PROMOTE
        self.deadline = max(now_s, self._dialled_s + self._interval_s * self._jitter())
        return Verdict.NOTHING

    def _probe(self, now_s: float) -> Verdict:
        """Look for the partner for ever: often enough that a healed split is noticed within a second."""
        self.dial_timeout_s = self.settings.probe_timeout_s
        self.deadline = now_s + self.settings.probe_interval_s * self._jitter()
        return Verdict.NOTHING

    def _dial(self, now_s: float) -> Verdict:
        self.dialling, self._dialled_s = True, now_s
        return Verdict.DIAL

    def _jitter(self) -> float:
        return 0.8 + 0.4 * self.dice.random()

    def _settled(self, now_s: float) -> None:
        """A role is decided: look for the partner only where there is one out of sight."""
        self.seeking = self.yielding = self.offering = False
        self.refused = ""
        self.deadline = None
        if self.settings.partner is not None and self.partner != Partner.LINKED and not self.dialling:
            self._probe(now_s)
