"""Who may see the page and act on it: the password, the cookie that stands for it, and forms that are ours.

Rules of this file:

- With a password the page is for those who show it. Without one it may be read on loopback, where it must be asked for
  by a loopback name: a web site that lets its own name lead to 127.0.0.1 does not get it (DNS rebinding). The name
  is what the browser says, not what Starlette makes of it: that is the server's own address where it reads no host.
- A POST must come from a page of ours: by its Origin, and by a token that only our pages know.
- Guesses are checked one at a time, in another thread; few may wait. A wrong one is told late, and counted. One that
  was right when it came is wrong if the password has changed meanwhile.
- An open page is no request, so it sees to it that the file is read: a new password ends it, too.
- The cookie is HttpOnly and SameSite=Strict, under TLS Secure with the prefix that binds it to this host.
"""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import attrs
import trio
from starlette.requests import Request
from starlette.responses import Response

from authagent import admin_password
from authagent.page.attempts import Attempts
from authagent.page.listing import Visitor
from authagent.page.sign_ins import LIFETIME_S, SignIns
from authagent.setup import Setup
from protocol import addresses
from protocol.io.http import forms
from protocol.io.http.attempts import DELAY_S
from protocol.io.http.forms import Refused
from protocol.io.log import Log
from protocol.mistakes import MistakesFound

GUESSES_WAITING_MAX = 8
"""At a tenth of a second each nobody waits for long, and the others are told to come again."""

READ_AGAIN_S = 1.0
"""How old the file may be by which an open page goes on."""

FORM_COOKIE = "authagent-form"


@attrs.define
class Gate:
    """Lets in and signs in. `draw` makes a token that nobody can guess."""

    setup: Callable[[], Setup]
    draw: Callable[[], str]
    log: Log
    attempts: Attempts = attrs.field(factory=Attempts)
    sign_ins: SignIns = attrs.field(factory=SignIns)
    _read_s: float = float("-inf")
    _turn: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(1))

    # -- who is there ------------------------------------------------------------------------------------------------

    async def visitor(self, request: Request) -> Visitor | None:
        """Who asks; None for one who must sign in first. Raises Refused where nobody could."""
        on_loopback = _is_loopback_name(addresses.split(self.setup().made.http)[0])
        if on_loopback and not _is_loopback_name(_host(request)):
            raise Refused(421, "on loopback this page answers to 127.0.0.1, [::1] and localhost only")
        password_hash = await self.password_hash()
        if not password_hash and on_loopback:
            return Visitor()
        signed_in = self.sign_ins.find(request.cookies.get(_cookie(request), ""), trio.current_time())
        return None if signed_in is None else Visitor(token=signed_in.form_token)

    async def password_hash(self) -> str:
        """The hash as the file has it now; empty where there is none. Raises Refused for a file that cannot be used."""
        self._read_s = trio.current_time()
        try:
            found = await trio.to_thread.run_sync(admin_password.read, self.setup().made.admin_path)
        except MistakesFound as error:
            self.log.warning("page.password_unusable", error=str(error))
            raise Refused(503, "the admin file cannot be used; the log says why") from None
        self.sign_ins.keep(found)
        return found

    def lasts(self, request: Request, visitor: Visitor) -> Callable[[], Awaitable[bool]]:
        """Whether a visitor is still let in, to be asked again and again; an open page alone keeps nobody signed in."""
        token = request.cookies.get(_cookie(request), "")

        async def is_let_in() -> bool:
            if trio.current_time() - self._read_s >= READ_AGAIN_S:
                try:
                    await self.password_hash()
                except Refused:
                    return False
            if visitor.may_act:
                return self.sign_ins.is_open(token, trio.current_time())
            return self.sign_ins.are_by("")

        return is_let_in

    # -- forms -------------------------------------------------------------------------------------------------------

    async def form(self, request: Request, token: str) -> dict[str, str]:
        """The fields of a form of ours. Raises Refused for one that is not."""
        return await forms.fields(request, token)

    def form_token(self, request: Request) -> str:
        """The token of the form that asks for the password, from before anybody is signed in; empty for a stranger."""
        return request.cookies.get(FORM_COOKIE, "")

    def give_form_token(self, request: Request, response: Response, token: str) -> None:
        """Have the browser send it back with the form."""
        _set_cookie(response, request, FORM_COOKIE, token)

    # -- signing in and out ------------------------------------------------------------------------------------------

    async def sign_in(self, request: Request, password: str, response: Response) -> None:
        """Check a guess and give the browser its cookie. Raises Refused with what to tell."""
        address = address_of(request)
        self._refuse_locked(address)
        if self._turn.statistics().tasks_waiting >= GUESSES_WAITING_MAX:
            raise Refused(429, "too many are signing in: try again in a moment", 1.0)
        password_hash = await self.password_hash()
        async with self._turn:
            self._refuse_locked(address)
            right = bool(password_hash) and await trio.to_thread.run_sync(
                admin_password.is_right, password_hash, password
            )
            right = right and self.sign_ins.are_by(password_hash)
            if not right:
                self._count_wrong(address)
        if not right:
            await trio.sleep(DELAY_S)
            raise Refused(403, "That is not the password.")
        self.attempts.right(address)
        token = self.draw()
        self.sign_ins.open(token, self.draw(), trio.current_time())
        _set_cookie(response, request, _cookie(request), token)
        self.log.note("page.signed_in", address=address)

    def sign_out(self, request: Request, response: Response) -> None:
        """End this browser's sign-in."""
        name = _cookie(request)
        self.sign_ins.close(request.cookies.get(name, ""))
        self.log.note("page.signed_out", address=address_of(request))
        response.delete_cookie(name, path="/", secure=_is_secure(request), httponly=True, samesite="strict")

    def _refuse_locked(self, address: str) -> None:
        locked_s = self.attempts.locked_s(address, trio.current_time())
        if locked_s:
            text = f"Too many wrong passwords. Nobody can sign in for {locked_s:.0f} s."
            raise Refused(429, text, locked_s)

    def _count_wrong(self, address: str) -> None:
        if self.attempts.wrong(address, trio.current_time()):
            self.log.alarm("page.locked", address=address, wrong=self.attempts.wrong_total)
        else:
            self.log.warning("page.wrong_password", address=address)


def address_of(request: Request) -> str:
    """Where a request comes from; a reverse proxy's where there is one."""
    return request.client.host if request.client else ""


def _host(request: Request) -> str:
    """The name by which the page is asked for; empty for none, or for what is no name."""
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""


def _is_loopback_name(host: str) -> bool:
    return addresses.is_loopback(host.strip("[]"))


def _is_secure(request: Request) -> bool:
    return request.url.scheme == "https"


def _cookie(request: Request) -> str:
    return "__Host-authagent" if _is_secure(request) else "authagent"


def _set_cookie(response: Response, request: Request, name: str, value: str) -> None:
    secure, most_s = _is_secure(request), int(LIFETIME_S)
    response.set_cookie(name, value, max_age=most_s, path="/", secure=secure, httponly=True, samesite="strict")
