"""Sealing and opening a failover cookie, beside jwcrypto (the library of the source's script), with the same claims."""

import base64
import json
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from jwcrypto import jwe, jwk

from protocol.session import Login, LoginId, Record, State
from proxyagent.cookie import USER_CLAIM, KeyRing
from proxyagent.core.claims import claims_of
from tests.benchmark.figures import Figure
from tests.benchmark.job import Bench

RATIO_MIN = 3.0
TURNS = 50
EXPIRES_AT_S = 4_000_000_000

Job: TypeAlias = Callable[[], Any]


def measure(bench: Bench) -> list[Figure]:
    """A session with two groups, and one with so many that its claims are compressed."""
    each = bench.scaled(150, 30)
    return [*_figures(_claims(2), "", each), *_figures(_claims(60), ", compressed", each)]


def _figures(claims: dict[str, Any], what: str, each: int) -> Iterator[Figure]:
    ring, key = _keys()
    token = ring.seal("alice", claims, expires_at_s=EXPIRES_AT_S)
    jobs: dict[str, tuple[Job, Job]] = {
        "seal": (lambda: ring.seal("alice", claims, expires_at_s=EXPIRES_AT_S), lambda: _peer_seal(claims, key)),
        "open": (lambda: ring.open(token, now_s=0.0), lambda: _peer_open(token, key)),
    }
    for name, (ours, peer) in jobs.items():
        rate, peer_rate = _rates(ours, peer, each)
        named = f"{name} a failover cookie of {len(token)} bytes{what}"
        yield Figure(named, "1/s", rate, f">= {RATIO_MIN:g} x", rate >= RATIO_MIN * peer_rate, peer_rate, "jwcrypto")


def _rates(ours: Job, peer: Job, each: int) -> tuple[float, float]:
    """Calls per second of CPU, the best of many short turns taken by turns: others share the machine."""
    best = {ours: 0.0, peer: 0.0}
    for _ in range(TURNS):
        for call in best:
            began = time.process_time()
            for _ in range(each):
                call()
            best[call] = max(best[call], each / (time.process_time() - began))
    return best[ours], best[peer]


def _keys() -> tuple[KeyRing, jwk.JWK]:
    octets = secrets.token_bytes(64)
    return KeyRing((octets,)), jwk.JWK(kty="oct", k=base64.urlsafe_b64encode(octets).decode().rstrip("="))


def _claims(groups: int) -> dict[str, Any]:
    """Of a session whose key is a cookie."""
    names = tuple(f"cn=group-{number * 7919 % 1000},ou=groups,dc=example" for number in range(groups))
    login = Login("cookie:" + "0a" * 16, "alice", "lan1", 10**12, 10**12 + 43_200_000, 1_800, (("groups", names),))
    return claims_of(Record(LoginId("proxy1", 2**63 + 1, 4_711), login, 10**12 + 60_000, State.ALIVE))


def _peer_seal(claims: dict[str, Any], key: jwk.JWK) -> str:
    body = json.dumps({USER_CLAIM: "alice", **claims})
    header = {"alg": "dir", "enc": "A256CBC-HS512", "exp": str(EXPIRES_AT_S)}
    if len(body) > 1_024:
        header["zip"] = "DEF"
    made = jwe.JWE(body.encode(), json.dumps(header))
    made.add_recipient(key)
    return str(made.serialize(compact=True))


def _peer_open(token: str, key: jwk.JWK) -> Any:
    found = jwe.JWE()
    found.deserialize(token, key)
    return json.loads(found.payload)
