"""What an adapter is: a part of `proxyagent run` that serves one kind of proxy, and cannot stop the others.

Rules of this file:

- An adapter talks to the ProxyAgent beside it through its public interface (proxyagent.agent), like any host program.
- No adapter stops the program: one that cannot serve (a port that is taken, an extra that is missing) is one alarm and
  one problem in `proxyagent status`, and is tried again every few seconds.
- After a reload every adapter is made anew from the configuration as it is then.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import attrs
import trio

from protocol.io.log import Log
from proxyagent.agent import ProxyAgent
from proxyagent.config import ProxySetup

RETRY_S = 5.0
"""After a failure: soon enough for a port that a stopping program still holds, seldom enough for the log."""


class AdapterUnusable(Exception):
    """Why an adapter cannot serve now; one line that names what to set right."""


class Adapter(Protocol):
    """One kind of proxy, served."""

    async def serve(self, agent: ProxyAgent, log: Log) -> None:
        """Serve until cancelled. Raises AdapterUnusable; whatever else it raises is a mistake of its own."""


Make = Callable[[ProxySetup], Adapter | None]
"""Makes an adapter as the configuration says; None where the configuration does not want it. Raises AdapterUnusable."""


@attrs.define
class Keeper:
    """Keeps one adapter serving for as long as its program runs; `error` is why it does not, or empty."""

    name: str
    make: Make
    setup: Callable[[], ProxySetup]
    error: str = ""
    _turn: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    def reopen(self) -> None:
        """Make it anew: after a reload."""
        self._turn.cancel()

    async def keep(self, agent: ProxyAgent, log: Log) -> None:
        """Serve until cancelled. Raises nothing: see `error`."""
        while True:
            with trio.CancelScope() as self._turn:
                try:
                    await self._serve(agent, log)
                except AdapterUnusable as error:
                    self._failed(str(error), log)
                except Exception as error:  # noqa: BLE001 - the proxy's other parts serve on
                    self._failed(repr(error), log)
                await trio.sleep(RETRY_S)

    async def _serve(self, agent: ProxyAgent, log: Log) -> None:
        adapter = self.make(self.setup())
        if adapter is None:
            self.error = ""
            await trio.sleep_forever()
        else:
            await adapter.serve(agent, log)

    def _failed(self, text: str, log: Log) -> None:
        if text != self.error:
            log.alarm("adapter.failed", adapter=self.name, error=text)
        self.error = text


def keepers(makers: Mapping[str, Make], setup: Callable[[], ProxySetup]) -> tuple[Keeper, ...]:
    """One keeper for each maker, under its name."""
    return tuple(Keeper(name, make, setup) for name, make in makers.items())
