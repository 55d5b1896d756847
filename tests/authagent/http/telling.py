"""Asks an agent of the test's own loop over HTTP."""

from prometheus_client.parser import text_string_to_metric_families

from authagent.http.server import routes
from authagent.webhook.hooks import Hooks
from authagent.webhook.sender import Sources
from protocol.io.http_door import HttpDoor, Place
from tests.authagent.running import Running
from tests.protocol.io.http.asking import exchange, get, serving, status_of

Series = dict[tuple[str, tuple[str, ...]], float]


def quiet_hooks(running: Running) -> Hooks:
    """No receiver at all."""
    log = running.server.log
    sources = Sources(wall_ms=lambda: 0, token=lambda: "", jitter=lambda: 0.5, log=log, site="", id="")
    return Hooks(sources, lambda: running.role)


async def ask(running: Running, path: str) -> tuple[int, str]:
    """Status and content of an answer."""
    door = HttpDoor(lambda: Place(""), lambda: None, running.server.log)
    async with serving(*routes(running.server, running.handler, door, quiet_hooks(running))) as served:
        door.server = served.server
        answer = await exchange(served.port, get(path))
    return status_of(answer), answer.partition(b"\r\n\r\n")[2].decode()


async def scraped(running: Running) -> Series:
    """Every series of a scrape, by name and label values."""
    _, text = await ask(running, "/metrics")
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
