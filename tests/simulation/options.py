"""What one run is like: drawn from its seed, so that no two runs are alike and each can be had again.

Rules of this file:

- Swarm testing (Groce and others, 2012): each kind of fault is on or off for a whole run. A run with everything on
  finds less than many runs with something off, because faults hide each other.
- Numbers are drawn from short lists of telling values, not from ranges: the usual, the edge, the absurd.
- Heartbeats of seconds are as good as those of 200 ms where nothing is promised in seconds, and cost a tenth.
"""

import random

import attrs

from protocol.stamp import SLEW_US_PER_MS
from tests.simulation.clock_faults import SPARED
from tests.simulation.faults import FAULTS, WAN_FAULTS
from tests.simulation.speech import Dialect

LIFETIMES_S = (3_600, 3_600, 150, 45)
"""The shorter ones end within a run, so that records are forgotten and tombstones dropped."""

IDLE_TIMEOUTS_S = (1_800, 60, 60)
CLOCK_BOUNDS_MS = (0, 50, 400, 800)
"""How wrong an agent's clock may be: of two together less than the 2 s for which they would refuse each other."""

WAN_SEEDS = 10_000_000
"""From this seed on every run has several sites; of the others one in eight."""

CLOCK_SEEDS = 20_000_000
"""From this seed on every run has one site, whose agents' clocks are wrong by far at times."""

SLEW_S = SLEW_US_PER_MS / 1000
"""By how much a wrong clock pulls the site's time in a second."""

STAND_IN_SHARE = 0.6
FILTER_SHARE = 0.6
"""Of the others: a proxy that another site serves brings its whole table along, whatever is filtered."""

ITEM_EVERY_S = (0.0, 0.0, 0.0, 40.0, 20.0, 7.0)
COOKIE_EVERY_S = (0.0, 0.0, 20.0, 10.0)
"""Half of the runs have codes and challenges, half have cookies."""

PROXY_CLOCKS_MS = (0, 250, 2_000, 3_600_000)
"""Nobody minds a proxy's clock."""


@attrs.frozen
class Options:
    """One run's options. Times in seconds; `acts` and `faults` are weights by kind."""

    seed: int
    duration_s: float
    rounds: int
    agents: tuple[int, ...]
    """How many agents each site has."""
    proxies: tuple[int, ...]
    keys: int
    users: int
    heartbeat_s: float
    idle_timeout_s: int
    lifetime_s: int
    delay_s: float
    jitter_s: float
    commit_s: float
    clock_bound_ms: int
    proxy_clock_ms: int
    drift: float
    act_every_s: float
    fault_every_s: float
    as_bytes: bool
    dialects: tuple[tuple[str, Dialect], ...]
    acts: tuple[tuple[str, float], ...]
    faults: tuple[tuple[str, float], ...]
    wan_delay_s: float = 0.0
    wan_fault_every_s: float = 0.0
    wan_faults: tuple[tuple[str, float], ...] = ()
    """Between sites; none where there is one."""
    stand_in: bool = False
    """Whether agents of other sites serve a proxy whose own are all out of reach."""
    kept_home: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """By site, the users whose sessions it does not share with others: its [[remote]]."""
    far_clock_every_s: float = 0.0
    """How often an agent's clock is wrong beyond the bound; 0 for never."""
    item_every_s: float = 0.0
    cookie_every_s: float = 0.0
    """How often somebody makes an item, and is given a cookie; 0 for never."""

    @property
    def doubt_s(self) -> float:
        """How far two clocks of agents, and what is made of them, may differ in a run."""
        far_s = SLEW_S * self.duration_s if self.far_clock_every_s else 0.0
        return 2 * (self.clock_bound_ms / 1000 + self.drift * 600 + far_s)

    @property
    def linked(self) -> bool:
        """Whether there are several sites, which share one table."""
        return len(self.agents) > 1

    @property
    def names(self) -> list[tuple[list[str], list[str]]]:
        """The names of agents and proxies, site by site."""
        return [
            ([f"s{site}a{n}" for n in range(1, agents + 1)], [f"s{site}p{n}" for n in range(1, proxies + 1)])
            for site, (agents, proxies) in enumerate(zip(self.agents, self.proxies, strict=True), 1)
        ]

    def shared(self, user: str, *sites: str) -> bool:
        """Whether all of these sites may know of a session of the user."""
        return not any(user in users for site, users in self.kept_home if site in sites)

    @property
    def scale(self) -> float:
        """How much slower than the default everything is noticed."""
        return self.heartbeat_s / 0.2


def draw(seed: int, duration_s: float = 300.0) -> Options:
    """The options of a seed."""
    dice = random.Random(f"{seed}/options")
    choose = dice.choice
    several = WAN_SEEDS <= seed < CLOCK_SEEDS
    sites = choose((2, 2, 3)) if several else choose((1, 1, 1, 1, 1, 1, 1, 2)) if seed < WAN_SEEDS else 1
    agents = tuple(choose((2, 2, 2, 2, 2, 2, 1)) for _ in range(sites))
    proxies = tuple(choose((1, 2, 2, 3, 3) if sites == 1 else (1, 2)) for _ in range(sites))
    names = [f"s{site}{kind}" for site in range(1, sites + 1) for kind in ("a1", "a2", "p1", "p2", "p3")]
    mixed = dice.random() < 0.08
    on = [kind for kind in FAULTS if dice.random() < 0.55] or [choose(list(FAULTS))]
    drawn = Options(
        seed=seed,
        duration_s=duration_s,
        rounds=choose((1, 3, 5, 8)),
        agents=agents,
        proxies=proxies,
        keys=choose((2, 4, 6, 12)),
        users=choose((2, 4, 6)),
        heartbeat_s=choose((0.2, 0.5, 1.0, 2.0, 2.0, 2.0)),
        idle_timeout_s=choose(IDLE_TIMEOUTS_S),
        lifetime_s=choose(LIFETIMES_S),
        delay_s=choose((0.0002, 0.0005, 0.004, 0.03)),
        jitter_s=choose((0.0, 0.0005, 0.01, 0.05)),
        commit_s=choose((0.0005, 0.002, 0.02, 0.2)),
        clock_bound_ms=choose(CLOCK_BOUNDS_MS),
        proxy_clock_ms=choose(PROXY_CLOCKS_MS),
        drift=choose((0.0, 0.0, 1e-5, 2e-4)),
        act_every_s=choose((0.7, 1.5, 3.0)),
        fault_every_s=choose((0.7, 1.5, 3.0, 6.0)),
        as_bytes=dice.random() < 0.15,
        dialects=tuple((name, choose(("ours", "newer", "older"))) for name in names) if mixed else (),
        acts=(
            ("login", 8.0),
            ("touch", choose((0.0, 4.0, 12.0))),
            ("look", choose((0.0, 2.0, 6.0))),
            ("logout_key", choose((0.5, 2.0))),
            ("logout_user", choose((0.0, 1.0))),
            ("operator", choose((0.0, 0.0, 0.5))),
        ),
        faults=tuple((kind, choose((0.5, 1.0, 3.0))) for kind in on),
    )
    if seed >= CLOCK_SEEDS:
        drawn = _with_far_clocks(drawn, dice)
    return _with_items(_between_sites(drawn, dice) if sites > 1 else drawn)


def _with_far_clocks(drawn: Options, dice: random.Random) -> Options:
    kept = tuple((kind, weight) for kind, weight in drawn.faults if kind not in SPARED)
    return attrs.evolve(
        drawn,
        rounds=max(drawn.rounds, 3),
        clock_bound_ms=min(drawn.clock_bound_ms, 50),
        faults=kept or (("kill", 1.0),),
        far_clock_every_s=dice.choice((5.0, 15.0, 40.0)),
    )


def _with_items(drawn: Options) -> Options:
    dice = random.Random(f"{drawn.seed}/items")
    return attrs.evolve(
        drawn, item_every_s=dice.choice(ITEM_EVERY_S), cookie_every_s=dice.choice(COOKIE_EVERY_S)
    )


def _between_sites(drawn: Options, dice: random.Random) -> Options:
    on = [kind for kind in WAN_FAULTS if dice.random() < 0.55] or [dice.choice(list(WAN_FAULTS))]
    apart = random.Random(f"{drawn.seed}/stand_in")  # dice of its own: other options stay as they were
    stand_in = apart.random() < STAND_IN_SHARE
    return attrs.evolve(
        drawn,
        stand_in=stand_in,
        kept_home=() if stand_in or drawn.dialects else _kept_home(drawn),  # an older version knows no filter
        wan_delay_s=dice.choice((0.004, 0.03, 0.15)),
        wan_fault_every_s=dice.choice((3.0, 10.0, 30.0)),
        wan_faults=tuple((kind, dice.choice((0.5, 1.0, 3.0))) for kind in on),
    )


def _kept_home(drawn: Options) -> tuple[tuple[str, tuple[str, ...]], ...]:
    dice = random.Random(f"{drawn.seed}/filter")
    if dice.random() >= FILTER_SHARE:
        return ()
    users = [f"user{number}" for number in range(1, drawn.users + 1)]
    sites = dice.sample([agents[0][:2] for agents, _ in drawn.names], dice.choice((1, 1, 2)))
    return tuple((site, tuple(dice.sample(users, dice.randint(1, max(1, len(users) // 2))))) for site in sites)
