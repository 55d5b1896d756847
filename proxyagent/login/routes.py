"""The page's addresses: what each answers, and with which headers.

Rules of this file:

- Changes are POSTs with a form of ours; a GET changes nothing but cookies that mean nothing.
- Whoever is signed in already is never sent on without a click: a proxy that does not know them would send them back
  here for ever.
- What is wrong comes to a page in the browser's language, never a bare error.
"""

from collections.abc import Awaitable, Callable, Mapping
from math import ceil
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from protocol.io.http import forms
from protocol.io.http.forms import Refused
from protocol.io.http.page_headers import page_headers
from proxyagent import cookie
from proxyagent.agent import ProxyAgent
from proxyagent.login.document import Paper, Place, style_source
from proxyagent.login.gate import Gate
from proxyagent.login.return_url import host_of, safe
from proxyagent.login.texts import Texts
from proxyagent.login.visitor import Reception, Trouble, Visitor, form_token
from proxyagent.session import Session

HSTS = "max-age=31536000"
"""A year, for the host alone; where an operator's own certificate is shown."""

Endpoint: TypeAlias = Callable[[Request, Visitor], Awaitable[Response]]


class LoginPage:
    """The login page before one ProxyAgent. `return_hosts` are those of [login]; `hsts` where browsers may insist."""

    def __init__(
        self, gate: Gate, reception: Reception, texts: Texts, return_hosts: tuple[str, ...], *, hsts: bool
    ) -> None:
        self._gate = gate
        self._reception = reception
        self._texts = texts
        self._return_hosts = return_hosts
        self._headers = page_headers(style_src=style_source(), img_src="data:")
        if hsts:
            self._headers["strict-transport-security"] = HSTS

    def routes(self) -> list[Route]:
        """Everything that can be asked for."""
        return [
            Route("/", self._served(self._home)),
            Route("/login", self._served(self._home)),
            Route("/login", self._served(self._sign_in), methods=["POST"]),
            Route("/logout", self._served(self._ask_sign_out)),
            Route("/logout", self._served(self._sign_out), methods=["POST"]),
            Route("/end", self._served(self._end), methods=["POST"]),
            Route("/{elsewhere:path}", self._served(self._nothing), methods=["GET", "POST"]),
        ]

    def _served(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        """Finds out who asks, turns troubles into pages, and puts the headers on."""

        async def answer(request: Request) -> Response:
            try:
                response = await endpoint(request, self._reception.receive(request))
            except Trouble as trouble:
                response = HTMLResponse(self._paper(request).trouble(self._told(request, trouble)), trouble.status)
            except Refused as refused:
                stale = refused.status == 403
                text = self._words(request)["stale" if stale else "not_found"]
                response = HTMLResponse(self._paper(request).trouble(text, again=stale), refused.status)
            response.headers.update(self._headers)
            return response

        return answer

    # -- looking -----------------------------------------------------------------------------------------------------

    async def _home(self, request: Request, visitor: Visitor) -> Response:
        url = self._safe(request.query_params.get("url", ""))
        session = visitor.session
        if session is None:
            said = self._words(request)["signed_out"] if "out" in request.query_params else ""
            return self._page(request, visitor, lambda paper: paper.sign_in(url, said=said))
        places = self._places(session)
        return self._page(request, visitor, lambda paper: paper.signed_in(session.user, places, url))

    async def _ask_sign_out(self, request: Request, visitor: Visitor) -> Response:
        if visitor.session is None:
            return RedirectResponse("login", 303)
        return self._page(request, visitor, Paper.sign_out)

    async def _nothing(self, request: Request, visitor: Visitor) -> Response:
        raise Trouble("not_found", 404)

    def _places(self, own: Session) -> list[Place]:
        """Where the user is signed in; here first, then the latest."""
        found = [self._place(each, here=each.key == own.key) for each in self._agent.sessions(own.user)]
        return sorted(found, key=lambda place: (not place.here, place.since_s))

    def _place(self, session: Session, *, here: bool) -> Place:
        lifetime_s = (session.expires_at_ms - session.login_at_ms) / 1000
        since_s = max(0.0, lifetime_s - self._agent.lifetime_left_s(session))
        return Place(str(session.login_id), session.key, session.site, since_s, here)

    # -- acting ------------------------------------------------------------------------------------------------------

    async def _sign_in(self, request: Request, visitor: Visitor) -> Response:
        given = await self._form(request, visitor)
        url, user = self._safe(given.get("url", "")), given.get("user", "")
        try:
            done = await self._gate.sign_in(visitor, user, given.get("password", ""))
        except Trouble as trouble:
            told = self._told(request, trouble)
            response = self._page(request, visitor, lambda paper: paper.sign_in(url, told, user=user), trouble.status)
            if trouble.retry_after_s:
                response.headers["retry-after"] = str(ceil(trouble.retry_after_s))
            return response
        response = self._onward(request, visitor, done.session.user, url)
        if done.cookie is not None:
            _give(response, visitor, self._reception.keys.settings.cookie, done.cookie)
        sealed = self._agent.seal_cookie(done.session)
        if sealed is not None:
            _give(response, visitor, self._agent.cookie_name, sealed)
        return response

    def _onward(self, request: Request, visitor: Visitor, user: str, url: str) -> Response:
        """To where the browser wanted to go; what belongs to another host is reached by a page of ours.

        A form may lead to our own host only (form-action), and browsers hold that against redirects too.
        """
        if not host_of(url):
            return RedirectResponse(url or "./", 303)
        return self._page(request, visitor, lambda paper: paper.going_on(user, url))

    async def _sign_out(self, request: Request, visitor: Visitor) -> Response:
        await self._form(request, visitor)
        if visitor.session is not None:
            await self._gate.end([visitor.session])
        return self._out(visitor)

    async def _end(self, request: Request, visitor: Visitor) -> Response:
        given = await self._form(request, visitor)
        if visitor.session is None:
            return RedirectResponse("login", 303)
        if given.get("all"):
            await self._gate.end_all(visitor.session.user)
            return self._out(visitor)
        own = self._agent.sessions(visitor.session.user)
        meant = [each for each in own if str(each.login_id) == given.get("session")]
        await self._gate.end(meant)
        here = any(each.key == visitor.session.key for each in meant)
        return self._out(visitor) if here else RedirectResponse("./", 303)

    def _out(self, visitor: Visitor) -> Response:
        response = RedirectResponse("login?out=1", 303)
        if self._reception.keys.settings.key != "address":
            _give(response, visitor, self._reception.keys.settings.cookie, None)
        _give(response, visitor, self._agent.cookie_name, None)
        return response

    async def _form(self, request: Request, visitor: Visitor) -> dict[str, str]:
        return await forms.fields(request, form_token(visitor.form), visitor.scheme)

    # -- what answers are made of ------------------------------------------------------------------------------------

    def _page(
        self, request: Request, visitor: Visitor, write: Callable[[Paper], str], status: int = 200
    ) -> Response:
        """A page with forms, and what its browser needs to send them."""
        form = visitor.form or self._gate.draw()
        response = HTMLResponse(write(self._paper(request, form_token(form))), status)
        if not visitor.form:
            _give(response, visitor, visitor.form_cookie, form)
        if visitor.session is not None:
            renewed = self._agent.renew_cookie(visitor.session, request.cookies.get(self._agent.cookie_name))
            if renewed is not None:
                _give(response, visitor, self._agent.cookie_name, renewed)
        return response

    def _paper(self, request: Request, token: str = "") -> Paper:
        language, words = self._texts.choose(request.headers.get("accept-language", ""))
        return Paper(language, words, token)

    def _words(self, request: Request) -> Mapping[str, str]:
        return self._paper(request).texts

    def _told(self, request: Request, trouble: Trouble) -> str:
        return self._words(request)[trouble.text].format(seconds=ceil(trouble.retry_after_s))

    def _safe(self, url: str) -> str:
        return safe(url, self._return_hosts)

    @property
    def _agent(self) -> ProxyAgent:
        return self._gate.agent


def _give(response: Response, visitor: Visitor, name: str, value: str | None) -> None:
    """Have the browser keep a cookie, or drop it."""
    response.headers.append("set-cookie", cookie.header(name, value, secure=visitor.secure))
