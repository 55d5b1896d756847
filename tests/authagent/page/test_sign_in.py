"""The gate: who may see the page, who may act on it, and what a guess costs."""

import threading
from pathlib import Path

import attrs
import pytest
import trio
from starlette.requests import Request
from starlette.responses import Response

from authagent import admin_password
from authagent.page import sign_in
from authagent.page.listing import Visitor
from protocol.io.http.attempts import DELAY_S, LOCKED_S, WRONG_MAX
from tests.authagent.page.browsing import PASSWORD, Browser, make_page, showing, write_page_files
from tests.authagent.running import Running, make, until


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Guesses are compared, not hashed, and wrong ones are not delayed; the guesses so far."""
    guesses: list[str] = []

    def is_right(password_hash: str, guess: str) -> bool:
        guesses.append(guess)
        return guess == PASSWORD

    monkeypatch.setattr(admin_password, "is_right", is_right)
    monkeypatch.setattr(sign_in, "DELAY_S", 0.0)
    return guesses


async def test_a_password_closes_the_page(tmp_path: Path, fast: list[str]) -> None:
    """Reading, asking and watching need the sign-in; with it the page offers to log out, and signing out ends it."""
    async with showing(make(write_page_files(tmp_path, password=True))) as (browser, _):
        came = await browser.get("/")
        assert (came.status, came.headers["location"]) == (303, ["/sign-in"])
        for path in ("/sessions", "/history?of=x", "/events"):
            assert (await browser.get(path)).status == 401
        assert (await browser.sign_in()).status == 303
        page = await browser.get("/")
        assert page.status == 200 and "Sign out" in page.body
        assert (await browser.get("/sign-in")).headers["location"] == ["/"]
        assert (await browser.post("/sign-out", {"token": page.token})).status == 303
        assert (await browser.get("/")).status == 303


async def test_without_a_password_it_may_be_read_on_loopback(tmp_path: Path) -> None:
    """Nothing can be changed, and nobody can sign in; the page says how there comes to be a password."""
    async with showing(make(write_page_files(tmp_path, password=False))) as (browser, _):
        assert (await browser.get("/")).status == 200
        assert (await browser.post("/logout", {"user": "alice"})).status == 403
        assert "authagent passwd" in (await browser.get("/sign-in")).body
        browser.cookies[sign_in.FORM_COOKIE] = "t"
        assert (await browser.post("/sign-in", {"token": "t", "password": ""})).status == 403


async def test_on_loopback_it_answers_to_loopback_names_only(tmp_path: Path) -> None:
    """A web site whose own name leads to 127.0.0.1 reads nothing."""
    async with showing(make(write_page_files(tmp_path, password=False))) as (browser, _):
        for host, status in (("evil.example", 421), ("127.0.0.1.evil.example", 421), ("", 421), ("localhost:1", 200),
                             ("[::1]:9080", 200), ("127.0.0.1", 200), ("a{.evil.example:9080", 421), ("[::1", 421),
                             ("a`.evil.example", 421), ("evil.example:99999", 421)):  # fmt: skip
            assert (await Browser(browser.port, host or "x")._ask("GET", "/", [], "")).status == status, host


async def test_the_cookie_is_kept_from_scripts_and_other_sites(tmp_path: Path, fast: list[str]) -> None:
    """And it ends by itself."""
    async with showing(make(write_page_files(tmp_path, password=True))) as (browser, _):
        (cookie,) = (await browser.sign_in()).headers["set-cookie"]
        for part in ("authagent=", "HttpOnly", "SameSite=strict", "Path=/", "Max-Age=28800"):
            assert part in cookie
        assert "Secure" not in cookie  # plain HTTP on loopback


def test_under_tls_the_cookie_is_bound_to_this_host() -> None:
    """Sent over TLS only, under a name that no other host of the domain can set."""
    scope = {"type": "http", "scheme": "https", "server": ("10.1.0.11", 9080), "path": "/", "headers": []}
    request, response = Request(scope), Response()
    name = sign_in._cookie(request)
    sign_in._set_cookie(response, request, name, "x")
    assert name.startswith("__Host-")
    assert all(part in response.headers["set-cookie"] for part in ("Secure", "Path=/", "HttpOnly", "SameSite=strict"))
    assert "Domain" not in response.headers["set-cookie"]


async def test_forms_that_are_not_ours_do_nothing(tmp_path: Path, fast: list[str]) -> None:
    """From another origin, without a token, with another's, or no form at all."""
    async with showing(make(write_page_files(tmp_path, password=True))) as (browser, _):
        await browser.sign_in()
        token = (await browser.get("/")).token
        order = {"user": "alice", "token": token}
        for origin in ("", "null", "http://evil.example", f"https://{browser.host}", "http://127.0.0.1:1"):
            assert (await browser.post("/logout", order, origin=origin)).status == 403
        assert (await browser.post("/logout", {**order, "token": "x"})).status == 403
        assert (await browser.post("/logout", {"user": "alice"})).status == 403
        assert (await browser.post("/logout", {f"field {number}": "x" for number in range(99)})).status == 400
        assert (await browser.post("/logout", {})).status == 403
        assert (await browser.post("/logout", order)).status == 200


async def test_the_form_for_the_password_has_its_token_too(tmp_path: Path, fast: list[str]) -> None:
    """Nobody can sign a stranger's browser in."""
    async with showing(make(write_page_files(tmp_path, password=True))) as (browser, _):
        assert (await browser.post("/sign-in", {"password": PASSWORD})).status == 403
        await browser.get("/sign-in")
        assert (await browser.post("/sign-in", {"password": PASSWORD, "token": "x"})).status == 403
        assert fast == []


async def test_wrong_passwords_are_counted_and_lock(tmp_path: Path, fast: list[str]) -> None:
    """Ten of them; then not even the right one is looked at, and each is one line in the log without the guess."""
    running = make(write_page_files(tmp_path, password=True))
    async with showing(running) as (browser, _):
        for number in range(WRONG_MAX):
            came = await browser.sign_in(f"guess {number}")
            assert came.status == 403 and "That is not the password." in came.body
        locked = await browser.sign_in()
        assert locked.status == 429 and "Nobody can sign in for" in locked.body
        assert 0 < int(locked.headers["retry-after"][0]) <= LOCKED_S
        assert PASSWORD not in fast and len(fast) == WRONG_MAX
    assert len(running.logged("page.wrong_password")) == WRONG_MAX - 1
    assert len(running.logged("page.locked")) == 1
    assert "guess" not in repr(running.lines)


async def test_who_is_signed_in_stays_so_while_it_is_locked(tmp_path: Path, fast: list[str]) -> None:
    """The operator can go on."""
    running = make(write_page_files(tmp_path, password=True))
    page = make_page(running)
    async with showing(running, page) as (browser, _):
        await browser.sign_in()
        for _number in range(WRONG_MAX):
            page.gate.attempts.wrong("elsewhere", trio.current_time())
        assert (await browser.get("/")).status == 200


async def test_a_wrong_password_is_told_late(tmp_path: Path) -> None:
    """By a second, whatever was wrong with it; the loop goes on meanwhile."""
    assert sign_in.DELAY_S == DELAY_S == 1.0
    async with showing(make(write_page_files(tmp_path, password=True))) as (browser, _):
        began = trio.current_time()
        assert (await browser.sign_in("not this one at all")).status == 403
        assert trio.current_time() - began >= 1.0
        assert (await browser.sign_in()).status == 303


async def test_few_guesses_may_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of them is turned away before it costs anything."""
    page = make_page(make(write_page_files(tmp_path, password=True)))
    monkeypatch.setattr(sign_in, "GUESSES_WAITING_MAX", 0)
    async with showing(make(write_page_files(tmp_path, password=True)), page) as (browser, _), page.gate._turn:
        assert (await browser.sign_in()).status == 429


async def test_another_password_ends_every_sign_in(tmp_path: Path, fast: list[str]) -> None:
    """As soon as anybody asks for anything."""
    async with showing(make(write_page_files(tmp_path, password=True))) as (browser, _):
        await browser.sign_in()
        change_password(tmp_path)
        assert (await browser.get("/")).status == 303


def change_password(folder: Path) -> None:
    """Another hash in the admin file."""
    text = (folder / "admin").read_text()
    (folder / "admin").write_text(text.replace("$argon2id$v=19$m=65536", "$argon2id$v=19$m=65537"))


async def test_the_old_password_is_wrong_if_it_changes_while_it_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever knows it gets in at no moment of the change: it counts as a wrong one."""
    page = make_page(make(write_page_files(tmp_path, password=True)))
    checking, changed = threading.Event(), threading.Event()

    def is_right(password_hash: str, guess: str) -> bool:
        checking.set()
        assert changed.wait(10)
        return guess == PASSWORD

    monkeypatch.setattr(admin_password, "is_right", is_right)
    monkeypatch.setattr(sign_in, "DELAY_S", 0.0)
    async with showing(make(write_page_files(tmp_path, password=True)), page) as (browser, _):
        statuses: list[int] = []

        async def guess() -> None:
            statuses.append((await browser.sign_in()).status)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(guess)
            await until(checking.is_set)
            change_password(tmp_path)
            await Browser(browser.port).get("/")
            changed.set()
        assert statuses == [403] and page.gate.attempts.wrong_total == 1
        assert (await browser.get("/")).status == 303


@pytest.mark.parametrize("password", [True, False], ids=["signed in", "without a password"])
async def test_a_new_password_ends_open_pages(
    tmp_path: Path, fast: list[str], monkeypatch: pytest.MonkeyPatch, password: bool
) -> None:
    """Also where nobody asks for anything, and where there was none; a file that cannot be used ends them, too."""
    monkeypatch.setattr(sign_in, "READ_AGAIN_S", 0.0)
    page = make_page(make(write_page_files(tmp_path, password=password)))
    async with showing(make(write_page_files(tmp_path, password=password)), page) as (browser, _):
        if password:
            await browser.sign_in()
        request = Request({"type": "http", "scheme": "http", "path": "/", "headers": [
            (b"host", b"localhost"), (b"cookie", f"authagent={browser.cookies.get('authagent', '')}".encode()),
        ]})  # fmt: skip
        visitor = await page.gate.visitor(request)
        assert visitor is not None
        lasts = page.gate.lasts(request, visitor)
        assert await lasts() and await lasts()
        write_page_files(tmp_path, password=True)
        change_password(tmp_path)
        assert not await lasts()
        (tmp_path / "admin").chmod(0o644)
        assert not await lasts()


async def test_an_admin_file_that_cannot_be_used_closes_the_page(tmp_path: Path) -> None:
    """Nobody is let in by a mistake; the log says what to do."""
    running = make(write_page_files(tmp_path, password=True))
    (tmp_path / "admin").chmod(0o644)
    async with showing(running) as (browser, _):
        assert (await browser.get("/")).status == 503
    assert "chmod 0600" in str(running.logged("page.password_unusable"))


def served_at(running: Running, listen: str) -> None:
    """As if the page were served there."""
    made = running.server.setup
    running.server.setup = attrs.evolve(made, made=attrs.evolve(made.made, http=listen))


async def test_off_loopback_nobody_reads_without_the_password(tmp_path: Path) -> None:
    """Also when the file goes away while the agent runs."""
    running = make(write_page_files(tmp_path, password=True))
    served_at(running, "10.1.0.11:9080")
    async with showing(running) as (browser, _):
        (tmp_path / "admin").unlink()
        assert (await browser.get("/")).status == 303
        assert (await browser.get("/sessions")).status == 401
        assert (await Browser(browser.port, "agent1.example").get("/sign-in")).status == 200


def test_tokens_are_in_no_repr() -> None:
    """A traceback gives nobody a session."""
    assert "its token" not in repr(Visitor(token="its token"))
