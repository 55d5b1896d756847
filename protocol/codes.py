"""One-time codes: how they are written, and how a right one is told from a wrong one by nodes that never see it.

Rules of this file:

- A code is known to whoever made it and to whoever types it. It is in no item, on no link, in no log: what travels
  is its proof, and what is kept is a lock on that proof.
- Comparing takes the same time whatever is wrong (hmac.compare_digest).

Theory. 8 letters of an alphabet of 20 without vowels and look-alikes (RFC 8628 section 6.1) are 34.6 bits, which is
enough only because five wrong tries void a code: 2^-32. A bare hash of them would fall in seconds; so the proof is an
HMAC under a key made from the shared secret, and only who holds the secret can guess at all.

    proof = HMAC-SHA-256(code key, kind NUL owner NUL code)        made where the code is typed
    lock  = id of the secret's line (4 bytes), HMAC-SHA-256(proof, item id)      kept in the item

The owner is what the item is redeemed by: its user, or its own id.

Source: reference/tokens.md 5.2; RFC 8628.
"""

import hmac
from collections.abc import Callable, Mapping

ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
LENGTH = 8
KEY_ID_BYTES = 4

PROVISION_CODE = "provision-code"
"""The kind of the source's mobile provision codes: strict, single use, and only the latest of a user counts."""

_CODES = len(ALPHABET) ** LENGTH
_DROPPED = str.maketrans("", "", " -\t\r\n")
_NO_LOCK = bytes(KEY_ID_BYTES + 32)


def key_of(digest_key: bytes) -> bytes:
    """The key of codes that goes with a line of the shared secret, from the one that keys digests."""
    return hmac.digest(digest_key, b"code key", "sha256")


def draw(getrandbits: Callable[[int], int]) -> str:
    """A fresh code, eight letters; over 128 random bits the remainder is as good as even."""
    number = getrandbits(128) % _CODES
    letters = []
    for _ in range(LENGTH):
        number, place = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[place])
    return "".join(letters)


def spell(code: str) -> str:
    """A code as people read it: XXXX-XXXX."""
    return f"{code[: LENGTH // 2]}-{code[LENGTH // 2 :]}"


def normal(text: str) -> str | None:
    """What was typed as a code: upper case, no spaces and hyphens; None when it cannot be one."""
    code = text.translate(_DROPPED).upper()
    return code if len(code) == LENGTH and set(code) <= set(ALPHABET) else None


def proof(key: bytes, kind: str, owner: str, secret: str) -> bytes:
    """What proves that somebody knows a code, or any other secret of an item; never equal for two owners."""
    return hmac.digest(key, f"{kind}\0{owner}\0{secret}".encode(), "sha256")


def proofs(keys: Mapping[bytes, bytes], kind: str, owner: str, secret: str) -> dict[bytes, bytes]:
    """The proof under each line of the shared secret, by the line's id."""
    return {key_id: proof(key, kind, owner, secret) for key_id, key in keys.items()}


def lock(key_id: bytes, id: str, shown: bytes) -> bytes:
    """What an item keeps of a proof."""
    return key_id + hmac.digest(shown, id.encode(), "sha256")


def opens(kept: bytes, id: str, shown: Mapping[bytes, bytes]) -> bool | None:
    """Whether one of the proofs opens the lock; None when all are under other lines of the secret.

    With an empty lock the same work is done for nothing, so that time does not tell whether there is an item.
    """
    key_id = (kept or _NO_LOCK)[:KEY_ID_BYTES]
    given = shown.get(key_id)
    same = hmac.compare_digest(lock(key_id, id, given or _NO_LOCK), kept or _NO_LOCK)
    return None if given is None else same
