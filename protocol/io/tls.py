"""TLS 1.3 for links: contexts, the self-made certificate, and one TLS session over memory.

Rules of this file:

- TLS 1.3 and nothing older. No tickets, no renegotiation, no key log.
- The self-made certificate is not checked by anybody: the handshake binds the secret to it (protocol.handshake), which
  is why an agent needs none from elsewhere. Its dates mean nothing.
- Own certificates are checked against the authority, where one is given. Host names are not checked by OpenSSL: under
  client_certificates both ends check whom the certificate names (speaks_for), otherwise the binding does.
- A certificate that OpenSSL takes may still be one that `cryptography` cannot read. A peer's then names nobody and
  binds nothing: it costs the link. READ_ERRORS are all that reading one raises.
- Whatever OpenSSL wants to say, alerts included, is in `Cipher.outgoing()`; the shell sends it before it closes, so
  that the partner learns the reason.

Theory. The binding is tls-server-end-point (RFC 5929): the hash of the listener's certificate by the hash of its
signature, SHA-256 where that is MD5, SHA-1 or none. It needs no support from TLS itself and holds in TLS 1.3, for which
tls-unique is not defined.

Source: DESIGN section 5; RFC 5929 section 4.1; ssl and cryptography.
"""

import datetime
import hashlib
import os
import ssl
from pathlib import Path
from typing import cast

import attrs
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

READ_ERRORS = (
    ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)  # fmt: skip

CERTIFICATE_FILE = "certificate.pem"
KEY_FILE = "key.pem"

_FIRST = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
_LAST = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)  # RFC 5280: no end
_RECORD_BYTES = 16 * 1024
_URI_PREFIX = "authagent:"


class TlsError(ValueError):
    """A certificate, key or authority that cannot be used; one line that names the file."""


@attrs.frozen
class Tls:
    """What one process needs to speak TLS. `listening` and `certificate` are None where it only dials.

    `certificate` is its own certificate in DER, `mutual` whether both ends must show one that names them.
    """

    dialling: ssl.SSLContext
    listening: ssl.SSLContext | None = None
    certificate: bytes | None = None
    mutual: bool = False

    def listening_binding(self) -> bytes:
        """The channel binding of links to this listener."""
        assert self.certificate is not None, "this process does not listen"
        return binding_of(self.certificate)


def dialling_only(authority: str = "") -> Tls:
    """For a process that only dials, and shows no certificate of its own.

    Without `authority` the listeners' certificates are self-made: only the binding vouches for them. Raises TlsError.
    """
    return Tls(_dialling_context(authority))


def self_made(folder: Path, name: str) -> Tls:
    """The certificate in `folder`, made there at the first call. Reads and writes files.

    `name` is put into the certificate for people to read. Raises TlsError when the folder cannot be used.
    """
    certificate, key = folder / CERTIFICATE_FILE, folder / KEY_FILE
    if not certificate.exists() or not key.exists():
        certificate_pem, key_pem = make_certificate(name)
        try:
            certificate.unlink(missing_ok=True)  # so that it is never found beside a key that is not its own
            _write_private(key, key_pem)
            _write_private(certificate, certificate_pem)
        except OSError as error:
            raise TlsError(f"the certificate cannot be kept in {folder}: {error.strerror}") from None
    return from_files(str(certificate), str(key))


def from_files(certificate: str, key: str, authority: str = "", client_certificates: bool = False) -> Tls:
    """Own certificates. Without `authority` no peer's certificate is checked, only bound to the secret.

    Raises TlsError, which names the file and what is wrong with it. Reads files.
    """
    if client_certificates and not authority:
        raise TlsError("[tls] client_certificates needs authority: who else could vouch for a client")
    dialling = _dialling_context(authority)
    listening = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    listening.minimum_version = ssl.TLSVersion.TLSv1_3
    listening.num_tickets = 0
    _load_pair(listening, certificate, key)
    if client_certificates:
        _load_authority(listening, authority)
        listening.verify_mode = ssl.CERT_REQUIRED
        _load_pair(dialling, certificate, key)
    return Tls(dialling, listening, _read_certificate(certificate), client_certificates)


def make_certificate(name: str) -> tuple[bytes, bytes]:
    """A fresh key on P-256 and a certificate that it signs for itself, both PEM. Takes about 1 ms."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name[:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FIRST)
        .not_valid_after(_LAST)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), key_pem


def binding_of(certificate: bytes) -> bytes:
    """tls-server-end-point of a certificate in DER. Raises TlsError for one that has none."""
    try:
        algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
        weak_or_none = algorithm is None or algorithm.name in ("md5", "sha1")
        return hashlib.new("sha256" if algorithm is None or weak_or_none else algorithm.name, certificate).digest()
    except READ_ERRORS:
        raise TlsError("the certificate cannot be read, or its signature is of an unknown kind") from None


def names_of(certificate: bytes) -> frozenset[str]:
    """Whom a certificate in DER names: common names, host names, addresses and `authagent:` URIs, in lower case.

    Raises READ_ERRORS.
    """
    parsed = x509.load_der_x509_certificate(certificate)
    names = {str(attribute.value) for attribute in parsed.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)}
    try:
        others = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        others = x509.SubjectAlternativeName([])
    names.update(others.get_values_for_type(x509.DNSName))
    names.update(str(address) for address in others.get_values_for_type(x509.IPAddress))
    uris = others.get_values_for_type(x509.UniformResourceIdentifier)
    names.update(uri.removeprefix(_URI_PREFIX) for uri in uris if uri.startswith(_URI_PREFIX))
    return frozenset(name.lower() for name in names)


def speaks_for(certificate: bytes, kind: str, site: str, id: str, host: str = "") -> bool:
    """Whether a certificate names this peer: `kind/site/id` (as URI `authagent:kind/site/id` or common name), a proxy's
    id alone, or the host that was dialled. One that cannot be read names nobody."""
    try:
        names = names_of(certificate)
    except READ_ERRORS:
        return False
    wanted = {f"{kind}/{site}/{id}".lower(), host.lower()} - {""}
    if kind == "proxy":
        wanted.add(id.lower())
    return not wanted.isdisjoint(names)


class Cipher:
    """One TLS session between the socket and the link: bytes in and out by hand, no I/O.

    `server` decides the end. handshake() and decrypt() raise ssl.SSLError for what the peer broke; outgoing() must be
    sent even then. ssl.SSLZeroReturnError is the peer's closing alert.
    """

    def __init__(self, context: ssl.SSLContext, *, server: bool) -> None:
        self.ending: ssl.SSLError | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_side=server)

    def feed(self, data: bytes | memoryview) -> None:
        """Takes what came from the socket; no bytes mean its end."""
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def handshake(self) -> bool:
        """Goes as far as it can; True when TLS is up."""
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def outgoing(self) -> bytes:
        """Everything that the socket must send now."""
        return self._outgoing.read()

    def encrypt(self, data: bytes | memoryview) -> bytes:
        """What the socket must send for this."""
        self._session.write(data)
        return self._outgoing.read()

    def decrypt(self, into: memoryview) -> int:
        """Reads what has come into `into`, as much as there is or fits; 0 for nothing yet.

        The end of TLS, right or wrong, is raised only when nothing came before it; else `ending` holds it.
        """
        if self.ending is not None:
            raise self.ending
        filled = 0
        try:
            while filled < len(into):
                # With a buffer the answer is a count of bytes; typeshed knows only the other form.
                count = cast(int, self._session.read(min(_RECORD_BYTES, len(into) - filled), into[filled:]))
                if not count:  # how the module tells the closing alert when a buffer was given: it does not raise
                    raise ssl.SSLZeroReturnError(ssl.SSL_ERROR_ZERO_RETURN, "TLS was closed")
                filled += count
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.ending = error
            if not filled:
                raise
        return filled

    def close(self) -> bytes:
        """The closing alert; what the peer still sends is not read."""
        try:
            self._session.unwrap()
        except (ssl.SSLError, ValueError):
            pass  # it wants to read the peer's alert, or the session is broken: ours is in outgoing either way
        return self._outgoing.read()

    def peer_certificate(self) -> bytes | None:
        """The peer's certificate in DER, None when it showed none."""
        return self._session.getpeercert(True)


def _dialling_context(authority: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if authority:
        _load_authority(context, authority)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _load_authority(context: ssl.SSLContext, authority: str) -> None:
    try:
        context.load_verify_locations(authority)
    except (OSError, ssl.SSLError) as error:
        raise TlsError(f"[tls] authority {authority}: {_cause(error)}") from None


def _load_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    try:
        context.load_cert_chain(certificate, key, password="")  # an encrypted key fails instead of asking a terminal
    except (OSError, ssl.SSLError) as error:
        raise TlsError(f"[tls] certificate {certificate} with key {key}: {_cause(error)}") from None


def _cause(error: OSError) -> str:
    return "it is no such PEM file, or they do not fit" if isinstance(error, ssl.SSLError) else str(error.strerror)


def _read_certificate(path: str) -> bytes:
    """The first certificate of a PEM file, in DER; one that can be bound."""
    try:
        found = x509.load_pem_x509_certificate(Path(path).read_bytes()).public_bytes(serialization.Encoding.DER)
        binding_of(found)
        return found
    except (OSError, *READ_ERRORS) as error:
        raise TlsError(f"[tls] certificate {path}: {error}") from None


def _write_private(path: Path, content: bytes) -> None:
    """Whole or not at all, for the owner only, even over an older file."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)


def reason(error: Exception) -> str:
    """Why a connection failed, in one line; trio hides what OpenSSL says behind a broken stream."""
    cause = error if isinstance(error, ssl.SSLError) else error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"TLS: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError):
        return f"TLS: {cause.reason or cause}"
    return str(error) or type(error).__name__
