"""Challenges in the hands of a host program: made at one proxy, consumed at another."""

from collections.abc import Mapping

import pytest
import trio

import proxyagent
from protocol.io.log import Severity
from proxyagent.asking import Asking
from proxyagent.challenges import Challenges
from proxyagent.testing import FakeProxyAgent, open_fake_site


async def test_an_image_made_at_one_proxy_lets_its_user_in_at_another(autojump_clock: object) -> None:
    """The other one reads it and consumes it, once; then neither has it."""
    async with open_fake_site(proxies=2) as site:
        here, there = site.proxies
        made = await here.challenges.create("image", "admin", blob=b"2718281828")
        await site.wait_equal()
        seen = there.challenges.get("image", made.id)
        taken = await there.challenges.consume("image", made.id)
        await site.wait_equal()

        assert made.shared
        assert seen is not None and seen.blob == taken.blob == b"2718281828"
        assert here.challenges.get("image", made.id) is None
        with pytest.raises(proxyagent.Refused):
            await here.challenges.consume("image", made.id)


async def test_the_same_request_gets_the_same_answer(autojump_clock: object) -> None:
    """A lost answer is asked for again, at whichever proxy; another request is refused."""
    async with open_fake_site(proxies=2) as site:
        made = await site.proxies[0].challenges.create("state", "alice", blob=b"pkce")
        first = await site.proxies[0].challenges.consume("state", made.id, request="r1")
        again = await site.proxies[1].challenges.consume("state", made.id, request="r1")

        assert first.blob == again.blob == b"pkce"
        with pytest.raises(proxyagent.Refused):
            await site.proxies[1].challenges.consume("state", made.id, request="r2")


async def test_what_was_sent_by_sms_must_be_typed() -> None:
    """The blob is given for the right answer only; five wrong ones are enough; nobody keeps the answer."""
    agent = FakeProxyAgent()
    made = await agent.challenges.create("sms", "alice", secret="493817", blob=b"session")
    other = await agent.challenges.create("sms", "bob", secret="111111")
    with pytest.raises(proxyagent.Refused):
        await agent.challenges.consume("sms", made.id, secret="000000")
    with pytest.raises(proxyagent.Refused):
        await agent.challenges.consume("sms", made.id)
    taken = await agent.challenges.consume("sms", made.id, secret="493817")
    for _ in range(5):
        with pytest.raises(proxyagent.Refused):
            await agent.challenges.consume("sms", other.id, secret="000000")

    assert taken.blob == b"session"
    assert "session" not in repr(taken)
    with pytest.raises(proxyagent.Refused):
        await agent.challenges.consume("sms", other.id, secret="111111")


async def test_a_proxy_alone_goes_on_unless_it_is_strict(autojump_clock: object) -> None:
    """With every link cut a challenge is made and consumed here, once; a strict one is undecided."""
    async with open_fake_site(proxies=1) as site:
        (agent,) = site.proxies
        strict = await agent.challenges.create("webauthn", "alice", strict=True)
        site.cut()
        with trio.fail_after(5):
            while not agent.isolated:
                await trio.sleep(0.05)
        made = await agent.challenges.create("image", "admin", timeout=0.5)
        taken = await agent.challenges.consume("image", made.id)

        assert not made.shared and not taken.shared
        with pytest.raises(proxyagent.Refused):
            await agent.challenges.consume("image", made.id)
        with pytest.raises(proxyagent.Undecided):
            await agent.challenges.consume("webauthn", strict.id, timeout=3)
        site.heal()
        await site.wait_equal()
        assert site.master.table.items.get("image", made.id).consumed is not None  # type: ignore[union-attr]


async def test_a_challenge_that_nobody_confirms_is_told_in_the_log() -> None:
    """With the word that operators of the source look for."""
    agent = FakeProxyAgent()
    lines: list[tuple[str, Mapping[str, object]]] = []

    def write(severity: Severity, event: str, values: Mapping[str, object]) -> None:
        lines.append((event, values))

    agent.isolate()
    made = await Challenges(_Never(agent.shell), write).create("image", "admin", timeout=0.2)

    assert not made.shared
    assert [(event, str(values["said"])) for event, values in lines] == [
        ("item.unconfirmed", "SYNC_ERROR, not confirmed by the site within 0.2 s")
    ]


class _Never(Asking):
    async def wait_stored(self, serial: int, timeout_s: float) -> bool:
        return False


async def test_without_single_use_many_may_ask() -> None:
    """Until it expires or is revoked."""
    agent = FakeProxyAgent()
    made = await agent.challenges.create("page", "alice", single_use=False, blob=b"x")

    assert [(await agent.challenges.consume("page", made.id)).blob for _ in range(3)] == [b"x"] * 3
    assert await agent.challenges.revoke("page", made.id)
    assert not await agent.challenges.revoke("page", made.id)
    with pytest.raises(proxyagent.Refused):
        await agent.challenges.consume("page", made.id)


@pytest.mark.parametrize(
    "given",
    [{"validity": 0}, {"validity": 601}, {"validity": float("nan")}, {"blob": b"b" * 4_097}, {"id": ""}],
    ids=str,
)
async def test_bounds_are_checked_first(given: dict[str, object]) -> None:
    """LimitExceeded names the bound."""
    with pytest.raises(proxyagent.LimitExceeded):
        await FakeProxyAgent().challenges.create("image", "alice", **given)  # type: ignore[arg-type]


async def test_the_latest_of_a_user_comes_first() -> None:
    """Of a kind and a user, while they may be consumed."""
    agent = FakeProxyAgent()
    for name in ("a", "b"):
        await agent.challenges.create("image", "alice", id=name)
        agent.advance(1)
    await agent.challenges.create("image", "bob", id="c")
    await agent.challenges.consume("image", "a")

    assert [each.id for each in agent.challenges.list("image", "alice")] == ["b"]
    assert [each.id for each in agent.challenges.list("image")] == ["c", "b"]


async def test_a_challenge_expires() -> None:
    """Then it is neither seen nor consumed."""
    agent = FakeProxyAgent()
    made = await agent.challenges.create("image", "alice", validity=60)
    agent.advance(60)

    assert agent.challenges.get("image", made.id) is None
    with pytest.raises(proxyagent.Refused):
        await agent.challenges.consume("image", made.id)
