"""What somebody asked for: the list, the drawer, the confirmation."""

from typing import Any

from authagent.page import listing
from authagent.page.listing import Found, Visitor
from tests.protocol.io.http.test_markup import read

READER, ADMINISTRATOR = Visitor(), Visitor(token="its token")


def session(**more: Any) -> dict[str, Any]:
    told = {"key": "10.0.0.1", "user": "alice", "site": "lan1", "proxy": "p1", "login_id": "p1:1:1", "attributes": {}}
    return {**told, "idle_left_s": 1799.0, "lifetime_left_s": 43199.0, **more}


def found(*sessions: dict[str, Any], **more: Any) -> Found:
    given = {"query": "", "more": False, "looked_at": len(sessions), "total": len(sessions), **more}
    return Found(sessions=sessions, **given)


def test_a_session_has_its_times_and_attributes() -> None:
    """As people say them."""
    text = read(listing.sessions(found(session(attributes={"groups": ["a", "b"], "x": "y"})), READER).text).text
    for part in ("alice", "10.0.0.1", "lan1 / p1", "29 min", "11 h 59 min", "groups: a, b; x: y", "1 session."):
        assert part in text


def test_only_who_signed_in_is_offered_to_log_out() -> None:
    """One session or one user, each a form with the visitor's own token."""
    assert "<form" not in listing.sessions(found(session()), READER).text
    made = read(listing.sessions(found(session(user='"><script>')), ADMINISTRATOR).text)
    assert made.tags.count("form") == 2 and "script" not in made.tags
    assert made.values.count("its token") == 2
    assert "10.0.0.1" in made.values and '"><script>' in made.values


def test_the_first_line_says_what_the_list_is() -> None:
    """All, some of all, some of those found, none, and how many were not looked at."""

    def first(*sessions: dict[str, Any], **more: Any) -> str:
        return read(listing.sessions(found(*sessions, **more), READER).text).text.partition("User")[0].rstrip()

    assert first() == "Nobody is logged in."
    assert first(query="bob").startswith("Nobody fits “bob”. What happened")
    assert first(session(), total=30, more=True) == "30 sessions, 1 of them shown."
    cut = first(session(), query="al", more=True, looked_at=30, total=30)
    assert cut.startswith("The first 1 session for “al”. ")
    unsearched = first(query="bob", looked_at=50_000, total=60_000)
    assert unsearched.startswith("Nobody fits “bob” among 50,000 of 60,000 sessions; a whole user name")


def test_a_confirmation_is_told_node_by_node() -> None:
    """Who is pending has the reason, and what that means."""
    done = listing.confirmation("alice", {"ended": 2, "done": ["authagent-1", "p1"], "pending": []}).text
    assert "is-done" in done and "2 sessions of alice ended, on 2 of 2 nodes." in done
    away = {"node": "p2", "reason": "is not linked", "serves_at_most_s": 1620.0}
    text = listing.confirmation("alice", {"ended": 2, "done": ["authagent-1"], "pending": [away]}).text
    assert "is-pending" in text
    assert "on 1 of 2 nodes" in text and "is not linked: may serve for 27 min more at most" in read(text).text


def test_who_serves_nobody_is_said_so() -> None:
    """A pending node without sessions that live."""
    away = {"node": "p2", "reason": "is not linked", "serves_at_most_s": 0.0}
    told = listing.confirmation("alice", {"ended": 0, "done": [], "pending": [away]})
    assert "serves nobody any more" in read(told.text).text


def test_a_refusal_is_text() -> None:
    """Whatever stands in it."""
    assert read(listing.refusal("<b>").text).tags == ["div", "p"]


def test_whoever_is_searched_for_can_be_explained() -> None:
    """Also one who is logged in nowhere; each session in the list too."""
    assert "What happened to “bob”?" in listing.sessions(found(query="bob"), READER).text
    assert 'href="/?q=al+%3C&amp;explain=10.0.0.1"' in listing.sessions(found(session(), query="al <"), READER).text
