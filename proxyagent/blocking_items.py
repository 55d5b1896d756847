"""Codes and challenges for programs without trio: the same methods, each of which blocks its thread.

Rules of this file: nothing is decided here, and nothing is said twice; see codes.py and challenges.py.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from protocol.code_state import CodeState
from proxyagent.challenges import Challenge, Challenges
from proxyagent.codes import Codes, ProvisionCode

Answer = TypeVar("Answer")


class Wait(Protocol):
    """Runs something in the thread of the loop, and waits for it here."""

    def __call__(self, what: Callable[[], Awaitable[Answer]], /) -> Answer: ...


class BlockingCodes:
    """`agent.codes` of a BlockingProxyAgent."""

    def __init__(self, codes: Codes, wait: Wait) -> None:
        self._codes = codes
        self._wait = wait

    def create(self, user: str, validity: float = 600.0, *, timeout: float = 5.0) -> ProvisionCode:
        """As Codes.create."""
        return self._wait(lambda: self._codes.create(user, validity, timeout=timeout))

    def redeem(
        self, user: str, code: str, device: str, *, request: str | None = None, timeout: float = 5.0
    ) -> CodeState:
        """As Codes.redeem."""
        return self._wait(lambda: self._codes.redeem(user, code, device, request=request, timeout=timeout))

    def revoke(self, user: str, *, timeout: float = 5.0) -> int:
        """As Codes.revoke."""
        return self._wait(lambda: self._codes.revoke(user, timeout=timeout))

    def list(self, user: str | None = None) -> tuple[CodeState, ...]:
        """As Codes.list."""
        return self._codes.list(user)


class BlockingChallenges:
    """`agent.challenges` of a BlockingProxyAgent."""

    def __init__(self, challenges: Challenges, wait: Wait) -> None:
        self._challenges = challenges
        self._wait = wait

    def create(self, kind: str, user: str, **more: Any) -> Challenge:
        """As Challenges.create, with the same keyword arguments."""
        return self._wait(lambda: self._challenges.create(kind, user, **more))

    def get(self, kind: str, id: str) -> Challenge | None:
        """As Challenges.get."""
        return self._challenges.get(kind, id)

    def list(self, kind: str, user: str | None = None) -> tuple[Challenge, ...]:
        """As Challenges.list."""
        return self._challenges.list(kind, user)

    def consume(self, kind: str, id: str, **more: Any) -> Challenge:
        """As Challenges.consume, with the same keyword arguments."""
        return self._wait(lambda: self._challenges.consume(kind, id, **more))

    def revoke(self, kind: str, id: str, *, timeout: float = 5.0) -> bool:
        """As Challenges.revoke."""
        return self._wait(lambda: self._challenges.revoke(kind, id, timeout=timeout))
