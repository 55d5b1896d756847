"""How long a fault keeps proxies waiting: from the fault until each has a login, begun after it, acknowledged.

Rules of this file:

- Times are of the monotonic clock, which all processes of a machine share; the proxies tell theirs.
- A proxy that is itself broken, cut off or restarted meanwhile says nothing about the servers: it is left out.
- A proxy that was not served before the next fault counts with the time until that fault, as `unserved`.
"""

from typing import Any

import attrs


@attrs.define
class Served:
    """The seconds of every fault and proxy."""

    seconds: list[float] = attrs.field(factory=list)
    unserved: list[float] = attrs.field(factory=list)
    _fault_s: float | None = None
    _waiting: set[str] = attrs.field(factory=set)

    def watch(self, now_s: float, proxies: set[str]) -> None:
        """A fault happens now that these proxies feel."""
        self.close(now_s)
        self._fault_s, self._waiting = now_s, set(proxies)

    def close(self, now_s: float) -> None:
        """Stop watching."""
        if self._fault_s is not None:
            self.unserved += [now_s - self._fault_s] * len(self._waiting)
        self._fault_s, self._waiting = None, set()

    @property
    def all_served(self) -> bool:
        """Whether nobody is waited for."""
        return not self._waiting

    def hear(self, proxy: str, event: dict[str, Any]) -> None:
        """Take in an event of a proxy."""
        if proxy in self._waiting and event["event"] == "login" and event["acknowledged"]:
            assert self._fault_s is not None
            if event["at"] >= self._fault_s:
                self.seconds.append(event["at"] + event["s"] - self._fault_s)
                self._waiting.discard(proxy)
