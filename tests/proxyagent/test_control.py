"""What the control socket answers, without a socket."""

from typing import Any

import pytest

from protocol.io.control import Request
from protocol.io.control_client import ControlError, ExitCode
from proxyagent.control import Control, rfc3339
from proxyagent.testing import FakeProxyAgent

UID = 1_000


class Asker:
    """Asks one agent's control."""

    def __init__(self, *, administrator: bool = True) -> None:
        self.agent = FakeProxyAgent()
        self.reloads = 0
        self.draining: bool | None = False
        self._control = Control(self.agent, self._reload, list, self._drain)
        self._administrator = administrator

    def _drain(self, wanted: bool) -> bool:
        if self.draining is None:
            return False
        self.draining = wanted
        return True

    async def _reload(self) -> str:
        self.reloads += 1
        return "done"

    async def __call__(self, verb: str, **arguments: Any) -> Any:
        return await self._control.handle(Request(verb, arguments, self._administrator, UID))


async def test_a_session_is_described_with_every_field() -> None:
    """DESIGN section 6 lists them; times are RFC 3339, durations seconds."""
    ask = Asker()
    told = await ask("login", key="10.0.0.1", user="alice", attributes={"g": ["a"], "m": "x"}, wait="site")
    assert told["acknowledged"] is True
    session = told["session"]
    assert session == {
        "key": "10.0.0.1",
        "user": "alice",
        "site": "site",
        "proxy": "proxy1",
        "login_id": session["login_id"],
        "attributes": {"g": ("a",), "m": "x"},
        "login_at": "2023-11-14T22:13:20.000Z",
        "idle_left_s": 1800.0,
        "lifetime_left_s": 43200.0,
    }
    assert (await ask("lookup", key="10.0.0.1"))["session"]["login_id"] == session["login_id"]
    assert (await ask("lookup", key="10.0.0.9")) == {"session": None}


async def test_a_look_up_is_no_activity_unless_asked_for() -> None:
    """On the command line only --touch counts."""
    ask = Asker()
    await ask("login", key="a", user="alice", idle_timeout_s=100)
    ask.agent.advance(90)
    assert (await ask("lookup", key="a"))["session"]["idle_left_s"] == pytest.approx(10, abs=1.1)
    assert (await ask("lookup", key="a", touch=True))["session"]["idle_left_s"] == pytest.approx(100, abs=1.1)
    assert await ask("touch", key="a") == {"touched": True}
    assert await ask("touch", key="b") == {"touched": False}


async def test_what_is_not_acknowledged_is_told_and_stands() -> None:
    """While isolated a login and a logout say how far they got."""
    ask = Asker()
    ask.agent.isolate()
    told = await ask("login", key="a", user="alice", wait="site")
    assert (told["acknowledged"], told["reached"]) == (False, "local")
    told = await ask("logout", user="alice", wait="site")
    assert [each["key"] for each in told["ended"]] == ["a"]
    with pytest.raises(ControlError) as error:
        await ask("resync")
    assert error.value.code == ExitCode.UNREACHABLE


async def test_sessions_and_watching_come_in_many_lines() -> None:
    """Long lists come in pieces; what happens comes as it happens."""
    ask = Asker()
    watched = await ask("watch")
    for number in range(501):
        await ask("login", key=f"k{number}", user="alice" if number else "bob")
    lines = [line async for line in await ask("sessions", user="alice")]
    assert [len(line["sessions"]) for line in lines] == [500]
    assert [len(line["sessions"]) async for line in await ask("sessions")] == [500, 1]
    first = await anext(watched)
    assert (first["event"], first["user"], first["at"]) == ("session_opened", "bob", "2023-11-14T22:13:20.000Z")
    await watched.aclose()


async def test_status_holds_what_the_design_lists() -> None:
    """`id`, `site`, `agent`, `isolated`, `outbox`, `sessions`, `digest`, and the version."""
    ask = Asker()
    await ask("login", key="a", user="alice")
    told = await ask("status")
    assert {"id", "site", "agent", "isolated", "outbox", "sessions", "digest", "version"} <= set(told)
    assert (told["id"], told["sessions"], len(told["digest"])) == ("proxy1", 1, 16)


async def test_only_administrators_administer() -> None:
    """Others may ask and report, not resync, reload or drain."""
    ask = Asker(administrator=False)
    await ask("login", key="a", user="alice")
    for verb in ("resync", "reload", "drain"):
        with pytest.raises(ControlError) as error:
            await ask(verb)
        assert error.value.code == ExitCode.UNREACHABLE
    assert ask.reloads == 0
    ask = Asker()
    assert await ask("reload") == {"text": "done"}
    assert (await ask("resync"))["sent"] == 0


async def test_switches_are_told_to_drain_and_to_go_on() -> None:
    """`undo` takes it back; where no switch asks, that is said with code 2."""
    ask = Asker()
    assert (await ask("drain"), ask.draining) == ({"draining": True}, True)
    assert (await ask("drain", undo=True), ask.draining) == ({"draining": False}, False)
    ask.draining = None
    with pytest.raises(ControlError, match="agent_check") as error:
        await ask("drain")
    assert error.value.code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("nonsense", {}),
        ("lookup", {}),
        ("lookup", {"key": 5}),
        ("login", {"key": "a"}),
        ("login", {"key": "a" * 300, "user": "alice"}),
        ("login", {"key": "a", "user": "alice", "attributes": "x"}),
        ("login", {"key": "a", "user": "alice", "attributes": {"x": 5}}),
        ("login", {"key": "a", "user": "alice", "wait": "disk"}),
        ("login", {"key": "a", "user": "alice", "wait": ["site"]}),
        ("login", {"key": "a", "user": "alice", "idle_timeout_s": "x"}),
        ("login", {"key": "a", "user": "alice", "idle_timeout_s": True}),
        ("login", {"key": "a", "user": "alice", "lifetime_s": -1}),
        ("logout", {}),
        ("logout", {"key": "a", "user": "b"}),
    ],
)
async def test_bad_questions_get_code_2(verb: str, arguments: dict[str, Any]) -> None:
    """Whatever was asked wrongly is told in one line, and nothing has happened."""
    ask = Asker()
    with pytest.raises(ControlError) as error:
        await ask(verb, **arguments)
    assert error.value.code == ExitCode.USAGE
    assert "\n" not in str(error.value)
    assert ask.agent.sessions() == ()


def test_times_are_rfc_3339() -> None:
    """UTC with milliseconds and a Z."""
    assert rfc3339(0) == "1970-01-01T00:00:00.000Z"


async def test_codes_are_made_redeemed_listed_and_revoked() -> None:
    """As at an agent; a refusal is exit code 1 with the words of the source."""
    ask = Asker(administrator=False)
    made = await ask("code_create", user="gfield", validity_s=60)
    done = await ask("code_redeem", user="gfield", code=made["code"], device="phone-1", request="r1")
    with pytest.raises(ControlError) as refused:
        await ask("code_redeem", user="gfield", code=made["code"], device="phone-2")
    again = await ask("code_create", user="bob")

    assert (made["user"], made["validity_left_s"], made["expires_at"]) == ("gfield", 60.0, "2023-11-14T22:14:20.000Z")
    assert (done["state"], done["device"]) == ("used", "phone-1")
    assert (str(refused.value), refused.value.code) == ("Invalid Provision Code", ExitCode.NO)
    assert await ask("code_revoke", user="bob") == {"revoked": 1}
    listed = (await ask("code_list"))["codes"]
    assert sorted((each["user"], each["state"]) for each in listed) == [("bob", "revoked"), ("gfield", "used")]
    assert again["code"] not in repr(listed)


@pytest.mark.parametrize(
    ("verb", "arguments", "code"),
    [
        ("code_create", {"user": "gfield", "validity_s": 5}, ExitCode.USAGE),
        ("code_create", {}, ExitCode.USAGE),
        ("code_redeem", {"user": "gfield", "code": "x"}, ExitCode.USAGE),
        ("code_redeem", {"user": "", "code": "x", "device": "d"}, ExitCode.NO),
    ],
)
async def test_questions_about_codes_have_bounds(verb: str, arguments: dict[str, Any], code: ExitCode) -> None:
    """What the asker got wrong is told in one line."""
    with pytest.raises(ControlError) as raised:
        await Asker()(verb, **arguments)
    assert raised.value.code == code
