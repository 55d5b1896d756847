"""One receiver on real sockets: taken, refused, hanging, redirecting, or not who it says it is."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
import trustme

from authagent.webhook import queue as queues
from authagent.webhook import sender as senders
from authagent.webhook.queue import Queue
from authagent.webhook.sender import Sender
from protocol.io.http.post import Target, post
from protocol.secret import Secrets
from tests.authagent.webhook.receiving import SECRET, TIMEOUT_S, Lines, receiving, sources


@pytest.fixture(autouse=True)
def _in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become hundredths."""
    monkeypatch.setattr(senders, "PAUSE_S_FIRST", 0.01)
    monkeypatch.setattr(senders, "PAUSE_S_MAX", 0.02)


@asynccontextmanager
async def sending(url: str, lines: Lines, tls: ssl.SSLContext | None = None) -> AsyncIterator[Sender]:
    sender = Sender(url, Secrets((SECRET,)), Queue(), sources(lines))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender.run, partial(post, Target(url, tls)))
        yield sender
        nursery.cancel_scope.cancel()


def event(number: int) -> dict[str, Any]:
    return {"event": "role.master", "term": number}


async def until(sender: Sender, name: str, value: int) -> None:
    with trio.fail_after(TIMEOUT_S):
        while getattr(sender, name) < value:
            await trio.sleep(0.01)


async def test_events_arrive_in_order_signed_and_together() -> None:
    """What waits goes in one delivery, with who sent it; the receiver checks its signature."""
    lines = Lines()
    async with receiving(204) as receiver:
        sender = Sender(receiver.url, Secrets((SECRET,)), Queue(), sources(lines))
        for number in range(250):
            sender.put(event(number))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.run, partial(post, Target(receiver.url)))
            await receiver.until(250)
            nursery.cancel_scope.cancel()
    assert [each["term"] for each in receiver.events] == list(range(250))
    assert [len(body["events"]) for body in receiver.bodies] == [100, 100, 50]
    assert (receiver.bodies[0]["site"], receiver.bodies[0]["agent"]) == ("lan1", "1")
    assert receiver.bodies[0]["id"] == receiver.headers[0]["webhook-id"] != receiver.bodies[1]["id"]
    assert receiver.headers[0]["content-type"] == "application/json"
    assert sender.delivered_total == 250 and not lines.said


@pytest.mark.parametrize("failing", [500, 429, "close", (302, "http://127.0.0.1:1/elsewhere")])
async def test_what_is_not_taken_is_sent_again(failing: Any) -> None:
    """The same delivery, until it is answered with 2xx; a redirect is not followed; told once, and once when well."""
    lines = Lines()
    async with receiving(failing, failing, 200) as receiver, sending(receiver.url, lines) as sender:
        sender.put(event(1))
        sender.put(event(2))
        await receiver.until(2)
        await until(sender, "delivered_total", 2)
    assert receiver.requests == 3 and sender.attempts_failed_total == 2 and sender.dropped_total == 0
    (failed,) = lines.of("webhook.failing")
    assert len(lines.of("webhook.delivers_again")) == 1
    assert "private" not in str(lines.said) and "private" not in repr(sender) and SECRET not in repr(sender)
    if isinstance(failing, tuple):
        assert failed["error"] == "it answers 302, and redirects are not followed"


async def test_a_receiver_that_hangs_is_left_after_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its events are dropped and counted, told once, and the next ones get their own time."""
    monkeypatch.setattr(senders, "ATTEMPT_TIMEOUT_S", 0.05)
    monkeypatch.setattr(senders, "RETRY_FOR_S", 0.2)
    monkeypatch.setattr(senders, "DOUBTFUL_AFTER_S", 0.0)
    lines = Lines()
    async with receiving("hang") as receiver, sending(receiver.url, lines) as sender:
        for number in range(3):
            sender.put(event(number))
            await until(sender, "dropped_total", number + 1)
        assert "no answer within 0.05 s" in sender.doubtful
        receiver.answers.append(200)
        receiver.answers.pop(0)
        sender.put(event(9))
        assert [each["term"] for each in await receiver.until(1)] == [9]
        await until(sender, "delivered_total", 1)
    assert sender.dropped_total == 3 and not sender.doubtful
    assert len(lines.of("webhook.dropped")) == len(lines.of("webhook.failing")) == 1


async def test_beyond_the_bound_events_are_dropped_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Putting never waits: while a receiver hangs, what has no room is counted and told once."""
    monkeypatch.setattr(queues, "EVENTS_MAX", 5)
    lines = Lines()
    async with receiving("hang") as receiver, sending(receiver.url, lines) as sender:
        for number in range(50):
            sender.put(event(number))
        assert sender.dropped_total == 45
        assert len(lines.of("webhook.dropped")) == 1
    assert lines.of("webhook.left") == [{"receiver": f"http://localhost:{receiver.port}", "count": 5}]


async def test_nobody_there_is_told_with_the_reason() -> None:
    """A refused connection and a name that does not exist are failures like any other."""
    lines = Lines()
    async with sending("http://127.0.0.1:1/x", lines) as sender:
        sender.put(event(1))
        await until(sender, "attempts_failed_total", 2)
    (failed,) = lines.of("webhook.failing")
    assert failed["receiver"] == "http://127.0.0.1:1" and failed["error"]


async def test_tls_is_checked() -> None:
    """A receiver with a certificate that nobody vouches for, or for another host, gets nothing."""
    ours, others = trustme.CA(), trustme.CA()
    for issuer, host, trusted in ((ours, "localhost", True), (others, "localhost", False), (ours, "x.test", False)):
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issuer.issue_cert(host).configure_cert(server)
        client = ssl.create_default_context()
        ours.configure_trust(client)
        lines = Lines()
        async with receiving(200, tls=server) as receiver, sending(receiver.url, lines, client) as sender:
            sender.put(event(1))
            await until(sender, "delivered_total" if trusted else "attempts_failed_total", 1)
        assert receiver.requests == trusted
        if not trusted:
            assert str(lines.of("webhook.failing")[0]["error"]).startswith("TLS: ")
