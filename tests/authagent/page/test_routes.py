"""The page's addresses: what they answer, with which headers, and that orders go the way of the control socket."""

from pathlib import Path

import attrs
import pytest
import trio

import proxyagent
from authagent import admin_password
from authagent.page import routes, watch
from protocol.messages import Role
from tests.authagent.page.browsing import PASSWORD, make_page, showing, write_page_files
from tests.authagent.running import make, run_agents, until
from tests.protocol.io.http.asking import exchange, get, status_of
from tests.protocol.io.http.test_markup import read


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashing is tested elsewhere."""
    monkeypatch.setattr(admin_password, "is_right", lambda password_hash, guess: guess == PASSWORD)


async def test_the_page_is_whole_without_its_script(tmp_path: Path) -> None:
    """Sentence, picture, numbers and sessions are in the first answer, and so is what was searched for."""
    path = write_page_files(tmp_path, password=False)
    async with run_agents(path) as (one,), proxyagent.open_proxy_agent(path, id="p1") as proxy:
        proxy.login("10.0.0.1", user="alice")
        proxy.login("10.0.0.2", user="bob")
        await until(lambda: one.server.agent.table.alive == 2)
        await until(lambda: one.handler.status()["healthy"])
        async with showing(one) as (browser, _):
            text = read((await browser.get("/?q=ali")).body).text
            for part in ("Everything equal. 1 site, 1 proxy", "Agent 1 is master", "Proxy p1", "alice", "10.0.0.1"):
                assert part in text
            assert "bob" not in text
            part = (await browser.get("/sessions?q=bob")).body
            assert "bob" in part and "<html" not in part


async def test_every_answer_has_its_headers(tmp_path: Path) -> None:
    """Pages, parts, refusals, files and what is not there."""
    async with showing(make(write_page_files(tmp_path, password=True))) as (browser, _):
        for path in ("/", "/sign-in", "/sessions", "/assets/page.js", "/assets/none", "/events"):
            headers = (await browser.get(path)).headers
            (policy,) = headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';"), path
            assert "unsafe" not in policy
            assert headers["x-content-type-options"] == ["nosniff"] and headers["x-frame-options"] == ["DENY"]
            kept = "public, max-age=31536000, immutable" if path == "/assets/page.js" else "no-store"
            assert headers["cache-control"] == [kept], path


async def test_files_have_their_kind(tmp_path: Path) -> None:
    """Style sheet, script, icon, and no way out of the folder."""
    async with showing(make(write_page_files(tmp_path, password=True))) as (browser, _):
        for name, kind in (("page.css", "text/css"), ("page.js", "text/javascript"), ("icon.svg", "image/svg+xml")):
            came = await browser.get(f"/assets/{name}")
            assert came.status == 200 and came.headers["content-type"][0].startswith(kind)
        for name in ("../routes.py", "..%2froutes.py", "routes.py"):
            assert (await browser.get(f"/assets/{name}")).status == 404


async def test_one_session_and_one_user_are_logged_out(tmp_path: Path) -> None:
    """At the master's page and at the slave's, which asks its master; every node confirms."""
    path = write_page_files(tmp_path, password=True, agents=2)
    async with run_agents(path, 1, 2) as agents, proxyagent.open_proxy_agent(path, id="p1") as proxy:
        (slave,) = [each for each in agents if each.role == Role.SLAVE]
        (master,) = [each for each in agents if each.role == Role.MASTER]
        for number in range(5):
            proxy.login(f"10.0.0.{number}", user="alice")
        await until(lambda: slave.server.agent.table.alive == 5)
        await until(lambda: master.handler.status()["healthy"])
        async with showing(slave) as (browser, _):
            await browser.sign_in()
            token = (await browser.get("/")).token
            part = await browser.post("/logout", {"key": "10.0.0.1", "token": token}, "X-Part: answer")
            assert "1 session of 10.0.0.1 ended, on 3 of 3 nodes." in part.body and "<html" not in part.body
            assert all(node in part.body for node in ("authagent-1", "authagent-2", "p1"))
            assert proxy.lookup("10.0.0.1") is None
            whole = await browser.post("/logout", {"user": "alice", "token": token})
            assert "4 sessions of alice ended" in whole.body and "<html" in whole.body
            assert not proxy.sessions()


async def test_orders_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    """Both, neither, or a key that no session can have; nothing ends."""
    path = write_page_files(tmp_path, password=True)
    async with run_agents(path) as (one,), proxyagent.open_proxy_agent(path, id="p1") as proxy:
        proxy.login("10.0.0.1", user="alice")
        await until(lambda: one.server.agent.table.alive == 1)
        async with showing(one) as (browser, _):
            await browser.sign_in()
            token = (await browser.get("/")).token
            for fields in ({"key": "10.0.0.1", "user": "alice"}, {}, {"site": "lan1"}, {"all": "true"}):
                assert (await browser.post("/logout", {**fields, "token": token})).status == 400
            came = await browser.post("/logout", {"user": "x" * 900, "token": token}, "X-Part: answer")
            assert "Nobody was logged out" in came.body
            assert one.server.agent.table.alive == 1


async def test_only_forms_change_anything(tmp_path: Path) -> None:
    """A link, whoever made it, does not."""
    async with showing(make(write_page_files(tmp_path, password=True))) as (browser, _):
        assert [(await browser.get(path)).status for path in ("/logout?user=alice", "/sign-out")] == [405, 405]


async def test_events_are_a_stream(tmp_path: Path) -> None:
    """With everything in its first piece; so many browsers at a time."""
    path = write_page_files(tmp_path, password=False)
    async with run_agents(path) as (one,):
        page = make_page(one)
        async with showing(one, page) as (browser, _):
            stream = await trio.open_tcp_stream("127.0.0.1", browser.port)
            async with stream:
                await stream.send_all(get("/events").replace(b"Host: x", f"Host: {browser.host}".encode()))
                answer = b""
                with trio.fail_after(15):
                    while b'"picture"' not in answer:
                        answer += await stream.receive_some()
                assert status_of(answer) == 200
                assert b"text/event-stream" in answer
                assert page.watch.streams == 1
            await until(lambda: page.watch.streams == 0)
            page.watch.streams = watch.STREAMS_MAX
            assert (await browser.get("/events")).status == 503


async def test_endless_questions_are_refused(tmp_path: Path) -> None:
    """By the bounds of HTTP; a long search is cut."""
    path = write_page_files(tmp_path, password=False)
    async with run_agents(path) as (one,), showing(one) as (browser, _):
        long = get(f"/?q={'x' * 60_000}").replace(b"Host: x", f"Host: {browser.host}".encode())
        assert status_of(await exchange(browser.port, long)) in (0, 400, 414, 431)
        assert (await browser.get(f"/?q={'x' * 5_000}")).status == 200
        assert (await browser.post("/sign-in", {"password": "x" * 100_000})).status == 413


async def test_where_the_partner_shows_its_page(tmp_path: Path) -> None:
    """Said where both can be reached: not on loopback, which is another machine's own."""
    running = make(write_page_files(tmp_path, password=True, agents=2))
    page = make_page(running)
    assert page._elsewhere() == ""
    made = running.server.setup
    running.server.setup = attrs.evolve(made, made=attrs.evolve(made.made, http="10.1.0.11:9080"))
    assert page._elsewhere() == "https://127.0.0.1:9080/"
    assert routes.LOGOUT_WITHIN_S < 5.0
