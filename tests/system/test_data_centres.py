"""High availability across data centres, as its source tells it: two configurations, four cases each.

A session is made at server 1 through switch 1. In every case it is honoured without a new login, by whichever server is
asked, from its own copy: no request is handed from one server to another. docs/explain/data-centres.md has the table.
"""

from typing import NamedTuple

import pytest

from tests.proxyagent.integrations.haproxy.running import require_haproxy
from tests.system.data_centres import Answer, DataCentres, open_data_centres

pytestmark = [pytest.mark.system, pytest.mark.slow]

CASES = {
    "case 1": ("svr1",),
    "case 2": ("svr1", "svr2"),
    "case 3": ("lb1", "svr1"),
    "case 4": ("lb1",),
}
"""What is lost in each case of the source."""

ANSWERED = {
    ("1", "case 1"): ("lb1", {"svr2"}),
    ("1", "case 2"): ("lb2", {"svr3", "svr4"}),
    ("1", "case 3"): ("lb2", {"svr3", "svr4"}),
    ("1", "case 4"): ("lb2", {"svr3", "svr4"}),
    ("2", "case 1"): ("lb1", {"svr2"}),
    ("2", "case 2"): ("lb1", {"svr3", "svr4"}),
    ("2", "case 3"): ("lb2", {"svr3", "svr4"}),
    ("2", "case 4"): ("lb2", {"svr1"}),
}
"""Through which switch, and by which of the servers, by configuration and case."""


class Seen(NamedTuple):
    """What a client saw: its login, and what it was answered when something had been lost."""

    login: Answer
    answers: list[Answer]


@pytest.fixture(scope="module")
def seen() -> dict[tuple[str, str], Seen]:
    """All cases played one after the other, by configuration and case; nothing runs any more."""
    found = {}
    with open_data_centres(require_haproxy()) as world:
        for case, lost in CASES.items():
            world.repair()
            clients = {number: world.client(number) for number in "12"}
            logins = {}
            for number, client in clients.items():
                client.jar["SERVER"] = "svr1"
                logins[number] = client.ask("POST", "/login?user=alice")
                world.wait_known(client)
            world.break_down(lost)
            for number, client in clients.items():
                found[number, case] = Seen(logins[number], [client.ask("GET", "/session") for _ in range(4)])
        world.repair()
        found["1", "nobody"] = _strangers(world)
    return found


def _strangers(world: DataCentres) -> Seen:
    """Somebody whose cookie nobody was given, and somebody without one."""
    client = world.client("1")
    without = client.ask("GET", "/session")
    client.jar["session"] = "made up"
    return Seen(without, [client.ask("GET", "/session")])


@pytest.mark.parametrize(("configuration", "case"), ANSWERED)
def test_the_session_is_honoured_without_a_new_login(
    seen: dict[tuple[str, str], Seen], configuration: str, case: str
) -> None:
    """It is the very login made at server 1, and all that is asked next goes to the server that answered first."""
    login, answers = seen[configuration, case]
    assert (login.status, login.switch, login.told["server"]) == (200, "lb1", "svr1")
    assert login.told["acknowledged"] == "site"
    switch, servers = ANSWERED[configuration, case]
    assert {answer.status for answer in answers} == {200}
    told = {(answer.told["login"], answer.told["user"], answer.told["made_at"]) for answer in answers}
    assert told == {(login.told["login"], "alice", "svr1")}
    assert {answer.switch for answer in answers} == {switch}
    (server,) = {answer.told["server"] for answer in answers}
    assert server in servers


def test_whoever_has_no_session_must_log_in(seen: dict[tuple[str, str], Seen]) -> None:
    """The other tests could fail: a cookie that nobody was given is nobody's."""
    without, (made_up,) = seen["1", "nobody"]
    assert (without.status, made_up.status) == (401, 401)
