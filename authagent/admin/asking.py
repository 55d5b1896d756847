"""Questions that one agent cannot answer alone: how long they may take, and how the partner is asked.

Rules of this file:

- A question to the partner is one object of JSON with its verb, its answer what a control socket would say, errors
  and their exit codes included. It travels as AdminRequest and AdminAnswer on the link of the two agents.
- Whatever is asked is answered in time.
- What the partner answers is looked at before anybody believes it: another version of it may say other things.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import trio

from authagent.core import events as on
from authagent.server import Server
from protocol.io.control_client import ControlError, ExitCode

TIMEOUT_S = 5.0
TIMEOUT_S_MAX = 3600.0

GRACE_S = 1.0
"""The partner keeps the same deadline; so much later its answer is not on its way any more."""

Shape: TypeAlias = Any
"""What an answer must hold at least: a type, a list of one shape, or an object of shapes by name."""

_FAILED = {"error": str, "code": int}

CarriedOut: TypeAlias = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


def within_s(question: Mapping[str, Any]) -> float:
    """How long the asker will wait. Raises ControlError for what is no such time."""
    given = question.get("within_s", TIMEOUT_S)
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given <= TIMEOUT_S_MAX:
        raise ControlError(f"--timeout is a number of seconds up to {TIMEOUT_S_MAX:g}", ExitCode.USAGE)
    return float(given)


async def ask_partner(
    server: Server, verb: str, question: Mapping[str, Any], until_s: float, late: str, shape: Shape = dict
) -> Any:
    """The partner's answer to a verb, by a moment of trio's clock.

    Raises ControlError: with what the partner says, with `late` when it says nothing in time (code 4), with code 4
    when the answer is not of this shape, and with code 3 when it is not linked.
    """
    left_s = max(0.01, until_s - trio.current_time())
    body = json.dumps({**question, "verb": verb, "within_s": left_s}).encode()
    with trio.move_on_at(until_s + GRACE_S) as scope:
        answer = await server.ask_machine(lambda request: on.AdminAsked(request, body))
    if scope.cancelled_caught:
        raise ControlError(late, ExitCode.UNFINISHED)
    if answer.error:
        raise ControlError(answer.error, ExitCode.UNREACHABLE)
    told = _read(answer.body)
    failed = isinstance(told, dict) and "error" in told
    if not fits(told, _FAILED if failed else shape):
        raise ControlError("the other agent's answer cannot be read: is it of another version?", ExitCode.UNFINISHED)
    if failed:
        raise ControlError(told["error"], told["code"])
    return told


def _read(body: bytes) -> Any:
    """What a partner said; None for what is no JSON, or could not be passed on as such."""
    try:
        told = json.loads(body)
        json.dumps(told, ensure_ascii=False, allow_nan=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError):
        return None
    return told


def fits(told: Any, shape: Shape) -> bool:
    """Whether what was told has this shape."""
    match shape:
        case dict():
            return isinstance(told, dict) and all(name in told and fits(told[name], shape[name]) for name in shape)
        case [each]:
            return isinstance(told, list) and all(fits(item, each) for item in told)
        case _:
            return isinstance(told, shape)


async def carry_out(body: bytes, verbs: Mapping[str, CarriedOut]) -> bytes:
    """Do what the partner asks, if it is one of `verbs`; its answer, an error included, to be sent back."""
    try:
        question = _read(body)
        verb = verbs.get(str(question.pop("verb", ""))) if isinstance(question, dict) else None
        if verb is None:
            raise ControlError(f"for its partner an agent does: {', '.join(verbs)}", ExitCode.USAGE)
        return json.dumps(await verb(question)).encode()
    except ControlError as error:
        return json.dumps({"error": str(error), "code": int(error.code)}).encode()
    except (ValueError, RecursionError):
        return json.dumps({"error": "a question is one object of JSON", "code": int(ExitCode.USAGE)}).encode()
