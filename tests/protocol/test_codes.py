"""Codes: how they look, and how a right one is told from a wrong one."""

import random
from collections import Counter

import pytest

from protocol import codes

KEY, OTHER_KEY = codes.key_of(b"k" * 32), codes.key_of(b"o" * 32)
LINE, OTHER_LINE = b"LINE", b"OTHR"


def shown(code: str, *, key: bytes = KEY, line: bytes = LINE, user: str = "alice") -> dict[bytes, bytes]:
    return {line: codes.proof(key, codes.PROVISION_CODE, user, code)}


def test_codes_are_eight_letters_of_the_alphabet_evenly() -> None:
    """RFC 8628's letters, each as often as the others, and no code twice."""
    dice = random.Random(1)
    drawn = [codes.draw(dice.getrandbits) for _ in range(2_000)]
    counts = Counter("".join(drawn))

    assert len(set(drawn)) == len(drawn)
    assert all(len(code) == 8 for code in drawn)
    assert sorted(counts) == sorted(codes.ALPHABET)
    assert max(counts.values()) < 1.3 * min(counts.values())


@pytest.mark.parametrize("typed", ["BCDFGHJK", "BCDF-GHJK", " bcdf ghjk\n", "b-c-d-f-g-h-j-k"])
def test_a_code_may_be_typed_as_people_do(typed: str) -> None:
    """Lower case, with spaces and hyphens, and a line's end behind it."""
    assert codes.normal(typed) == "BCDFGHJK"
    assert codes.spell("BCDFGHJK") == "BCDF-GHJK"


@pytest.mark.parametrize("typed", ["", "BCDFGHJ", "BCDFGHJKL", "ACDFGHJK", "12345678", "BCDFGHJÉ"])
def test_what_cannot_be_a_code_is_none(typed: str) -> None:
    """Too short, too long, or of other letters."""
    assert codes.normal(typed) is None


def test_a_lock_opens_for_its_code_user_kind_and_item_only() -> None:
    """Each of them is part of the proof or the lock."""
    kept = codes.lock(LINE, "c0de", codes.proof(KEY, codes.PROVISION_CODE, "alice", "BCDFGHJK"))

    assert codes.opens(kept, "c0de", shown("BCDFGHJK")) is True
    assert codes.opens(kept, "c0de", shown("BCDFGHJL")) is False
    assert codes.opens(kept, "c0de", shown("BCDFGHJK", user="bob")) is False
    assert codes.opens(kept, "other", shown("BCDFGHJK")) is False
    assert codes.opens(kept, "c0de", {LINE: codes.proof(KEY, "sms", "alice", "BCDFGHJK")}) is False


def test_another_line_of_the_secret_is_no_wrong_code() -> None:
    """Whoever has not read the secret again must not use up tries; among two lines the right one is found."""
    kept = codes.lock(LINE, "c0de", codes.proof(KEY, codes.PROVISION_CODE, "alice", "BCDFGHJK"))

    assert codes.opens(kept, "c0de", shown("BCDFGHJK", key=OTHER_KEY, line=OTHER_LINE)) is None
    both = codes.proofs({OTHER_LINE: OTHER_KEY, LINE: KEY}, codes.PROVISION_CODE, "alice", "BCDFGHJK")
    assert codes.opens(kept, "c0de", both) is True
    assert codes.opens(b"", "", both) is None


def test_what_is_kept_says_nothing() -> None:
    """Neither proof nor lock holds the code, and two items lock the same code differently."""
    proof = codes.proof(KEY, codes.PROVISION_CODE, "alice", "BCDFGHJK")

    assert b"BCDF" not in proof + codes.lock(LINE, "c0de", proof)
    assert codes.lock(LINE, "one", proof) != codes.lock(LINE, "two", proof)
