"""Codes and challenges without trio: each method is the one of the same name, run to its end."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
import trio

import proxyagent
from proxyagent.blocking_items import BlockingChallenges, BlockingCodes
from proxyagent.testing import FakeProxyAgent

Answer = TypeVar("Answer")


def wait(what: Callable[[], Awaitable[Answer]]) -> Answer:
    """As BlockingProxyAgent does it, with a loop of its own each time."""

    async def run() -> Answer:
        return await what()

    return trio.run(run)


def test_codes_block() -> None:
    """Create, redeem, list and revoke."""
    codes = BlockingCodes(FakeProxyAgent().codes, wait)
    made = codes.create("gfield", 60, timeout=1)

    assert codes.redeem("gfield", made.code, "phone-1", request="r", timeout=1).state == "used"
    assert [each.device for each in codes.list("gfield")] == ["phone-1"]
    assert codes.revoke("gfield", timeout=1) == 0
    with pytest.raises(proxyagent.Refused):
        codes.redeem("gfield", made.code, "phone-2")


def test_challenges_block() -> None:
    """Create, get, consume and revoke."""
    challenges = BlockingChallenges(FakeProxyAgent().challenges, wait)
    made = challenges.create("sms", "alice", secret="1234", validity=60)
    again = challenges.create("sms", "alice")

    assert challenges.get("sms", made.id) == made
    assert {each.id for each in challenges.list("sms", "alice")} == {made.id, again.id}
    assert challenges.consume("sms", made.id, secret="1234").user == "alice"
    assert challenges.revoke("sms", again.id, timeout=1)
    with pytest.raises(proxyagent.Refused):
        challenges.consume("sms", again.id)
