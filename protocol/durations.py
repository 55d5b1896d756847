"""Durations as people write them: "500ms", "90s", "30m", "12h", "7d".

Rules of this file:

- A duration always has its unit: a bare number is a mistake, since nobody can see whether it means seconds.
- Inside the programs a duration is a float of seconds, in a name that ends in `_s`.
"""

import re

UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

_FORM = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)\s?(ms|s|m|h|d)", re.ASCII)


def parse(text: str) -> float:
    """The seconds that `text` stands for.

    Raises ValueError, in words for the operator, when it is no duration. Does not block.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise ValueError('write a number and its unit, such as "500ms", "90s", "30m", "12h" or "7d"')
    return float(found[1]) * UNITS_S[found[2]]


def text(seconds: float) -> str:
    """How people write `seconds`: in the largest unit that divides it, but 60s and 24h rather than 1m and 1d."""
    for unit in ("d", "h", "m", "s"):
        count = seconds / UNITS_S[unit]
        if count >= 1 and count == int(count) and (unit in "hs" or count > 1):
            return f"{int(count)}{unit}"
    return f"{seconds * 1000:g}ms"
