"""The verbs that only ask a running agent: they find its control socket, ask, and print. Light.

Rules of this file:

- No trio, attrs, structlog or rich (tests assert it): `authagent status` starts in under 100 ms.
- Of two agents on one machine the first that answers is asked.
"""

import json
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from protocol.io.control_client import ControlError, ExitCode, ask, ask_for_many
from protocol.io.sockets import NobodyThere, find_agents
from protocol.io.surroundings import surroundings

POLL_S = 0.1


def status(options: Mapping[str, Any], *, as_json: bool, wait_s: float) -> int:
    """Print the status; with `wait_s` wait until healthy. Returns the exit code."""
    told = None
    for left in range(int(wait_s / POLL_S), -1, -1):
        try:
            told = _ask(options, "status", {})
        except (NobodyThere, ControlError):
            if left == 0:
                raise
        if (told is not None and told["healthy"]) or left == 0:
            break
        threading.Event().wait(POLL_S)
    assert told is not None, "the last answer was raised or kept"
    _print(json.dumps(told) if as_json else "\n".join(_status_lines(told)))
    return ExitCode.DONE if told["healthy"] or not wait_s else ExitCode.NO


def sessions(options: Mapping[str, Any], question: Mapping[str, Any], *, as_json: bool) -> int:
    """Print the sessions that fit the question."""
    limit = question["limit"]
    found = [session for answer in _stream(options, "sessions", question) for session in answer["sessions"]][:limit]
    if as_json:
        _print(json.dumps(found))
        return ExitCode.DONE
    for session in found:
        idle, lifetime = session["idle_left_s"], session["lifetime_left_s"]
        attributes = " ".join(f"{name}={value}" for name, value in session["attributes"].items())
        where = f"{session['site']}/{session['proxy']}"
        _print(f"{session['key']:40} {session['user']:24} {where:20} {idle:8.0f} s {lifetime:8.0f} s  {attributes}")
    _print(f"{len(found)} session{'s' * (len(found) != 1)}" + (" (there may be more: --limit)" * (len(found) == limit)))
    return ExitCode.DONE


def logout(options: Mapping[str, Any], question: Mapping[str, Any], *, as_json: bool) -> int:
    """End sessions everywhere; exit code 4 while it is pending somewhere."""
    timeout_s = float(question["within_s"])
    told = _ask(options, "logout", question, timeout_s=timeout_s + 5)
    if as_json:
        _print(json.dumps(told))
    else:
        done, pending = told["done"], told["pending"]
        _print(f"ended {told['ended']}; done on {len(done)} of {len(done) + len(pending)} nodes: {', '.join(done)}")
        for each in pending:
            _print(f"pending on {each['node']}: it may still serve for at most {each['serves_at_most_s']:.0f} s")
    return ExitCode.UNFINISHED if told["pending"] else ExitCode.DONE


def reload(options: Mapping[str, Any]) -> int:
    """Have every file read again."""
    told = _ask(options, "reload", {})
    _print(told["text"])
    return ExitCode.DONE if told["reloaded"] else ExitCode.USAGE


def _status_lines(told: Mapping[str, Any]) -> Iterator[str]:
    yield told["sentence"]
    partner = told["partner"]
    yield f"agent {told['id']} of {told['site']}: {told['role']}, term {told['term']}, version {told['version']}"
    if partner is not None:
        yield f"partner {partner['id']}: {_link(partner)}"
    for proxy in told["proxies"]:
        yield f"proxy {proxy['id']}: {_link(proxy)}"
    yield f"{told['sessions']:,} sessions, {told['tombstones']:,} tombstones, {told['events_total']:,} events"
    for problem in told["problems"]:
        yield f"problem {problem['code']}: {problem['text']}"


def _link(link: Mapping[str, Any]) -> str:
    if not link["connected"]:
        return f"not linked{': ' + link['refused'] if link['refused'] else ''}"
    equal = {True: "equal", False: "differs", None: "not compared lately"}[link["digest_equal"]]
    age = f", {link['digest_age_s']:.1f} s ago" if link["digest_age_s"] is not None else ""
    lag = f", {link['lag_events']} behind" if link.get("lag_events") else ""
    return f"{equal}{age}{lag}, from {link.get('address', '?')}, clock {link['clock_offset_s']:+.3f} s"


# -- asking -------------------------------------------------------------------------------------------------------


def _paths(options: Mapping[str, Any]) -> tuple[str, ...]:
    return find_agents(
        surroundings(),
        config=options.get("config"),
        state_dir=options.get("state_dir"),
        site=options.get("site"),
        agent_id=options.get("id"),
        control=options.get("control"),
    )


def _ask(options: Mapping[str, Any], verb: str, question: Mapping[str, Any], *, timeout_s: float = 10.0) -> Any:
    paths = _paths(options)
    for path in paths[:-1]:
        try:
            return ask(path, verb, timeout_s=timeout_s, **question)
        except ControlError as error:
            if error.code != ExitCode.UNREACHABLE:
                raise
    return ask(paths[-1], verb, timeout_s=timeout_s, **question)


def _stream(options: Mapping[str, Any], verb: str, question: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield from ask_for_many(_paths(options)[0], verb, **question)


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
