"""What fronts may be made to send to the endpoint for forward authentication, and what it may answer.

Rules of this file: whatever comes, the answer is HTTP, and nobody passes without the cookie of somebody.
"""

import functools
import random

from protocol.configuration import ClientSettings
from protocol.key import key
from proxyagent.integrations.client_key import ClientKeys
from proxyagent.integrations.forward_auth.conversation import Conversation
from proxyagent.integrations.forward_auth.doors import READ_BYTES_MAX
from proxyagent.integrations.forward_auth.gate import Gate
from proxyagent.testing import FakeProxyAgent
from tests.fuzz import inputs
from tests.proxyagent.integrations.forward_auth import asked

COOKIE = b"Zm9yIHRlc3RzIG9ubHk"
FRESH = 500

REQUESTS = (
    b"GET /auth401 HTTP/1.1\r\nHost: proxyagent\r\nCookie: __Host-login=%b\r\nX-Forwarded-For: 10.3.4.5\r\n\r\n",
    (
        b"GET /auth?a=b HTTP/1.1\r\nHost: 127.0.0.1:9082\r\nAccept: text/html\r\nCookie: a=b; __Host-login=%b; c\r\n"
        b"X-Forwarded-For: 6.6.6.6, 10.3.4.5\r\nX-Forwarded-Host: a.test:8443\r\nX-Forwarded-Method: POST\r\n"
        b"X-Forwarded-Proto: https\r\nX-Forwarded-Uri: /x?a=b\r\n\r\n"
    ),
    b"POST /auth/x/y?z HTTP/1.1\r\nhost: a.test\r\ncookie: __Host-login=%b\r\ncontent-length: 5\r\n\r\nhello",
    (
        b"PUT /auth HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nCookie: __Host-login=%b\r\n\r\n"
        b"5\r\nhello\r\n0\r\n\r\n"
    ),
)

LINES = (
    b"X-Forwarded-For: ,,,", b"X-Forwarded-For: \xff", b"X-Forwarded-Host: evil.test/\\", b"X-Forwarded-Uri: //evil",
    b"X-Forwarded-Proto: javascript", b"X-Forwarded-Method: \x7f", b"Cookie: =;=;__Host-login", b"Remote-User: root",
    b"Content-Length: 99999999999999999999", b"Content-Length: -1", b"Transfer-Encoding: chunked, identity",
    b"Expect: 100-continue", b"Connection: close", b"Upgrade: h2c", b" folded", b"no colon", b": empty",
)  # fmt: skip


def make(chance: random.Random) -> bytes:
    """Some requests, some of them with a line too many, spoiled, or of somebody who is logged in."""
    parts = []
    for _ in range(chance.randrange(1, 4)):
        part = chance.choice(REQUESTS) % (COOKIE if chance.random() < 0.2 else b"c3Bhcms")
        if chance.random() < 0.5:
            head, _, rest = part.partition(b"\r\n")
            part = b"\r\n".join([head, *chance.choices(LINES, k=chance.randrange(1, 4)), rest])
        parts.append(inputs.spoiled(part, chance) if chance.random() < 0.6 else part)
    return b"".join(parts)


class Fronts:
    """One endpoint; each input is a connection."""

    def __init__(self) -> None:
        self._left = 0
        self._gate: Gate

    def __call__(self, data: bytes) -> None:
        if not self._left:
            agent = FakeProxyAgent()
            agent.login(key(cookie=COOKIE), user="alice", attributes={"groups": ["staff"]})
            self._left, self._gate = FRESH, Gate(agent, ClientKeys(ClientSettings(key="cookie")), "/login/", True)
        self._left -= 1
        talk = Conversation(functools.partial(self._gate.reply, "127.0.0.1"))
        sent = b""
        cut = (data[-1] * 7) % len(data) if data else 0
        for piece in (data[:cut], data[cut:READ_BYTES_MAX]):
            if piece and not talk.over:
                sent += talk.receive(piece)
        if not talk.over:
            sent += talk.receive(b"")
        assert talk.over or not data
        statuses = [status for status, _ in asked.read(sent)]
        assert 200 not in statuses or COOKIE in data, "nobody passes without a cookie"
