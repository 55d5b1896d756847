"""The failover cookie as a token: a user and claims, sealed until a time under a key that all proxies share.

    ring = KeyRing((newest_key, older_key))
    token = ring.seal("alice", {"groups": ["staff"]}, expires_at_s=1_800_000_000)
    cookie = ring.open(token, now_s=time.time())    # a Cookie, or None

Rules of this file:

- One form and no other, that of IBM's gateway: JWE, compact, alg "dir", enc "A256CBC-HS512", `exp` a text of epoch
  seconds in the header, zip "DEF" or absent. The user is the claim AZN_CRED_PRINCIPAL_NAME.
- The first key of a ring writes, all of them are read. There is no key id in this form, so each is tried.
- `open` answers a Cookie or None. None is the one answer to everything that is wrong, and it raises for nothing that
  stands in a token: whoever may send cookies learns nothing from the kind of refusal.
- Sizes are checked before anything is decoded, and the MAC before the body is decrypted, inflated or parsed.
- joserfc is loaded at the first use: the bare install does not bring it (extra `cookie`).

Theory. The header is public and names its own algorithm; believing it is how tokens get forged. So this file never
asks a library to "decode a token": it takes the five parts itself, demands the one header, and uses joserfc for the
one algorithm. Each part must be the shortest base64url of its bytes: otherwise the unused bits at its end could be
flipped, and one cookie would have many spellings.

Source: issue 7; RFC 7516; IBM Application Gateway, "Managing Failover Between Containers".
"""

import functools
import json
import re
import secrets
import zlib
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from typing import Any, Final, Protocol

import attrs

from protocol import limits, settings
from proxyagent.errors import ConfigurationError, LimitExceeded

USER_CLAIM: Final = "AZN_CRED_PRINCIPAL_NAME"

_ALGORITHM, _ENCRYPTION, _COMPRESSION = "dir", "A256CBC-HS512", "DEF"
_COMPRESSION_LEVEL = 3  # 6 takes as long again as all the rest of sealing, for 2 % of the size
_IV_BYTES = 16

_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)


class _Refused(Exception):
    """Something about a token is wrong; never leaves this file."""


class _Encryption(Protocol):
    """Authenticated encryption as joserfc has it: the MAC is compared, in constant time, before anything else."""

    def encrypt(self, plaintext: bytes, cek: bytes, iv: bytes, aad: bytes, /) -> tuple[bytes, bytes]: ...

    def decrypt(self, ciphertext: bytes, tag: bytes, cek: bytes, iv: bytes, aad: bytes, /) -> bytes: ...


@attrs.frozen
class Cookie:
    """What a sealed cookie says: who, with which other claims, and until when (whole seconds since 1970)."""

    user: str
    claims: Mapping[str, Any] = attrs.field(repr=False)
    expires_at_s: int


@attrs.frozen
class KeyRing:
    """Keys of 64 bytes, newest first. `warnings` are for the log of whoever opened it."""

    keys: tuple[bytes, ...] = attrs.field(repr=False)
    warnings: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        if not 1 <= len(self.keys) <= limits.COOKIE_KEYS_MAX:
            raise ValueError(f"a ring has 1 to {limits.COOKIE_KEYS_MAX} keys, not {len(self.keys)}")
        if any(len(key) != limits.COOKIE_KEY_BYTES for key in self.keys):
            raise ValueError(f"a key has {limits.COOKIE_KEY_BYTES} bytes; see proxyagent.cookie_key")

    def seal(self, user: str, claims: Mapping[str, Any], *, expires_at_s: int) -> str:
        """A cookie for `user` with further `claims` (what JSON can hold), until `expires_at_s`. Does not block.

        Above 1 KiB the claims are compressed. Raises LimitExceeded when the cookie would have more than 4,000 bytes,
        and ValueError for an empty user, and for claims that are no JSON or that name the user themselves.
        """
        if not user:
            raise ValueError("the user is empty")
        if USER_CLAIM in claims:
            raise ValueError(f"the claim {USER_CLAIM} is the user's name; hand it in as the user")
        body = json.dumps({USER_CLAIM: user, **claims}, ensure_ascii=False, allow_nan=False).encode()
        header = {"alg": _ALGORITHM, "enc": _ENCRYPTION, "exp": str(int(expires_at_s))}
        if len(body) > limits.COOKIE_COMPRESSED_ABOVE_BYTES:
            header["zip"] = _COMPRESSION
            body = zlib.compress(body, _COMPRESSION_LEVEL, wbits=-zlib.MAX_WBITS)
        token = _sealed(self.keys[0], header, body, secrets.token_bytes(_IV_BYTES))
        if len(token) > limits.COOKIE_BYTES_MAX:
            raise LimitExceeded(f"the cookie has {len(token)} bytes; {limits.COOKIE_BYTES_MAX} are allowed")
        return token

    def open(self, token: str | None, *, now_s: float) -> Cookie | None:
        """What `token` says, or None when it is over, was not sealed under a key of this ring, or is anything else."""
        if not isinstance(token, str) or len(token) > limits.COOKIE_READ_BYTES_MAX:
            return None
        check_installed()
        try:
            return self._opened(token, now_s)
        except (_Refused, ValueError, RecursionError, zlib.error):  # the last three: from the libraries that parse
            return None

    def _opened(self, token: str, now_s: float) -> Cookie:
        associated, key, *sealed = token.encode().split(b".")
        if key or len(sealed) != 3:
            raise _Refused
        header = _header(associated)
        expires_at_s = int(header["exp"])
        if now_s >= expires_at_s:
            raise _Refused
        body = self._decrypted(associated, *map(_decoded, sealed))
        claims = _json_object(_inflated(body) if "zip" in header else body)
        user = claims.pop(USER_CLAIM, None)
        if not isinstance(user, str) or not user:
            raise _Refused
        return Cookie(user, claims, expires_at_s)

    def _decrypted(self, associated: bytes, iv: bytes, text: bytes, tag: bytes) -> bytes:
        """The plain bytes under whichever key fits."""
        encryption, misfit = _library()
        if len(iv) != _IV_BYTES:
            raise _Refused
        for key in self.keys:
            try:
                return encryption.decrypt(text, tag, key, iv, associated)
            except misfit:
                continue
        raise _Refused


def header(name: str, token: str | None, *, secure: bool = True) -> str:
    """The value of a Set-Cookie header that gives the browser `token`, or, for None, takes its cookie away.

    The cookie goes to the whole site it came from, is out of reach of scripts, and is not sent along by other sites'
    forms; `secure` False only where there is no TLS. Raises ValueError for a name that no cookie can have.
    """
    settings.cookie_name(name)
    ends = "; Secure" if secure else ""
    if token is None:
        return f"{name}=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax{ends}"
    return f"{name}={token}; Path=/; HttpOnly; SameSite=Lax{ends}"


def check_installed() -> None:
    """Raise ConfigurationError when joserfc is not there."""
    _library()


# -- the token ----------------------------------------------------------------------------------------------------


@functools.cache
def _library() -> tuple[_Encryption, type[Exception]]:
    """joserfc's A256CBC-HS512, and what its `decrypt` raises where the MAC does not fit."""
    try:
        from joserfc.errors import JoseError
        from joserfc.jwe import JWERegistry
    except ImportError:
        raise ConfigurationError(
            'the failover cookie needs joserfc, which is not installed: pip install "one-login[cookie]"'
        ) from None
    return JWERegistry(algorithms=[_ALGORITHM, _ENCRYPTION]).get_enc(_ENCRYPTION), JoseError


def _sealed(key: bytes, header: Mapping[str, str], body: bytes, iv: bytes) -> str:
    """The five parts. The header is written as the source's own script does, blanks and all."""
    associated = _encoded(json.dumps(header).encode())
    sealed, tag = _library()[0].encrypt(body, key, iv, associated)
    return b".".join((associated, b"", _encoded(iv), _encoded(sealed), _encoded(tag))).decode()


_TO_URL, _FROM_URL = bytes.maketrans(b"+/", b"-_"), bytes.maketrans(b"-_", b"+/")


def _encoded(octets: bytes) -> bytes:
    """base64url without padding; binascii itself, since the wrappers of base64 cost as much as the MAC."""
    return b2a_base64(octets, newline=False).translate(_TO_URL).rstrip(b"=")


def _decoded(part: bytes) -> bytes:
    """The bytes that `part` is the one and shortest base64url of."""
    octets = a2b_base64(part.translate(_FROM_URL) + b"===")
    if _encoded(octets) != part:
        raise _Refused
    return octets


def _header(part: bytes) -> dict[str, Any]:
    """The header, if it is the one form; what else stands in it is no matter, except `crit`, which says it is."""
    header = _json_object(_decoded(part))
    if "crit" in header or header.get("alg") != _ALGORITHM or header.get("enc") != _ENCRYPTION:
        raise _Refused
    if header.get("zip", _COMPRESSION) != _COMPRESSION:
        raise _Refused
    expires = header.get("exp")
    if not isinstance(expires, str) or not _SECONDS.fullmatch(expires):
        raise _Refused
    return header


def _json_object(octets: bytes) -> dict[str, Any]:
    found = json.loads(octets.decode())
    if not isinstance(found, dict):
        raise _Refused
    return found


def _inflated(body: bytes) -> bytes:
    """RFC 1951, whole and within bounds; nothing may follow it."""
    inflation = zlib.decompressobj(-zlib.MAX_WBITS)
    plain = inflation.decompress(body, limits.COOKIE_CLAIMS_BYTES_MAX)
    if not inflation.eof or inflation.unused_data:
        raise _Refused
    return plain
