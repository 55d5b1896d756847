"""What the page shows of a site: made from a status, bounded, and put together from two agents' knowledge."""

from typing import Any

import attrs

from authagent.admin import view
from authagent.admin.view import (
    View,
    from_partner,
    in_words,
    through_master,
    to_partner,
    view_of,
    with_those_on_their_way,
)


def link(**more: Any) -> dict[str, Any]:
    return {"connected": True, "digest_equal": True, "refused": "", **more}


def status(role: str = "master", proxies: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    """What a status has, as far as a view is made of it."""
    partner_role = {"master": "slave", "slave": "master"}.get(role)
    told = {
        "id": "1", "site": "lan1", "role": role, "term": 3, "split": False, "remotes": [],
        "partner": {"id": "2", "role": partner_role, **link()},
        "proxies": [{"id": "p1", "lag_events": 0, **link()}] if proxies is None else proxies,
    }  # fmt: skip
    return {**told, **more}


def test_a_healthy_pair() -> None:
    """Who is master of which term, who stands by, and that all is equal."""
    seen = view_of(status())
    assert [(each.id, each.role, each.term, each.here) for each in seen.agents] == [
        ("1", "master", 3, True), ("2", "slave", None, False),
    ]  # fmt: skip
    assert seen.between is not None and seen.between.state == view.EQUAL
    assert seen.master == seen.agents[0]
    assert [(each.id, each.health.words) for each in seen.proxies] == [("p1", "equal")]


def test_a_partner_that_is_gone() -> None:
    """It is away, whatever it said last, and the link to it is gone."""
    seen = view_of(status(partner={"id": "2", "role": None, **link(connected=False)}))
    assert [each.role for each in seen.agents] == ["master", "away"]
    assert seen.between is not None and (seen.between.state, seen.between.words) == (view.GONE, "not linked")


def test_how_links_are() -> None:
    """Equal, far behind, being compared, not compared lately, refused: each has its state and its words."""
    told = [
        (link(lag_events=3), (view.EQUAL, "equal")),
        (link(lag_events=view.BEHIND_FROM_EVENTS), (view.BEHIND, "500 behind")),
        (link(lag_s=1.5), (view.EQUAL, "equal")),
        (link(lag_s=12.0), (view.BEHIND, "12 s behind")),
        (link(digest_equal=False), (view.UNKNOWN, "comparing")),
        (link(digest_equal=None), (view.UNKNOWN, "not compared")),
        (link(connected=False, refused="not listed"), (view.GONE, "refused")),
    ]
    assert [(health.state, health.words) for health in (view.health(each) for each, _ in told)] == [
        expected for _, expected in told
    ]


def many(count: int) -> list[dict[str, Any]]:
    return [{"id": f"p{number}", "lag_events": 0, **link()} for number in range(1, count + 1)]


def test_of_many_proxies_those_that_are_not_well_are_always_shown() -> None:
    """The others are counted, those shown stand in the order that people count in."""
    proxies = many(2_000)
    proxies[1_500] |= link(connected=False)
    seen = view_of(status(proxies=proxies))
    assert len(seen.proxies) == view.PROXIES_SHOWN_MAX - 1
    assert "p1501" in [each.id for each in seen.proxies]
    assert [each.id for each in seen.proxies][:3] == ["p1", "p2", "p3"]
    assert sum(seen.unshown) + len(seen.proxies) == seen.proxies_total == 2_000


def test_a_view_survives_the_way_to_the_partner_and_fits_one_frame() -> None:
    """Also with every box full of the longest names."""
    import json

    remotes = [{"site": f"{number}{'s' * 60}", **link()} for number in range(40)]
    proxies = [{**each, "id": each["id"].rjust(64, "é")} for each in many(3_000)]
    seen = view_of(status(proxies=proxies, remotes=remotes))
    body = json.dumps(to_partner(seen))
    assert len(body) < 32 * 1024
    assert from_partner(json.loads(body)) == seen


def test_what_cannot_be_read_is_no_view() -> None:
    """A partner of another version is as good as silent."""
    good = to_partner(view_of(status()))
    bad: list[Any] = [None, [], {}, {**good, "agents": 3}, {**good, "unshown": [0]}, {**good, "proxies": [{"id": "x"}]}]
    bad.append({**good, "proxies": [{"id": "x", "health": {"state": "purple", "words": ""}}]})
    bad.append({**good, "proxies": [good["proxies"][0]] * 100})
    assert [from_partner(each) for each in bad] == [None] * len(bad)


def test_a_slave_shows_its_masters_proxies_and_its_own_roles() -> None:
    """What the master says of the two agents is older than what the slave sees."""
    own = view_of(status("slave", proxies=[]))
    told = attrs.evolve(view_of(status(proxies=many(3))), split=True)
    seen = through_master(own, told)
    assert [each.id for each in seen.proxies] == ["p1", "p2", "p3"]
    assert (seen.agents, seen.split) == (own.agents, False)


def test_a_slave_does_not_judge_other_sites() -> None:
    """It is not to be linked with them; its master tells, if it is asked."""
    remotes = [{"site": "lan2", **link(connected=False)}]
    own = view_of(status("slave", remotes=remotes))
    assert [(each.health.state, each.health.words) for each in own.remotes] == [(view.UNKNOWN, "linked by the master")]
    told = view_of(status(remotes=remotes))
    assert [each.health.words for each in through_master(own, told).remotes] == ["not linked"]


def test_a_slave_whose_master_is_gone_shows_what_it_knows() -> None:
    """So does a master, and whoever was told nothing, or of another site."""
    told = view_of(status(proxies=many(3)))
    alone = view_of(status("slave", proxies=[], partner={"id": "2", "role": None, **link(connected=False)}))
    master, slave = view_of(status(proxies=[])), view_of(status("slave", proxies=[]))
    assert through_master(alone, told) == alone
    assert through_master(master, told) == master
    assert through_master(slave, None) == slave
    assert through_master(slave, attrs.evolve(told, site="lan2")) == slave


def test_proxies_on_their_way_do_not_vanish() -> None:
    """Where a slave has become master, those that its master had are shown until they link, or the moment is over."""
    told = view_of(status("slave", proxies=many(3)))
    own = view_of(status(proxies=many(1)))
    seen = with_those_on_their_way(own, told)
    assert [(each.id, each.health.words) for each in seen.proxies] == [
        ("p1", "equal"), ("p2", "on its way"), ("p3", "on its way"),
    ]  # fmt: skip
    assert seen.proxies_total == 3
    slave = view_of(status("slave", proxies=[]))
    assert with_those_on_their_way(own, None) == own and with_those_on_their_way(slave, told) == slave
    crowd = view_of(status("slave", proxies=many(view.PROXIES_SHOWN_MAX + 1)))
    others = [{**each, "id": f"q{each['id']}"} for each in many(view.PROXIES_SHOWN_MAX)]
    assert with_those_on_their_way(own, crowd) == own
    assert with_those_on_their_way(own, view_of(status("slave", proxies=others))) == own


def test_in_words_everything_is_said() -> None:
    """Those who hear the page hear of each agent, link, proxy and site, and how many others there are."""
    proxies = many(30)
    proxies[3] |= link(connected=False)
    seen: View = view_of(status(proxies=proxies, remotes=[{"site": "lan2", **link(connected=False)}]))
    said = " ".join(in_words(seen))
    for part in ("Agent 1 is master, term 3 and shows this page.", "Agent 2 is slave.", "between the agents: equal",
                 "Proxy p4: not linked.", "7 more proxies: equal.", "Site lan2: not linked."):  # fmt: skip
        assert part in said
