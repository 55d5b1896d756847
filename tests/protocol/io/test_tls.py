"""Contexts, certificates and one TLS session over memory."""

import hashlib
import ssl
import stat
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from protocol.io import tls
from protocol.io.tls import Cipher, Tls, TlsError
from tests.shell.links import Authority

BUFFER_BYTES = 300_000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return tls.self_made(tmp_path_factory.mktemp("agent"), "agent/lan1/1")


def shake_hands(ours: Tls, theirs: Tls) -> tuple[Cipher, Cipher]:
    """Both ends of one session, up."""
    assert theirs.listening is not None
    near, far = Cipher(ours.dialling, server=False), Cipher(theirs.listening, server=True)
    done = [False, False]
    while not all(done):
        for place, (cipher, other) in enumerate(((near, far), (far, near))):
            done[place] = cipher.handshake()
            pass_on(cipher, other)
    return near, far


def pass_on(source: Cipher, target: Cipher) -> None:
    outgoing = source.outgoing()
    if outgoing:
        target.feed(outgoing)


def read(cipher: Cipher) -> bytes:
    buffer = memoryview(bytearray(BUFFER_BYTES))
    return bytes(buffer[: cipher.decrypt(buffer)])


# -- certificates ----------------------------------------------------------------------------------------------------


def test_the_self_made_certificate_is_kept(tmp_path: Path) -> None:
    """Made once, for the owner only; the next start finds the same."""
    first = tls.self_made(tmp_path, "agent/lan1/1")
    assert {path.name for path in tmp_path.iterdir()} == {tls.CERTIFICATE_FILE, tls.KEY_FILE}
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    assert tls.self_made(tmp_path, "agent/lan1/1").certificate == first.certificate


@pytest.mark.parametrize("lost", [tls.CERTIFICATE_FILE, tls.KEY_FILE])
def test_half_a_pair_is_made_anew(tmp_path: Path, lost: str) -> None:
    """A crash between the two files leaves nothing that stops the next start."""
    first = tls.self_made(tmp_path, "agent/lan1/1")
    (tmp_path / lost).unlink()
    (tmp_path / "key.part").write_bytes(b"left behind")
    assert tls.self_made(tmp_path, "agent/lan1/1").certificate != first.certificate


def test_the_self_made_certificate_is_ecdsa_and_endless() -> None:
    """P-256 with SHA-256, for which the binding is defined; its dates never matter."""
    certificate_pem, key_pem = tls.make_certificate("agent/lan1/1")
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    key = serialization.load_pem_private_key(key_pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == "secp256r1"
    assert certificate.public_key() == key.public_key()
    assert isinstance(certificate.signature_hash_algorithm, hashes.SHA256)
    assert (certificate.not_valid_before_utc.year, certificate.not_valid_after_utc.year) == (2000, 9999)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """One line, with the folder."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(TlsError, match=f"cannot be kept in {tmp_path / 'file'}: Not a directory"):
        tls.self_made(tmp_path / "file", "x")


@pytest.mark.parametrize(
    ("hash_algorithm", "name"), [(hashes.SHA256(), "sha256"), (hashes.SHA384(), "sha384"), (None, "sha256")]
)
def test_the_binding_is_the_hash_that_rfc_5929_asks_for(hash_algorithm: hashes.SHA384 | None, name: str) -> None:
    """The hash of the signature; SHA-256 where the signature has none (Ed25519)."""
    key = ed25519.Ed25519PrivateKey.generate() if hash_algorithm is None else ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    unsigned = x509.load_pem_x509_certificate(tls.make_certificate("x")[0])
    signed = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 1)
        .not_valid_before(unsigned.not_valid_before_utc)
        .not_valid_after(unsigned.not_valid_after_utc)
        .sign(key, hash_algorithm)
    )
    der = signed.public_bytes(serialization.Encoding.DER)
    assert tls.binding_of(der) == hashlib.new(name, der).digest()


@pytest.mark.parametrize(
    ("names", "kind", "id", "host", "expected"),
    [
        (("agent/lan1/1",), "agent", "1", "", True),
        (("1",), "agent", "1", "", False),
        (("agent/lan1/2",), "agent", "1", "", False),
        (("x", "agent.example"), "agent", "1", "agent.example", True),
        (("x", "agent.example"), "agent", "1", "Agent.Example", True),
        (("x", "10.0.0.1"), "agent", "1", "10.0.0.1", True),
        (("x", "agent.example"), "agent", "1", "other.example", False),
        (("squid-1",), "proxy", "squid-1", "", True),
        (("x", "squid-1.example"), "proxy", "squid-1.example", "", True),
        (("proxy/lan2/squid-1",), "proxy", "squid-1", "", False),
    ],
)
def test_whom_a_certificate_speaks_for(names: tuple[str, ...], kind: str, id: str, host: str, expected: bool) -> None:
    """kind/site/id, a proxy's id, or the host dialled; an agent's bare number is no name."""
    issued = trustme.CA().issue_cert(*names[1:] or ("unused.example",), common_name=names[0])
    der = ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())
    assert tls.speaks_for(der, kind, "lan1", id, host) is expected


def test_a_uri_names_a_peer() -> None:
    """`authagent:kind/site/id` is the form for certificates made for this."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    dates = x509.load_pem_x509_certificate(tls.make_certificate("x")[0])
    uris = [x509.UniformResourceIdentifier(f"{prefix}proxy/lan1/squid-1") for prefix in ("authagent:", "other:")]
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 1)
        .not_valid_before(dates.not_valid_before_utc)
        .not_valid_after(dates.not_valid_after_utc)
        .add_extension(x509.SubjectAlternativeName(uris), critical=False)
        .sign(key, hashes.SHA256())
    )
    assert tls.names_of(certificate.public_bytes(serialization.Encoding.DER)) == {"x", "proxy/lan1/squid-1"}


def odd(what: str, certificate: bytes) -> bytes:
    """A self-made certificate that OpenSSL takes all the same."""
    ecdsa_with_sha256, version_3 = bytes.fromhex("2a8648ce3d040302"), bytes.fromhex("a003020102")
    changed, place = bytearray(certificate), certificate.rindex(ecdsa_with_sha256)
    if what == "version":
        place = certificate.index(version_3) - 3
    changed[place + 7] = 0x7F
    return bytes(changed)


@pytest.mark.parametrize("what", ["version", "signature"])
def test_an_odd_certificate_binds_nothing_and_names_nobody(made: Tls, what: str) -> None:
    """One of a version, or signed in a way, that cryptography does not know, though OpenSSL shakes hands with it."""
    assert made.certificate is not None and tls.names_of(made.certificate)
    certificate = odd(what, made.certificate)
    with pytest.raises(TlsError, match="cannot be read, or its signature is of an unknown kind"):
        tls.binding_of(certificate)
    assert not tls.speaks_for(odd("version", made.certificate), "agent", "lan1", "1")


def test_a_name_of_the_wrong_kind_names_nobody(made: Tls) -> None:
    """A common name that is a string of bits: cryptography raises TypeError for it."""
    assert made.certificate is not None
    name = b"agent/lan1/1"
    bits = made.certificate.replace(b"\x0c\x0c" + name, b"\x03\x0c" + name)
    assert tls.speaks_for(made.certificate, "agent", "lan1", "1") and bits != made.certificate
    assert not tls.speaks_for(bits, "agent", "lan1", "1")


@pytest.mark.parametrize("what", ["version", "signature"])
def test_nobody_starts_with_an_odd_certificate(tmp_path: Path, made: Tls, what: str) -> None:
    """It is refused with its file, instead of each link that it would be shown to."""
    certificate_pem, key_pem = tls.make_certificate("x")
    der = odd(what, ssl.PEM_cert_to_DER_cert(certificate_pem.decode()))
    (tmp_path / "c.pem").write_text(ssl.DER_cert_to_PEM_cert(der))
    (tmp_path / "k.pem").write_bytes(key_pem)
    with pytest.raises(TlsError, match=r"\[tls\] certificate .*c\.pem: "):
        tls.from_files(str(tmp_path / "c.pem"), str(tmp_path / "k.pem"))


# -- files -----------------------------------------------------------------------------------------------------------


def test_wrong_files_are_named(tmp_path: Path) -> None:
    """A missing file, one that is no PEM, a key of another certificate, a client check without authority."""
    authority = Authority(tmp_path)
    certificate, key = authority.pair("agent/lan1/1")
    _, other_key = authority.pair("agent/lan1/2")
    (tmp_path / "junk").write_bytes(b"junk")
    for arguments, what in [
        ((certificate, str(tmp_path / "none")), "No such file"),
        ((certificate, other_key), "do not fit"),
        ((str(tmp_path / "junk"), key), "no such PEM file"),
        ((certificate, key, str(tmp_path / "junk")), "authority"),
        ((certificate, key, str(tmp_path / "none")), "No such file"),
        ((certificate, key, "", True), "needs authority"),
    ]:
        with pytest.raises(TlsError, match=what) as caught:
            tls.from_files(*arguments)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)


def test_an_encrypted_key_does_not_ask_the_terminal(tmp_path: Path) -> None:
    """It is an error like any other."""
    certificate_pem, key_pem = tls.make_certificate("x")
    key = serialization.load_pem_private_key(key_pem, None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"a passphrase"),
    )
    (tmp_path / "c.pem").write_bytes(certificate_pem)
    (tmp_path / "k.pem").write_bytes(encrypted)
    with pytest.raises(TlsError):
        tls.from_files(str(tmp_path / "c.pem"), str(tmp_path / "k.pem"))


def test_a_dialler_may_check_an_authority(tmp_path: Path, made: Tls) -> None:
    """Without one no certificate is checked, with one only its own are taken."""
    authority = Authority(tmp_path)
    shake_hands(tls.dialling_only(), made)
    shake_hands(tls.dialling_only(authority.file), authority.tls("agent/lan1/1"))
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(tls.dialling_only(authority.file), made)


# -- one session -----------------------------------------------------------------------------------------------------


def test_a_session_carries_bytes_both_ways(made: Tls) -> None:
    """Any amount; both ends are on TLS 1.3 and know the listener's certificate."""
    near, far = shake_hands(tls.dialling_only(), made)
    assert made.certificate is not None
    assert near.peer_certificate() == made.certificate and far.peer_certificate() is None
    assert tls.binding_of(made.certificate) == made.listening_binding()
    for size in (1, 16 * 1024, 200_000):
        far.feed(near.encrypt(bytes(size)))
        near.feed(far.encrypt(bytes(size)))
        assert read(far) == read(near) == bytes(size)
    assert read(far) == b""


def test_no_ticket_is_sent(made: Tls) -> None:
    """A listener says nothing of its own after the handshake: the first frame is not delayed by what nobody uses."""
    near, far = shake_hands(tls.dialling_only(), made)
    assert read(near) == b"" and far.outgoing() == b""
    session = near._session.session
    assert session is None or not session.has_ticket


def test_what_came_before_the_end_is_read_first(made: Tls) -> None:
    """Then the end is raised, each time; `ending` tells that it is there."""
    near, far = shake_hands(tls.dialling_only(), made)
    far.feed(near.encrypt(b"last words") + near.close())
    assert read(far) == b"last words"
    assert isinstance(far.ending, ssl.SSLZeroReturnError)
    for _ in range(2):
        with pytest.raises(ssl.SSLZeroReturnError):
            read(far)


def test_a_cut_stream_is_no_end_in_order(made: Tls) -> None:
    """Without the closing alert it is another error."""
    _, far = shake_hands(tls.dialling_only(), made)
    far.feed(b"")
    with pytest.raises(ssl.SSLEOFError):
        read(far)


def test_spoiled_bytes_are_noticed_and_answered(made: Tls) -> None:
    """The alert is there to be sent."""
    near, far = shake_hands(tls.dialling_only(), made)
    record = bytearray(near.encrypt(b"words"))
    record[-1] ^= 1
    far.feed(record)
    with pytest.raises(ssl.SSLError):
        read(far)
    assert far.outgoing()


def test_closing_twice_is_harmless(made: Tls) -> None:
    """And closing a session that never was."""
    near, _ = shake_hands(tls.dialling_only(), made)
    assert near.close() != b""
    near.close()
    Cipher(tls.dialling_only().dialling, server=False).close()


def test_why_a_connection_failed_is_one_line() -> None:
    """What OpenSSL says, also where trio hides it; else the error's own words, or its name."""
    broken = OSError("broken")
    cipher = Cipher(tls.dialling_only().dialling, server=False)
    cipher.handshake()
    cipher.feed(b"HTTP/1.1 400 Bad Request\r\n")
    with pytest.raises(ssl.SSLError) as caught:
        cipher.handshake()
    broken.__cause__ = caught.value
    assert tls.reason(broken) == "TLS: WRONG_VERSION_NUMBER"
    assert tls.reason(OSError("all attempts failed")) == "all attempts failed"
    assert tls.reason(OSError()) == "OSError"
