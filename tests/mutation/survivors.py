"""The list of survivors: mutants that no test can notice, or that none has to, each with its reason.

One a line: the source file, the mutant's name, the reason, with " | " between. Lines that begin with # are for people.
"""

from collections.abc import Iterable
from pathlib import Path

import attrs

BETWEEN = " | "


@attrs.frozen
class Survivor:
    """One mutant that may live."""

    source: str
    name: str
    reason: str


class BadList(ValueError):
    """The list cannot be read; the text names the line."""


def read(path: Path) -> list[Survivor]:
    """The list; raises BadList for a line without a reason, or the same mutant twice."""
    found: dict[tuple[str, str], Survivor] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        source, _, rest = line.partition(BETWEEN)
        name, _, reason = rest.rpartition(BETWEEN)
        if not name or not reason.strip():
            raise BadList(f"{path}:{number}: source | mutant | reason is wanted")
        if (source, name) in found:
            raise BadList(f"{path}:{number}: this mutant stands there twice")
        found[source, name] = Survivor(source, name, reason.strip())
    return list(found.values())


@attrs.frozen
class Score:
    """One file's result. `unexplained` survived and are not listed; `stale` are listed and do not survive."""

    source: str
    mutants: int
    survived: tuple[str, ...]
    unexplained: tuple[str, ...]
    stale: tuple[str, ...]

    @property
    def percent(self) -> float:
        """Noticed, of all but those that are explained: the mutation score as it is usually reckoned."""
        asked = self.mutants - len(self.survived) + len(self.unexplained)
        return 100.0 * (self.mutants - len(self.survived)) / asked if asked else 100.0

    @property
    def percent_of_all(self) -> float:
        """Noticed, the explained survivors counted as what they are: survivors."""
        return 100.0 * (self.mutants - len(self.survived)) / self.mutants if self.mutants else 100.0

    @property
    def passed(self) -> bool:
        return not self.unexplained and not self.stale


def judge(source: str, names: Iterable[str], survived: Iterable[str], listed: Iterable[Survivor]) -> Score:
    """Compare what survived with what may."""
    survivors = tuple(survived)
    may = {survivor.name for survivor in listed if survivor.source == source}
    return Score(
        source,
        len(tuple(names)),
        survivors,
        tuple(name for name in survivors if name not in may),
        tuple(sorted(may - set(survivors))),
    )
