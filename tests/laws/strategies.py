"""What Hypothesis draws for the laws: a small world in which everything collides soon.

Two proxies, sequences on both sides of the border between two pages, three keys, three users, and few times. What a
login is follows from its id, as in an honest world; now and then it is something else (a cloned machine, an attack).
"""

from hypothesis import strategies as st

from protocol import limits
from protocol.changes import Barrier, Changes, EndRun, LoginRun, TouchRun
from protocol.session import Login, LoginId, Origin, Record, State, partial_login

MINUTE_MS = 60_000
CUT_MIN = 28_000_000
NOW_MS = CUT_MIN * MINUTE_MS - 3 * MINUTE_MS
"""When the changes arrive: three minutes before the last of the cuts, so that some records expire between cuts."""
CUTS_MIN = (CUT_MIN - 2, CUT_MIN - 1, CUT_MIN)
OFFSET_MS = limits.MAX_CLOCK_OFFSET_MS

KEYS = ("10.0.0.1", "10.0.0.2", "10.0.0.3")
USERS = ("alice", "bob", "carol")
ORIGINS = (Origin("proxy1", 1), Origin("proxy2", (1 << 64) - 1))
FIRST, LAST = 250, 262

_EXPIRIES = [*(cut * MINUTE_MS + step for cut in CUTS_MIN for step in (-1, 0, 1)), NOW_MS + 3_600_000]
_ENDS = [State.SUPERSEDED, State.LOGGED_OUT, State.ADMINISTRATOR, State.CONFLICT]

origins = st.sampled_from(ORIGINS)
sequences = st.integers(FIRST, LAST)
users = st.sampled_from(USERS)
keys = st.sampled_from(KEYS)
variants = st.integers(0, 15)
ends = st.sampled_from(_ENDS)
states = st.sampled_from([State.ALIVE, State.ALIVE, State.ALIVE, *_ENDS])
times = st.integers(NOW_MS - 20_000, NOW_MS + 2 * OFFSET_MS + 2)
"""Stamps; the last two milliseconds are further ahead than clocks may differ."""


def login_of(origin: Origin, sequence: int, variant: int = 0) -> Login:
    """What a login is; variants 12 to 15 are lies about one field each."""
    salt = sequence * 7 + origin.epoch % 5
    login = Login(
        KEYS[salt % 3],
        USERS[salt % 5 % 3],
        f"lan{salt % 2 + 1}",
        NOW_MS - 1_500 * (salt % 9),
        _EXPIRIES[salt % len(_EXPIRIES)],
        60 if salt % 4 else 7_200,
        (("groups", ("staff", "admin")),) if salt % 3 else (),
    )
    lies = {
        12: {"user": "mallory"},
        13: {"expires_at": login.expires_at + 1},
        14: {"login_at": login.login_at - 1},
        15: {"attributes": (("groups", "staff"),)},
    }
    return login._replace(**lies.get(variant, {}))


@st.composite
def logins(draw: st.DrawFn) -> LoginRun:
    """A run of logins of one site, consecutive or not."""
    origin = draw(origins)
    if draw(st.booleans()):
        first = draw(sequences)
        wanted: range | list[int] = range(first, draw(st.integers(first, LAST)) + 1)
    else:
        wanted = draw(st.lists(sequences, min_size=1, max_size=6))
    variant = draw(variants)
    rows = [login_of(origin, sequence, variant) for sequence in wanted]
    some_states = draw(st.none() | st.lists(states, min_size=len(rows), max_size=len(rows)))
    active_at = draw(st.none() | st.lists(times, min_size=len(rows), max_size=len(rows)))
    return LoginRun(
        origin,
        wanted,
        draw(st.sampled_from(["lan1", "lan1", "lan1", "lan2"])),
        [row.key for row in rows],
        [row.user for row in rows],
        [row.login_at for row in rows],
        [row.expires_at for row in rows],
        [row.idle_timeout_s for row in rows],
        [row.attributes for row in rows],
        active_at,
        None if some_states is None else bytes(some_states),
    )


@st.composite
def end_runs(draw: st.DrawFn) -> EndRun:
    origin = draw(origins)
    wanted = draw(st.lists(sequences, min_size=1, max_size=6))
    variant = draw(variants)
    rows = [login_of(origin, sequence, variant) for sequence in wanted]
    return EndRun(
        origin,
        wanted,
        bytes(draw(st.lists(ends, min_size=len(rows), max_size=len(rows)))),
        [row.key for row in rows],
        [row.user for row in rows],
        [row.expires_at for row in rows],
    )


@st.composite
def touch_runs(draw: st.DrawFn) -> TouchRun:
    wanted = draw(st.lists(sequences, min_size=1, max_size=6))
    return TouchRun(draw(origins), wanted, draw(st.lists(times, min_size=len(wanted), max_size=len(wanted))))


barriers = st.builds(Barrier, users, st.integers(NOW_MS - 15_000, NOW_MS + 2 * OFFSET_MS + 2))


def _some(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(strategy, max_size=2).map(tuple)


changes = st.builds(Changes, _some(logins()), _some(end_runs()), _some(touch_runs()), _some(barriers))
changes_without_touches = st.builds(Changes, _some(logins()), _some(end_runs()), st.just(()), _some(barriers))
batches = st.lists(changes, max_size=6)


@st.composite
def copies(draw: st.DrawFn, count: int) -> list[Record]:
    """Copies of one record as they may exist at several nodes, lies and early ends included."""
    login_id = LoginId(*ORIGINS[0], 255)
    records = []
    for _ in range(count):
        login = login_of(ORIGINS[0], 255, draw(st.sampled_from([0, 0, 0, 12, 13, 14, 15])))
        if draw(st.booleans()):
            records.append(Record(login_id, login, draw(times), draw(states)))
        else:
            ended = partial_login(login.key, login.user, login.expires_at)
            records.append(Record(login_id, ended, 0, draw(ends)))
    return records
