"""The mutual proof of the shared secret, as the two ends of a conversation of four messages.

    dialler                                              listener
    Hello      who I am, which secret, SCRAM first   ->
                                                     <-  Challenge  who I am, SCRAM first
    Proof      SCRAM final: I know the secret        ->
                                                     <-  Welcome    SCRAM final: so do I
    or, instead of any answer of the listener:       <-  Refusal

Rules of this file:

- Nobody is told more than needed before the proof: version, kind, mechanism and the id of the secret are judged at the
  Hello, everything else (lists, clocks, duplicates) by the shell once the peer is proven.
- The SCRAM user name is kind/site/id, so the proof holds for the one who spoke and for nobody else.
- Under TLS only SCRAM-SHA-256-PLUS is spoken, bound to the listener's certificate (tls-server-end-point, RFC 5929), so
  a man in the middle with a certificate of his own is found out. Without TLS only SCRAM-SHA-256. Neither end can be
  talked down: the dialler never offers less, the listener never takes less.
- Nonces and salt are arguments; so is the binding. A recorded handshake is worth nothing under a new nonce.
- No text holds anything of the secret.

Theory. SCRAM (RFC 5802, 7677) proves both ends to each other, and what is recorded of it helps only to guess the
secret, which is 256 random bits. Deriving the keys of one line takes 2 ms, so the listener keeps them: all listeners
of a process use one salt.

Source: DESIGN section 5; scramp.
"""

import functools
from typing import Any
from urllib.parse import quote

import attrs
import scramp

from protocol.errors import Code, LocalProtocolError, RemoteProtocolError
from protocol.messages import Challenge, Hello, Proof, Refusal, Welcome
from protocol.secret import Secrets, secret_id
from protocol.stamp import Now

VERSION = 1
"""The version of the language that this code speaks. Fields and messages are added within one version."""

KINDS = ("agent", "proxy", "check")
"""Who may dial. The listener is always an agent."""

ITERATIONS_MAX = 16_384
"""What a listener may make a dialler compute: about 8 ms. SCRAM itself would allow seconds."""

_PLAIN = "SCRAM-SHA-256"
_BOUND = "SCRAM-SHA-256-PLUS"
_BINDING = "tls-server-end-point"


@attrs.frozen
class Identity:
    """Who this process is on every link: what it says in Hello and Challenge, and the secrets that it accepts.

    `kind` is one of KINDS, `incarnation` 64 random bits drawn at the start of the process, `software` name and version
    for people to read, `configuration` the agreed hash of the file.
    """

    kind: str
    site: str
    id: str
    incarnation: int
    software: str
    configuration: bytes
    secrets: Secrets
    version_min: int = VERSION
    version_max: int = VERSION


@attrs.frozen
class Peer:
    """Who is proven to be at the other end. `wall_offset_ms` is its wall clock less ours, good to half a round trip.

    `secret_id` names the line that proved it: after a reload, links proven with a dropped line are closed.
    """

    kind: str
    site: str
    id: str
    incarnation: int
    software: str
    configuration: bytes
    address: str
    wall_offset_ms: int
    secret_id: bytes = b""


class Dialling:
    """The dialler's end. `line` is the secret to try, `nonce` printable random ASCII without a comma, `binding` the
    hash of the listener's certificate or None without TLS."""

    def __init__(self, identity: Identity, line: bytes, nonce: str, binding: bytes | None) -> None:
        self._identity = identity
        self._line_id = secret_id(line)
        self._mechanism = _PLAIN if binding is None else _BOUND
        self._scram = scramp.ScramClient(
            [self._mechanism],
            _user_name(identity.kind, identity.site, identity.id),
            _password(line),
            channel_binding=None if binding is None else (_BINDING, binding),
            c_nonce=nonce,
        )
        self._sent_ms = 0
        self._challenge: Challenge | None = None
        self._wall_offset_ms = 0

    def hello(self, now: Now) -> Hello:
        """The first message of the link."""
        identity = self._identity
        self._sent_ms = now.boot_ms
        return Hello(
            identity.version_min,
            identity.version_max,
            identity.kind,
            identity.site,
            identity.id,
            identity.incarnation,
            identity.software,
            identity.configuration,
            self._line_id,
            now.wall_ms,
            self._mechanism,
            self._scram.get_client_first().encode(),
        )

    def challenged(self, challenge: Challenge, now: Now) -> Proof:
        """The answer to the listener's challenge. Raises RemoteProtocolError when that breaks the rules of SCRAM.

        Computes for about 2 ms, at most 8.
        """
        if not self._identity.version_min <= challenge.version <= self._identity.version_max:
            raise RemoteProtocolError(f"the listener chose version {challenge.version} unasked", Code.VERSION)
        self._challenge = challenge
        self._wall_offset_ms = _wall_offset_ms(challenge.wall_ms, self._sent_ms, now)
        try:
            self._scram.set_server_first(_text(challenge.proof))
            if int(self._scram.iterations) > ITERATIONS_MAX:
                raise RemoteProtocolError(f"the listener asks for {self._scram.iterations} rounds of hashing")
            final = self._scram.get_client_final()
        except scramp.ScramException as error:
            raise RemoteProtocolError(f"the listener's challenge is against SCRAM: {_reason(error)}") from None
        return Proof(now.wall_ms, final.encode())

    def welcomed(self, welcome: Welcome) -> None:
        """Checks that the listener knows the secret too. Raises RemoteProtocolError (UNAUTHORIZED) when not."""
        try:
            self._scram.set_server_final(_text(welcome.proof))
        except scramp.ScramException:
            raise RemoteProtocolError("the listener does not know the secret", Code.UNAUTHORIZED) from None

    def peer(self, address: str) -> Peer:
        """The proven listener. Only after welcomed()."""
        challenge = self._challenge
        if challenge is None:
            raise LocalProtocolError("nobody is proven yet")
        return Peer(
            "agent",
            challenge.site,
            challenge.id,
            challenge.incarnation,
            challenge.software,
            challenge.configuration,
            address,
            self._wall_offset_ms,
            self._line_id,
        )


class Listening:
    """The listener's end. `salt` is 16 random bytes, the same for all links of a process; the rest as in Dialling."""

    def __init__(self, identity: Identity, nonce: str, salt: bytes, binding: bytes | None) -> None:
        self._identity = identity
        self._nonce = nonce
        self._salt = salt
        self._binding = binding
        self._scram: Any = None
        self._sent_ms = 0
        self._hello: Hello | None = None
        self._wall_offset_ms = 0

    @property
    def claimed(self) -> Hello | None:
        """The Hello that came, proven or not: for log lines, and nothing else."""
        return self._hello

    def greeted(self, hello: Hello, now: Now) -> Challenge | Refusal:
        """The answer to a dialler's Hello."""
        self._hello = hello
        identity = self._identity
        version = min(hello.version_max, identity.version_max)
        if version < max(hello.version_min, identity.version_min):
            return Refusal(
                Code.VERSION,
                f"protocol versions {hello.version_min} to {hello.version_max} are spoken there, "
                f"{identity.version_min} to {identity.version_max} here ({identity.software})",
            )
        if hello.kind not in KINDS:
            return Refusal(Code.PROTOCOL, f"kind is one of {', '.join(KINDS)}")
        if hello.mechanism != (_PLAIN if self._binding is None else _BOUND):
            return Refusal(Code.UNAUTHORIZED, "the proof must be bound to TLS exactly where TLS is spoken")
        line = identity.secrets.by_id(hello.secret_id)
        if line is None:
            return Refusal(Code.UNKNOWN_SECRET, "this line of the secret file is not known here")
        try:
            first = self._begin(hello, line)
        except scramp.ScramException as error:
            return Refusal(Code.UNAUTHORIZED, f"the proof is against SCRAM: {_reason(error)}")
        self._sent_ms = now.boot_ms
        return Challenge(
            version,
            identity.site,
            identity.id,
            identity.incarnation,
            identity.software,
            identity.configuration,
            now.wall_ms,
            first,
        )

    def _begin(self, hello: Hello, line: bytes) -> bytes:
        """SCRAM's server-first. The user it may speak of is the one that the Hello names."""
        name = _user_name(hello.kind, hello.site, hello.id)
        keys = salted_keys(line, self._salt)
        self._scram = scramp.ScramMechanism(hello.mechanism).make_server(
            lambda user: keys if user == name else None,
            channel_binding=None if self._binding is None else (_BINDING, self._binding),
            s_nonce=self._nonce,
        )
        self._scram.set_client_first(_text(hello.proof))
        first: str = self._scram.get_server_first()
        return first.encode()

    def proven(self, proof: Proof, now: Now) -> Refusal | None:
        """Checks the dialler's proof; None when it holds."""
        self._wall_offset_ms = _wall_offset_ms(proof.wall_ms, self._sent_ms, now)
        try:
            self._scram.set_client_final(_text(proof.proof))
        except scramp.ScramException as error:
            if error.server_error is not None and error.server_error.value == "channel-bindings-dont-match":
                return Refusal(Code.UNAUTHORIZED, "somebody is between us: the certificate you saw is not mine")
            return Refusal(Code.UNAUTHORIZED, "the secret is wrong; copy the secret file again")
        return None

    def hello(self, now: Now) -> Hello:
        """The proven dialler's Hello, its `wall_ms` as of `now`. Only after proven()."""
        assert self._hello is not None
        return attrs.evolve(self._hello, wall_ms=max(0, now.wall_ms + self._wall_offset_ms))

    def welcome(self) -> Welcome:
        """The listener's own proof. Only after proven()."""
        final: str = self._scram.get_server_final()
        return Welcome(final.encode())

    def peer(self, address: str) -> Peer:
        """The proven dialler. Only after proven()."""
        hello = self._hello
        if hello is None:
            raise LocalProtocolError("nobody is proven yet")
        return Peer(
            hello.kind,
            hello.site,
            hello.id,
            hello.incarnation,
            hello.software,
            hello.configuration,
            address,
            self._wall_offset_ms,
            hello.secret_id,
        )


@functools.lru_cache(maxsize=4)
def salted_keys(line: bytes, salt: bytes) -> tuple[bytes, bytes, bytes, int]:
    """What a listener keeps of one line: salt, stored key, server key, iterations. 2 ms, once a line and process."""
    keys: tuple[bytes, bytes, bytes, int] = scramp.ScramMechanism(_PLAIN).make_auth_info(_password(line), salt=salt)
    return keys


def _password(line: bytes) -> str:
    """A line as SCRAM wants it. In hex, because SCRAM normalises text and a secret is no text."""
    return line.hex()


def _user_name(kind: str, site: str, id: str) -> str:
    """The SCRAM user name; quoted, so that no two identities have one name and normalising changes none."""
    return "/".join(quote(part, safe="") for part in (kind, site, id))


def _text(proof: bytes) -> str:
    """SCRAM messages are ASCII here: names are quoted, all else is base64."""
    try:
        return proof.decode("ascii")
    except UnicodeDecodeError:
        raise scramp.ScramException("not ASCII") from None


def _reason(error: Exception) -> str:
    """scramp's words; they may quote what the peer sent, so only printable ones of ordinary length are kept."""
    return "".join(c if c.isprintable() else "?" for c in str(error)[:120])


def _wall_offset_ms(peer_wall_ms: int, sent_ms: int, now: Now) -> int:
    """The peer's wall clock less ours, if its answer took half of the round trip to come."""
    return peer_wall_ms + max(0, now.boot_ms - sent_ms) // 2 - now.wall_ms
