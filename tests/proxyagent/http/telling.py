"""Asks a ProxyAgent of the test's own loop over HTTP."""

import json
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from protocol.io.http_door import HttpDoor, Place
from protocol.io.log import quiet_log
from proxyagent.agent import ProxyAgent
from proxyagent.http.server import routes
from tests.protocol.io.http.asking import exchange, get, serving, status_of


async def ask(agent: ProxyAgent, path: str) -> tuple[int, str]:
    """Status and content of an answer."""
    door = HttpDoor(lambda: Place(""), lambda: None, quiet_log())
    async with serving(*routes(agent, door)) as served:
        door.server = served.server
        answer = await exchange(served.port, get(path))
    return status_of(answer), answer.partition(b"\r\n\r\n")[2].decode()


async def told(agent: ProxyAgent, path: str) -> tuple[int, Any]:
    """Status and object of an answer."""
    status, text = await ask(agent, path)
    return status, json.loads(text)


async def scraped(agent: ProxyAgent) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every series of a scrape, by name and label values."""
    _, text = await ask(agent, "/metrics")
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
