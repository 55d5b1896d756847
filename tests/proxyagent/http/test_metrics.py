"""What `proxyagent run` tells Prometheus: true numbers, under proper names, and never who is logged in."""

import re

import trio

from proxyagent.http.metrics import METRICS
from proxyagent.testing import open_fake_site
from tests.proxyagent.http.telling import ask, scraped

TIMEOUT_S = 15.0


async def test_a_proxy_tells_of_its_copy_and_its_agent() -> None:
    """Sessions, whom it follows, what it still has to tell; isolated, for how long."""
    async with open_fake_site(proxies=1) as site:
        (proxy,) = site.proxies
        with trio.fail_after(TIMEOUT_S):
            await proxy.wait_synchronised()
            await proxy.wait_acknowledged(proxy.login("10.9.8.7", "alice.in.wonderland"), timeout=TIMEOUT_S)
            _, text = await ask(proxy, "/metrics")
            following = await scraped(proxy)
            site.cut()
            while not proxy.isolated:
                await trio.sleep(0.01)
            proxy.login("10.9.8.6", "bob")
            alone = await scraped(proxy)

    assert following["proxyagent_ready", ()] == 1 and following["proxyagent_isolated", ()] == 0
    assert following["proxyagent_sessions", ()] == 1 and following["proxyagent_outbox_events", ()] == 0
    assert following["proxyagent_isolated_seconds", ()] == 0
    assert [labels for name, labels in following if name == "proxyagent_agent_info"]
    assert alone["proxyagent_ready", ()] == 0 and alone["proxyagent_isolated", ()] == 1
    assert alone["proxyagent_answering", ()] == 1
    assert alone["proxyagent_sessions", ()] == 2 and alone["proxyagent_outbox_events", ()] == 1
    assert alone["proxyagent_isolated_seconds", ()] >= 0
    assert not [labels for name, labels in alone if name == "proxyagent_agent_info"]
    assert "alice" not in text and "10.9.8.7" not in text


def test_every_name_keeps_to_the_rules() -> None:
    """The program first, counters with _total, no label that could name a user, each name once."""
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert re.fullmatch(r"proxyagent_[a-z0-9_]+", metric.name), metric.name
        assert (metric.kind == "counter") == metric.name.endswith("_total"), metric.name
        assert not {"user", "key", "session", "login", "address"} & set(metric.labels), metric.name
        assert metric.doc.endswith("."), metric.name
