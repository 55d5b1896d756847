"""Codes in the hands of a host program."""

import pytest

import proxyagent
from proxyagent.testing import FakeProxyAgent, open_fake_site


async def test_a_code_is_redeemed_once() -> None:
    """By the device that comes first; the same device is told the same again, another one is refused."""
    agent = FakeProxyAgent()
    made = await agent.codes.create("gfield")
    state = await agent.codes.redeem("gfield", made.code, "phone-1")

    assert (state.user, state.device, state.state, state.tries_left) == ("gfield", "phone-1", "used", 5)
    assert await agent.codes.redeem("gfield", made.code.replace("-", " ").lower(), "phone-1") == state
    with pytest.raises(proxyagent.Refused, match="Invalid Provision Code"):
        await agent.codes.redeem("gfield", made.code, "phone-2")
    with pytest.raises(proxyagent.Refused):
        await agent.codes.redeem("gfield", made.code, "phone-1", request="another")


async def test_wrong_unknown_expired_and_impossible_are_one_no() -> None:
    """With the words of the source, and never with the code."""
    agent = FakeProxyAgent()
    made = await agent.codes.create("gfield", validity=10)
    for user, code in (("gfield", "BCDF-BCDF"), ("nobody", made.code), ("gfield", "12345678"), ("gfield", "")):
        with pytest.raises(proxyagent.Refused) as raised:
            await agent.codes.redeem(user, code, "phone-1")
        assert str(raised.value) == "Invalid Provision Code"
    with pytest.raises(proxyagent.Refused, match="User not set"):
        await agent.codes.redeem("", made.code, "phone-1")
    agent.advance(10)
    with pytest.raises(proxyagent.Refused):
        await agent.codes.redeem("gfield", made.code, "phone-1")
    assert agent.codes.list() == ()


async def test_five_wrong_tries_void_a_code() -> None:
    """Then the right one is refused too, and the list says why."""
    agent = FakeProxyAgent()
    made = await agent.codes.create("gfield")
    for _ in range(5):
        with pytest.raises(proxyagent.Refused):
            await agent.codes.redeem("gfield", "BCDF-BCDF", "phone-1")
    with pytest.raises(proxyagent.Refused):
        await agent.codes.redeem("gfield", made.code, "phone-1")
    (state,) = agent.codes.list("gfield")

    assert (state.state, state.tries_left) == ("exhausted", 0)


async def test_a_new_code_and_a_revoking_void_what_was_before() -> None:
    """Of two codes the second counts; revoked, none does."""
    agent = FakeProxyAgent()
    first, second = await agent.codes.create("gfield"), await agent.codes.create("gfield")
    with pytest.raises(proxyagent.Refused):
        await agent.codes.redeem("gfield", first.code, "phone-1")
    assert await agent.codes.revoke("gfield") == 1
    with pytest.raises(proxyagent.Refused):
        await agent.codes.redeem("gfield", second.code, "phone-1")
    assert [each.state for each in agent.codes.list("gfield")] == ["revoked", "revoked"]
    assert await agent.codes.revoke("gfield") == 0


async def test_nothing_printed_holds_the_code() -> None:
    """It is in `code`, and in no repr."""
    made = await FakeProxyAgent().codes.create("gfield")

    assert len(made.code) == 9
    assert made.code not in repr(made) and "gfield" in repr(made)


async def test_without_an_agent_nobody_says_anything() -> None:
    """Undecided, which is a TimeoutError; and nothing was used up."""
    agent = FakeProxyAgent()
    made = await agent.codes.create("gfield")
    agent.isolate()
    for call in (
        agent.codes.create("bob"), agent.codes.redeem("gfield", made.code, "phone-1"), agent.codes.revoke("gfield"),
    ):  # fmt: skip
        with pytest.raises(proxyagent.Undecided):
            await call
    assert issubclass(proxyagent.Undecided, TimeoutError)


@pytest.mark.parametrize(("user", "validity"), [("", 600), ("u" * 257, 600), ("gfield", 9.9), ("gfield", 1_000_001)])
async def test_bounds_are_checked_first(user: str, validity: float) -> None:
    """LimitExceeded names the bound."""
    with pytest.raises(proxyagent.LimitExceeded):
        await FakeProxyAgent().codes.create(user, validity)


async def test_a_code_made_at_one_proxy_is_redeemed_at_another(autojump_clock: object) -> None:
    """Real proxies, with a master between them; the list is the same at both."""
    async with open_fake_site(proxies=2) as site:
        made = await site.proxies[0].codes.create("gfield")
        state = await site.proxies[1].codes.redeem("gfield", made.code, "phone-1")
        await site.wait_equal()

        assert state.state == "used"
        assert [proxy.codes.list() for proxy in site.proxies] == [(state,), (state,)]
