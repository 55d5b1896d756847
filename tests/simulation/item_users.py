"""What users and operators do with items and cookies, through the shipping machines; the oracle sees all of it.

Rules of this file:

- A host makes and consumes challenges and codes at proxies, an operator codes at agents (`authagent code`).
- Items go by number, as steps of a schedule name them; what its maker has not been told of cannot be asked for.
- A browser holds one cookie a key: the last that it was given.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from protocol import codes
from protocol.changes import Changes
from protocol.codec import encode_changes
from protocol.item import Item
from protocol.messages import Creation, Redemption, Revocation
from protocol.session import Record
from tests.simulation.agents import DIGEST_KEY, SECRET_ID, AgentProcess
from tests.simulation.askers import Asker
from tests.simulation.item_lives import FORMS, Form, ItemLife, disks_of
from tests.simulation.oracle import Oracle
from tests.simulation.proxies import ProxyProcess

if TYPE_CHECKING:
    from tests.simulation.world import World

Node: TypeAlias = AgentProcess | ProxyProcess

WRONG = "XXXXXXXX"
CODE_LINES = {SECRET_ID: codes.key_of(DIGEST_KEY)}


class ItemUsers:
    """Everybody who has to do with items in one run."""

    def __init__(self, world: "World", oracle: Oracle) -> None:
        self._world = world
        self._oracle = oracle
        self._items = oracle.items
        self._cookies: dict[str, Record] = {}

    # -- making --------------------------------------------------------------------------------------------------

    def make(self, name: str, number: float, form: float, user: str, validity_s: float) -> ItemLife | None:
        """A new item at a node; None where the node cannot do it now."""
        node, kind = self._world.processes[name], FORMS[int(form)]
        if not node.active or int(number) in self._items.lives:
            return None
        if isinstance(node, AgentProcess):
            return self._make_at_agent(node, int(number), kind, user, validity_s) if kind.sole else None
        assert isinstance(node, ProxyProcess), "items are made at agents and proxies"
        return self._make_at_proxy(node, int(number), kind, user, validity_s)

    def _make_at_proxy(self, proxy: ProxyProcess, number: int, form: Form, user: str, validity_s: float) -> ItemLife:
        def fresh() -> tuple[str, Item]:
            proxy.client.notice_pause(proxy.now())
            service, now = proxy.client.service.items, proxy.now()
            if form.sole:
                return service.new_code(user, validity_s, now)
            secret = f"secret {number}" if form.locked else None
            return secret or "", service.new_item(
                form.kind, user, None, b"blob", validity_s, form.flags, secret, now
            )  # fmt: skip

        if form.strict:
            return self._make_strict(proxy, number, form, user, validity_s, fresh)
        secret, item = fresh()
        life = self._begin(proxy, number, form, user, validity_s)
        self._items.drawn(life, item.id, secret)
        _, serial = proxy.client.service.items.make_here(item, proxy.now())
        self._items.made_here(life, proxy, serial)
        proxy.changed()
        return life

    def _make_at_agent(self, agent: AgentProcess, number: int, form: Form, user: str, validity_s: float) -> ItemLife:
        def fresh() -> tuple[str, Item]:
            secret, name = codes.draw(agent.dice.getrandbits), f"{agent.dice.getrandbits(128):032x}"
            lock = codes.lock(SECRET_ID, name, codes.proof(CODE_LINES[SECRET_ID], form.kind, user, secret))
            now_ms = agent.agent.duty.now_ms(agent.now())
            expires_ms = now_ms + math.ceil(validity_s * 1000)
            return secret, Item(form.kind, name, user, agent.site, now_ms, expires_ms, form.flags, b"", lock)

        return self._make_strict(agent, number, form, user, validity_s, fresh)

    def _make_strict(
        self, node: Node, number: int, form: Form, user: str, validity_s: float, fresh: Callable[[], tuple[str, Item]]
    ) -> ItemLife:
        """Have the master take in an item; for each attempt there is a fresh one."""
        life = self._begin(node, number, form, user, validity_s)

        def draw() -> Creation:
            secret, item = fresh()
            self._items.drawn(life, item.id, secret)
            return Creation(0, encode_changes(Changes(items=(item,))))

        self._ask(Asker(node, draw, partial(self._items.made, life)))
        return life

    def _begin(self, node: Node, number: int, form: Form, user: str, validity_s: float) -> ItemLife:
        now_s = node.loop.now_s
        life = ItemLife(number, form, user, node.site, now_s, now_s + validity_s, disks_of(self._items.agents))
        self._items.begun(life)
        return life

    # -- asking --------------------------------------------------------------------------------------------------

    def redeem(self, name: str, number: float, request: float, right: float = 1) -> None:
        """Consume an item at a node, as one of some devices, with the right secret or a wrong one."""
        node, life = self._world.processes[name], self._items.lives.get(int(number))
        if not node.active or life is None or not life.told:
            return
        form, said, holder = life.form, f"{life.number}/{request:g}".encode(), f"device{request:g}"
        secret = (life.secret if right else WRONG) if form.locked else None
        by_user = (form.kind, "", life.user) if form.sole else (form.kind, life.id, "")
        told = partial(self._items.redeemed, life, life.id, said, not form.locked or bool(right), node.loop.now_s)
        if isinstance(node, AgentProcess):
            if form.sole:
                shown = codes.proofs(CODE_LINES, form.kind, life.user, secret or "")
                wanted = Redemption(0, *by_user, said, holder, tuple(shown), tuple(shown.values()))
                self._items.asked(life, said, not form.locked or bool(right))
                self._ask(Asker(node, lambda: wanted, told))
            return
        assert isinstance(node, ProxyProcess), "items are asked for at agents and proxies"
        node.client.notice_pause(node.now())
        service = node.client.service.items
        wanted = service.redemption(*by_user, secret, said, holder)
        self._items.asked(life, said, not form.locked or bool(right))
        alone = None if form.sole else lambda: service.redeem_here(wanted, node.now())
        self._ask(Asker(node, lambda: wanted, told, alone))

    def revoke(self, name: str, number: float) -> None:
        """Void an item; a code goes by its user."""
        node, life = self._world.processes[name], self._items.lives.get(int(number))
        if not node.active or life is None or not life.told:
            return
        self._items.ending(life)
        by = {"user": life.user} if life.form.sole else {"id": life.id}
        if isinstance(node, AgentProcess):
            if life.form.sole:
                voided = Revocation(0, life.form.kind, "", life.user)
                self._ask(Asker(node, lambda: voided, lambda answered: None))
            return
        assert isinstance(node, ProxyProcess), "items are voided at agents and proxies"
        node.client.notice_pause(node.now())
        _, serial = node.client.service.items.revoke(life.form.kind, **by, now=node.now())
        self._items.ended_here(life, node, serial)
        node.changed()

    def peek(self, name: str, number: float) -> None:
        """See whether an item may be consumed, as challenges.get does."""
        node, life = self._world.processes[name], self._items.lives.get(int(number))
        if node.active and life is not None and isinstance(node, ProxyProcess):
            self._items.peeked(life, node)

    def _ask(self, asker: Asker) -> None:
        asker.begin()
        asker.node.settle()

    # -- cookies -------------------------------------------------------------------------------------------------

    def carry(self, name: str, key: str) -> None:
        """A browser comes to a proxy, and is given a cookie of the session that it has there."""
        proxy = self._world.proxy(name)
        session = None if proxy is None else self._oracle.look(proxy, key, touch=True)
        record = None if session is None or proxy is None else proxy.carried(session)
        if record is not None:
            self._cookies[key] = record

    def honour(self, name: str, key: str) -> None:
        """A browser shows its cookie to a proxy that may not know its session."""
        proxy, brought = self._world.proxy(name), self._cookies.get(key)
        if proxy is not None and brought is not None:
            self._oracle.honour(proxy, key, brought)
