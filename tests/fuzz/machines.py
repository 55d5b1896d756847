"""The shipping minds under words that no honest peer would say: whatever comes, it costs at most the link.

Rules of this file: a machine lives for FRESH inputs, so that hostile words meet a state that hostile words have made;
a link that it closes is opened anew. What it lets in it may not break over: no exception leaves a step, and its
deadline goes on.
"""

import random

import msgpack

from authagent.core import commands as do
from authagent.core import events as on
from protocol.codec import decode
from protocol.errors import RemoteProtocolError
from protocol.messages import Message
from proxyagent.core import commands as proxy_do
from proxyagent.core import events as proxy_on
from tests.authagent.core.machine import Machine, make_master, make_slave, opened
from tests.fuzz import inputs
from tests.proxyagent.core.bench import Bench

FRESH = 200
WORDS_MAX = 4


def make(trees: list[list[object]], chance: random.Random) -> bytes:
    """Who hears it, and up to four messages, of which most are right but for one field."""
    words = []
    for _ in range(chance.randrange(1, WORDS_MAX + 1)):
        tree = chance.choice(trees)
        right = chance.random() < 0.4
        words.append(msgpack.packb(tree) if right else inputs.packed(inputs.wrong_somewhere(tree, chance), chance))
    return msgpack.packb([chance.randrange(4), words])  # type: ignore[no-any-return]


class Machines:
    """A master with its slave and a proxy, a slave, and a proxy: all of them hear."""

    def __init__(self) -> None:
        self._left = 0
        self._link = 100

    def __call__(self, data: bytes) -> None:
        if not self._left:
            self._begin()
        self._left -= 1
        who, bodies = msgpack.unpackb(data)
        words = []
        for body in bodies:
            try:
                words.append(decode(body))
            except RemoteProtocolError:
                break
        if who < 2:
            self._master_hears(words, partner=who == 1)
        elif who == 2:
            self._slave_hears(words)
        else:
            self._proxy_hears(words)

    def _begin(self) -> None:
        self._left = FRESH
        self._master, self._slave, self._proxy = make_master(), make_slave(), Bench()
        self._proxy_link = self._partner_link = self._lead_link = 0
        self._proxy.start()
        self._proxy.serve()

    def _next_link(self) -> int:
        self._link += 1
        return self._link

    def _master_hears(self, words: list[Message], *, partner: bool) -> None:
        machine = self._master
        if not machine.agent.peers.get(self._proxy_link):
            self._proxy_link = self._next_link()
            machine.step(opened(self._proxy_link))
        if machine.agent.peers.partner is None:
            machine.step(opened(self._next_link(), "2", "agent"))
        heard = machine.agent.peers.partner if partner else machine.agent.peers.get(self._proxy_link)
        if heard is not None:
            _hear(machine, heard.link, words)

    def _slave_hears(self, words: list[Message]) -> None:
        machine = self._slave
        if machine.agent.peers.partner is None:
            machine.step(opened(self._next_link(), "2", "agent"))
        partner = machine.agent.peers.partner
        if partner is not None:
            _hear(machine, partner.link, words)

    def _proxy_hears(self, words: list[Message]) -> None:
        bench = self._proxy
        if bench.client.conversation is None:
            bench.open()
            bench.hear(bench.heartbeat(echo=True))
        bench.hear(*words)
        for command in list(bench.did):
            if isinstance(command, proxy_do.AwaitRoom):
                bench.step(proxy_on.LinkDrained(command.link))


def _hear(machine: Machine, link: int, words: list[Message]) -> None:
    """The words, then room on every link, then time."""
    machine.said.clear()
    machine.hear(link, *words)
    for command in list(machine.said):
        if isinstance(command, do.Send):
            for each in command.links:
                machine.step(on.LinkDrained(each))
    machine.at_s += 0.01
    machine.step(on.DeadlinePassed())
    assert machine.agent.deadline is not None
