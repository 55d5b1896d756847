"""The operator's own certificate: does it fit its key, and when does it end?

Rules of this file:

- Only certificates of [tls] mode = "files" come here. The dates of a self-made one are not checked: the channel
  binding vouches for it (DESIGN section 5).
- `now_s` is an argument: seconds of Unix time.
- What cannot be read is a ValueError, whatever the library raises.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from protocol.io.tls import READ_ERRORS

WARN_DAYS = 14
"""How long before its end a certificate is warned about, by `check` and by `status` (DESIGN section 5)."""

_DAY_S = 86_400


def days_left(certificate: bytes, now_s: float) -> float:
    """The days until the first certificate of a PEM chain ends; negative when it has ended.

    Raises ValueError when it is not PEM.
    """
    with _read():
        ends_s = x509.load_pem_x509_certificates(certificate)[0].not_valid_after_utc.timestamp()
    return (ends_s - now_s) / _DAY_S


def ending(certificate: bytes, now_s: float) -> str | None:
    """The warning for a certificate that ends soon, or None. Raises ValueError when it is not PEM."""
    left = days_left(certificate, now_s)
    if left > WARN_DAYS:
        return None
    if left < 0:
        return f"it ended {-left:.0f} days ago; replace it and run: authagent reload"
    return f"it ends in {left:.0f} days; replace it and run: authagent reload"


def fits(certificate: bytes, key: bytes) -> bool:
    """Whether the private key belongs to the first certificate of the chain. Raises ValueError for what is not PEM."""
    with _read():
        try:
            private = serialization.load_pem_private_key(key, password=None)
        except TypeError:
            raise ValueError("the key is encrypted; it must be readable without a passphrase") from None
        return _public(private.public_key()) == _public(x509.load_pem_x509_certificates(certificate)[0].public_key())


@contextmanager
def _read() -> Iterator[None]:
    """For reading what may be odd."""
    try:
        yield
    except READ_ERRORS as error:
        raise ValueError(str(error)) from None


def _public(key: object) -> bytes:
    encoded: bytes = key.public_bytes(  # type: ignore[attr-defined]  # every public key has it; the union has no base
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded
