"""What an adapter is: a part of `proxyagent run` that serves one kind of proxy, and cannot stop the others.

Rules of this file:

- An adapter talks to the ProxyAgent beside it through its public interface (proxyagent.agent), like any host program.
- No adapter stops the program: one that cannot serve (a port that is taken, an extra that is missing) is one alarm and
  one problem in `proxyagent status`, and is tried again every few seconds.
- After a reload every adapter is made anew from the configuration as it is then, but for one that says it would be the
  same (Lasting): whoever is just being served is not cut off.
"""

from collections.abc import Callable, Mapping
from typing import Protocol, cast, runtime_checkable

import attrs
import trio

from protocol.io.log import Log
from proxyagent.agent import ProxyAgent
from proxyagent.config import ProxySetup

RETRY_S = 5.0
"""After a failure: soon enough for a port that a stopping program still holds, seldom enough for the log."""


SETTLED_S = 1.0
"""An adapter that has served for so long has no error any more."""


class AdapterUnusable(Exception):
    """Why an adapter cannot serve now; one line that names what to set right. It is tried again after `retry_s`."""

    def __init__(self, text: str, retry_s: float = RETRY_S) -> None:
        super().__init__(text)
        self.retry_s = retry_s


class Adapter(Protocol):
    """One kind of proxy, served."""

    async def serve(self, agent: ProxyAgent, log: Log) -> None:
        """Serve until cancelled. Raises AdapterUnusable; whatever else it raises is a mistake of its own."""


@runtime_checkable
class Drainable(Protocol):
    """An adapter that can have the switch in front send nobody new here."""

    def drain(self, wanted: bool) -> None:
        """Ask for no new users from now on, or for them again."""

    async def wait_drained(self) -> None:
        """Wait until a switch that asks has been told; not at all where none asks."""


@runtime_checkable
class Lasting(Protocol):
    """An adapter that depends on nothing but what it was made of: no file, no library that could have changed."""

    def is_as(self, other: object) -> bool:
        """Whether `other` would serve exactly as this one does."""


Make = Callable[[ProxySetup], Adapter | None]
"""Makes an adapter as the configuration says; None where the configuration does not want it. Raises AdapterUnusable."""


@attrs.define
class Keeper:
    """Keeps one adapter serving for as long as its program runs."""

    name: str
    make: Make
    setup: Callable[[], ProxySetup]
    _turn: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    _adapter: object = None  # what serves, or tries to
    _drainable: Drainable | None = None
    _draining: bool = False
    _failure: str = ""
    _since_s: float | None = None  # since when it has served, None while it does not

    @property
    def error(self) -> str:
        """Why it does not serve, or empty."""
        served = self._since_s is not None and trio.current_time() - self._since_s >= SETTLED_S
        return "" if served else self._failure

    def reopen(self) -> None:
        """Make it anew: after a reload."""
        if not self._lasts():
            self._turn.cancel()

    def _lasts(self) -> bool:
        """Whether what serves now is what would be made."""
        if self._since_s is None or not isinstance(self._adapter, Lasting):
            return False
        try:
            return self._adapter.is_as(self.make(self.setup()))
        except AdapterUnusable:
            return False

    def drain(self, wanted: bool) -> bool:
        """Have nobody new sent here, or new users again, through reloads too; False where nothing can tell a switch."""
        self._draining = wanted
        if self._drainable is not None:
            self._drainable.drain(wanted)
        return self._drainable is not None

    async def wait_drained(self) -> None:
        """Wait until a switch that asks has been told. It may never ask: give it a deadline."""
        if self._drainable is not None:
            await self._drainable.wait_drained()

    async def keep(self, agent: ProxyAgent, log: Log) -> None:
        """Serve until cancelled. Raises nothing: see `error`."""
        while True:
            retry_s = RETRY_S
            with trio.CancelScope() as self._turn:
                try:
                    await self._serve(agent, log)
                except AdapterUnusable as error:
                    retry_s = error.retry_s
                    self._failed(str(error), log)
                except Exception as error:  # noqa: BLE001 - the proxy's other parts serve on
                    self._failed(repr(error), log)
                await trio.sleep(retry_s)

    async def _serve(self, agent: ProxyAgent, log: Log) -> None:
        adapter: object = self.make(self.setup())
        self._failure, self._since_s = self.error, trio.current_time()  # one that was settled begins without a failure
        self._adapter = adapter
        self._drainable = adapter if isinstance(adapter, Drainable) else None
        if adapter is None:
            self._failure = ""
            await trio.sleep_forever()
        self.drain(self._draining)
        await cast(Adapter, adapter).serve(agent, log)

    def _failed(self, text: str, log: Log) -> None:
        if text != self.error:
            log.alarm("adapter.failed", adapter=self.name, error=text)
        self._failure, self._since_s = text, None


def keepers(makers: Mapping[str, Make], setup: Callable[[], ProxySetup]) -> tuple[Keeper, ...]:
    """One keeper for each maker, under its name."""
    return tuple(Keeper(name, make, setup) for name, make in makers.items())
