"""Failover cookies under hostile hands: sealed rightly with wrong claims, spoiled, sealed by strangers, or any text.

Rules of this file:

- Whether a token was sealed under the key is worked out here from RFC 7518, by neither our code nor joserfc.
- Whoever is let in is who the claims name, under the key that they name, and can be sent on; a logout holds against
  the cookie that let in.
"""

import base64
import hmac
import json
import random
import zlib
from typing import Any

from protocol.codec import decode_changes, encode_changes
from proxyagent.cookie import USER_CLAIM, _sealed
from proxyagent.core.claims import SESSION_CLAIM, claims_of, record_of
from proxyagent.core.columns import changes_of
from proxyagent.session import Session
from proxyagent.testing import EPOCH_MS, FakeProxyAgent
from tests.fuzz import inputs

FRESH = 500
KEYS = ("10.3.4.5", "10.3.4.6", "cookie:0123456789abcdef0123456789abcdef", "2001:db8::1")
USERS = ("alice", "Böb", "o=x,cn=carol")
STRANGER = bytes(range(64, 128))

HEADERS: tuple[dict[str, Any], ...] = ({"alg": "none"}, {"enc": "A128GCM"}, {"zip": "GZ"}, {"crit": ["exp"]},
    {"exp": "0"}, {"exp": "1e99"}, {"exp": "9" * 12}, {"exp": None}, {"exp": 2_000_000_000}, {"kid": "x" * 300},
)  # fmt: skip


def _ring_key() -> bytes:
    ring = FakeProxyAgent().shell.ring
    assert ring is not None
    return ring.keys[0]


KEY = _ring_key()


def make(chance: random.Random) -> bytes:
    """A token, as the bytes of a Cookie header."""
    what = chance.random()
    if what < 0.05:
        return chance.randbytes(chance.randrange(80)).hex().encode() if chance.random() < 0.5 else chance.randbytes(40)
    claims = _claims(chance)
    if what < 0.5:
        claims = inputs.wrong_object(claims, chance)
        if chance.random() < 0.5 and isinstance(claims.get(SESSION_CLAIM), dict):
            claims[SESSION_CLAIM] = inputs.wrong_object(claims[SESSION_CLAIM], chance)
    body = json.dumps(claims).encode()
    if what > 0.97:
        body = chance.choice((inputs.spoiled(body, chance), b"[" * 3_000, b"", b"\xff"))
    token = _token(body, chance, STRANGER if 0.65 < what < 0.7 else KEY)
    return inputs.spoiled(token, chance) if 0.5 < what < 0.65 else token


def _claims(chance: random.Random) -> dict[str, Any]:
    """Those of a session of another proxy's, as that one would seal them."""
    login_at, lifetime_ms, idle_s = (
        EPOCH_MS - chance.randrange(2_000_000),
        chance.choice((7_200_000, 7_200_000, 60_000)),
        1_800,
    )
    active_at = min(EPOCH_MS, login_at + chance.randrange(600_000))
    session = {
        "login_id": f"proxy2:{chance.randrange(3):016x}:{chance.randrange(1 << 40)}",
        "key": chance.choice(KEYS),
        "site": "site",
        "login_at_ms": login_at,
        "expires_at_ms": login_at + lifetime_ms,
        "idle_timeout_s": idle_s,
        "idle_deadline_ms": active_at + idle_s * 1000,
    }
    return {USER_CLAIM: chance.choice(USERS), "groups": ["a", "b"], "mail": "x", SESSION_CLAIM: session}


def _token(body: bytes, chance: random.Random, key: bytes) -> bytes:
    header: dict[str, Any] = {"alg": "dir", "enc": "A256CBC-HS512", "exp": "2000000000"}
    if chance.random() < 0.1:
        header |= chance.choice(HEADERS)
    if chance.random() < 0.2:
        header["zip"] = "DEF"
        raw = body if chance.random() < 0.95 else bytes(chance.choice((4_000, 1 << 18)))
        body = zlib.compress(raw, wbits=-15) if chance.random() < 0.9 else body
    return _sealed(key, header, body, chance.randbytes(16)).encode()


class Cookies:
    """A proxy that knows nobody, and is shown one cookie after another."""

    def __init__(self) -> None:
        self._left = 0
        self._agent: FakeProxyAgent
        self.accepted = 0
        """Cookies that let somebody in."""

    def __call__(self, data: bytes) -> None:
        if not self._left:
            self._left, self._agent = FRESH, FakeProxyAgent()
        self._left -= 1
        token = data.decode("latin-1")
        for key in KEYS:
            session = self._agent.honour_cookie(token, key)
            if session is not None:
                assert session.key == key, "a cookie opens nothing but the key that it names"
                self._is_right(token, session)
                break

    def _is_right(self, token: str, session: Session) -> None:
        """Who was let in has a cookie of ours, is known, can be passed on, and leaves for good."""
        self.accepted += 1
        agent = self._agent
        assert is_sealed(token), "nobody is let in without the key"
        assert agent.lookup(session.key) is session
        ring = agent.shell.ring
        assert ring is not None
        for each in (token, agent.seal_cookie(session)):
            said = ring.open(each, now_s=0)
            record = None if said is None else record_of(said.user, said.claims)
            assert record is not None and record.login_id == session.login_id and record.login.user == session.user
            again = json.loads(json.dumps(claims_of(record)))
            assert record_of(record.login.user, again) == record, "what is let in comes back the same"
            (run,) = decode_changes(encode_changes(changes_of(record))).logins
            assert list(run.keys) == [session.key] and list(run.users) == [session.user], "a peer takes it as it is"
        agent.logout(session.key)
        assert agent.honour_cookie(token, session.key) is None, "a logout holds"


def is_sealed(token: str) -> bool:
    """Whether the MAC is that of the key: HMAC-SHA-512 over header, vector, text and length, cut to half."""
    header, _, *rest = token.split(".")
    vector, text, tag = (base64.urlsafe_b64decode(part + "==") for part in rest)
    length = (8 * len(header)).to_bytes(8, "big")
    return hmac.compare_digest(hmac.digest(KEY[:32], header.encode() + vector + text + length, "sha512")[:32], tag)
