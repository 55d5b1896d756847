"""The mutual proof: who gets in, who does not, and what an attacker can do with what he sees."""

import attrs
import pytest
import scramp

from protocol.errors import Code, LocalProtocolError, RemoteProtocolError
from protocol.handshake import ITERATIONS_MAX, Dialling, Identity, Listening, salted_keys
from protocol.messages import Challenge, Hello, Proof, Refusal, Welcome
from protocol.stamp import Now
from tests.wire.pair import AGENT, LINE, NOW, OTHER_LINE, PROXY, SALT, identity

BINDING, OTHER_BINDING = b"hash of a certificate", b"hash of another one"


def later(ms: int) -> Now:
    return Now(NOW.monotonic_s + ms / 1000, NOW.boot_ms + ms, NOW.wall_ms + ms)


def dialling(who: Identity = PROXY, binding: bytes | None = None, nonce: str = "dialler", line: str = LINE) -> Dialling:
    return Dialling(who, line.encode(), nonce, binding)


def listening(who: Identity = AGENT, binding: bytes | None = None, nonce: str = "listener") -> Listening:
    return Listening(who, nonce, SALT, binding)


def challenge(listener: Listening, hello: Hello) -> Challenge:
    answer = listener.greeted(hello, NOW)
    assert isinstance(answer, Challenge), answer
    return answer


def refusal(listener: Listening, hello: Hello) -> Refusal:
    answer = listener.greeted(hello, NOW)
    assert isinstance(answer, Refusal), answer
    return answer


@pytest.mark.parametrize("binding", [None, BINDING])
def test_both_ends_prove_the_secret(binding: bytes | None) -> None:
    """With and without TLS: hello, challenge, proof, welcome."""
    dialler, listener = dialling(binding=binding), listening(binding=binding)
    proof = dialler.challenged(challenge(listener, dialler.hello(NOW)), NOW)
    assert listener.proven(proof, NOW) is None
    dialler.welcomed(listener.welcome())
    proxy, agent = listener.peer("10.0.0.1:5"), dialler.peer("10.0.0.2:9023")
    assert (proxy.kind, proxy.site, proxy.id, proxy.address) == ("proxy", "lan1", "squid-1", "10.0.0.1:5")
    assert (agent.kind, agent.site, agent.id, agent.incarnation) == ("agent", "lan1", "1", 7)


def test_the_secret_is_nowhere_in_what_is_sent() -> None:
    """Neither as it is nor as SCRAM gets it."""
    dialler, listener = dialling(), listening()
    first = dialler.hello(NOW)
    second = challenge(listener, first)
    third = dialler.challenged(second, NOW)
    assert listener.proven(third, NOW) is None
    seen = repr((first, second, third, listener.welcome(), dialler, listener, PROXY))
    assert LINE not in seen and LINE.encode().hex() not in seen


def test_another_secret_of_the_same_id_is_refused() -> None:
    """A wrong line cannot borrow the name of a right one."""
    dialler, listener = dialling(line=OTHER_LINE), listening()
    hello = attrs.evolve(dialler.hello(NOW), secret_id=dialling().hello(NOW).secret_id)
    refused = listener.proven(dialler.challenged(challenge(listener, hello), NOW), NOW)
    assert refused is not None and refused.code == Code.UNAUTHORIZED


def test_an_unknown_line_is_told_so_that_the_next_is_tried() -> None:
    """The listener does not even begin SCRAM."""
    assert refusal(listening(), dialling(line=OTHER_LINE).hello(NOW)).code == Code.UNKNOWN_SECRET


def test_either_line_of_the_listener_will_do() -> None:
    """Both are accepted while a secret is changed."""
    listener = listening(identity("agent", "1", OTHER_LINE, LINE))
    dialler = dialling()
    assert listener.proven(dialler.challenged(challenge(listener, dialler.hello(NOW)), NOW), NOW) is None


def test_a_listener_without_the_secret_is_found_out() -> None:
    """One that makes up its keys cannot say welcome."""
    dialler = dialling()
    dialler.challenged(challenge(listening(), dialler.hello(NOW)), NOW)
    with pytest.raises(RemoteProtocolError) as caught:
        dialler.welcomed(Welcome(b"v=" + b"AAAA" * 11))
    assert caught.value.code is Code.UNAUTHORIZED


@pytest.mark.parametrize("field", [{"kind": "agent"}, {"site": "lan2"}, {"id": "squid-2"}])
def test_the_proof_holds_for_the_one_who_spoke(field: dict[str, str]) -> None:
    """A Hello whose name was changed on the way, or by an insider's library, is refused."""
    assert refusal(listening(), attrs.evolve(dialling().hello(NOW), **field)).code == Code.UNAUTHORIZED


@pytest.mark.parametrize("names", [("lan1", "a/b"), ("lan1/a", "b"), ("lan 1", "=2C,é"), ("Ⅷ", "\u00ad-x")])
def test_any_name_can_be_proven(names: tuple[str, str]) -> None:
    """Slashes, commas and letters that SCRAM would normalise are quoted, so no two names become one."""
    who = identity("proxy", names[1], site=names[0])
    dialler, listener = dialling(who), listening()
    assert listener.proven(dialler.challenged(challenge(listener, dialler.hello(NOW)), NOW), NOW) is None
    assert (listener.peer("x").site, listener.peer("x").id) == names


def test_a_replayed_handshake_is_worth_nothing() -> None:
    """Recorded Hello and Proof meet a new nonce."""
    dialler, recorded = dialling(), listening(nonce="first")
    hello = dialler.hello(NOW)
    proof = dialler.challenged(challenge(recorded, hello), NOW)
    assert recorded.proven(proof, NOW) is None
    again = listening(nonce="second")
    challenge(again, hello)
    refused = again.proven(proof, NOW)
    assert refused is not None and refused.code == Code.UNAUTHORIZED


def test_a_man_in_the_middle_is_named() -> None:
    """Each end has seen another certificate."""
    dialler, listener = dialling(binding=OTHER_BINDING), listening(binding=BINDING)
    refused = listener.proven(dialler.challenged(challenge(listener, dialler.hello(NOW)), NOW), NOW)
    assert refused is not None
    assert (refused.code, "somebody is between us" in refused.text) == (Code.UNAUTHORIZED, True)


@pytest.mark.parametrize(("dialler", "listener"), [(None, BINDING), (BINDING, None)])
def test_nobody_is_talked_down(dialler: bytes | None, listener: bytes | None) -> None:
    """Where TLS is spoken only bound proofs count, and only there."""
    refused = refusal(listening(binding=listener), dialling(binding=dialler).hello(NOW))
    assert (refused.code, "bound to TLS" in refused.text) == (Code.UNAUTHORIZED, True)


def test_a_bound_mechanism_with_an_unbound_header_is_refused() -> None:
    """Naming -PLUS and then sending SCRAM's flag for "no binding" does not help."""
    hello = attrs.evolve(dialling().hello(NOW), mechanism="SCRAM-SHA-256-PLUS")
    assert refusal(listening(binding=BINDING), hello).code == Code.UNAUTHORIZED


@pytest.mark.parametrize(
    ("ours", "theirs", "chosen"),
    [((1, 1), (1, 1), 1), ((1, 2), (1, 1), 1), ((1, 2), (2, 3), 2), ((1, 1), (2, 2), None)],
)
def test_the_greatest_common_version_is_spoken(
    ours: tuple[int, int], theirs: tuple[int, int], chosen: int | None
) -> None:
    """Promise 12; without one in common both ranges are named."""
    listener = listening(identity("agent", "1", versions=ours))
    answer = listener.greeted(dialling(identity("proxy", "squid-1", versions=theirs)).hello(NOW), NOW)
    if chosen is None:
        assert isinstance(answer, Refusal) and answer.code == Code.VERSION
    else:
        assert isinstance(answer, Challenge) and answer.version == chosen


def test_a_version_that_was_not_offered_is_a_breach() -> None:
    """The listener chooses among the dialler's versions."""
    dialler = dialling()
    answer = challenge(listening(), dialler.hello(NOW))
    with pytest.raises(RemoteProtocolError) as caught:
        dialler.challenged(attrs.evolve(answer, version=2), NOW)
    assert caught.value.code is Code.VERSION


def test_an_unknown_kind_is_refused() -> None:
    """Agents, proxies and checks may dial."""
    assert refusal(listening(), attrs.evolve(dialling().hello(NOW), kind="browser")).code == Code.PROTOCOL


def test_a_listener_cannot_make_a_dialler_compute_for_long() -> None:
    """SCRAM would allow ten million rounds: seconds of work for one message."""
    dialler = dialling()
    answer = challenge(listening(), dialler.hello(NOW))
    with pytest.raises(RemoteProtocolError, match="rounds of hashing"):
        dialler.challenged(
            attrs.evolve(answer, proof=answer.proof.replace(b"i=4096", b"i=%d" % (ITERATIONS_MAX + 1))), NOW
        )


@pytest.mark.parametrize("proof", [b"", b"\xff", b"r=x", b"n,,n=a,r=b", b"e=other-error", b"a" * 2_000])
def test_broken_scram_is_refused_at_every_step(proof: bytes) -> None:
    """Whatever stands in `proof`, each end says no and nothing else happens."""
    dialler, listener = dialling(), listening()
    hello = dialler.hello(NOW)
    assert refusal(listening(), attrs.evolve(hello, proof=proof)).code == Code.UNAUTHORIZED
    answer = challenge(listener, hello)
    with pytest.raises(RemoteProtocolError):
        dialling().challenged(attrs.evolve(answer, proof=proof), NOW)
    refused = listener.proven(Proof(0, proof), NOW)
    assert refused is not None and refused.code == Code.UNAUTHORIZED
    with pytest.raises(RemoteProtocolError):
        dialler.welcomed(Welcome(proof))


def test_clocks_are_compared_without_the_way() -> None:
    """Half of the round trip is taken off at both ends, and the Hello that is judged is as of now."""
    dialler, listener = dialling(), listening()
    hello = dialler.hello(NOW)
    answer = attrs.evolve(challenge(listener, hello), wall_ms=NOW.wall_ms + 5_000 + 100)
    proof = attrs.evolve(dialler.challenged(answer, later(200)), wall_ms=NOW.wall_ms - 5_000 + 100)
    assert listener.proven(proof, later(200)) is None
    assert (dialler.peer("x").wall_offset_ms, listener.peer("x").wall_offset_ms) == (5_000, -5_000)
    assert listener.hello(later(300)).wall_ms == NOW.wall_ms + 300 - 5_000


def test_nobody_is_a_peer_before_the_proof() -> None:
    """Asking too early is our own mistake."""
    with pytest.raises(LocalProtocolError):
        dialling().peer("x")
    with pytest.raises(LocalProtocolError):
        listening().peer("x")


def test_keys_of_a_line_are_derived_once() -> None:
    """The second link of a line costs no PBKDF2."""
    line, salt = b"a line of this test only", b"a salt of 16 byt"
    salted_keys(line, salt)
    hits = salted_keys.cache_info().hits
    assert salted_keys(line, salt) == scramp.ScramMechanism("SCRAM-SHA-256").make_auth_info(line.hex(), salt=salt)
    assert salted_keys.cache_info().hits == hits + 1


def test_a_stranger_cannot_bloat_what_he_is_told() -> None:
    """The reason of a refusal is short and printable, so it fits its message."""
    hello = attrs.evolve(dialling().hello(NOW), proof=b"n,,n=" + b"\x07" * 1_500 + b",r=x")
    refused = refusal(listening(), hello)
    assert refused.text.isprintable() and len(refused.text) < 200
