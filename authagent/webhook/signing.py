"""Who sent it, and that it is neither changed nor old: the signature of a delivery. Pure.

Rules of this file:

- The headers are those of the Standard Webhooks specification, so receivers have libraries for them: `webhook-id`
  (the same when it is sent again), `webhook-timestamp` (seconds), `webhook-signature` ("v1," and HMAC-SHA256 of
  `id.timestamp.body` in base64, one for each line of the secret, newest first).
- A secret that begins with `whsec_` is base64 behind that, as the specification writes it; any other is its bytes.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

from protocol.secret import Secrets

PREFIX = b"whsec_"


def headers(secrets: Secrets, delivery: str, timestamp_s: int, body: bytes) -> list[tuple[str, str]]:
    """The headers that a receiver checks."""
    signed = b".".join((delivery.encode(), str(timestamp_s).encode(), body))
    return [
        ("webhook-id", delivery),
        ("webhook-timestamp", str(timestamp_s)),
        ("webhook-signature", " ".join(_signatures(secrets.lines, signed))),
    ]


def _signatures(lines: Sequence[bytes], signed: bytes) -> list[str]:
    return [
        "v1," + base64.b64encode(hmac.digest(_key(line), signed, hashlib.sha256)).decode("ascii") for line in lines
    ]


def _key(line: bytes) -> bytes:
    if not line.startswith(PREFIX):
        return line
    try:
        return base64.b64decode(line.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        return line
