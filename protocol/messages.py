"""Every message of the wire, frozen, with its number.

Rules of this file:

- Messages are nouns. Numbers are append only; gaps are left for families. A message travels as a msgpack array
  [number, field, field, ...] in the order in which its fields stand here.
- Fields are only ever added at the end, with a default: an older peer skips what it does not know, a newer one fills
  in what is missing. An unknown number is answered with Error(UNKNOWN_MESSAGE) and costs nothing more.
- Field types are those of the wire: int, str, bytes, bool, None and tuples of them. `payload` is an encoded Changes
  (protocol.codec), kept as bytes so that it is forwarded, logged and stored as it came.
- No message has a field for a password.

Times: `_ms` are milliseconds; `cluster_ms` of cluster time, `wall_ms` of the sender's wall clock, `sent_ms` of the
sender's own monotonic clock. Source: DESIGN sections 4 and 5; the tables in docs/reference/protocol.md are tested
against this file.
"""

import attrs

from protocol.item_messages import Creation as Creation
from protocol.item_messages import Redemption as Redemption
from protocol.item_messages import Revocation as Revocation
from protocol.item_messages import Ruling as Ruling
from protocol.item_messages import Verdict as Verdict
from protocol.message import Message as Message
from protocol.message import Role as Role

# -- 1 to 7: the handshake, before the peer is proven ------------------------------------------------------------


@attrs.frozen
class Hello(Message):
    """The dialler says who it is and begins SCRAM. `kind` is `agent`, `proxy` or `check`."""

    number = 1
    version_min: int
    version_max: int
    kind: str
    site: str
    id: str
    incarnation: int
    software: str
    configuration: bytes
    secret_id: bytes
    wall_ms: int
    mechanism: str
    proof: bytes


@attrs.frozen
class Challenge(Message):
    """The listener says who it is and goes on with SCRAM."""

    number = 2
    version: int
    site: str
    id: str
    incarnation: int
    software: str
    configuration: bytes
    wall_ms: int
    proof: bytes


@attrs.frozen
class Proof(Message):
    """The dialler proves the secret."""

    number = 3
    wall_ms: int
    proof: bytes


@attrs.frozen
class Welcome(Message):
    """The listener proves the secret too: the link is open."""

    number = 4
    proof: bytes


@attrs.frozen
class Refusal(Message):
    """The listener will not have this link; `code` is a protocol.errors.Code."""

    number = 5
    code: int
    text: str
    retry_after_ms: int = 0
    elsewhere: str = ""


# -- 8 to 15: the life of a link ---------------------------------------------------------------------------------


@attrs.frozen
class Heartbeat(Message):
    """Sent both ways every heartbeat_interval (wan_heartbeat_interval between sites), and at once when the link opens
    or a role changes.

    `log_id` and `sequence` are the sender's log end (a master's) or cursor (a follower's). `root` is the digest at
    the whole minute `cut_min` under the key `secret_id`, or None when the sender has none to offer. `echo_ms` is the
    last `sent_ms` heard and `held_ms` how long ago that was, so that either side can compute the round trip.
    `pending` counts what the sender has not had acknowledged. `cluster_ms` is None where the sender keeps none yet.
    `sites` are the other sites that a master is linked with: what they do not hear of each other, it tells them.
    """

    number = 8
    role: int
    term: int
    unsure: bool
    log_id: int
    sequence: int
    cut_min: int
    root: bytes | None
    secret_id: bytes
    cluster_ms: int | None
    wall_ms: int
    sent_ms: int
    echo_ms: int | None
    held_ms: int
    pending: int
    sessions: int
    comparing: bool = False
    sites: tuple[str, ...] = ()


@attrs.frozen
class Farewell(Message):
    """The sender closes the link in order; NOT_MASTER with `elsewhere` (an agent id) is the redirect."""

    number = 9
    code: int
    text: str
    elsewhere: str = ""


@attrs.frozen
class Error(Message):
    """A complaint that does not cost the link."""

    number = 10
    code: int
    text: str


@attrs.frozen
class Ping(Message):
    """Asks for a Pong with the same nonce, at once."""

    number = 11
    nonce: int


@attrs.frozen
class Pong(Message):
    number = 12
    nonce: int


# -- 16 to 23: replication ---------------------------------------------------------------------------------------


@attrs.frozen
class Update(Message):
    """Master to follower: one entry of the log `log_id` named in Following. `site` is where the change arose."""

    number = 16
    sequence: int
    site: str
    payload: bytes


@attrs.frozen
class Report(Message):
    """Follower to master: what arose at the follower. Numbers grow by one on each link, from 1."""

    number = 17
    report: int
    payload: bytes


@attrs.frozen
class Acknowledgement(Message):
    """Master to follower: reports up to `master` are in the master's memory, up to `site` on the stable storage of
    the agents named in `counted`."""

    number = 18
    master: int
    site: int
    counted: tuple[str, ...]


@attrs.frozen
class Stored(Message):
    """Slave to master: log entries up to `sequence` are on the slave's stable storage."""

    number = 19
    log_id: int
    sequence: int


@attrs.frozen
class Follow(Message):
    """Follower to master: send what came after this cursor; (0, 0) is no cursor. Between sites `filter` is what the
    sender's file lets cross (Filter.meaning), empty for everything: who means something else is refused."""

    number = 20
    log_id: int
    sequence: int
    filter: bytes = b""


@attrs.frozen
class Following(Message):
    """Master to follower: Updates after `sequence` of `log_id` come now. `replay` tells whether that is the cursor
    asked for; if not, the follower must compare tables to learn what it missed."""

    number = 21
    log_id: int
    sequence: int
    replay: bool


@attrs.frozen
class Bulk(Message):
    """Table content outside the log: repairs and snapshot slices of comparison `comparison`."""

    number = 22
    comparison: int
    payload: bytes


@attrs.frozen
class Crossing(Message):
    """Master to the master of another site: what arose at the sender's site, batched and compressed; with it
    the log that Following named has crossed up to `sequence`. `payload` is what protocol.crossing makes."""

    number = 23
    sequence: int
    payload: bytes


# -- 24 to 31: comparing two tables (protocol.comparison) --------------------------------------------------------


@attrs.frozen
class Compare(Message):
    """Opens comparison `comparison`, and answers it: the sender's root at `cut_min`, each side once.

    `barriers` is the hash of the barriers and `records` the number of records the sender holds: 0 asks for a snapshot.
    `items` is the hash of the items at the cut; who leaves it out is of a version that knows no items.
    `since_ms` is the sender's time of the last completed comparison with this peer (0: never): the peer adds active_at
    of every record touched since. `forced` (by either side) asks for an exchange even if the roots are at different
    cuts.
    """

    number = 24
    comparison: int
    cut_min: int
    secret_id: bytes
    root: bytes
    barriers: bytes
    records: int
    since_ms: int
    forced: bool = False
    items: bytes = b""


@attrs.frozen
class Nodes(Message):
    """Hashes of the children of trie nodes. `paths` are node paths (one byte a nibble, NUL-free bytes are not
    promised, so each path is its own element); `children` is 16 x 8 bytes for each path."""

    number = 25
    comparison: int
    paths: tuple[bytes, ...]
    children: bytes


@attrs.frozen
class Pages(Message):
    """The sender's state bytes of all pages of `leaves`; the receiver takes them for complete. `last`: no more come.

    Two groups of columns: `proxies` and `epochs` list origins, each once; `origins` (an index into that list), `pages`
    (a page number of that origin) and `states` (its State bytes as protocol.states packs them) list pages.
    """

    number = 26
    comparison: int
    leaves: tuple[int, ...]
    proxies: tuple[str, ...]
    epochs: tuple[int, ...]
    origins: tuple[int, ...]
    pages: tuple[int, ...]
    states: tuple[bytes, ...]
    last: bool


@attrs.frozen
class Want(Message):
    """Asks for records of pages that the receiver has named in Pages, for each page once. `last`: no more are wanted.

    Columns as in Pages. `masks` are the records wanted whole, `end_masks` those of which the end is enough: place p of
    the page is bit p % 8 (from the lowest) of byte p // 8, NULs at the end of a mask left off.
    """

    number = 27
    comparison: int
    proxies: tuple[str, ...]
    epochs: tuple[int, ...]
    origins: tuple[int, ...]
    pages: tuple[int, ...]
    masks: tuple[bytes, ...]
    end_masks: tuple[bytes, ...]
    last: bool


@attrs.frozen
class Compared(Message):
    """The sender has asked for and sent all it had to: `sent` changes went to the peer. With one from each side the
    comparison is over. `comparable` false: the roots are under different keys or cuts."""

    number = 28
    comparison: int
    sent: int
    comparable: bool = True


@attrs.frozen
class SnapshotWait(Message):
    """Two snapshots are being served: yours comes later; go on with what you have."""

    number = 29
    comparison: int


# -- 32 and up: questions ----------------------------------------------------------------------------------------


@attrs.frozen
class IdleQuestion(Message):
    """Proxy to master: I saw nothing of these logins since `active_at`; have you? Columns of equal length."""

    number = 32
    question: int
    proxies: tuple[str, ...]
    epochs: tuple[int, ...]
    sequences: tuple[int, ...]
    active_at: tuple[int, ...]


@attrs.frozen
class IdleAnswer(Message):
    """Master to proxy: later activity as touches in `payload`; whatever is not in it, the master knows no more."""

    number = 33
    question: int
    payload: bytes


@attrs.frozen
class AdminRequest(Message):
    """Agent to agent: an admin verb that the master must carry out. `body` is JSON, as on the control socket."""

    number = 40
    request: int
    body: bytes


@attrs.frozen
class AdminAnswer(Message):
    number = 41
    request: int
    body: bytes


ALL: tuple[type[Message], ...] = (
    Hello, Challenge, Proof, Welcome, Refusal,
    Heartbeat, Farewell, Error, Ping, Pong,
    Update, Report, Acknowledgement, Stored, Follow, Following, Bulk, Crossing,
    Compare, Nodes, Pages, Want, Compared, SnapshotWait,
    IdleQuestion, IdleAnswer, Creation, Redemption, Verdict, Revocation, AdminRequest, AdminAnswer,
)  # fmt: skip
"""All messages, in the order of their numbers."""

BEFORE_PROOF: tuple[type[Message], ...] = (Hello, Challenge, Proof, Welcome, Refusal)
"""The only messages that a connection accepts before both sides are proven."""
