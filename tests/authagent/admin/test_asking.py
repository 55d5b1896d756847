"""Questions to an agent and to its partner: how long, in which words, and what comes back."""

import json
from pathlib import Path
from typing import Any

import pytest
import trio

from authagent.admin import asking
from protocol.io.control_client import ControlError, ExitCode
from tests.authagent.running import run_agents, write_files


async def _echo(question: dict[str, Any]) -> dict[str, Any]:
    return {"question": question}


async def _fail(question: dict[str, Any]) -> dict[str, Any]:
    raise ControlError("it cannot be", ExitCode.NO)


@pytest.mark.parametrize("given", [0, -1, "5", True, None, float("nan"), float("inf"), 3600.1])
def test_a_time_that_is_no_time_is_refused(given: object) -> None:
    """Exit code 2; without any it is five seconds."""
    with pytest.raises(ControlError) as raised:
        asking.within_s({"within_s": given})
    assert raised.value.code == ExitCode.USAGE
    assert asking.within_s({}) == 5.0
    assert asking.within_s({"within_s": 3600}) == 3600.0


async def test_what_the_partner_asks_is_carried_out_or_answered_with_an_error() -> None:
    """A verb that is not for partners, and whatever is no question, too."""
    verbs = {"echo": _echo, "fail": _fail}
    assert json.loads(await asking.carry_out(b'{"verb": "echo", "a": 1}', verbs)) == {"question": {"a": 1}}
    told = json.loads(await asking.carry_out(b'{"verb": "fail"}', verbs))
    assert told == {"error": "it cannot be", "code": ExitCode.NO}
    for body in (
        b"",
        b"\xff",
        b"[]",
        b"[" * 50_000,
        b'{"verb": "reload"}',
        b'{"verb": ["echo"]}',
        b"{}",
        b'{"verb": "echo", "a": "\\ud800"}',
        b'{"verb": "echo", "a": NaN}',
    ):
        told = json.loads(await asking.carry_out(body, verbs))
        assert told["error"] and told["code"] == ExitCode.USAGE


async def test_the_partner_answers_in_its_own_words(tmp_path: Path) -> None:
    """Its errors come back as they were, with their exit codes; silence ends with 4 in time."""
    path = write_files(tmp_path, agents=2)
    async with run_agents(path, 1, 2) as (one, two):
        heard: list[dict[str, Any]] = []

        async def echo(question: dict[str, Any]) -> dict[str, Any]:
            heard.append(question)
            return {"a": 1}

        async def ask(**question: Any) -> Any:
            return await asking.ask_partner(one.server, "echo", question, trio.current_time() + 0.1, "too late")

        two.server.carry_out = lambda body: asking.carry_out(body, {"echo": echo})
        assert await ask(b=2) == {"a": 1}
        assert heard[0]["b"] == 2 and 0 < heard[0]["within_s"] <= 0.1

        two.server.carry_out = lambda body: asking.carry_out(body, {"echo": _fail})
        with pytest.raises(ControlError, match="it cannot be") as raised:
            await ask()
        assert raised.value.code == ExitCode.NO

        async def never(body: bytes) -> bytes:
            await trio.sleep_forever()
            raise AssertionError

        two.server.carry_out = never
        with pytest.raises(ControlError, match="too late") as raised:
            await ask()
        assert raised.value.code == ExitCode.UNFINISHED


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"5",
        b"[" * 50_000,
        b"{}",
        b'{"a": null}',
        b'{"a": 1e999}',
        b'{"error": "x"}',
        b'{"error": 1, "code": "x"}',
    ],
)
async def test_what_the_partner_answers_is_not_believed_as_it_comes(tmp_path: Path, body: bytes) -> None:
    """What is no JSON, or lacks what was asked for, is exit code 4 and one line."""
    async with run_agents(write_files(tmp_path, agents=2), 1, 2) as (one, two):

        async def say(question: bytes) -> bytes:
            return body

        two.server.carry_out = say
        with pytest.raises(ControlError, match="cannot be read") as raised:
            await asking.ask_partner(one.server, "echo", {}, trio.current_time() + 5, "too late", {"a": int | float})
        assert raised.value.code == ExitCode.UNFINISHED


def test_a_shape_is_what_must_be_there_at_least() -> None:
    """Objects by name, lists by each of their items, and everything else by its type."""
    shape = {"names": [str], "at": str | None, "within": {"done": int}}
    right = {"names": ["a", "b"], "at": None, "within": {"done": 1}, "more": 1}
    assert asking.fits(right, shape) and asking.fits({**right, "names": []}, shape)
    for wrong in ({"names": [1]}, {"names": "ab"}, {"at": 1}, {"within": {}}, {"within": None}):
        assert not asking.fits({**right, **wrong}, shape)


async def test_without_a_partner_it_is_told_at_once(tmp_path: Path) -> None:
    """Exit code 3."""
    async with run_agents(write_files(tmp_path)) as (one,):
        with pytest.raises(ControlError, match="no master is known") as raised:
            await asking.ask_partner(one.server, "echo", {}, trio.current_time() + 60, "too late")
        assert raised.value.code == ExitCode.UNREACHABLE
