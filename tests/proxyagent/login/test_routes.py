"""The login page as browsers see it: signing in, going on, other places, signing out, and what is refused."""

import re

import pytest
import trio

from protocol.configuration import ClientSettings
from protocol.key import key
from tests.proxyagent.login.showing import BY_COOKIE, PASSWORD, USER, Answering, quick, showing

__all__ = ["quick"]


def where(came_headers: dict[str, list[str]]) -> str:
    return came_headers["location"][0]


async def test_whoever_signs_in_is_known_under_the_address() -> None:
    """By the name that the back end spells, with its attributes; the page says so then, in place of asking."""
    async with showing() as shown:
        alice = shown.browser("10.0.0.1")
        asked = await alice.get("/")
        assert asked.status == 200 and 'autocomplete="current-password"' in asked.body
        came = await alice.log_in()
        assert (came.status, where(came.headers)) == (303, "./")
        session = shown.agent.lookup("10.0.0.1")
        assert session is not None and (session.user, dict(session.attributes)) == ("Alice", {"groups": ("staff",)})
        assert shown.backend.asked == [(USER, PASSWORD, "10.0.0.1")]
        assert "You are signed in as Alice." in (await alice.get("/")).body
        assert 'name="password"' in (await shown.browser("10.0.0.2").get("/")).body


@pytest.mark.usefixtures("quick")
async def test_wrong_and_unknown_look_the_same() -> None:
    """The same words, status and headers; nobody is let in, the password is not shown again, the name is."""
    async with showing() as shown:
        alice = shown.browser()
        answers = [await alice.log_in(*each) for each in ((USER, "wrong horse"), ("nobody", "wrong horse"), (USER, ""))]
        bodies = {re.sub(r'value="(alice|nobody)"', "", came.body) for came in answers}
        assert {came.status for came in answers} == {403} and len(bodies) == 1
        assert "User name or password is not right." in answers[0].body and "wrong horse" not in answers[0].body
        assert shown.agent.lookup("10.0.0.1") is None
        assert shown.served.logged("login.wrong") == [{"address": "10.0.0.1"}] * 3


@pytest.mark.parametrize(("url", "location"), [("/app/x?y=1", "/app/x?y=1"), ("//evil.example", "./"), ("", "./")])
async def test_a_path_of_this_host_is_gone_on_to(url: str, location: str) -> None:
    """Others are nowhere."""
    async with showing() as shown:
        assert where((await shown.browser().log_in(url=url)).headers) == location


async def test_another_host_is_gone_on_to_where_it_is_listed() -> None:
    """By a page of ours, as squid asks for it: form-action would forbid a redirect; an unlisted one is dropped."""
    async with showing(return_hosts=("app.example",)) as shown:
        alice = shown.browser()
        asked = await alice.get("/login?url=http%3A%2F%2Fapp.example%2F%3Fa%3D1%26amp%3Bb%3D2")
        url = "http://app.example/?a=1&amp;b=2"
        assert f'name="url" value="{url}"' in asked.body
        fields = {"token": asked.token, "user": USER, "password": PASSWORD, "url": "http://app.example/?a=1&b=2"}
        came = await alice.post("/login", fields)
        assert came.status == 200 and f'<meta http-equiv="refresh" content="0; url={url}"/>' in came.body
        assert f'href="{url}"' in came.body and "Go on to app.example" in came.body
        assert "evil" not in (await alice.get("/login?url=http%3A%2F%2Fevil.example%2F")).body


async def test_who_is_signed_in_is_not_sent_on_without_a_click() -> None:
    """A proxy that does not know them would send them back for ever; there is a link instead."""
    async with showing(return_hosts=("app.example",)) as shown:
        alice = shown.browser()
        await alice.log_in()
        came = await alice.get("/login?url=http%3A%2F%2Fapp.example%2F")
        assert came.status == 200 and "refresh" not in came.body and 'href="http://app.example/"' in came.body


async def test_signing_out_needs_a_form_and_ends_it() -> None:
    """A GET only asks; afterwards nobody is known, and the page says so."""
    async with showing() as shown:
        alice = shown.browser()
        assert where((await alice.get("/logout")).headers) == "login"
        await alice.log_in()
        asked = await alice.get("/logout")
        assert shown.agent.lookup("10.0.0.1") is not None and "Do you want to sign out here?" in asked.body
        came = await alice.post("/logout", {"token": asked.token})
        assert where(came.headers) == "login?out=1" and shown.agent.lookup("10.0.0.1") is None
        assert "You are signed out." in (await alice.get("/login?out=1")).body


async def test_other_places_are_seen_and_ended_one_by_one() -> None:
    """Keys are shown as an address or a few digits; only one's own sessions can be ended."""
    async with showing() as shown:
        alice = shown.browser()
        await alice.log_in()
        browser_key = key(cookie="somewhere else")
        other = shown.agent.login(browser_key, "Alice")
        both = shown.agent.login(key(address="10.9.9.9", cookie="third"), "Alice")
        strangers = shown.agent.login("10.0.0.9", "bob")
        shown.agent.advance(125.0)
        page = await alice.get("/")
        digits = browser_key.removeprefix("cookie:")
        assert f"Browser {digits[:4]}" in page.body and digits not in page.body
        assert f"Browser {both.key[-32:][:4]}, A device at 10.9.9.9" in page.body
        assert page.body.count("<li>") == 3 and "Site site · Since 2 min" in page.body and "bob" not in page.body
        for ended in (str(strangers.login_id), "no such session"):
            await alice.post("/end", {"token": page.token, "session": ended})
        assert shown.agent.lookup("10.0.0.9") is not None
        came = await alice.post("/end", {"token": page.token, "session": str(other.login_id)})
        assert where(came.headers) == "./" and shown.agent.lookup(browser_key) is None
        assert shown.agent.lookup("10.0.0.1") is not None
        mine = shown.agent.lookup("10.0.0.1")
        came = await alice.post("/end", {"token": page.token, "session": str(mine and mine.login_id)})
        assert where(came.headers) == "login?out=1" and shown.agent.lookup("10.0.0.1") is None


async def test_all_places_are_ended_at_once() -> None:
    """Here too."""
    async with showing() as shown:
        alice = shown.browser()
        await alice.log_in()
        for number in range(60):
            shown.agent.login(f"10.1.0.{number}", "Alice")
        page = await alice.get("/")
        assert page.body.count("<li>") == 50 and "11 more are not shown." in page.body
        await alice.post("/end", {"token": page.token, "all": "1"})
        assert shown.agent.sessions("Alice") == ()
        assert where((await alice.post("/end", {"token": page.token, "all": "1"})).headers) == "login"


async def test_a_cookie_is_new_at_each_login_and_cannot_be_fixed() -> None:
    """What a browser brings is never what it is known by then; the session under the old one ends."""
    async with showing(BY_COOKIE) as shown:
        alice = shown.browser()
        alice.cookies["sid"] = "planted"
        came = await alice.log_in()
        (given,) = [each for each in came.headers["set-cookie"] if each.startswith("sid=")]
        assert "; Path=/; HttpOnly; SameSite=Lax" in given and "Secure" not in given
        first = alice.cookies["sid"]
        assert shown.agent.lookup(key(cookie="planted")) is None and shown.agent.lookup(key(cookie=first)) is not None
        await alice.log_in(path="/logout")
        assert alice.cookies["sid"] not in ("planted", first)
        assert shown.agent.lookup(key(cookie=first)) is None
        page = await alice.get("/")
        assert alice.cookies["sid"] not in page.body and first not in page.body
        came = await alice.post("/logout", {"token": page.token})
        assert any(each.startswith("sid=; Max-Age=0") for each in came.headers["set-cookie"])
        assert shown.agent.sessions("Alice") == ()


async def test_with_both_the_cookie_counts_at_its_address_only() -> None:
    """Stolen, it opens nothing elsewhere."""
    async with showing(ClientSettings(key="both", cookie="sid")) as shown:
        alice, thief = shown.browser("10.0.0.1"), shown.browser("10.0.0.2")
        await alice.log_in()
        thief.cookies = dict(alice.cookies)
        assert "You are signed in" in (await alice.get("/")).body
        assert 'name="password"' in (await thief.get("/")).body


async def test_a_cookie_that_plain_http_cannot_set_is_not_tried() -> None:
    """The page says what is wrong; behind a proxy that speaks TLS it is right, and Secure."""
    async with showing(ClientSettings(key="cookie")) as shown:
        plain = await shown.browser().get("/")
        assert plain.status == 400 and "must be opened over HTTPS" in plain.body
        alice = shown.browser(host="login.example")
        alice.more.append("X-Forwarded-Proto: https")
        asked = await alice.get("/login")
        fields = {"token": asked.token, "user": USER, "password": PASSWORD}
        came = await alice.post("/login", fields, origin="https://login.example")
        given = {each.partition("=")[0]: each for each in came.headers["set-cookie"]}
        assert given["__Host-login"].endswith("; Path=/; HttpOnly; SameSite=Lax; Secure")
        assert "__Host-login-form" in alice.cookies


async def test_without_a_proxy_in_front_the_address_is_the_connections_own() -> None:
    """No X-Forwarded-For, or an empty one."""
    async with showing() as shown:
        for header in ([], ["X-Forwarded-For: "]):
            browser = shown.browser()
            browser.more = header
            await browser.log_in()
            session = shown.agent.lookup("127.0.0.1")
            assert session is not None
            shown.agent.logout("127.0.0.1")


async def test_a_proxy_that_does_not_say_for_whom_it_asks_is_nobody() -> None:
    """Otherwise all its users would be one: whoever logs in first."""
    async with showing(hosts=("login.lan",)) as shown:
        browser = shown.browser(host="login.lan")
        assert (await browser.get("/")).status == 200
        for header in ([], ["X-Forwarded-For: "], ["X-Forwarded-For: unknown"]):
            browser.more = header
            came = await browser.get("/")
            assert came.status == 400 and "cannot be told who you are" in came.body


async def test_the_failover_cookie_comes_along_and_brings_a_session_back() -> None:
    """Set at login, honoured where nobody knows the key, taken away at logout."""
    async with showing(BY_COOKIE) as shown, showing(BY_COOKIE) as elsewhere:
        alice = shown.browser()
        await alice.log_in()
        assert alice.cookies["one-login"]
        again = elsewhere.browser()
        again.cookies = dict(alice.cookies)
        page = await again.get("/")
        assert "You are signed in as Alice." in page.body
        came = await again.post("/logout", {"token": page.token})
        assert any(each.startswith("one-login=; Max-Age=0") for each in came.headers["set-cookie"])


@pytest.mark.parametrize("path", ["/login", "/logout", "/end"])
async def test_forms_of_others_do_nothing(path: str) -> None:
    """Without our token, with somebody else's, or from another origin."""
    async with showing() as shown:
        alice, eve = shown.browser(), shown.browser("10.0.0.66")
        await alice.log_in()
        token, foreign = (await alice.get("/")).token, (await eve.get("/")).token
        fields = {"user": USER, "password": PASSWORD, "all": "1"}
        asked = len(shown.backend.asked)
        for given, origin in (({}, None), ({"token": foreign}, None), ({"token": token}, "http://evil.example"),
                              ({"token": token}, ""), ({"token": token}, "null")):  # fmt: skip
            came = await alice.post(path, {**fields, **given}, origin=origin)
            assert came.status == 403 and "open for too long" in came.body and 'href="./"' in came.body
        crossed = await alice.post(path, {**fields, "token": token}, "Sec-Fetch-Site: cross-site")
        assert crossed.status == 403
        assert shown.agent.lookup("10.0.0.1") is not None and len(shown.backend.asked) == asked


async def test_every_answer_keeps_to_itself() -> None:
    """Headers on pages, redirects, refusals and what is not there; HSTS where browsers may insist on TLS."""
    async with showing(hsts=True) as shown:
        alice = shown.browser()
        wrong = shown.browser(host="rebound.example")
        answers = [await alice.get(path) for path in ("/", "/login", "/logout", "/nothing/there")]
        answers += [await alice.post("/login", {}), await alice.log_in(), await alice.get("/"), await wrong.get("/")]
        assert [came.status for came in answers] == [200, 200, 303, 404, 403, 303, 200, 421]
        for came in answers:
            policy = came.headers["content-security-policy"][0]
            assert policy.startswith("default-src 'none'; style-src 'sha256-") and "frame-ancestors 'none'" in policy
            assert came.headers["x-content-type-options"] == ["nosniff"]
            assert came.headers["cache-control"] == ["no-store"]
            assert came.headers["referrer-policy"] == ["same-origin"]
            assert came.headers["strict-transport-security"] == ["max-age=31536000"]
            assert not re.search(r"<script|https?://|src=|@import|url\(", came.body.replace('http-equiv', ""))
    async with showing() as shown:
        assert "strict-transport-security" not in (await shown.browser().get("/")).headers


async def test_it_speaks_the_browsers_language() -> None:
    """German where that is liked best, English else; the document says which it is."""
    async with showing() as shown:
        german = await shown.browser().get("/", "Accept-Language: de-DE,de;q=0.9,en;q=0.5")
        assert '<html lang="de">' in german.body and "Benutzername" in german.body
        assert '<html lang="en">' in (await shown.browser().get("/", "Accept-Language: xx")).body
        nothing = await shown.browser().get("/nothing", "Accept-Language: de")
        assert nothing.status == 404 and "Hier ist nichts." in nothing.body


async def test_a_name_that_leads_here_is_not_served_over_plain_http() -> None:
    """Unless [login] hosts has it: any web site can have one (DNS rebinding). Addresses are."""
    async with showing(hosts=("login.lan",)) as shown:
        port = shown.served.port
        right = (f"login.lan:{port}", f"127.0.0.1:{port}", "[::1]", "localhost")
        wrong = {"evil.example": 421, "login.lan.evil.example": 421, "": 421, "[::1": 400}
        for host, status in {**dict.fromkeys(right, 200), **wrong}.items():
            browser = shown.browser(host=host or " ")
            assert (await browser.get("/")).status == status, host


async def test_passwords_that_cannot_be_checked_let_nobody_in() -> None:
    """The page says so, the log why, once; who is signed in goes on, and a back end that is well again counts."""
    async with showing() as shown:
        alice, bob = shown.browser("10.0.0.1"), shown.browser("10.0.0.2")
        await bob.log_in()
        shown.backend.unavailable = True
        for _ in range(2):
            came = await alice.log_in()
            assert came.status == 503 and "cannot be checked at the moment" in came.body
        assert shown.agent.lookup("10.0.0.1") is None
        assert shown.served.logged("login.unavailable") == [{"error": "the directory is away"}]
        assert "You are signed in as Alice." in (await bob.get("/")).body
        shown.backend.unavailable = False
        assert (await alice.log_in()).status == 303


@pytest.mark.usefixtures("quick")
async def test_hostile_requests_are_bounded_refusals() -> None:
    """Absurd cookies, addresses and forms: an answer each, none of them an error of ours."""
    async with showing() as shown:
        for header in ("Cookie: " + "a" * 8000, "Cookie: login-form=\x7f; ;;=;sid===", "X-Forwarded-Proto: gopher",
                       "Accept-Language: " + "x,;q=" * 1000, "X-Forwarded-For: " + "1," * 3000):  # fmt: skip
            assert (await shown.browser().get("/?url=%00%ff", header)).status in (200, 400, 431), header
        for address in ("10.0.0.1'", "unknown", "127.0.0.1:80", "::g"):
            assert (await shown.browser(address).get("/")).status == 400, address
        alice = shown.browser()
        token = (await alice.get("/")).token
        for user in ("a" * 5000, "\x00", "\u202e", "ü" * 200):
            assert (await alice.post("/login", {"token": token, "user": user, "password": "x"})).status in (403, 429)
        assert shown.backend.asked == []
        assert (await alice.post("/login", {"token": token, "user": "a" * 70_000})).status == 413
        assert shown.served.server.guard.failed_total == 0


async def test_while_one_back_end_is_slow_pages_are_served() -> None:
    """The loop goes on."""
    async with showing() as shown, trio.open_nursery() as nursery:
        shown.backend = shown.gate.backend = Answering(held=trio.sleep_forever)
        nursery.start_soon(shown.browser().log_in)
        while not shown.backend.asked:
            await trio.sleep(0.01)
        assert (await shown.browser("10.0.0.3").get("/")).status == 200
        nursery.cancel_scope.cancel()
