"""Knows every acknowledged login and logout, and so what must and what must not be shown.

Rules of this file:

- A login counts from the moment its acknowledgement was read, and until its logout was begun.
- A logout counts, for the login ids that it ended, from the moment its acknowledgement was read, for ever.
- What was begun and not acknowledged may go either way: it binds nobody.
- While faults go on, a process that has shown an ended login and shows it no more has heard of its end: it may not
  show it again. One that never showed it may be behind both, and learn the login first. After healing nobody may.
- A process that has shown a login shows it until its logout is begun, whatever fails: twice missing, in two looks, is
  forgotten (once may be a logout that this oracle has yet to read from another pipe).
"""

from collections import defaultdict
from collections.abc import Collection
from typing import Any

import attrs


@attrs.define
class Oracle:
    """Fed with the events of tests.system.load_proxy, asked about what proxies show."""

    acknowledged: dict[str, str] = attrs.field(factory=dict)
    ended: set[str] = attrs.field(factory=set)
    doubtful: set[str] = attrs.field(factory=set)
    seconds: list[float] = attrs.field(factory=list)
    unacknowledged: int = 0
    resurrected: set[str] = attrs.field(factory=set)
    forgotten: set[str] = attrs.field(factory=set)
    _by_name: defaultdict[str, list[str]] = attrs.field(factory=lambda: defaultdict(list))
    _seen: defaultdict[str, set[str]] = attrs.field(factory=lambda: defaultdict(set))
    _gone: defaultdict[str, set[str]] = attrs.field(factory=lambda: defaultdict(set))
    _missed: defaultdict[str, set[str]] = attrs.field(factory=lambda: defaultdict(set))

    def hear(self, event: dict[str, Any]) -> None:
        """Take in one event of one proxy, in the order in which that proxy wrote them."""
        match event:
            case {"event": "logging_in", "key": key, "user": user, "id": login_id}:
                self._by_name[f"key {key}"].append(login_id)
                self._by_name[f"user {user}"].append(login_id)
            case {"event": "login", "acknowledged": True, "key": key, "id": login_id, "s": seconds}:
                self.acknowledged[login_id] = key
                self.seconds.append(seconds)
            case {"event": "logging_out", "key": key, "user": user}:
                self.doubtful.update(self._by_name[f"key {key}" if key is not None else f"user {user}"])
            case {"event": "logout", "acknowledged": True, "ids": ids}:
                self.ended.update(ids)
            case {"event": "login" | "logout", "acknowledged": False}:
                self.unacknowledged += 1

    @property
    def alive(self) -> set[str]:
        """The logins that every proxy must show once all is healed."""
        return self.acknowledged.keys() - self.doubtful - self.ended

    def stands(self, login_id: str) -> bool:
        """Whether a login was acknowledged and nobody has begun to end it."""
        return login_id in self.acknowledged and login_id not in self.doubtful and login_id not in self.ended

    def look(self, process: str, asked: Collection[str], shown: Collection[str]) -> None:
        """Take in which of the logins `asked` one process of one proxy shows, while faults go on."""
        gone, seen, missed = self._gone[process], self._seen[process], self._missed[process]
        known = seen.intersection(asked)
        self.resurrected |= gone.intersection(shown)
        seen.update(shown)
        absent = known.difference(shown)
        gone |= self.ended & absent
        self.forgotten |= {login_id for login_id in missed & absent if self.stands(login_id)}
        missed -= known
        missed |= absent

    def lost(self, shown: Collection[str]) -> set[str]:
        """The logins that a healed proxy should show and does not."""
        return self.alive.difference(shown)

    def back(self, shown: Collection[str]) -> set[str]:
        """The logged-out logins that a healed proxy shows."""
        return self.ended.intersection(shown)
