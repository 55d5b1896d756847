"""The verbs that ask a running ProxyAgent: they find its control socket, ask, and print.

Rules of this file:

- No trio, attrs, structlog or rich (tests assert it): a verb starts in under 100 ms.
- What users or peers chose is printed without the characters that steer a terminal.
- Each returns its exit code. What went wrong is raised: ControlError, NobodyThere, MistakesFound (see cli.py).
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

from protocol.io.control_client import ExitCode, ask, ask_for_many, understood
from protocol.io.program import plain
from protocol.io.sockets import find_proxy
from protocol.io.surroundings import surroundings

Options = Mapping[str, Any]


@understood
def status(options: Options, *, as_json: bool) -> int:
    """What the ProxyAgent is linked to and holds."""
    told = ask(control_path(options), "status")
    if as_json:
        _print(json.dumps(told))
        return ExitCode.DONE
    who = f"proxy {told['id']} of site {told['site']}"
    if told["isolated"]:
        reason = f": {told['last_refusal']}" if told["last_refusal"] else ""
        goes_on = "look-ups go on from the local copy" if told["answering"] else "look-ups have stopped (keep_sessions)"
        _print(f"{who}: isolated, no AuthAgent serves it{reason}; {goes_on}")
    else:
        equal = {True: "tables equal", False: "tables differ", None: "tables not compared"}[told["digest_equal"]]
        away = "" if told["agent_site"] == told["site"] else f" of site {told['agent_site']}"
        _print(f"{who}: served by agent {told['agent']}{away} at {told['agent_address']}, {equal}")
    _print(f"sessions {told['sessions']}, tombstones {told['tombstones']}, outbox {told['outbox']} events")
    _print(f"digest {told['digest']}, version {told['version']}")
    for problem in told["problems"]:
        _print(f"problem: {problem}")
    return ExitCode.DONE


@understood
def sessions(options: Options, user: str | None, *, as_json: bool) -> int:
    """Who is logged in."""
    answers = ask_for_many(control_path(options), "sessions", user=user)
    found = [each for answer in answers for each in answer.get("sessions", ())]
    if as_json:
        _print(json.dumps(found))
        return ExitCode.DONE
    for each in found:
        _print(_line(each))
    _print(f"{len(found)} session{'s' * (len(found) != 1)}")
    return ExitCode.DONE


@understood
def lookup(options: Options, key: str, *, touch: bool, as_json: bool) -> int:
    """The session of a key; exit code 1 when nobody is logged in there."""
    found = ask(control_path(options), "lookup", key=key, touch=touch)["session"]
    if as_json:
        _print(json.dumps(found))
    else:
        _print("nobody is logged in there" if found is None else _line(found))
    return ExitCode.NO if found is None else ExitCode.DONE


@understood
def login(options: Options, question: Options, *, as_json: bool) -> int:
    """Log a user in; exit code 4 when it was not acknowledged in time."""
    told = _ask_patiently(options, "login", question)
    _print(json.dumps(told["session"]) if as_json else _line(told["session"]))
    return _acknowledged(told)


@understood
def logout(options: Options, question: Options, *, as_json: bool) -> int:
    """Log a key or a user out; exit code 4 when it was not acknowledged in time."""
    told = _ask_patiently(options, "logout", question)
    if as_json:
        _print(json.dumps(told["ended"]))
    else:
        for each in told["ended"]:
            _print(f"logged out {each['user']} under {each['key']}")
        if not told["ended"]:
            _print("nobody was logged in here; the logout was passed on")
    return _acknowledged(told)


@understood
def touch(options: Options, key: str) -> int:
    """Note activity; exit code 1 when nobody is logged in there."""
    touched = ask(control_path(options), "touch", key=key)["touched"]
    _print("touched" if touched else "nobody is logged in there")
    return ExitCode.DONE if touched else ExitCode.NO


@understood
def watch(options: Options, *, as_json: bool) -> int:
    """What happens, as it happens, until interrupted or until the ProxyAgent ends."""
    for told in ask_for_many(control_path(options), "watch", timeout_s=None):
        _print(json.dumps(told) if as_json else _happened(told))
    return ExitCode.DONE


@understood
def resync(options: Options, timeout_s: float, *, as_json: bool) -> int:
    """Force a comparison with the master; print what was sent and received, and how long it took."""
    if sys.stderr.isatty():
        sys.stderr.write("comparing with the master ...\n")
    told = ask(control_path(options), "resync", timeout_s=timeout_s + 5, deadline_s=timeout_s + 5, within_s=timeout_s)
    if as_json:
        _print(json.dumps(told))
    else:
        _print(
            f"resynced with agent {told['agent']}: sent {told['sent']}, received {told['received']}, "
            f"took {told['duration_s']:.3f} s"
        )
    return ExitCode.DONE


@understood
def drain(options: Options, *, undo: bool) -> int:
    """Have the switch in front send nobody new here, or new users again."""
    draining = ask(control_path(options), "drain", undo=undo)["draining"]
    _print("draining: the switch is told so when it asks next" if draining else "the switch may send users again")
    return ExitCode.DONE


@understood
def create_code(options: Options, question: Options, *, as_json: bool) -> int:
    """Make a code and print it: here, and nowhere else."""
    told = _ask_patiently(options, "code_create", question)
    if as_json:
        _print(json.dumps(told))
    else:
        _print(told["code"])
        _print(f'Provision code created for user "{told["user"]}", valid for {told["validity_left_s"]:.0f} s')
    return ExitCode.DONE


@understood
def redeem_code(options: Options, question: Options, code: str, *, as_json: bool) -> int:
    """Redeem a code, `-` being a line of standard input; exit code 1 when it is refused."""
    given = sys.stdin.readline() if code == "-" else code
    told = _ask_patiently(options, "code_redeem", {**question, "code": given})
    _print(json.dumps(told) if as_json else f'User "{told["user"]}" provisioned successfully')
    return ExitCode.DONE


@understood
def revoke_code(options: Options, question: Options, *, as_json: bool) -> int:
    """Void whatever code a user has."""
    told = _ask_patiently(options, "code_revoke", question)
    _print(json.dumps(told) if as_json else f"revoked {told['revoked']} code{'s' * (told['revoked'] != 1)}")
    return ExitCode.DONE


@understood
def list_codes(options: Options, user: str | None, *, as_json: bool) -> int:
    """The codes that have not expired."""
    found = ask(control_path(options), "code_list", user=user)["codes"]
    if as_json:
        _print(json.dumps(found))
        return ExitCode.DONE
    for each in found:
        device = f"  {each['device']}" if each["device"] else ""
        _print(f"{each['user']}  {each['state']}  {each['validity_left_s']:.0f} s left{device}")
    _print(f"{len(found)} code{'s' * (len(found) != 1)}")
    return ExitCode.DONE


@understood
def reload(options: Options) -> int:
    """Have file and secret read again."""
    _print(ask(control_path(options), "reload")["text"])
    return ExitCode.DONE


def _ask_patiently(options: Options, verb: str, question: Options) -> dict[str, Any]:
    """Ask what may take as long as its own `within_s`."""
    patience_s = float(question["within_s"]) + 5
    return ask(control_path(options), verb, timeout_s=patience_s, deadline_s=patience_s, **question)


def control_path(options: Options) -> str:
    """The control socket that the shared options mean. Raises MistakesFound or NobodyThere."""
    return find_proxy(
        surroundings(),
        config=options.get("config"),
        site=options.get("site"),
        proxy_id=options.get("id"),
        control=options.get("control"),
    )


def _line(session: Mapping[str, Any]) -> str:
    attributes = " ".join(f"{name}={_joined(value)}" for name, value in session["attributes"].items())
    where = f"{session['site']}/{session['proxy']}"
    left = f"idle {session['idle_left_s']:.0f} s, lifetime {session['lifetime_left_s']:.0f} s left"
    return f"{session['key']:40} {session['user']:24} {where:20} {left}  {attributes}".rstrip()


def _joined(value: str | list[str]) -> str:
    return value if isinstance(value, str) else ",".join(value)


def _happened(told: Mapping[str, Any]) -> str:
    hidden = ("event", "at", "login_id", "login_at", "attributes", "idle_left_s", "lifetime_left_s")
    words = [f"{name}={value}" for name, value in told.items() if name not in hidden]
    return " ".join([str(told["at"]), str(told["event"]), *words])


def _acknowledged(told: Mapping[str, Any]) -> int:
    if told["acknowledged"]:
        return ExitCode.DONE
    sys.stderr.write(f"proxyagent: {plain(str(told['text']))}; the change stands, and is on its way\n")
    return ExitCode.UNFINISHED


def _print(line: str) -> None:
    sys.stdout.write(plain(line) + "\n")
    sys.stdout.flush()
