"""Passwords checked by a function of the operator's own: `backend = "python:MODULE:FUNCTION"`.

Rules of this file:

- The function is `async check(user, password, address) -> Identity | None`, on trio. It is found as any import is.
- What it raises is named in the log by its type alone: its text may hold the password.
"""

import importlib
import inspect
from collections.abc import Awaitable, Callable

from proxyagent.login.identity import BackendUnusable, Identity, Unavailable

Check = Callable[[str, str, str], Awaitable[Identity | None]]


class Custom:
    """A function of somebody else's. Raises BackendUnusable; imports its module."""

    def __init__(self, module: str, function: str) -> None:
        self._name = f"{module}:{function}"
        self._check: Check = _found(module, function)

    async def check(self, user: str, password: str, address: str) -> Identity | None:
        """What the function says."""
        try:
            found = await self._check(user, password, address)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong there, nobody is let in
            raise Unavailable(f"{self._name} raised {type(error).__name__}") from None
        if found is not None and not isinstance(found, Identity):
            raise Unavailable(f"{self._name} must return an Identity or None, not {type(found).__name__}")
        return found


def _found(module: str, function: str) -> Check:
    try:
        found = getattr(importlib.import_module(module), function, None)
    except Exception as error:  # noqa: BLE001 - what a module of theirs raises when it is imported
        raise BackendUnusable(f"[login] backend: cannot import {module}: {error!r}") from None
    if not inspect.iscoroutinefunction(found):
        text = f"{module} has no `async def {function}(user, password, address)`; its folder belongs into PYTHONPATH"
        raise BackendUnusable(f"[login] backend: {text}")
    check: Check = found
    return check
