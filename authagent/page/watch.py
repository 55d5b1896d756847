"""What whoever watches sees: the parts of the page, made once for all of them, anew when something has happened.

Rules of this file:

- What matters is looked at ten times a second while somebody watches, and costs little then; the parts are made anew
  when it has changed, and once a second.
- A slave asks its master for what only that one knows, beside everything else: nobody waits for an answer that a dead
  master owes.
- A browser is sent only the parts that have changed. A stream ends with the sign-in that opened it.
"""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

import attrs
import trio
from starlette.exceptions import HTTPException

from authagent.admin import asking, view
from authagent.admin.handler import Handler
from authagent.admin.view import View
from authagent.page import fragments
from authagent.page.history import History
from authagent.server import Server
from protocol.io.control_client import ControlError
from protocol.messages import Role

LOOK_S = 0.1
MADE_ANEW_S = 1.0

ASKED_EVERY_S = 1.0
TOLD_FOR_S = 3.0
"""What the master said longer ago says nothing about now; proxies have moved by then."""

ASKING_S = 1.0

BEAT_S = 1.0
"""A browser that hears nothing for longer says that this agent does not answer."""

STREAMS_MAX = 40
"""Of the 64 connections that HTTP has: the others are for pages, Prometheus and load balancers."""

Message: TypeAlias = MutableMapping[str, Any]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Lasts: TypeAlias = Callable[[], Awaitable[bool]]
"""Whether a stream may go on; asked again and again."""


@attrs.define
class Watch:
    """What one agent shows. `streams` are the browsers that are sent changes now."""

    server: Server
    handler: Handler
    history: History
    streams: int = 0
    _parts: dict[str, str] = attrs.field(factory=dict)
    _made_s: float = float("-inf")
    _made_of: object = None
    _told: View | None = None
    _told_s: float = float("-inf")
    _asked_s: float = float("-inf")

    def parts(self) -> dict[str, str]:
        """The parts of the page as they are now."""
        now_s, what = trio.current_time(), self._what_matters()
        if what != self._made_of or now_s - self._made_s >= MADE_ANEW_S:
            status = self.handler.status()
            self._parts = fragments.parts(status, self._view(status), self.history.curves())
            self._made_s, self._made_of = now_s, what
        return self._parts

    def _what_matters(self) -> object:
        """Differs when something has happened that nobody should wait a second for.

        Whether a proxy is equal is not among it: under load that changes all the time, and two thousand may be linked.
        """
        agent, partner = self.server.agent, self.server.agent.peers.partner
        links = frozenset(peer.name for peer in agent.peers)
        pair = None if partner is None else (partner.role, partner.equal)
        return (agent.election.role, agent.election.term, agent.election.split, pair, links, self._told_s)

    def _view(self, status: dict[str, Any]) -> View:
        told = self._told if trio.current_time() - self._told_s < TOLD_FOR_S else None
        return view.with_those_on_their_way(view.through_master(view.view_of(status), told), told)

    # -- at a slave --------------------------------------------------------------------------------------------------

    async def ask_master(self) -> None:
        """At a slave: have the master's view, if the last one is a second old. Raises nothing."""
        now_s = trio.current_time()
        if self.server.agent.election.role != Role.SLAVE or now_s - self._asked_s < ASKED_EVERY_S:
            return
        self._asked_s = now_s
        with trio.move_on_after(ASKING_S):
            try:
                told = await asking.ask_partner(self.server, "view", {}, now_s + ASKING_S, "late")
            except (ControlError, ValueError):
                return  # it serves no more, or speaks another version: this agent shows what it knows
            if (seen := view.from_partner(told)) is not None:
                self._told, self._told_s = seen, trio.current_time()

    # -- server-sent events ------------------------------------------------------------------------------------------

    async def stream(
        self, receive: Receive, send: Send, headers: list[tuple[bytes, bytes]], lasts: Lasts
    ) -> None:
        """Answer one request with events until its sender is gone, or `lasts` says no."""
        self.streams += 1
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_until_gone, receive, nursery.cancel_scope)
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await self._send_changes(send, lasts, nursery)
                await send({"type": "http.response.body", "body": b"event: over\ndata: {}\n\n"})
                nursery.cancel_scope.cancel()
        finally:
            self.streams -= 1

    async def _send_changes(self, send: Send, lasts: Lasts, nursery: trio.Nursery) -> None:
        sent: dict[str, str] = {}
        sent_s = float("-inf")
        while await lasts():
            nursery.start_soon(self.ask_master)
            parts, now_s = self.parts(), trio.current_time()
            changed = {name: text for name, text in parts.items() if sent.get(name) != text}
            if changed or now_s - sent_s >= BEAT_S:
                body = f"data: {json.dumps(changed)}\n\n" if changed else "event: beat\ndata: {}\n\n"
                await send({"type": "http.response.body", "body": body.encode(), "more_body": True})
                sent, sent_s = parts, now_s
            await trio.sleep(LOOK_S)


async def _until_gone(receive: Receive, scope: trio.CancelScope) -> None:
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
    except HTTPException:
        pass  # it sends more than a request may have, and so does not listen
    scope.cancel()
