"""A workshop for cookies that are not quite right: every part can be chosen, and the MAC fits all the same.

Rules of this file: it knows the form from RFC 7516 and 7518, and uses neither ours nor joserfc.
"""

import base64
import hashlib
import hmac
import json
import os
import zlib
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

KEY = bytes(range(7, 71))
EXPIRES_AT_S = 2_000_000_000
HEADER = {"alg": "dir", "enc": "A256CBC-HS512", "exp": str(EXPIRES_AT_S)}
SOURCE_KEY = b"This is only a test key!"
SOURCE_COOKIE = (
    "eyJhbGciOiAiZGlyIiwgImVuYyI6ICJBMjU2Q0JDLUhTNTEyIiwgImV4cCI6ICIxNTc0NDExNzE2In0..--BovSXb9VrF90xVFQYQIQ."
    "kjLZdCnKqDwTOSfhzb4JDCmciUCIgW0-f0Zj5bl7cSHQEKm-lkmEUHBipxVg42ok.4Aj2c8aiJZaMt4JwYxuInk2sTNAiGnEZRalbsDCI5dQ"
)
"""The example of the source, and its key; it was over on 22 November 2019."""
SOURCE_EXPIRES_AT_S = 1_574_411_716


def encoded(octets: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def deflated(body: bytes) -> bytes:
    """Raw RFC 1951."""
    return zlib.compress(body, wbits=-15)


def unended(body: bytes) -> bytes:
    """The same, all of it, but without the mark that this was all."""
    deflation = zlib.compressobj(wbits=-15)
    return deflation.compress(body) + deflation.flush(zlib.Z_SYNC_FLUSH)


ALICE = {"AZN_CRED_PRINCIPAL_NAME": "alice"}


def forged(
    body: Any = ALICE, *, header: Any = None, key: bytes = KEY, encrypted_key: str = "", plain: bytes | None = None
) -> str:
    """A token whose MAC fits: `body` as JSON, or `plain` as it is; `header` as JSON, or bytes as they are."""
    header = HEADER if header is None else header
    associated = encoded(header if isinstance(header, bytes) else json.dumps(header).encode())
    if plain is None:
        plain = json.dumps(body).encode()
    padder, iv = PKCS7(128).padder(), os.urandom(16)
    encryptor = Cipher(AES(key[32:]), CBC(iv)).encryptor()
    sealed = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    length = (8 * len(associated)).to_bytes(8, "big")
    tag = hmac.digest(key[:32], associated.encode() + iv + sealed + length, hashlib.sha512)[:32]
    return ".".join((associated, encrypted_key, encoded(iv), encoded(sealed), encoded(tag)))
