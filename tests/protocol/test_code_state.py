"""What people are shown of a code."""

import attrs

from protocol.changes import Changes
from protocol.code_state import as_json, code_state
from protocol.item import Claim, claimed, tried
from protocol.table import Table
from tests.protocol.test_item_acts import NOW_MS, code_item


def test_a_state_says_whose_it_is_and_what_is_left() -> None:
    """Open, with wrong tries; then somebody's; nothing that helps to guess."""
    table = Table(digest_key=b"k" * 32)
    guessed = tried(code_item(), "lan1/authagent-1")
    table.merge(Changes(items=(guessed,)), NOW_MS)
    used = claimed(guessed, Claim(b"r", "phone-1", NOW_MS, "lan1/authagent-1", True))

    assert (code_state(table, guessed, NOW_MS).state, code_state(table, guessed, NOW_MS).tries_left) == ("open", 4)
    state = code_state(table, used, NOW_MS)
    assert (state.state, state.device) == ("used", "phone-1")
    assert guessed.lock.hex() not in repr(state) and repr(guessed.lock) not in repr(attrs.asdict(state))


def test_json_has_times_of_day_and_seconds() -> None:
    """The fields that docs/reference/json.md lists."""
    table = Table(digest_key=b"k" * 32)
    table.merge(Changes(items=(code_item(),)), NOW_MS)
    told = as_json(code_state(table, code_item(), NOW_MS), NOW_MS + 500, lambda at_ms: f"at {at_ms}")

    assert told == {
        "user": "alice", "id": "c0de", "state": "open", "made_at": f"at {NOW_MS}",
        "expires_at": f"at {NOW_MS + 600_000}", "validity_left_s": 599.5, "device": "", "tries_left": 5,
    }  # fmt: skip
