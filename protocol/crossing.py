"""What crosses between sites: one batch of changes as few bytes, both ways (the payload of a Crossing).

Rules of this file:

- A batch is Changes and `outs`: ends of logins that the receiver is known to hold, by login id alone. The receiver
  finds key, user and expiry in its own table; what it does not hold it may pass over, since the sender vouches.
- A logout(key) that ended one of these logins needs no Mark of its own: outs that are `marked` stand for marks of their
  keys, all at `marked_at`, the least time of them. So a mark never ends more than was asked.
- Nothing is decompressed beyond DECOMPRESSED_BYTES_MAX, whatever a peer claims.

Theory. A batch of 100 logins takes 11 bytes each with address keys and 24 with cookies, of whose digest 16 are chance;
of an out what remains is the distance to the next sequence. Each batch is compressed by itself: a stream would save
another byte, and would tie a batch to all before it. Measured in docs/benchmark.md.

Source: DESIGN section 4 (WAN) and section 10.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs
import zstandard

from protocol import codec, limits
from protocol import payload as layout
from protocol.changes import Changes, EndRun, Mark
from protocol.columns import (
    END_STATES,
    check_epoch,
    check_name,
    pack_integers,
    pack_states,
    unpack_integers,
    unpack_states,
)
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.session import LoginId, Origin
from protocol.table import Table

DECOMPRESSED_BYTES_MAX = limits.FRAME_BYTES_MAX
"""A batch before it is compressed fits an ordinary frame."""

LEVEL = 3
"""Of zstd. Higher levels save 2 bytes in 100 here."""


@attrs.frozen
class Out:
    """Ends of logins of one origin, by their ascending sequences; `states` holds one State byte each."""

    origin: Origin
    sequences: Sequence[int]
    states: bytes


@attrs.frozen
class Batch:
    """What one Crossing carries. `marked_at` is milliseconds of the sender's cluster time."""

    changes: Changes = Changes()
    outs: tuple[Out, ...] = ()
    marked: tuple[Out, ...] = ()
    marked_at: int = 0

    def __bool__(self) -> bool:
        return bool(self.changes or self.outs or self.marked)

    def __len__(self) -> int:
        """How many single changes the batch holds."""
        return len(self.changes) + sum(len(out.sequences) for out in (*self.outs, *self.marked))


def encode(batch: Batch) -> Iterator[bytes]:
    """The batch as however many payloads it takes, in order. Raises LocalProtocolError for changes out of bounds."""
    raw = codec.pack((layout.pack(batch.changes), _pack(batch.outs), _pack(batch.marked), batch.marked_at))
    if len(raw) <= DECOMPRESSED_BYTES_MAX:
        yield zstandard.ZstdCompressor(level=LEVEL).compress(raw)
    else:
        for half in _halves(batch):
            yield from encode(half)


def decode(payload: bytes) -> Batch:
    """The batch in a payload, every bound checked. Raises RemoteProtocolError and nothing else."""
    row = codec.unpack(_decompressed(payload), limits.FRAME_CHANGES_MAX, "batch")
    if len(row) < 4 or type(row[0]) is not tuple or type(row[3]) is not int:
        raise RemoteProtocolError("a batch with too few parts")
    if not 0 <= row[3] <= limits.TIME_MS_MAX:
        raise RemoteProtocolError("a batch marked at an impossible time")
    outs = _Outs()
    batch = Batch(layout.unpack(row[0]), outs.unpack(row[1]), outs.unpack(row[2]), row[3])
    if len(batch) > limits.FRAME_CHANGES_MAX:
        raise RemoteProtocolError(f"more than {limits.FRAME_CHANGES_MAX} changes in one batch")
    return batch


def expand(batch: Batch, table: Table) -> Changes:
    """The batch as ordinary changes, its outs filled up from what the table holds of their logins.

    The logins of `batch.changes` must have been merged, unless no out is about one of them: the sender sees to that.
    """
    plain = _ends(batch.outs, table)
    marked = _ends(batch.marked, table)
    keys = dict.fromkeys(key for run in marked for key in run.keys)
    changes = batch.changes
    return attrs.evolve(
        changes,
        ends=(*changes.ends, *plain, *marked),
        marks=(*changes.marks, *(Mark(key, batch.marked_at) for key in keys)),
    )


# -- parts --------------------------------------------------------------------------------------------------------


def _halves(batch: Batch) -> tuple[Batch, Batch]:
    """Two batches that say the same, outs first; that there is more than one change is the caller's to see."""
    if batch.outs or batch.marked:
        return attrs.evolve(batch, changes=Changes()), Batch(batch.changes)
    count = len(batch.changes)
    if count < 2:
        raise LocalProtocolError("a change that is longer than a batch may be")
    parts = layout.split(batch.changes, (count + 1) // 2)
    return Batch(parts[0]), Batch(parts[1])


def _ends(outs: Iterable[Out], table: Table) -> tuple[EndRun, ...]:
    """What the outs end, as runs of one origin each; what the table does not hold is left out."""
    runs = []
    for out in outs:
        found = [
            (sequence, state, record.login)
            for sequence, state in zip(out.sequences, out.states, strict=True)
            if (record := table.record(LoginId(*out.origin, sequence))) is not None
        ]
        if found:
            sequences, states, logins = zip(*found, strict=True)
            keys, users = [login.key for login in logins], [login.user for login in logins]
            expires_at = [login.expires_at for login in logins]
            runs.append(EndRun(out.origin, sequences, bytes(states), keys, users, expires_at))
    return tuple(runs)


def _pack(outs: Iterable[Out]) -> tuple[Any, ...]:
    packed = []
    for out in outs:
        check_name(out.origin.proxy, "a proxy", LocalProtocolError)
        check_epoch(out.origin.epoch, LocalProtocolError)
        packed.append((*out.origin, *_pack_steps(out.sequences), pack_states(out.states, END_STATES)))
    return tuple(packed)


def _pack_steps(sequences: Sequence[int]) -> tuple[Any, ...]:
    """Ascending sequences as the first one, how many there are, and the steps between them, which compress well."""
    steps = [after - before for before, after in itertools.pairwise(sequences)]
    return sequences[0], len(sequences), pack_integers(steps, 1, limits.SEQUENCE_MAX, "a step") if steps else 0


class _Outs:
    """Unpacks outs, and counts them before anything is as long as the peer claims."""

    def __init__(self) -> None:
        self._left = limits.FRAME_CHANGES_MAX

    def unpack(self, rows: Any) -> tuple[Out, ...]:
        if type(rows) is not tuple:
            raise RemoteProtocolError("outs that are no array")
        return tuple(map(self._out, rows))

    def _out(self, row: Any) -> Out:
        if type(row) is not tuple or len(row) < 6:
            raise RemoteProtocolError("an out with too few columns")
        proxy, epoch, first, count, steps, states = row[:6]
        check_name(proxy, "a proxy", RemoteProtocolError)
        check_epoch(epoch, RemoteProtocolError)
        if type(first) is not int or type(count) is not int or not (first >= 0 and count >= 1):
            raise RemoteProtocolError("an out of no known form")
        self._spend(count)
        column = unpack_integers(steps, count - 1, 1, limits.SEQUENCE_MAX, "a step") if count > 1 else []
        sequences = list(itertools.accumulate(column, initial=first))
        if sequences[-1] > limits.SEQUENCE_MAX:
            raise RemoteProtocolError("a sequence out of bounds")
        return Out(Origin(proxy, epoch), sequences, unpack_states(states, count, END_STATES))

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise RemoteProtocolError(f"more than {limits.FRAME_CHANGES_MAX} changes in one batch")


def _decompressed(payload: bytes) -> bytes:
    """The bytes of a batch. Raises RemoteProtocolError before anything longer than a batch is made."""
    try:
        claimed = zstandard.get_frame_parameters(payload).content_size
        if not 0 < claimed <= DECOMPRESSED_BYTES_MAX:  # unknown is a very large number
            raise RemoteProtocolError("a batch that is longer than one may be, or does not say how long it is")
        raw: bytes = zstandard.ZstdDecompressor().decompress(payload, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise RemoteProtocolError(f"a batch that cannot be decompressed ({type(error).__name__})") from None
    return raw
