"""The status page in a real browser, before real agents and proxies.

Each test has users of its own, so that they may be run by several workers, each before a site of its own; the last one
kills the master.
"""

import re
import sys

import pytest
import trio
from playwright.sync_api import Page, expect

from tests.authagent.page.browsing import Browser
from tests.browser.conftest import PASSWORD, PATIENCE_MS, Shown, Windows

pytestmark = [pytest.mark.system, pytest.mark.slow]

SEEN_S_MAX = 5.0
"""The promise is one second, on a machine that has nothing else to do."""

expect.set_options(timeout=PATIENCE_MS)


def log_in(shown: Shown, proxy: int, *users: str, network: int) -> None:
    """Users at addresses of their own: 10.NETWORK.0.1 and so on."""
    for number, user in enumerate(users, 1):
        shown.run(shown.site.proxies[proxy].log_in, f"10.{network}.0.{number}", user, 20.0)


def search(page: Page, query: str, rows: int) -> None:
    """Type into the search field; the list comes by itself."""
    page.fill("#q", query)
    expect(page.locator("table.sessions tbody tr")).to_have_count(rows)


def is_too_wide(page: Page) -> bool:
    """Whether one would have to scroll to the side."""
    return bool(page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


@pytest.mark.parametrize("agent", [1, 2])
def test_the_site_is_seen_at_both_agents(agent: int, windows: Windows) -> None:
    """The sentence, both agents with their roles, and the proxies, which the slave has from its master."""
    with windows.open(agent) as page:
        expect(page.locator("#sentence")).to_contain_text("Everything equal.")
        wide = page.locator("svg.picture-wide")
        for name in ("proxy-proxy1", "proxy-proxy2"):
            expect(wide.locator(f'[data-id="{name}"]')).to_have_class(re.compile("is-equal"))
        assert sorted(wide.locator("g.agent .role").all_text_contents()) == ["master", "slave"]
        expect(page.locator("#live")).to_have_text("live")
        expect(page.locator("#numbers dt")).to_have_text(["Sessions", "Logins", "Logouts", "Timeouts", "Lag"])


def test_one_session_is_logged_out_and_every_node_confirms(windows: Windows, shown: Shown) -> None:
    """Found by typing, ended at the slave's page by two clicks, gone from the list; its history says who did it."""
    log_in(shown, 1, "alice", "alice", "bob", network=1)
    with windows.open(2) as page:
        search(page, "alice", 2)
        page.locator("tr", has_text="10.1.0.1").locator("summary").click()
        page.get_by_role("button", name="This session").click()
        answer = page.locator("#answer")
        expect(answer).to_contain_text("1 session of 10.1.0.1 ended, on 4 of 4 nodes.")
        for node in ("authagent-1", "authagent-2", "proxy1", "proxy2"):
            expect(answer.locator("li.done", has_text=node)).to_be_visible()
        expect(page.locator("table.sessions tbody tr")).to_have_count(1)
        page.get_by_role("link", name="What happened to “alice”?").click()
        expect(page.locator("#history")).to_contain_text("over, ended by an administrator")
    left = shown.run(shown.site.proxies[2].look, ["10.1.0.1", "10.1.0.2", "10.1.0.3"])
    assert sorted((left or {}).values()) == ["10.1.0.2", "10.1.0.3"]


def test_everything_of_a_user_is_logged_out_by_keyboard(windows: Windows, shown: Shown) -> None:
    """Enter opens the drawer, Escape closes it and gives the focus back, Tab and Enter end the sessions."""
    log_in(shown, 2, "carol", "carol", network=2)
    with windows.open() as page:
        search(page, "carol", 2)
        summary = page.locator("tr", has_text="10.2.0.1").locator("summary")
        summary.focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Everything of carol").first).to_be_visible()
        page.keyboard.press("Escape")
        expect(summary).to_be_focused()
        for key in ("Enter", "Tab", "Tab", "Enter"):
            page.keyboard.press(key)
        expect(page.locator("#answer")).to_contain_text("2 sessions of carol ended, on 4 of 4 nodes.")
        expect(page.locator("#sessions")).to_contain_text("Nobody fits “carol”")


def test_a_login_appears_by_itself(windows: Windows, shown: Shown) -> None:
    """The numbers change in the open page, which is never loaded again."""
    with windows.open() as page:
        page.evaluate("window.untouched = true")
        before = len(shown.run(shown.site.proxies[1].shown))
        expect(page.locator(".number .now").first).to_have_text(str(before))  # it opens with the last second's
        log_in(shown, 1, "dave", network=3)
        expect(page.locator(".number .now").first).to_have_text(str(before + 1))
        assert page.evaluate("window.untouched")


def test_names_are_text_whatever_is_in_them(windows: Windows, shown: Shown) -> None:
    """A user whose name is a script runs none."""
    log_in(shown, 1, "<img src=x onerror=alert(1)>", network=4)
    with windows.open() as page:
        search(page, "onerror", 1)
        expect(page.locator("table.sessions tbody th")).to_have_text("<img src=x onerror=alert(1)>")
        assert page.locator("img").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_on_a_phone(scheme: str, windows: Windows, shown: Shown) -> None:
    """In light and dark, nothing is wider than the screen, letters of the picture are no smaller than 10 pixels."""
    log_in(shown, 1, "erin", network=5)
    phone = {"viewport": {"width": 360, "height": 740}, "color_scheme": scheme, "is_mobile": True, "has_touch": True}
    with windows.open(**phone) as page:
        expect(page.locator("svg.picture-narrow")).to_be_visible()
        expect(page.locator("svg.picture-wide")).to_be_hidden()
        assert not is_too_wide(page)
        letters = page.locator("svg.picture-narrow .words").first.evaluate(
            "e => parseFloat(getComputedStyle(e).fontSize) * e.getScreenCTM().a"
        )
        assert letters >= 10
        colour = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", colour))) < 200) == (scheme == "dark")
        search(page, "erin", 1)
        page.locator("details.act summary").tap()
        assert not is_too_wide(page)


def test_it_works_without_javascript(windows: Windows, shown: Shown) -> None:
    """Signing in, searching, logging out and signing out are forms."""
    log_in(shown, 1, "frank", network=6)
    with windows.open(java_script_enabled=False) as page:
        expect(page.locator("#sentence")).to_contain_text("Everything equal.")
        page.fill("#q", "frank")
        page.get_by_role("button", name="Search").click()
        expect(page.locator("table.sessions tbody tr")).to_have_count(1)
        page.locator("details.act summary").click()
        page.get_by_role("button", name="Everything of frank").click()
        expect(page.locator("#answer")).to_contain_text("1 session of frank ended")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_signing_out_in_one_window_ends_the_other(windows: Windows) -> None:
    """The stream that the other has open ends too."""
    with windows.open() as page:
        other = page.context.new_page()
        other.goto(page.url)
        expect(other.locator("#live")).to_have_text("live")
        page.get_by_role("button", name="Sign out").click()
        expect(other.get_by_role("heading", name="Sign in")).to_be_visible()


def test_wrong_passwords_lock(windows: Windows, shown: Shown) -> None:
    """Then the right one is refused too, and the page says for how long. Who is signed in is not disturbed."""
    port = int(shown.pages[1].rsplit(":", 1)[1].strip("/"))

    async def guess() -> None:
        while (await Browser(port).sign_in("not this one")).status != 429:
            pass

    async def guess_until_locked() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(guess)

    with windows.open() as signed_in, windows.open(sign_in=False, expect="status of 4") as page:
        page.fill("#password", "not this one")
        page.keyboard.press("Enter")
        expect(page.locator("#trouble")).to_have_text("That is not the password.")
        shown.run(guess_until_locked)
        page.fill("#password", PASSWORD)
        page.keyboard.press("Enter")
        expect(page.locator("#trouble")).to_contain_text("Nobody can sign in for")
        signed_in.reload()
        expect(signed_in.locator("#sentence")).to_contain_text("Everything equal.")


def test_the_death_of_the_master_is_seen_in_the_open_page(windows: Windows, shown: Shown) -> None:
    """Within a second, without loading the page again; the proxies are seen to move to the new master."""
    log_in(shown, 1, "grace", network=8)
    master = shown.run(shown.site.master)
    slave = 3 - master
    with windows.open(slave) as page:
        expect(page.locator("#live")).to_have_text("live")
        page.evaluate(
            """slave => {
                const seen = () => document.querySelector(`.picture-wide [data-id="agent-${slave}"].role-master`);
                const began = performance.now();
                window.tookMs = new Promise((resolve, reject) => {
                    new MutationObserver(() => { if (seen()) resolve(performance.now() - began); })
                        .observe(document.getElementById("picture"), {subtree: true, attributes: true});
                    setTimeout(reject, 20000, "nothing was seen");
                });
            }""",
            slave,
        )
        trio.from_thread.run_sync(shown.site.agents[master].kill, trio_token=shown.token)
        took_s = page.evaluate("() => window.tookMs") / 1000
        sys.stdout.write(f"seen {took_s:.3f} s after the kill\n")
        expect(page.locator("#sentence")).to_contain_text(f"agent {master}")
        expect(page.locator(f'.picture-wide [data-id="agent-{master}"] .role')).to_have_text("no answer")
        for name in ("proxy-proxy1", "proxy-proxy2"):
            expect(page.locator(f'.picture-wide [data-id="{name}"]')).to_have_class(re.compile("is-equal"))
        assert took_s < SEEN_S_MAX
        search(page, "grace", 1)


def test_a_page_whose_agent_is_gone_says_so(windows: Windows, shown: Shown) -> None:
    """What it shows is old, and it does not pretend otherwise."""
    agents = shown.site.agents
    last = next(number for number, agent in agents.items() if agent.running)
    with windows.open(last, expect="net::ERR_") as page:
        expect(page.locator("#live")).to_have_text("live")
        trio.from_thread.run_sync(agents[last].kill, trio_token=shown.token)
        expect(page.get_by_role("alert")).to_contain_text("This agent does not answer")
        expect(page.locator("#live")).to_have_text("no word")
