"""The verbs that only ask a running agent: they find its control socket, ask, and print. Light.

Rules of this file:

- No trio, attrs, structlog or rich (tests assert it): `authagent status` starts in under 100 ms.
- Of two agents on one machine the first that answers is asked.
- What users or peers chose is printed without the characters that steer a terminal.
- Each verb returns its exit code. What went wrong is raised: ControlError, NobodyThere, MistakesFound (cli.py).
"""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from protocol.io.control_client import ControlError, ExitCode, ask_for_many, understood
from protocol.io.program import plain
from protocol.io.sockets import NobodyThere, find_agents
from protocol.io.surroundings import surroundings

Options = Mapping[str, Any]

POLL_S = 0.1
PATIENCE_S = 10.0
"""For each line of an answer."""

STANDS = {
    "shown": "logged in",
    "hidden": "held, but another session of this key is shown",
    "idle": "over, idle for too long",
    "expired": "over, at the end of its lifetime",
    "superseded": "over, displaced by a later login",
    "logged_out": "over, logged out",
    "logged_out_everywhere": "over, by a logout of the user everywhere",
    "administrator": "over, ended by an administrator",
    "conflict": "over, its login id was used twice",
}
"""How a session stands, in words."""

DEADLINE_S_MAX = 3600.0
"""What a control socket grants at most."""


@understood
def status(options: Options, *, as_json: bool, wait_s: float) -> int:
    """Print the status; with `wait_s` wait until healthy, exit code 1 if it is not by then."""
    told = _status_within(options, wait_s)
    for line in [json.dumps(told)] if as_json else _status_lines(told):
        _print(line)
    return ExitCode.DONE if told["healthy"] or not wait_s else ExitCode.NO


def _status_within(options: Options, wait_s: float) -> dict[str, Any]:
    """The first healthy answer, or the last one when time is up."""
    deadline_s = _monotonic_s() + wait_s
    while True:
        over = _monotonic_s() >= deadline_s
        try:
            told: dict[str, Any] = _ask(options, "status", {})
            if told["healthy"] or over:
                return told
        except (NobodyThere, ControlError):
            if over:
                raise
        time.sleep(POLL_S)  # noqa: TID251 - there is no loop here


@understood
def sessions(options: Options, question: Mapping[str, Any], *, as_json: bool) -> int:
    """Print the sessions that fit the question, as they come."""
    answers = _stream(_with_site(options, question), "sessions", question, PATIENCE_S)
    found = (session for answer in answers for session in answer.get("sessions", ()))
    count = 0
    for count, session in enumerate(found, 1):
        if as_json:
            sys.stdout.write(("[" if count == 1 else ",\n ") + json.dumps(session))
        else:
            _print(_session_line(session))
    if as_json:
        _print("]" if count else "[]")
    else:
        more = " (there may be more: --limit)" if count == question["limit"] else ""
        _print(f"{_counted(count, 'session')}{more}")
    return ExitCode.DONE


@understood
def logout(options: Options, question: Mapping[str, Any], *, as_json: bool) -> int:
    """End sessions everywhere; exit code 4 while it is pending somewhere."""
    within_s = float(question["within_s"])
    patience_s = min(within_s + 5, DEADLINE_S_MAX)
    told = _ask(_with_site(options, question), "logout", question, within_s + 10, deadline_s=patience_s)
    if as_json:
        _print(json.dumps(told))
    else:
        proxies, sites = told["proxies"], told["sites"]
        nodes = f"{proxies['done']} of {_counted(proxies['total'], 'proxy', 'proxies')}"
        nodes += f" and {sites['done']} of {_counted(sites['total'], 'site')}"
        _print(f"ended {_counted(told['ended'], 'session')}; done on {nodes}: {', '.join(told['done'])}")
        for each in told["pending"]:
            _print(f"pending on {each['node']} ({each['reason']}): {_may_serve(each['serves_at_most_s'])}")
    return ExitCode.UNFINISHED if told["pending"] else ExitCode.DONE


@understood
def switch(options: Options, *, within_s: float, as_json: bool) -> int:
    """Have the other agent serve; exit code 3 when that cannot be, 4 when it was tried in vain."""
    patience_s = min(within_s + 5, DEADLINE_S_MAX)
    told = _ask(options, "switch", {"within_s": within_s}, within_s + 10, deadline_s=patience_s)
    took = f"{told['took_s'] * 1000:.0f} ms"
    _print(json.dumps(told) if as_json else f"agent {told['master']} is master now, of term {told['term']} ({took})")
    return ExitCode.DONE


@understood
def explain(options: Options, key_or_user: str, *, as_json: bool) -> int:
    """Print what happened to the sessions of a key or user; exit code 1 when nothing is known of any."""
    told = _ask(options, "explain", {"key_or_user": key_or_user})
    for line in [json.dumps(told)] if as_json else _explained(told):
        _print(line)
    return ExitCode.DONE if told["sessions"] else ExitCode.NO


@understood
def reload(options: Options) -> int:
    """Have every file read again; exit code 2 when nothing was changed."""
    told = _ask(options, "reload", {})
    if told["reloaded"]:
        _print(told["text"])
        return ExitCode.DONE
    raise ControlError(told["text"], ExitCode.USAGE)


# -- codes --------------------------------------------------------------------------------------------------------


@understood
def create_code(options: Options, user: str, validity_s: float, within_s: float, *, as_json: bool) -> int:
    """Make a code and print it: here, and nowhere else."""
    question = {"user": user, "validity_s": validity_s, "within_s": within_s}
    told = _ask(options, "code_create", question, within_s + 10, deadline_s=_patience_s(within_s))
    if as_json:
        _print(json.dumps(told))
    else:
        _print(told["code"])
        _print(f'Provision code created for user "{told["user"]}", valid for {_duration(told["validity_left_s"])}')
    return ExitCode.DONE


@understood
def redeem_code(options: Options, question: Mapping[str, Any], code: str, *, as_json: bool) -> int:
    """Redeem a code, `-` being a line of standard input; exit code 1 when it is refused."""
    within_s = float(question["within_s"])
    given = {**question, "code": sys.stdin.readline() if code == "-" else code}
    told = _ask(options, "code_redeem", given, within_s + 10, deadline_s=_patience_s(within_s))
    _print(json.dumps(told) if as_json else f'User "{told["user"]}" provisioned successfully')
    return ExitCode.DONE


@understood
def revoke_code(options: Options, user: str, within_s: float, *, as_json: bool) -> int:
    """Void whatever code a user has."""
    question = {"user": user, "within_s": within_s}
    told = _ask(options, "code_revoke", question, within_s + 10, deadline_s=_patience_s(within_s))
    _print(json.dumps(told) if as_json else f"revoked {_counted(told['revoked'], 'code')}")
    return ExitCode.DONE


@understood
def list_codes(options: Options, user: str | None, *, as_json: bool) -> int:
    """The codes that have not expired."""
    found = _ask(options, "code_list", {"user": user})["codes"]
    if as_json:
        _print(json.dumps(found))
        return ExitCode.DONE
    for each in found:
        device = f"  {each['device']}" if each["device"] else ""
        _print(f"{each['user']}  {each['state']}  {_duration(each['validity_left_s'])} left{device}")
    _print(_counted(len(found), "code"))
    return ExitCode.DONE


def _patience_s(within_s: float) -> float:
    return min(within_s + 5, DEADLINE_S_MAX)


# -- what is printed ----------------------------------------------------------------------------------------------


def _status_lines(told: Mapping[str, Any]) -> Iterator[str]:
    yield told["sentence"]
    partner = told["partner"]
    yield f"agent {told['id']} of {told['site']}: {told['role']}, term {told['term']}, version {told['version']}"
    if partner is not None:
        yield f"partner {partner['id']}: {_link(partner)}"
    for proxy in told["proxies"]:
        yield f"proxy {proxy['id']}: {_link(proxy)}"
    for remote in told["remotes"]:
        yield f"site {remote['site']}: {_remote(remote) if told['role'] == 'master' else 'linked by the master'}"
    yield ", ".join([
        _counted(told["sessions"], "session"),
        _counted(told["tombstones"], "tombstone"),
        _counted(told["events_total"], "event"),
        f"{_counted(told['timeouts_total'], 'timeout')} since the start",
    ])  # fmt: skip
    for problem in told["problems"]:
        since = f" (since {problem['since']})" if problem["since"] else ""
        yield f"problem {problem['code']}: {problem['text']}{since}"


def _explained(told: Mapping[str, Any]) -> Iterator[str]:
    if not told["sessions"]:
        yield f"nothing is known of {told['asked']}: no such key or user, or forgotten since"
    if told["left_out"]:
        yield f"the last {len(told['sessions'])} of {len(told['sessions']) + told['left_out']} sessions:"
    for session in told["sessions"]:
        yield f"{session['user']} at {session['key']}: {STANDS.get(session['state'], session['state'])}"
        where = f"{session['site']}/{session['proxy']}" if session["site"] else session["proxy"]
        began = f"began {session['login_at']} at {where}" if session["login_at"] else f"began at {where}, unseen here"
        yield f"  {began}, login id {session['login_id']}"
        if session["active_at"]:
            yield f"  last active {session['active_at']}, over at the latest {session['expires_at']}"
        if session["displaced_by"]:
            yield f"  displaced by {session['displaced_by']}"
        for event in session["events"]:
            by = f"{event['message']} of {event['from']}" if event["message"] else event["from"]
            yield f"  {event['at']} {event['node']}: {event['what']}, by {by}"
        if not session["events"]:
            yield "  longer ago than agents remember how it came"
    if told["logged_out_everywhere_at"]:
        yield f"logged out everywhere at {told['logged_out_everywhere_at']}"
    for has_all, words in ((True, "known to"), (False, "perhaps not yet known to"), (None, "not linked:")):
        names = [node["node"] for node in told["nodes"] if node["has_all"] is has_all]
        if names:
            yield f"{words} {', '.join(names)}"
    for silent in told["silent"]:
        yield f"agent {silent['agent']} could not be asked: {silent['reason']}"


def _link(link: Mapping[str, Any]) -> str:
    if not link["connected"]:
        return f"not linked{': ' + link['refused'] if link['refused'] else ''}"
    equal = {True: "equal", False: "differs", None: "not compared lately"}[link["digest_equal"]]
    age = f", {link['digest_age_s']:.1f} s ago" if link["digest_age_s"] is not None else ""
    lag = f", {_counted(link['lag_events'], 'event')} behind" if link.get("lag_events") else ""
    return f"{equal}{age}{lag}, from {link['address']}, clock {link['clock_offset_s']:+.3f} s"


def _remote(remote: Mapping[str, Any]) -> str:
    """The link with another site, and what has crossed it."""
    since = f", since {remote['since']}" if remote["since"] else ""
    late = f"{remote['lag_s']:.1f} s late, " if remote["connected"] and remote["lag_s"] else ""
    crossed = ", ".join(
        f"{_counted(remote[f'events_{way}'], 'event')} in {_counted(remote[f'bytes_{way}'], 'byte')} {words}"
        for way, words in (("out", "sent"), ("in", "received"))
    )
    waits = f"{_counted(remote['queued_events'], 'event')} queued"
    return f"{_link(remote)}{since}; {late}{waits}; {crossed}"


def _session_line(session: Mapping[str, Any]) -> str:
    where = f"{session['site']}/{session['proxy']}"
    left = f"idle in {_duration(session['idle_left_s'])}, ends in {_duration(session['lifetime_left_s'])}"
    attributes = "".join(
        f" {name}={','.join(value) if isinstance(value, list) else value}"
        for name, value in session["attributes"].items()
    )
    return f"{session['key']}  {session['user']}  {where}  {left}{attributes}"


def _may_serve(seconds: float) -> str:
    return f"may serve for {_duration(seconds)} more at most" if seconds else "serves nobody any more"


def _duration(seconds: float) -> str:
    """As people say it: `45 s`, `29 min`, `11 h 59 min`."""
    minutes, hours = seconds // 60, seconds // 3600
    if not minutes:
        return f"{seconds:.0f} s"
    return f"{hours:.0f} h {minutes % 60:.0f} min" if hours else f"{minutes:.0f} min"


def _counted(count: int, noun: str, nouns: str = "") -> str:
    return f"{count:,} {noun if count == 1 else nouns or f'{noun}s'}"


def _print(line: str) -> None:
    sys.stdout.write(plain(line) + "\n")


# -- asking -------------------------------------------------------------------------------------------------------


def _paths(options: Options) -> tuple[str, ...]:
    return find_agents(
        surroundings(),
        config=options["config"],
        state_dir=options["state_dir"],
        site=options["site"],
        agent_id=options["id"],
        control=options["control"],
    )


def _with_site(options: Options, question: Mapping[str, Any]) -> Options:
    """Of agents of several sites on this machine, the one of the site in question is asked, if it is here."""
    if options["site"] or not question["site"]:
        return options
    preferred = {**options, "site": question["site"]}
    try:
        _paths(preferred)
    except NobodyThere:
        return options
    return preferred


def _ask(options: Options, verb: str, question: Mapping[str, Any], patience_s: float = PATIENCE_S, **more: Any) -> Any:
    """The last line of the answer."""
    last: dict[str, Any] = {}
    for answer in _stream(options, verb, {**question, **more}, patience_s):
        last = answer
    return last


def _stream(options: Options, verb: str, question: Mapping[str, Any], patience_s: float) -> Iterator[dict[str, Any]]:
    """The lines of the answer of the first agent that gives one."""
    paths = _paths(options)
    for path in paths:
        answers = ask_for_many(path, verb, timeout_s=patience_s, **question)
        try:
            first = next(answers, None)
        except ControlError as error:
            if error.code != ExitCode.UNREACHABLE or path == paths[-1]:
                raise
            continue
        if first is not None:
            yield first
        yield from answers
        return


def _monotonic_s() -> float:
    return time.monotonic()  # noqa: TID251 - protocol.io.clock brings what takes 40 ms to import
