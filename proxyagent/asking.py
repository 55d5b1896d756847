"""Waiting for the master's word about an item: asked, asked again, and in the end decided here or given up.

Rules of this file:

- "Not now" is asked again every RETRY_S; a lost link has the question asked of the next master (core/questions.py).
- The request in a redemption makes every repetition harmless, so nothing here remembers what it asked.
- A creation has no such name: two masters would stamp one item twice, and it would be nobody's. So each attempt is
  another item, with an id of its own; where the caller has named the id there is one attempt.
- What may be decided without an agent is, once none has served this proxy for ALONE_AFTER_S: a failover is shorter.
"""

from collections.abc import Callable

import trio

from protocol.messages import Creation, Ruling, Verdict
from protocol.stamp import Now
from proxyagent.core.client import Client
from proxyagent.core.questions import Question
from proxyagent.errors import Undecided
from proxyagent.shell import Shell

RETRY_S = 0.2
POLL_S = 0.1
ALONE_AFTER_S = 1.0

Alone = Callable[[Client, Now], bool | None]
"""Decides without any agent; None where only an agent may say."""

Draw = Callable[[Client, Now], Creation]
"""Makes the question for an item that has not been asked for before."""


class Asking:
    """Asks on behalf of one ProxyAgent."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell

    async def decide(self, question: Question, timeout_s: float, alone: Alone | None = None) -> Verdict | bool:
        """The master's verdict, GRANTED or REFUSED or FULL; or what `alone` said. Raises Undecided when time is up."""
        return await self._decided(lambda client, now: question, timeout_s, alone, once=False)

    async def create(self, draw: Draw, timeout_s: float, *, once: bool = False) -> Verdict:
        """The master's verdict on a new item; `draw` makes another one for each attempt. `once`: there is one attempt.

        Raises Undecided: an item of such an attempt may stand in the table, and nobody knows of it.
        """
        told = await self._decided(draw, timeout_s, None, once=once)
        assert isinstance(told, Verdict), "nobody decides here what only a master may make"
        return told

    async def _decided(
        self, draw: Callable[[Client, Now], Question], timeout_s: float, alone: Alone | None, *, once: bool
    ) -> Verdict | bool:
        await trio.lowlevel.checkpoint()
        with trio.move_on_after(timeout_s):
            while True:
                told = await self._ask(self.shell.call(draw), alone)
                if isinstance(told, bool) or told.ruling != Ruling.UNAVAILABLE:
                    return told
                if once:
                    break
                await trio.sleep(RETRY_S)
        raise Undecided(f"Error Server Connection: not decided within {timeout_s:g} s ({self._why()})")

    async def _ask(self, question: Question, alone: Alone | None) -> Verdict | bool:
        shell = self.shell
        number = shell.call(lambda client, now: client.cache.questions.ask(question))
        try:
            while True:
                verdict = shell.call(lambda client, now: client.cache.questions.take(number))
                if verdict is not None:
                    return verdict
                if alone is not None and self._is_alone():
                    decided = shell.call(alone)
                    if decided is not None:
                        return decided
                with trio.move_on_after(POLL_S):
                    await shell.moved.wait()
        finally:
            shell.client.cache.questions.give_up(number)

    async def wait_stored(self, serial: int, timeout_s: float) -> bool:
        """Whether what was put in the outbox under this serial is on level `site` in time."""
        await trio.lowlevel.checkpoint()
        with trio.move_on_after(timeout_s):
            while self.shell.call(lambda client, now: client.outbox.reached(serial)) != "site":
                await self.shell.waiters.wait(serial, "site")
            return True
        return False

    async def settle(self, serial: int, timeout_s: float) -> None:
        """Wait until it is on level `site`, 0 being nothing. Raises Undecided: it stands here, and is on its way."""
        if serial and not await self.wait_stored(serial, timeout_s):
            raise Undecided(f"done here, and not on stable storage of the site within {timeout_s:g} s ({self._why()})")

    def _is_alone(self) -> bool:
        return self.shell.call(
            lambda client, now: client.isolated and now.monotonic_s - client.isolated_since[0] >= ALONE_AFTER_S
        )

    def _why(self) -> str:
        if self.shell.client.isolated:
            return self.shell.client.last_refusal or "no AuthAgent serves this proxy"
        return "the agents of the site are apart, or one is gone and its witnesses too"
