"""Which sessions cross between two sites, as the [[remote]] tables of the file say. Pure.

Rules of this file:

- Only a session that is alive is judged. Ends and barriers always cross: nobody stays logged in anywhere because
  somebody else was not told that he has left.
- What is judged never changes while a session is alive (user, attributes, key); so a judgement may be kept.
- Both sides must mean the same. `meaning` tells whether they do; the order and repetition of items mean nothing.

Theory. A filter is a rule for each [[remote]] that is about either of the two sites, and a session passes when every
rule lets it. So a session that reached a third site passes between any two that may have it: filters of pairs agree.

Source: DESIGN section 4 (WAN).
"""

import fnmatch
import functools
import hashlib
import json
import re
from collections.abc import Callable, Iterable
from typing import Final

import attrs

from protocol import addresses
from protocol.sections import RemoteEntry
from protocol.session import Attributes, Login, Record, State, partial_login

MEANING_BYTES: Final = 8


@attrs.frozen
class Choice:
    """One list of a rule. With `includes` only what fits one of them passes; what fits one of `excludes` never does."""

    includes: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()

    def let(self, fits: Callable[[tuple[str, ...]], bool]) -> bool:
        """Whether that passes of which `fits` tells whether it fits any of some items."""
        return not (self.excludes and fits(self.excludes)) and (not self.includes or fits(self.includes))

    def __bool__(self) -> bool:
        return bool(self.includes or self.excludes)


@attrs.frozen
class Rule:
    """What one [[remote]] says: three lists, each of which must let a session pass."""

    users: Choice = Choice()
    groups: Choice = Choice()
    networks: Choice = Choice()

    def passes(self, login: Login) -> bool:
        """Whether all three lists let it. A session without groups is in no group, a key without address nowhere."""
        if self.users and not self.users.let(lambda items: _matcher(items)(login.user) is not None):
            return False
        if self.groups:
            groups = _groups(login.attributes)
            if not self.groups.let(lambda items: any(map(_matcher(items), groups))):
                return False
        if self.networks:
            found = address_of(login.key)
            return self.networks.let(lambda items: found is not None and _lies_in(found, items))
        return True

    def __bool__(self) -> bool:
        return bool(self.users or self.groups or self.networks)


@attrs.frozen
class Filter:
    """What crosses between two sites. A false one lets everything pass."""

    rules: tuple[Rule, ...] = ()

    def passes(self, login: Login) -> bool:
        """Whether this session crosses while it is alive."""
        return all(rule.passes(login) for rule in self.rules)

    def shown(self, record: Record) -> Record | None:
        """The record as the other side is shown it: whole, or as an end without its content; None for not at all."""
        login = record.login
        if login.partial or self.passes(login):
            return record
        if record.state == State.ALIVE:
            return None
        return attrs.evolve(record, login=partial_login(login.key, login.user, login.expires_at))

    @property
    def meaning(self) -> bytes:
        """Equal on both sides exactly when they let the same pass; empty when that is everything."""
        if not self.rules:
            return b""
        plain = json.dumps([attrs.astuple(rule) for rule in self.rules])
        return hashlib.blake2b(plain.encode(), digest_size=MEANING_BYTES).digest()

    def __bool__(self) -> bool:
        return bool(self.rules)


EVERYTHING: Final = Filter()


def between(entries: Iterable[RemoteEntry], sites: tuple[str, str], *, lower: bool = False) -> Filter:
    """The filter of the links between two sites: what all entries for either say. `lower`: user names are."""
    rules = (_rule(entry, lower) for entry in entries if entry.site in sites)
    return Filter(tuple(sorted({rule for rule in rules if rule}, key=attrs.astuple)))


def address_of(key: str) -> addresses.Address | None:
    """The client address in a key: alone, beside a cookie, or with the mark of its site behind it."""
    return addresses.address(key.partition("+")[0].partition("@")[0])


# -- parts --------------------------------------------------------------------------------------------------------


def _rule(entry: RemoteEntry, lower: bool) -> Rule:
    users = map(str.lower, entry.users) if lower else entry.users
    return Rule(_choice(users), _choice(entry.groups), _choice(map(_canonical, entry.networks)))


def _choice(written: Iterable[str]) -> Choice:
    given = set(written)
    excludes = {each for each in given if each.startswith("!")}
    return Choice(tuple(sorted(given - excludes)), tuple(sorted(each[1:] for each in excludes)))


def _canonical(written: str) -> str:
    """A network as everybody writes it, so that two ways of writing it mean the same."""
    sign, text = ("!", written[1:]) if written.startswith("!") else ("", written)
    return f"{sign}{addresses.network(text)}"


def _groups(attributes: Attributes) -> tuple[str, ...]:
    groups = dict(attributes).get("groups", ())
    return (groups,) if isinstance(groups, str) else groups


def _lies_in(found: addresses.Address, items: tuple[str, ...]) -> bool:
    return any(found in network for network in _networks(items))


@functools.lru_cache(maxsize=64)
def _networks(items: tuple[str, ...]) -> list[addresses.Network]:
    return [network for network in map(addresses.network, items) if network is not None]


@functools.lru_cache(maxsize=64)
def _matcher(patterns: tuple[str, ...]) -> Callable[[str], re.Match[str] | None]:
    """Matches a text that any of the patterns stands for: one expression, a tenth of the time of many."""
    return re.compile("|".join(map(fnmatch.translate, patterns))).match
