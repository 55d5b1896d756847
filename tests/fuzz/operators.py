"""What operators may ask of an agent, what its partner may ask, and what that one may answer.

Rules of this file:

- The agents are shells without sockets: a master of a pair, a slave and an agent alone, each with sessions. Their
  partner is a stand-in that answers as the input says, at once.
- Whoever waits, waits on a clock of its own, and no longer than PATIENCE_S of it.
- Who may not administer changes nothing; after a logout a master holds nobody whom it meant; no word breaks the
  machine or costs a link.
"""

import json
import random
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import msgpack
import trio
from trio.testing import MockClock

from authagent import setup, wiring
from authagent.admin.handler import Handler
from authagent.admin.problems import Facts
from authagent.config import Flags
from authagent.core import events as on
from authagent.listener import Network
from authagent.server import Server
from authagent.setup import Setup
from authagent.tally import Tally
from protocol.changes import Changes, LoginRun
from protocol.errors import Code
from protocol.io.control import Request, _error, _parse
from protocol.io.control_client import ControlError
from protocol.io.log import quiet_log
from protocol.messages import AdminAnswer, AdminRequest, Message, Role
from protocol.stamp import Now
from tests.authagent.core import machine
from tests.authagent.core.machine import PARTNER_LINK, heartbeat
from tests.authagent.running import ListStore
from tests.fuzz import inputs

FRESH = 60
WORDS_MAX = 4
PATIENCE_S = 1.0
PROXY_LINK = 3

USERS = ("alice", "bob", "carol")
NAMED = (*USERS, "dave", "\ud800", "\x1b[2J")
"""Users who are meant; of these some can be none."""
KEYS = tuple(f"10.0.0.{number}" for number in range(1, 10))

SAID: list[dict[str, Any]] = [
    {"verb": "status"},
    {"verb": "sessions", "user": "alice", "limit": 3, "site": "lan1", "proxy": "p1"},
    {"verb": "sessions", "key": "10.0.0.1"},
    {"verb": "logout", "key": "10.0.0.1", "within_s": 0.05},
    {"verb": "logout", "user": "alice", "within_s": 0.05},
    {"verb": "logout", "site": "lan1", "within_s": 0.05},
    {"verb": "logout", "all": True, "within_s": 0.05},
    {"verb": "switch", "within_s": 0.05, "to": "1"},
    {"verb": "explain", "key_or_user": "alice"},
    {"verb": "explain", "key_or_user": "10.0.0.2"},
    {"verb": "view"},
    {"verb": "reload", "deadline_s": 5},
    {"verb": "code_create", "user": "alice", "validity_s": 600, "within_s": 0.05},
    {"verb": "code_redeem", "user": "bob", "code": "12345678", "device": "d", "request": "r", "within_s": 0.05},
    {"verb": "code_revoke", "user": "alice", "within_s": 0.05},
    {"verb": "code_list", "user": "alice"},
]
NAMES = sorted({name for said in SAID for name in said})

_EVENT = {"at": "now", "node": "authagent-2", "what": "login", "message": "Report", "from": "p1"}
_SESSION = {"login_id": "p1:0000000000000001:0", "key": "10.0.0.1", "user": "alice", "site": "lan1", "proxy": "p1"} | {
    "login_at": "then", "active_at": "then", "expires_at": "later", "idle_timeout_s": 1_800, "state": "shown",
    "ended": None, "displaced_by": None, "events": [_EVENT],
}  # fmt: skip
ANSWERS: list[dict[str, Any]] = [
    {},
    {"error": "this agent is not master", "code": 3},
    {"ended": 1, "done": ["p1"], "pending": [], "proxies": {"done": 1, "total": 1}, "sites": {"done": 1, "total": 1}},
    {
        "asked": "alice", "sessions": [_SESSION], "left_out": 0, "logged_out_everywhere_at": None,
        "nodes": [{"node": "p1", "has_all": True}], "told_by": ["2"], "silent": [],
    },
]  # fmt: skip
"""What a partner answers to a logout and to a question of what happened, right."""


def make(chance: random.Random) -> bytes:
    """Which agent, up to four words, each an operator's, a user's or the partner's, and what the partner answers."""
    words = [[chance.randrange(3), _word(chance)] for _ in range(chance.randrange(1, WORDS_MAX + 1))]
    answer = inputs.wrong_object(chance.choice(ANSWERS), chance) if chance.random() < 0.8 else chance.choice(ANSWERS)
    body = json.dumps(answer).encode()
    answered = inputs.spoiled(body, chance) if chance.random() < 0.1 else body
    return msgpack.packb([chance.randrange(3), words, answered])  # type: ignore[no-any-return]


def _word(chance: random.Random) -> bytes:
    said = dict(chance.choice(SAID))
    for name in ("key", "user"):
        if name in said and chance.random() < 0.5:
            said[name] = chance.choice(KEYS if name == "key" else NAMED)
    for _ in range(chance.choice((0, 1, 1, 2))):
        if chance.random() < 0.5:
            said = inputs.wrong_object(said, chance)
        else:
            said[chance.choice(NAMES)] = chance.choice(inputs.JSON_ODD)
    line = json.dumps(said).encode()
    return inputs.spoiled(line, chance) if chance.random() < 0.2 else line


class _Stored(ListStore):
    """A store whose writes are on the disk at once."""

    def write(self, position: int, payload: bytes) -> None:
        self.stored(position)


class _Partner:
    """The link to a partner that answers every AdminRequest with `answer`."""

    def __init__(self, server: Server) -> None:
        self.answer = b""
        self.told: list[bytes] = []
        self.asked = 0
        self._server = server

    def send(self, message: Message) -> None:
        if isinstance(message, AdminRequest):
            answer = AdminAnswer(message.request, self.answer)
            self._server.step(on.MessagesReceived(PARTNER_LINK, (answer,)))
        elif isinstance(message, AdminAnswer):
            self.told.append(message.body)

    def send_frames(self, frames: bytes) -> None:
        pass

    def close(self, code: Code, text: str, elsewhere: str = "") -> None:
        raise AssertionError(f"nothing that an operator says costs a link: {text}")

    async def wait_room(self, queued_bytes: int) -> None:
        pass


@attrs.define
class _Shell:
    """One agent, its partner's link and its handler."""

    server: Server
    partner: _Partner
    handler: Handler

    @property
    def sequence(self) -> int:
        return self.server.agent.replication.log.sequence


class Operators:
    """Three agents, made anew every FRESH inputs; each input is a conversation with one of them."""

    def __init__(self) -> None:
        self._left = 0
        self._passed_s = 0.0
        self._setups: list[Setup] = []
        self._shells: list[_Shell] = []
        self.accepted = 0
        """Words that were carried out."""

    def __call__(self, data: bytes) -> None:
        who, words, answer = msgpack.unpackb(data)
        fresh = not self._left
        self._left = (self._left or FRESH) - 1
        self._passed_s += 0.001
        try:
            trio.run(self._converse, who, words, answer, fresh, clock=MockClock(autojump_threshold=0))
        except BaseException:
            self._left = 0
            raise

    async def _converse(self, who: int, words: list[Any], answer: bytes, fresh: bool) -> None:
        async with trio.open_nursery() as nursery:
            if fresh:
                self._begin(nursery)
            shell = self._shells[who]
            shell.partner.answer, shell.server._nursery = answer, nursery
            for kind, word in words:
                if kind == 2:
                    await self._partner_asks(shell, word)
                else:
                    await self._asked(shell, word, administrator=kind == 0)
            if shell.server._broken is not None:
                raise AssertionError("the agent's machine is broken") from shell.server._broken
            nursery.cancel_scope.cancel()

    async def _asked(self, shell: _Shell, line: bytes, *, administrator: bool) -> None:
        before = shell.sequence
        try:
            verb, arguments, deadline_s = _parse(line.partition(b"\n")[0])
            with trio.move_on_after(min(deadline_s, PATIENCE_S)):
                answer = await shell.handler(Request(verb, arguments, administrator, 0))
                lines = [answer] if isinstance(answer, Mapping) else [each async for each in answer]
                for each in lines:
                    json.dumps(each, allow_nan=False)
                self.accepted += 1
                if verb == "logout":
                    _is_done(shell, arguments)
        except ControlError as error:
            json.dumps(_error(error), allow_nan=False)
        assert administrator or _is_for_all(line) or shell.sequence == before, "who may only ask changes nothing"

    async def _partner_asks(self, shell: _Shell, body: bytes) -> None:
        """As a message of the partner's, which the agent carries out and answers."""
        if shell.server.agent.peers.partner is None:
            return
        shell.partner.asked += 1
        before = len(shell.partner.told)
        question = AdminRequest(shell.partner.asked, body)
        shell.server.step(on.MessagesReceived(PARTNER_LINK, (question,)))
        with trio.move_on_after(PATIENCE_S):
            while len(shell.partner.told) == before:
                await trio.sleep(0.01)
        for told in shell.partner.told[before:]:
            assert isinstance(json.loads(told), dict), "a partner is answered with an object"

    # -- the agents --------------------------------------------------------------------------------------------------

    def _begin(self, nursery: trio.Nursery) -> None:
        if not self._setups:
            self._setups = [_read(pair=True), _read(pair=True), _read(pair=False)]
        self._shells = [self._made(made, nursery) for made in self._setups]
        for shell, role in zip(self._shells, (Role.STARTING, Role.MASTER), strict=False):
            shell.server.links[PARTNER_LINK] = shell.partner  # type: ignore[assignment]  # a stand-in
            shell.server.step(machine.opened(PARTNER_LINK, "2", "agent"))
            known = {} if role == Role.STARTING else {"term": 5, "log_id": 77, "cluster_ms": machine.NOW_MS}
            shell.server.step(on.MessagesReceived(PARTNER_LINK, (heartbeat(role, **known),)))
        roles = [shell.server.agent.election.role for shell in self._shells]
        assert roles == [Role.MASTER, Role.SLAVE, Role.MASTER]

    def _made(self, made: Setup, nursery: trio.Nursery) -> _Shell:
        log, dice = quiet_log(), random.Random(1)
        server = Server(
            wiring.make_agent(made, dice), made, log, self._now, dice, Tally(log), Network(_nobody, _nobody)
        )
        server._nursery = nursery
        server.store = _Stored(server.stored)  # type: ignore[assignment]  # what a server asks of it is there
        server.agent.table.merge(_sessions(), None)
        server.step(on.Started(0))
        server.step(machine.opened(PROXY_LINK))
        handler = Handler(server, lambda: _facts(made), lambda ago_s: f"{ago_s:.0f} s ago", _reload)
        server.carry_out = handler.for_partner
        return _Shell(server, _Partner(server), handler)

    def _now(self) -> Now:
        return machine.now(self._passed_s)


def _is_for_all(line: bytes) -> bool:
    """Whether it is about redeeming, which users do; whatever else changes anything is for administrators."""
    return b"code_redeem" in line


def _is_done(shell: _Shell, asked: Mapping[str, Any]) -> None:
    """A master that has told of a logout holds nothing alive of whom it meant."""
    agent = shell.server.agent
    if agent.election.role != Role.MASTER:
        return
    now_ms = agent.duty.now_ms(shell.server.clock())
    shown = list(agent.table.sessions(now_ms))
    meant = [each for each in shown if asked.get("all") is True or each.login.user == asked.get("user")]
    meant += [each for each in shown if each.login.key == asked.get("key")]
    assert not meant, "who was logged out is logged in"


def _sessions() -> Changes:
    runs: list[LoginRun] = []
    for first, user in enumerate(USERS):
        keys = KEYS[first * 3 : first * 3 + 3]
        runs += machine.logins(*keys, first=first * 3, user=user, at_ms=machine.NOW_MS - 60_000).logins
    return Changes(logins=tuple(runs))


def _read(*, pair: bool) -> Setup:
    """A setup from files, which nobody reads again."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "authagent.toml"
        head = f'site = "lan1"\nstate_dir = "{folder}/state"\n[tls]\nmode = "off"\n[control]\nfolder = "{folder}"\n'
        agents = "".join(
            f'[[authagent]]\nid = {number}\nhost = "127.0.0.1"\nport = {9_022 + number}\n'
            for number in range(1, 2 + pair)
        )
        path.write_text(head + agents + '[[proxyagent]]\nid = "p*"\n[[proxyagent]]\nid = "named"\n')
        secret = path.with_name("secret")
        secret.touch(mode=0o600)
        secret.write_text("correct-horse-battery-staple-0\n")
        return setup.read(Flags(config=str(path), number="1", site=""), 1)


def _facts(made: Setup) -> Facts:
    return Facts(
        configuration=made.configuration,
        site=made.site,
        id=made.id,
        version="test",
        store_ok=True,
        store_error="",
        loaded_fraction=1.0,
        certificate_ending="",
        refused=(),
        refused_total=0,
        uptime_s=1.0,
    )


async def _nobody(*where: object) -> Any:
    raise OSError("there is no network")


async def _reload() -> dict[str, Any]:
    return {"reloaded": True, "text": "reloaded"}
