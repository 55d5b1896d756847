"""The fields of `status --json`: all that were promised, with their types, for every kind of agent."""

import json
from pathlib import Path
from typing import Any

import proxyagent
from tests.authagent.running import make, run_agents, until, write_files

NONE = type(None)
FIELDS: dict[str, tuple[type, ...]] = {
    "id": (str,), "site": (str,), "role": (str,), "term": (int,), "split": (bool,), "partner": (dict, NONE),
    "proxies": (list,), "remotes": (list,), "sessions": (int,), "tombstones": (int,), "events_total": (int,),
    "version": (str,), "healthy": (bool,), "problems": (list,), "config_equal": (bool,), "store": (dict,),
    "sentence": (str,), "timeouts_total": (int,), "uptime_s": (float, int),
}  # fmt: skip
LINK: dict[str, tuple[type, ...]] = {
    "connected": (bool,), "since": (str, NONE), "version": (str, NONE), "digest_equal": (bool, NONE),
    "digest_age_s": (float, int, NONE), "clock_offset_s": (float, int, NONE), "refused": (str,),
}  # fmt: skip
CROSSED: dict[str, tuple[type, ...]] = {
    "agent": (str, NONE), "queued_events": (int,),
    "events_out": (int,), "bytes_out": (int,), "events_in": (int,), "bytes_in": (int,),
}  # fmt: skip


def check(told: dict[str, Any]) -> None:
    """Every field of DESIGN section 6 is there and of its type; it is JSON."""
    json.dumps(told, allow_nan=False)
    typed(told, FIELDS)
    typed(told["store"], {"ok": (bool,), "error": (str,)})
    for problem in told["problems"]:
        typed(problem, {"code": (str,), "text": (str,), "since": (str, NONE)})
    for proxy in told["proxies"]:
        typed(proxy, {"id": (str,), "lag_events": (int, NONE), **LINK})
    for remote in told["remotes"]:
        typed(remote, {"site": (str,), "lag_s": (float, int, NONE), **CROSSED, **LINK})
    if told["partner"] is not None:
        typed(told["partner"], {"id": (str,), "role": (str, NONE), **LINK})


def typed(told: dict[str, Any], fields: dict[str, tuple[type, ...]]) -> None:
    wrong = {
        name: told.get(name, "missing") for name, kinds in fields.items() if type(told.get(name, ...)) not in kinds
    }
    assert wrong == {}


async def test_a_pair_and_its_proxies_have_every_field(tmp_path: Path) -> None:
    """Master and slave, a linked proxy, one that is missing by name, and another site."""
    remote = '[[authagent]]\nid = 1\nsite = "lan2"\nhost = "127.0.0.1"\nport = 9\n'
    path = write_files(tmp_path, agents=2, proxies=("p*", "named"))
    path.write_text(path.read_text() + remote)
    async with run_agents(path, 1, 2) as (one, two), proxyagent.open_proxy_agent(path, id="p1") as proxy:
        proxy.login("10.0.0.1", user="alice")
        await until(lambda: one.handler.status()["sessions"] == two.handler.status()["sessions"] == 1)
        await until(lambda: one.handler.status()["proxies"][0]["lag_events"] == 0)
        await until(lambda: one.handler.status()["proxies"][0]["digest_equal"])
        master, slave = one.handler.status(), two.handler.status()
        for told in (master, slave):
            check(told)
            assert [(each["site"], each["connected"]) for each in told["remotes"]] == [("lan2", False)]
        assert (master["role"], slave["role"], master["partner"]["role"], slave["partner"]["role"]) == (
            "master", "slave", "slave", "master",
        )  # fmt: skip
        linked = {each["id"]: (each["connected"], each["lag_events"]) for each in master["proxies"]}
        assert linked == {"named": (False, None), "p1": (True, 0)}
        assert master["events_total"] == master["logins_total"] == 1
        assert master["term"] == slave["term"] == 1


async def test_a_single_agent_has_no_partner(tmp_path: Path) -> None:
    """`partner` is null, and everything is equal all the same."""
    async with run_agents(write_files(tmp_path)) as (one,):
        told = one.handler.status()
        check(told)
        assert (told["partner"], told["healthy"]) == (None, True)


async def test_an_agent_without_a_role_has_every_field(tmp_path: Path) -> None:
    """Before its table is loaded, too."""
    one = make(write_files(tmp_path, agents=2))
    one.store.loaded_fraction = 0.4
    told = one.handler.status()
    check(told)
    assert (told["role"], told["healthy"]) == ("starting", False)
    assert told["sentence"] == "agent 1 is starting: 40% of the stored sessions are loaded"


async def test_an_old_proof_of_equality_says_nothing_about_now(tmp_path: Path) -> None:
    """A digest seen equal more than five seconds ago is shown as null with its age."""
    path = write_files(tmp_path)
    async with run_agents(path) as (one,), proxyagent.open_proxy_agent(path, id="p1"):
        await until(lambda: one.handler.status()["proxies"][0]["digest_equal"])
        peer = one.server.agent.peers.named("proxy", "lan1", "p1")
        assert peer is not None
        peer.equal_s -= 60.0
        told = one.handler.status()["proxies"][0]
        assert told["digest_equal"] is None or told["digest_age_s"] < 5.0  # a heartbeat may have come between
