"""What is said on one connection with a helper of squid's, and on one with its access log.

Rules of this file:

- A helper asks `NUMBER VERB FIELDS` and gets `NUMBER OK ...` or `NUMBER ERR`, in any order; see questions.py.
- All that is asked at once is answered in one piece, but for logins: they wait until the agents have them, at most
  ACKNOWLEDGED_WITHIN_S, because the browser's next request may go to another proxy. Then they stand all the same.
- A line of the access log is what a session is asked by, `ADDRESS [COOKIE]`, and is not answered.
"""

import trio

from proxyagent.agent import ProxyAgent
from proxyagent.errors import Error, NotAcknowledged
from proxyagent.integrations.client_key import ClientKeys
from proxyagent.integrations.squid.answers import Answers, known_as
from proxyagent.integrations.squid.fields import KeyOf
from proxyagent.integrations.squid.lines import Incoming
from proxyagent.integrations.squid.questions import ERR
from proxyagent.session import Session

ACKNOWLEDGED_WITHIN_S = 0.3

WAITING_MAX = 1_000
"""Logins of one connection that wait; beyond that they are answered at once."""


class Helper:
    """One helper's connection."""

    def __init__(self, agent: ProxyAgent, answers: Answers, incoming: Incoming) -> None:
        self._agent = agent
        self._answers = answers
        self._incoming = incoming
        self._waiting = 0

    async def converse(self) -> None:
        """Answer until it leaves."""
        async with trio.open_nursery() as nursery:
            while (lines := await self._incoming.receive()) is not None:
                try:
                    replies, logins = self._answer(lines)
                except Error:
                    break  # the agent is being left; the helper will ask the next one
                if logins and not self._agent.isolated and self._waiting + len(logins) <= WAITING_MAX:
                    nursery.start_soon(self._acknowledge, logins)
                else:
                    replies += _recorded(logins)
                await self._incoming.send(b"".join(replies))
            nursery.cancel_scope.cancel()

    def _answer(self, lines: list[bytes]) -> tuple[list[bytes], dict[bytes, Session]]:
        """What can be said at once, and the logins that stand, by the numbers of their questions."""
        replies: list[bytes] = []
        logins: dict[bytes, Session] = {}
        asked_again: set[str] = set()
        for line in lines:
            number, _, question = line.partition(b" ")
            verb, *fields = question.split(b" ")
            answer = ERR
            if verb == b"session":
                answer = self._answers.session(fields)
            elif verb == b"login":
                session = self._answers.login(fields, asked_again)
                if session is not None:
                    logins[number] = session
                    continue
            replies.append(b"%b %b\n" % (number, answer))
        return replies, logins

    async def _acknowledge(self, logins: dict[bytes, Session]) -> None:
        self._waiting += len(logins)
        try:
            await self._agent.wait_acknowledged(logins.values(), timeout=ACKNOWLEDGED_WITHIN_S)
        except NotAcknowledged:
            pass  # it is on its way, and stands here
        except Error:
            return  # the agent is being left; the helper will ask the next one
        finally:
            self._waiting -= len(logins)
        await self._incoming.send(b"".join(_recorded(logins)))


def _recorded(logins: dict[bytes, Session]) -> list[bytes]:
    return [b"%b %b\n" % (number, known_as(session.user)) for number, session in logins.items()]


async def take_log(agent: ProxyAgent, keys: ClientKeys, key_of: KeyOf, incoming: Incoming) -> None:
    """One connection of squid's access log, until it ends."""
    while keys.trusts(incoming.peer) and (lines := await incoming.receive()) is not None:
        for key in {key_of(line.split(b" ")) for line in lines} - {None}:
            assert key is not None, "taken out above"
            agent.touch(key)
