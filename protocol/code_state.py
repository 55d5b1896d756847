"""What became of a provisioning code, as people and programs are shown it. Pure.

Rules of this file: the code itself is not here, nor anything that helps to guess it.
"""

from collections.abc import Callable
from typing import Any

import attrs

from protocol import limits
from protocol.item import Item
from protocol.table import Table


@attrs.frozen
class CodeState:
    """What became of a code. `state` is open, claimed, used, expired, revoked, superseded, exhausted or conflict.

    `device` is whose it is, or may be (claimed), else empty.
    """

    user: str
    id: str
    state: str
    made_at_ms: int
    expires_at_ms: int
    device: str
    tries_left: int


def code_state(table: Table, item: Item, now_ms: int) -> CodeState:
    """The state of an item of the kind."""
    state = table.items.state(item, now_ms)
    device = item.claims[0].holder if item.claims else ""
    left = max(0, limits.CODE_TRIES_MAX - item.tries_made)
    return CodeState(item.user, item.id, state, item.made_at, item.expires_at, device, left)


def as_json(state: CodeState, now_ms: int, rfc3339: Callable[[int], str]) -> dict[str, Any]:
    """The fields of `code list --json`; `rfc3339` writes milliseconds since 1970 as a time of day."""
    return {
        "user": state.user,
        "id": state.id,
        "state": state.state,
        "made_at": rfc3339(state.made_at_ms),
        "expires_at": rfc3339(state.expires_at_ms),
        "validity_left_s": round(max(0, state.expires_at_ms - now_ms) / 1000, 3),
        "device": state.device,
        "tries_left": state.tries_left,
    }
