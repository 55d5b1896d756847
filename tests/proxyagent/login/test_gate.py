"""The gate: what a guess costs and how long its answer takes, whom it locks, and what is never written anywhere."""

import attrs
import pytest
import trio
from trio.testing import MockClock

from protocol.configuration import ClientSettings
from protocol.io.http.attempts import LOCKED_S, WRONG_MAX
from protocol.io.log import Log
from proxyagent.integrations.client_key import ClientKeys
from proxyagent.login import Identity, gate
from proxyagent.login.gate import Gate
from proxyagent.login.visitor import Trouble, Visitor
from proxyagent.testing import FakeProxyAgent
from tests.proxyagent.login.showing import PASSWORD, USER, Answering

HERE = Visitor("10.0.0.1", "http", None)


@attrs.define
class Guarded:
    """A gate on a clock of its own, and what it logged."""

    client: ClientSettings = attrs.field(factory=ClientSettings)
    agent: FakeProxyAgent = attrs.field(factory=FakeProxyAgent)
    backend: Answering = attrs.field(factory=Answering)
    lines: list[tuple[str, dict[str, object]]] = attrs.field(factory=list)
    gate: Gate = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        log = Log(lambda _, event, values: self.lines.append((event, dict(values))), level=2, monotonic_s=lambda: 0.0)
        self.gate = Gate(self.agent, ClientKeys(self.client), self.backend, lambda: "drawn", log)

    async def trouble(self, user: str = USER, password: str = "wrong", visitor: Visitor = HERE) -> Trouble:
        """Why somebody is not let in."""
        with pytest.raises(Trouble) as caught:
            await self.gate.sign_in(visitor, user, password)
        return caught.value


@pytest.mark.parametrize("takes_s", [0.0, 0.3, 0.9])
@pytest.mark.parametrize(("user", "password"), [(USER, "wrong"), ("nobody", PASSWORD), ("", ""), (USER, "\0")])
async def test_a_wrong_one_takes_a_second_whatever_was_wrong(
    autojump_clock: MockClock, takes_s: float, user: str, password: str
) -> None:
    """However quick or slow the back end was, asked or not. A right one takes no longer than it must."""
    made = Guarded()
    made.backend.held = lambda: trio.sleep(takes_s)
    began = trio.current_time()
    assert (await made.trouble(user, password)).text == "wrong"
    assert trio.current_time() - began == pytest.approx(1.0)
    await made.gate.sign_in(HERE, USER, PASSWORD)
    assert trio.current_time() - began == pytest.approx(1.0 + takes_s)


async def test_ten_wrong_ones_lock_the_address(autojump_clock: MockClock) -> None:
    """Whichever users it tried; not even the right password is looked at, and another address is not locked."""
    made = Guarded()
    for number in range(WRONG_MAX):
        assert (await made.trouble(f"user {number}")).text == "wrong"
    asked = len(made.backend.asked)
    trouble = await made.trouble(USER, PASSWORD)
    assert (trouble.text, trouble.status) == ("locked", 429) and 0 < trouble.retry_after_s <= LOCKED_S
    assert len(made.backend.asked) == asked
    await made.gate.sign_in(attrs.evolve(HERE, address="10.0.0.2"), USER, PASSWORD)
    await trio.sleep(LOCKED_S)
    await made.gate.sign_in(HERE, USER, PASSWORD)


@pytest.mark.parametrize("user", [USER, "nobody"])
async def test_ten_wrong_ones_lock_the_user(autojump_clock: MockClock, user: str) -> None:
    """From ten addresses, known or not, however it is written; others are not locked."""
    made = Guarded()
    wide = "".join(chr(ord(letter) + 0xFEE0) for letter in user)
    spellings = [user, user.upper(), f" {user} ", wide, "\u034f".join(user)]
    for number in range(WRONG_MAX):
        await made.trouble(spellings[number % 5], visitor=attrs.evolve(HERE, address=f"10.2.0.{number}"))
    assert (await made.trouble(user, PASSWORD)).text == "locked"
    assert (await made.trouble("somebody else")).text == "wrong"


async def test_addresses_of_one_network_of_ipv6_count_as_one(autojump_clock: MockClock) -> None:
    """Whoever has one has 2^64 of them."""
    made = Guarded()
    for number in range(WRONG_MAX):
        await made.trouble(f"user {number}", visitor=attrs.evolve(HERE, address=f"2001:db8::{number:x}"))
    assert (await made.trouble("x", visitor=attrs.evolve(HERE, address="2001:db8::ffff:1"))).text == "locked"
    assert (await made.trouble("x", visitor=attrs.evolve(HERE, address="2001:db8:0:1::1"))).text == "wrong"


async def test_a_flood_of_names_takes_no_memory(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of addresses and users only so many are kept; long names are kept in part."""
    monkeypatch.setattr(gate, "NAMES_MAX", 20)
    made = Guarded()
    async with trio.open_nursery() as nursery:
        for number in range(60):
            visitor = attrs.evolve(HERE, address=f"10.3.0.{number}")
            nursery.start_soon(made.trouble, f"{number} {'x' * 1000}", "wrong", visitor)
    assert len(made.gate.addresses) == len(made.gate.users) == 20


async def test_few_are_checked_at_a_time_and_few_wait(autojump_clock: MockClock) -> None:
    """The rest is told to come again at once, and the back end is never asked by more."""
    made, at_once, texts = Guarded(), [0, 0], list[str]()

    async def hold() -> None:
        at_once[0] += 1
        at_once[1] = max(at_once)
        await trio.sleep(0.1)
        at_once[0] -= 1

    async def guess(number: int) -> None:
        visitor = attrs.evolve(HERE, address=f"10.4.{number // 250}.{number % 250}")
        texts.append((await made.trouble(f"user {number}", visitor=visitor)).text)

    made.backend.held = hold
    async with trio.open_nursery() as nursery:
        for number in range(200):
            nursery.start_soon(guess, number)
    most = gate.CHECKS_AT_A_TIME + gate.CHECKS_WAITING_MAX
    assert at_once[1] == gate.CHECKS_AT_A_TIME
    assert (texts.count("wrong"), texts.count("busy")) == (most, 200 - most)


async def test_a_back_end_that_does_not_answer_is_left(autojump_clock: MockClock) -> None:
    """Within the time that a request has; the log says so."""
    made = Guarded()
    made.backend.held = trio.sleep_forever
    trouble = await made.trouble(USER, PASSWORD)
    assert (trouble.text, trouble.status, trio.current_time()) == ("unavailable", 503, gate.CHECK_TIMEOUT_S)
    assert made.lines == [("login.unavailable", {"error": "no answer within 8.5 s"})]


async def test_nothing_that_was_typed_is_logged(autojump_clock: MockClock) -> None:
    """Neither user nor password, right or wrong, whatever the back end raises."""
    made = Guarded()
    made.backend.raises = ValueError(f"cannot check {PASSWORD}")
    assert (await made.trouble(USER, PASSWORD)).text == "unavailable"
    made.backend.raises = None
    for _ in range(WRONG_MAX):
        await made.trouble("my password by mistake", "another password")
    logged = str(made.lines)
    assert "Answering raised ValueError" in logged and "login.locked" in logged
    assert not any(each in logged for each in (PASSWORD, "by mistake", "another password"))


async def test_what_cannot_be_a_session_is_refused(autojump_clock: MockClock) -> None:
    """A directory with too many groups: the log says which bound it is, and nobody is let in."""
    made = Guarded()

    class Many:
        async def check(self, user: str, password: str, address: str) -> Identity:
            return Identity(user, {"groups": tuple(f"group {number:05}" for number in range(2000))})

    made.gate.backend = Many()
    assert (await made.trouble(USER, PASSWORD)).text == "refused"
    assert [event for event, _ in made.lines] == ["login.refused"] and made.agent.sessions() == ()


async def test_an_isolated_proxy_lets_in_at_once(autojump_clock: MockClock) -> None:
    """Nobody waits for agents that are away."""
    made = Guarded()
    made.agent.isolate()
    done = await made.gate.sign_in(HERE, USER, PASSWORD)
    assert (done.cookie, done.session.user, trio.current_time()) == (None, "Alice", 0.0)
