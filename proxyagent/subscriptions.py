"""Delivers notices to those who listen, each at their own pace.

Rules of this file: delivering never waits and never raises; whoever falls NOTICES_MAX behind is told how many were
lost and goes on with the next. Everything here runs in trio's thread.
"""

from collections import deque

import trio

from protocol import limits
from proxyagent.notices import Notice, NoticesLost


class Subscription:
    """One listener: an asynchronous iterator that ends when the agent is left, or raises why it broke."""

    def __init__(self, owner: "Subscriptions") -> None:
        self._owner = owner
        self._waiting: deque[Notice] = deque()
        self._lost = 0
        self._ended = False
        self._failure: Exception | None = None
        self._parked = trio.lowlevel.ParkingLot()

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> Notice:
        """The next notice. Blocks until there is one."""
        await trio.lowlevel.checkpoint()
        while not self._waiting and not self._lost:
            if self._failure is not None:
                raise self._failure
            if self._ended:
                raise StopAsyncIteration
            await self._parked.park()
        if self._lost:
            lost, self._lost = self._lost, 0
            return NoticesLost(lost)
        return self._waiting.popleft()

    def waiting(self) -> list[Notice]:
        """All notices that are there already, a NoticesLost in front where some were lost. Does not block."""
        there = [*([NoticesLost(self._lost)] if self._lost else []), *self._waiting]
        self._lost = 0
        self._waiting.clear()
        return there

    def close(self) -> None:
        """Listen no longer. Harmless when repeated."""
        self._owner.remove(self)
        self.end(None)

    async def aclose(self) -> None:
        """As close; for contextlib.aclosing."""
        self.close()

    def deliver(self, notice: Notice) -> None:
        """Put a notice behind the others, or count it among the lost."""
        if len(self._waiting) >= limits.NOTICES_MAX:
            self._lost += len(self._waiting)
            self._waiting.clear()
        self._waiting.append(notice)
        self._parked.unpark_all()

    def end(self, failure: Exception | None) -> None:
        """Nothing more comes."""
        self._ended = True
        self._failure = failure
        self._parked.unpark_all()


class Subscriptions:
    """All listeners of one agent."""

    def __init__(self) -> None:
        self._all: list[Subscription] = []

    def add(self) -> Subscription:
        """A new listener, from this moment on."""
        subscription = Subscription(self)
        self._all.append(subscription)
        return subscription

    def remove(self, subscription: Subscription) -> None:
        if subscription in self._all:
            self._all.remove(subscription)

    def deliver(self, notice: Notice) -> None:
        for subscription in self._all:
            subscription.deliver(notice)

    def end(self, failure: Exception | None) -> None:
        for subscription in self._all:
            subscription.end(failure)
        self._all.clear()
