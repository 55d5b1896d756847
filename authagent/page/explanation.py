"""What became of the sessions of a key or user, as `authagent explain` tells it, the latest first. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from authagent.verbs import STANDS
from protocol.io.http.markup import Child, Markup, element


def explanation(told: Mapping[str, Any]) -> Markup:
    """The answer of `explain`."""
    heading = element("h3", None, f"What happened to {told['asked']}")
    return element("div.history", {"data-id": "history"}, heading, list(_lines(told)))


def _lines(told: Mapping[str, Any]) -> Iterator[Markup]:
    sessions = told["sessions"]
    if not sessions:
        yield element("p", None, "Nothing is known: no such key or user, or forgotten since.")
    if told["left_out"]:
        yield element("p", None, f"The last {len(sessions)} of {len(sessions) + told['left_out']} sessions:")
    yield from map(_session, reversed(sessions))
    if told["logged_out_everywhere_at"]:
        yield element("p", None, "Logged out everywhere at ", _time(told["logged_out_everywhere_at"]), ".")
    for has_all, text in ((True, "Known to"), (False, "Perhaps not yet known to"), (None, "Not linked:")):
        names = [node["node"] for node in told["nodes"] if node["has_all"] is has_all]
        if names:
            yield element("p.where", None, f"{text} {', '.join(names)}.")
    for silent in told["silent"]:
        yield element("p.where", None, f"Agent {silent['agent']} could not be asked: {silent['reason']}.")


def _session(session: Mapping[str, Any]) -> Markup:
    where = f"{session['site']} / {session['proxy']}" if session["site"] else session["proxy"]
    stands = STANDS.get(session["state"], session["state"])
    head = element("p.what", None, element("b", None, session["user"]), " at ", element("code", None, session["key"]),
                   f": {stands}")  # fmt: skip
    items = [element("li", None, list(_began(session, where)))]
    items += [element("li", None, list(_event(each))) for each in session["events"]]
    if session["displaced_by"]:
        items.append(element("li", None, f"displaced by {session['displaced_by']}"))
    if not session["events"]:
        items.append(element("li", None, "how it came is longer ago than agents remember"))
    return element("article", None, head, element("ol", None, items))


def _began(session: Mapping[str, Any], where: str) -> Iterator[Child]:
    if not session["login_at"]:
        yield f"began at {where}, unseen here"
        return
    yield from (_time(session["login_at"]), f" began at {where}")
    yield from (", last active ", _time(session["active_at"]), ", over at the latest ", _time(session["expires_at"]))


def _event(event: Mapping[str, Any]) -> Iterator[Child]:
    by = f"{event['message']} of {event['from']}" if event["message"] else event["from"]
    yield from (_time(event["at"]), f" {event['node']}: {event['what']}, by {by}")


def _time(moment: str) -> Markup:
    """A time of RFC 3339: people read the time of day, the rest is there for whoever wants it."""
    return element("time", {"datetime": moment, "title": moment}, moment[11:19] if len(moment) > 19 else moment)
