"""What a problem costs as long as it lasts, in the same sentence: who may still be let in where, and for how long.

Rules of this file:

- Pure. A price is an upper bound: a proxy that nobody reaches may be dead, and cost nothing.
- A site that is not linked goes on by itself: there whoever was logged out here stays until it is linked again, or the
  session ends.
- A proxy without any agent answers for `keep_sessions`; so long at most, and not beyond a session's lifetime.
"""

import math

import attrs

from authagent.admin.problems import Problem
from authagent.missed import Missed
from protocol.configuration import Configuration


def priced(problem: Problem, missed: Missed, configuration: Configuration, now_ms: int) -> Problem:
    """The problem with its price, where it has one."""
    if problem.code == "site_missing":
        unheard = f": logouts of the last {_duration(problem.since_s)} do not reach it"
        return attrs.evolve(problem, text=problem.text.removesuffix(": logouts do not reach it") + unheard)
    if problem.code != "proxy_missing":
        return problem
    text = f"proxy {problem.about} alone for {_duration(problem.since_s)}; logouts do not reach it"
    at_most_s = _answers_s(configuration) - problem.since_s
    users = {user: min(left_s, at_most_s) for user, left_s in missed.by(problem.about, now_ms).items()}
    still = sorted((user for user, left_s in users.items() if left_s > 0), key=lambda user: (-users[user], user))
    if still:
        text += f"; {_names(still)} at most {_duration(users[still[0]])} more"
    return attrs.evolve(problem, text=text)


def _answers_s(configuration: Configuration) -> float:
    """How long a proxy that no agent serves goes on answering."""
    keep = configuration.session.keep_sessions
    if isinstance(keep, str):
        return 0.0 if keep == "drop" else math.inf
    return keep


def _names(users: list[str]) -> str:
    """`alice`, `alice and bob`, `alice and 41 others`."""
    if len(users) < 3:
        return " and ".join(users)
    return f"{users[0]} and {len(users) - 1:,} others"


def _duration(seconds: float) -> str:
    """`45 s`, `27 min`, `11 h 59 min`."""
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    if not minutes:
        return f"{seconds:.0f} s"
    return f"{hours:,} h {minutes % 60} min" if hours else f"{minutes} min"
