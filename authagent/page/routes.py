"""The page's addresses: what each answers, to whom, and with which headers.

Rules of this file:

- Everything but style sheet, script, icon and the way in asks the gate who is there.
- Changes are POSTs with a form of ours, and go the way that the control socket goes: a slave asks its master.
- What a visitor's mistake or a refusal comes to is a page or a part of one, never a bare error.
- No answer of this file may be framed, guessed at or kept, and none lets a browser fetch anything from elsewhere.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from authagent.admin.handler import Handler
from authagent.page import assets, document, listing
from authagent.page.explanation import explanation
from authagent.page.history import History
from authagent.page.listing import Visitor
from authagent.page.search import QUERY_LETTERS_MAX, Search
from authagent.page.sign_in import Gate, address_of
from authagent.page.watch import STREAMS_MAX, Lasts, Watch
from authagent.server import Server
from protocol import addresses
from protocol.io import control
from protocol.io.control_client import ControlError
from protocol.io.http.forms import Refused
from protocol.io.http.markup import Markup
from protocol.io.http.page_headers import page_headers

LOGOUT_WITHIN_S = 4.0
"""Within the time that HTTP gives a request; what is pending then is named, and goes on."""

HEADERS = page_headers(script_src="'self'", style_src="'self'", img_src="'self'", connect_src="'self'")
"""On every answer."""

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


class Page:
    """The status page of one agent. Kept across reloads, so that who is signed in stays so."""

    def __init__(self, server: Server, handler: Handler, history: History, gate: Gate) -> None:
        self.watch = Watch(server, handler, history)
        self.gate = gate
        self._server = server
        self._handler = handler
        self._search = Search(server)
        self._assets = assets.load()

    def routes(self) -> list[Route]:
        """Everything that can be asked for."""
        return [
            Route("/", self._guarded(self._home)),
            Route("/sessions", self._guarded(self._sessions)),
            Route("/history", self._guarded(self._history)),
            Route("/events", self._guarded(self._events)),
            Route("/logout", self._guarded(self._logout), methods=["POST"]),
            Route("/sign-in", self._guarded(self._sign_in), methods=["GET", "POST"]),
            Route("/sign-out", self._guarded(self._sign_out), methods=["POST"]),
            Route("/assets/{name}", self._asset),
        ]

    def _guarded(self, endpoint: Endpoint) -> Endpoint:
        """Puts the headers on, and turns refusals into pages."""

        async def answer(request: Request) -> Response:
            try:
                response = await endpoint(request)
            except Refused as refused:
                response = _refusal(request, refused)
            response.headers.update(HEADERS)
            return response

        return answer

    # -- reading -----------------------------------------------------------------------------------------------------

    async def _home(self, request: Request) -> Response:
        visitor = await self.gate.visitor(request)
        if visitor is None:
            return RedirectResponse("/sign-in", 303)
        return await self._page(request, visitor)

    async def _page(self, request: Request, visitor: Visitor, answer: Markup | None = None) -> Response:
        query, subject = request.query_params.get("q", ""), request.query_params.get("explain", "")
        await self.watch.ask_master()
        found = await self._search.find(query)
        shown = document.Shown(
            title=self._title,
            parts=self.watch.parts(),
            visitor=visitor,
            query=found.query,
            sessions=listing.sessions(found, visitor),
            answer=answer,
            history=await self._explained(subject) if subject else None,
            elsewhere=self._elsewhere(),
        )
        return HTMLResponse(document.status_page(shown, self._assets))

    async def _sessions(self, request: Request) -> Response:
        visitor = await self._let_in(request)
        found = await self._search.find(request.query_params.get("q", ""))
        return HTMLResponse(listing.sessions(found, visitor).text)

    async def _history(self, request: Request) -> Response:
        await self._let_in(request)
        told = await self._explained(request.query_params.get("of", ""))
        return HTMLResponse(told.text)

    async def _explained(self, subject: str) -> Markup:
        try:
            return explanation(await self._ask("explain", {"key_or_user": subject[:QUERY_LETTERS_MAX]}))
        except ControlError as error:
            return listing.refusal(str(error))

    async def _events(self, request: Request) -> Response:
        visitor = await self._let_in(request)
        if self.watch.streams >= STREAMS_MAX:
            raise Refused(503, "too many are watching")
        return _Events(self.watch, self.gate.lasts(request, visitor))

    async def _let_in(self, request: Request) -> Visitor:
        visitor = await self.gate.visitor(request)
        if visitor is None:
            raise Refused(401, "sign in first")
        return visitor

    @property
    def _title(self) -> str:
        setup = self._server.setup
        return f"agent {setup.id} of {setup.site}"

    def _elsewhere(self) -> str:
        """Where the partner shows its page, if the file tells."""
        setup = self._server.setup
        if setup.partner is None or not setup.made.http:
            return ""
        host, port = addresses.split(setup.made.http)
        if addresses.is_loopback(host):
            return ""  # each machine has its own
        return f"https://{addresses.join(setup.partner.host, port)}/"

    # -- acting ------------------------------------------------------------------------------------------------------

    async def _logout(self, request: Request) -> Response:
        visitor = await self._let_in(request)
        if not visitor.may_act:
            raise Refused(403, "to log anybody out, sign in")
        given = await self.gate.form(request, visitor.token)
        target = {name: given[name] for name in ("key", "user") if given.get(name)}
        if len(target) != 1:
            raise Refused(400, "say whom to log out: one key, or one user")
        self.gate.log.note("page.ordered", order="logout", address=address_of(request))
        try:
            told = await self._ask("logout", {**target, "within_s": LOGOUT_WITHIN_S})
            answer = listing.confirmation(next(iter(target.values())), told)
        except ControlError as error:
            answer = listing.refusal(f"Nobody was logged out: {error}")
        if _wants_part(request):
            return HTMLResponse(answer.text)
        return await self._page(request, visitor, answer)

    async def _ask(self, verb: str, question: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the control socket would answer an administrator. Raises ControlError."""
        answer = await self._handler(control.Request(verb, question, may_administer=True, uid=0))
        assert isinstance(answer, Mapping), f"{verb} answers once"
        return answer

    async def _sign_in(self, request: Request) -> Response:
        visitor = await self.gate.visitor(request)
        if visitor is not None and visitor.may_act:
            return RedirectResponse("/", 303)
        if request.method == "GET":
            return await self._ask_password(request)
        given = await self.gate.form(request, self.gate.form_token(request))
        response = RedirectResponse("/", 303)
        try:
            await self.gate.sign_in(request, given.get("password", ""), response)
        except Refused as refused:
            asked = await self._ask_password(request, str(refused), refused.status)
            if refused.retry_after_s:
                asked.headers["retry-after"] = str(round(refused.retry_after_s))
            return asked
        return response

    async def _ask_password(self, request: Request, trouble: str = "", status: int = 200) -> Response:
        password_set = bool(await self.gate.password_hash())
        token = self.gate.form_token(request) or self.gate.draw()
        page = document.sign_in_page(self._title, token, trouble, password_set, self._assets)
        response = HTMLResponse(page, status)
        self.gate.give_form_token(request, response, token)
        return response

    async def _sign_out(self, request: Request) -> Response:
        visitor = await self._let_in(request)
        await self.gate.form(request, visitor.token)
        response = RedirectResponse("/sign-in", 303)
        self.gate.sign_out(request, response)
        return response

    # -- files -------------------------------------------------------------------------------------------------------

    async def _asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._assets.files:
            return Response("", 404, headers=HEADERS)
        kept = {**HEADERS, "cache-control": "public, max-age=31536000, immutable"}
        return Response(self._assets.files[name], media_type=assets.KINDS[name], headers=kept)


def _wants_part(request: Request) -> bool:
    """Whether the page's own script asks: it puts the answer where it belongs."""
    return request.headers.get("x-part", "") == "answer"


def _refusal(request: Request, refused: Refused) -> Response:
    response = HTMLResponse(listing.refusal(str(refused)).text, refused.status)
    if refused.retry_after_s:
        response.headers["retry-after"] = str(round(refused.retry_after_s))
    return response


class _Events(Response):
    """Server-sent events, until the browser is gone or no longer let in."""

    def __init__(self, watch: Watch, lasts: Lasts) -> None:
        super().__init__(media_type="text/event-stream")
        del self.headers["content-length"]
        self._watch = watch
        self._lasts = lasts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._watch.stream(receive, send, self.raw_headers, self._lasts)
