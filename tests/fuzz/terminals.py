"""What may answer on a control socket when somebody asks on the command line, and what that prints.

Rules of this file:

- The verbs are the shipping ones of both programs, and so is the client below them; only the socket is not there.
- An answer is printed, or is the one documented error: of any shape, it is no mistake of ours. An exit code is one of
  DESIGN section 6, and no letter on the terminal steers it.
"""

import io
import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, Self

import attrs
import msgpack

from authagent import verbs as agent
from protocol.io import control_client, program
from protocol.io.control_client import ControlError, ExitCode
from proxyagent import verbs as proxy
from tests.authagent import test_verbs as of_agents
from tests.fuzz import inputs
from tests.fuzz.taking import hold
from tests.proxyagent import test_verbs as of_proxies

OPTIONS: dict[str, Any] = of_agents.OPTIONS
WITHIN = {"user": "alice", "within_s": 1.0}
CODE = {"code": "12345678", "user": "alice", "validity_left_s": 600.0, "revoked": 1}
CODES = {"codes": [{"user": "alice", "state": "valid", "validity_left_s": 9.0, "device": "d"}]}
LOGOUT = {
    "ended": 1, "done": ["p1"], "pending": [{"node": "p2", "reason": "late", "serves_at_most_s": 60.0}],
    "proxies": {"done": 1, "total": 2}, "sites": {"done": 1, "total": 1},
}  # fmt: skip
SEEN = {"event": "logged_in", "at": "now", "key": "10.0.0.1", "user": "alice"}


@attrs.frozen
class Verb:
    """One verb: how it is called, for programs or not, and the lines of a right answer."""

    call: Callable[[bool], int]
    lines: list[dict[str, Any]]


VERBS = (
    Verb(lambda as_json: agent.status(OPTIONS, as_json=as_json, wait_s=0), [of_agents.STATUS]),
    Verb(
        lambda as_json: agent.status(OPTIONS, as_json=as_json, wait_s=0),
        [{**of_agents.STATUS, "remotes": [of_agents.REMOTE], "problems": [{"code": "a", "text": "b", "since": "c"}]}],
    ),
    Verb(
        lambda as_json: agent.sessions(OPTIONS, {"site": None, "limit": 3}, as_json=as_json),
        [{"sessions": [of_agents.SESSION], "more": True}, {"sessions": [of_agents.SESSION]}],
    ),
    Verb(lambda as_json: agent.logout(OPTIONS, {"site": None, **WITHIN}, as_json=as_json), [LOGOUT]),
    Verb(
        lambda as_json: agent.switch(OPTIONS, within_s=1.0, as_json=as_json),
        [{"master": "2", "term": 8, "took_s": 0.1}],
    ),
    Verb(lambda as_json: agent.explain(OPTIONS, "alice", as_json=as_json), [of_agents.EXPLAINED]),
    Verb(lambda as_json: agent.reload(OPTIONS), [{"reloaded": True, "text": "reloaded"}]),
    Verb(lambda as_json: agent.create_code(OPTIONS, "alice", 600.0, 1.0, as_json=as_json), [CODE]),
    Verb(lambda as_json: agent.redeem_code(OPTIONS, WITHIN, "12345678", as_json=as_json), [CODE]),
    Verb(lambda as_json: agent.revoke_code(OPTIONS, "alice", 1.0, as_json=as_json), [CODE]),
    Verb(lambda as_json: agent.list_codes(OPTIONS, None, as_json=as_json), [CODES]),
    Verb(lambda as_json: proxy.status({}, as_json=as_json), [of_proxies.STATUS]),
    Verb(lambda as_json: proxy.sessions({}, None, as_json=as_json), [{"sessions": [of_proxies.SESSION]}]),
    Verb(lambda as_json: proxy.lookup({}, "10.0.0.1", touch=False, as_json=as_json), [{"session": of_proxies.SESSION}]),
    Verb(
        lambda as_json: proxy.login({}, WITHIN, as_json=as_json),
        [{"session": of_proxies.SESSION, "acknowledged": False, "text": "late"}],
    ),
    Verb(
        lambda as_json: proxy.logout({}, WITHIN, as_json=as_json),
        [{"ended": [{"user": "alice", "key": "10.0.0.1"}], "acknowledged": True}],
    ),
    Verb(lambda as_json: proxy.touch({}, "10.0.0.1"), [{"touched": True}]),
    Verb(lambda as_json: proxy.watch({}, as_json=as_json), [{**SEEN, "more": True}, SEEN]),
    Verb(
        lambda as_json: proxy.resync({}, 5.0, as_json=as_json),
        [{"agent": "1", "sent": 2, "received": 3, "duration_s": 0.5}],
    ),
    Verb(lambda as_json: proxy.drain({}, undo=False), [{"draining": True}]),
    Verb(lambda as_json: proxy.create_code({}, WITHIN, as_json=as_json), [CODE]),
    Verb(lambda as_json: proxy.redeem_code({}, WITHIN, "12345678", as_json=as_json), [CODE]),
    Verb(lambda as_json: proxy.revoke_code({}, WITHIN, as_json=as_json), [CODE]),
    Verb(lambda as_json: proxy.list_codes({}, None, as_json=as_json), [CODES]),
    Verb(lambda as_json: proxy.reload({}), [{"text": "done"}]),
)
ODD = (
    b"", b"\n", b"null\n", b"[]\n", b"{}\n", b'{"ok": true}\n', b'{"ok": 1}\n', b'{"ok": false}\n', b"\xff\xfe\n",
    b'{"ok": true, "a": ' + b"[" * 5_000 + b"\n", b'{"ok": true, "a": 1' + b"0" * 5_000 + b"}\n",
    b'{"ok": false, "error": "\\u001b[2J\\ud800\\n\\u202e", "code": "3"}\n',
    b'{"ok": false, "error": {}, "code": []}\n', b'{"ok": false, "error": "x", "code": 1e999}\n',
    b'{"ok": true', b'{"ok": false, "error": "x", "code": 0}\n', b'{"ok": false, "error": "x", "code": 3}\n',
    b'{"ok": true, "more": true}\n' * 40, b'{"ok": false, "code": -1}\n',
)  # fmt: skip


def make(chance: random.Random) -> bytes:
    """Which verb, for programs or not, and what comes back."""
    number = chance.randrange(len(VERBS))
    lines = [{"ok": True, **line} for line in VERBS[number].lines]
    for _ in range(chance.choice((0, 1, 1, 2))):
        place = chance.randrange(len(lines))
        lines[place] = inputs.wrong_object(lines[place], chance)
    said = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    if chance.random() < 0.1:
        said = inputs.spoiled(said, chance)
    if chance.random() < 0.1:
        said = chance.choice(ODD) + said
    return msgpack.packb([number, chance.random() < 0.3, said])  # type: ignore[no-any-return]


class _Connection:
    """A control socket that answers so."""

    def __init__(self, said: bytes) -> None:
        self._said = said

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def sendall(self, data: bytes) -> None:
        assert data.endswith(b"\n")

    def settimeout(self, seconds: float | None) -> None:
        pass

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._said)


class Verbs:
    """Each input is asked for by one verb."""

    def __init__(self) -> None:
        self.accepted = 0
        """Answers that were printed."""

    def __call__(self, data: bytes) -> None:
        number, as_json, said = msgpack.unpackb(data)
        printed = io.StringIO()
        with _answering(said), redirect_stdout(printed), redirect_stderr(printed):
            try:
                code = VERBS[number].call(as_json)
                self.accepted += 1
            except ControlError as error:
                hold(bool(str(error) and error.code), "an error is told, and is one")
                code = program.say("authagent", str(error), error.code)
        assert code in {*ExitCode}, f"exit code {code!r}"
        assert all(line.isprintable() for line in printed.getvalue().split("\n")), "nothing steers a terminal"


@contextmanager
def _answering(said: bytes) -> Iterator[None]:
    """Every control socket says this."""
    replaced: list[tuple[Any, str, Any]] = [
        (control_client, "_connect", lambda path, timeout_s: _Connection(said)),
        (agent, "find_agents", lambda around, **options: ("/a.sock",)),
        (proxy, "find_proxy", lambda around, **options: "/a.sock"),
    ]
    before = [getattr(module, name) for module, name, _ in replaced]
    for module, name, value in replaced:
        setattr(module, name, value)
    try:
        yield
    finally:
        for (module, name, _), value in zip(replaced, before, strict=True):
            setattr(module, name, value)
