"""Who somebody is once a password was right, and what a back end is that checks passwords.

Rules of this file:

- A back end answers an Identity, or None for a wrong user or password; it raises Unavailable where it cannot tell.
  Nobody is let in then; who is signed in goes on.
- No error of a back end quotes a user or a password: users write the one into the field of the other.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import attrs


@attrs.frozen
class Identity:
    """A user whose password was right: the name that the session shall bear, and what it shall say besides."""

    user: str
    attributes: Mapping[str, str | Sequence[str]] = attrs.field(factory=dict)


class Unavailable(Exception):
    """Passwords cannot be checked now; one line for the log."""


class BackendUnusable(Exception):
    """What an operator must set right before passwords can be checked; one line."""


class Backend(Protocol):
    """Checks passwords."""

    async def check(self, user: str, password: str, address: str) -> Identity | None:
        """Who somebody at `address` is who wrote this; None where it is wrong. Raises Unavailable."""
