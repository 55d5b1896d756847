"""The cookie beside the libraries of others, both ways: jwcrypto (as in the source's script), npm's jose, node-jose."""

import base64
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from joserfc import jwe as joserfc_jwe
from joserfc.jwk import OctKey
from jwcrypto import jwe, jwk

from proxyagent.cookie import USER_CLAIM, Cookie, KeyRing
from tests import node_packages
from tests.proxyagent.cookie_forge import EXPIRES_AT_S, HEADER, KEY, SOURCE_COOKIE, SOURCE_KEY, encoded

RING = KeyRing((KEY,))
NOW_S = 1_900_000_000.0
SHORT: dict[str, Any] = {"groups": ["staff", "ops"], "név": "Ünal"}
LONG: dict[str, Any] = {"groups": [f"cn=gruppe-{n},ou=groups,dc=example" for n in range(60)]}

Seal = Callable[[dict[str, str], str], str]
Open = Callable[[str], tuple[dict[str, Any], str]]


def jwcrypto_key(octets: bytes = KEY) -> jwk.JWK:
    return jwk.JWK(kty="oct", k=base64.urlsafe_b64encode(octets).decode().rstrip("="))


def jwcrypto_seal(header: dict[str, str], body: str) -> str:
    """As the source's script does it."""
    made = jwe.JWE(body.encode(), json.dumps(header))
    made.add_recipient(jwcrypto_key())
    return str(made.serialize(compact=True))


def jwcrypto_open(token: str) -> tuple[dict[str, Any], str]:
    found = jwe.JWE()
    found.deserialize(token, jwcrypto_key())
    return found.jose_header, found.payload.decode()


def joserfc_open(token: str) -> tuple[dict[str, Any], str]:
    """By its public interface, of which we use another part."""
    rules = joserfc_jwe.JWERegistry(algorithms=["dir", "A256CBC-HS512", "DEF"], strict_check_header=False)
    found = joserfc_jwe.decrypt_compact(token, OctKey.import_key(KEY), None, rules)
    assert found.plaintext is not None
    return dict(found.protected), found.plaintext.decode()


def both_ways(seal: Seal | None, open_token: Open) -> None:
    """Ours are read there, header and body; theirs are read here, plain and compressed."""
    for claims, more in ((SHORT, {}), (LONG, {"zip": "DEF"})):
        header, body = open_token(RING.seal("alice", claims, expires_at_s=EXPIRES_AT_S))
        assert header == {**HEADER, **more}
        assert json.loads(body) == {USER_CLAIM: "alice", **claims}
        if seal is not None:
            token = seal({**HEADER, **more}, json.dumps({USER_CLAIM: "bob", **claims}))
            assert RING.open(token, now_s=NOW_S) == Cookie("bob", claims, EXPIRES_AT_S)
            assert RING.open(token, now_s=EXPIRES_AT_S) is None


def test_jwcrypto_reads_ours_and_we_read_its() -> None:
    """The library of the source's own script."""
    both_ways(jwcrypto_seal, jwcrypto_open)


def test_joserfc_reads_ours() -> None:
    """The library beneath, by its whole door."""
    both_ways(None, joserfc_open)


@pytest.fixture(scope="module")
def node() -> Iterator[Callable[..., dict[str, Any]]]:
    """Asks npm's libraries, in one process of node."""
    wrong = node_packages.install()
    if wrong:
        assert os.environ.get("CI") != "true", wrong
        pytest.skip(wrong)
    environment = {**os.environ, "NODE_PACKAGES": str(node_packages.folder())}
    with subprocess.Popen(
        ["node", str(node_packages.PEERS / "peers.mjs")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    ) as process:  # fmt: skip
        assert process.stdin is not None and process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def ask(**question: Any) -> dict[str, Any]:
            stdin.write(json.dumps({"key": encoded(KEY), **question}) + "\n")
            stdin.flush()
            answer: dict[str, Any] = json.loads(stdout.readline())
            return answer

        yield ask
        stdin.close()


@pytest.mark.slow
@pytest.mark.parametrize("library", ["jose", "node-jose"])
def test_npms_libraries_read_ours_and_we_read_theirs(library: str, node: Callable[..., dict[str, Any]]) -> None:
    """Other languages, other authors."""

    def seal(header: dict[str, str], body: str) -> str:
        return str(node(library=library, do="seal", header=header, body=body)["token"])

    def open_token(token: str) -> tuple[dict[str, Any], str]:
        answer = node(library=library, do="open", token=token)
        return answer["header"], answer["body"]

    both_ways(seal, open_token)


@pytest.mark.slow
@pytest.mark.parametrize("library", ["jose", "node-jose"])
def test_npms_libraries_open_the_sources_example(library: str, node: Callable[..., dict[str, Any]]) -> None:
    """With its key filled up with zeros; none of them looks at its date, which is why ours does."""
    key = SOURCE_KEY.ljust(64, b"\0")
    said = node(library=library, do="open", key=encoded(key), token=SOURCE_COOKIE)
    assert json.loads(said["body"]) == {USER_CLAIM: "testuser"}
    assert KeyRing((key,)).open(SOURCE_COOKIE, now_s=time.time()) is None
    assert "error" in node(library=library, do="open", token=SOURCE_COOKIE)
