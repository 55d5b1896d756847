"""The bytes of every message, for ever: what is released here, every later version must still speak.

golden.txt has one line for each sample: its name and its body in hex. A line may be added, never changed: where a
message or a payload has grown, the line of its earlier form goes on under the name with `-1` behind it.
"""

from pathlib import Path

import attrs
import msgpack
import pytest

from protocol import messages
from protocol.codec import decode, decode_changes, encode, encode_changes
from protocol.messages import Message
from tests.wire import samples

GOLDEN = dict(line.split() for line in Path(__file__).with_name("golden.txt").read_text("ascii").splitlines())


def test_there_is_a_sample_of_each_message() -> None:
    """No message is without its golden bytes."""
    assert [type(sample) for sample in samples.MESSAGES] == list(messages.ALL)
    now = {name for name in GOLDEN if "-" not in name}
    assert now == {sample.__name__ for sample in messages.ALL} | {"Changes"}


@pytest.mark.parametrize("sample", samples.MESSAGES, ids=lambda sample: type(sample).__name__)
def test_the_bytes_of_a_message_never_change(sample: Message) -> None:
    """Each sample encodes to its golden bytes, and they decode to the sample."""
    body = bytes.fromhex(GOLDEN[type(sample).__name__])
    assert encode(sample).hex() == body.hex()
    assert decode(body) == sample


def test_the_bytes_of_changes_never_change() -> None:
    """A payload with every column form encodes to its golden bytes and back."""
    payload = bytes.fromhex(GOLDEN["Changes"])
    assert encode_changes(samples.CHANGES).hex() == payload.hex()
    assert decode_changes(payload) == samples.CHANGES


def test_earlier_forms_are_still_understood() -> None:
    """What has grown decodes without what has come since, as it always did: of messages, and of a payload."""
    compare = next(sample for sample in samples.MESSAGES if isinstance(sample, messages.Compare))
    heartbeat = next(sample for sample in samples.MESSAGES if isinstance(sample, messages.Heartbeat))

    assert decode(bytes.fromhex(GOLDEN["Compare-1"])) == attrs.evolve(compare, items=b"")
    assert decode(bytes.fromhex(GOLDEN["Heartbeat-1"])) == attrs.evolve(heartbeat, sites=())
    assert decode(bytes.fromhex(GOLDEN["Follow-1"])) == messages.Follow(0, 0)
    assert decode_changes(bytes.fromhex(GOLDEN["Changes-1"])) == attrs.evolve(samples.CHANGES, items=())
    assert encode_changes(attrs.evolve(samples.CHANGES, items=())).hex() == GOLDEN["Changes-1"]


@pytest.mark.parametrize("sample", samples.MESSAGES, ids=lambda sample: type(sample).__name__)
def test_a_message_is_an_array_that_any_msgpack_reads(sample: Message) -> None:
    """A decoder that knows nothing of us sees [number, field, field ...] with plain values."""
    number, *fields = msgpack.unpackb(bytes.fromhex(GOLDEN[type(sample).__name__]), use_list=False)
    assert number == sample.number
    assert fields == [getattr(sample, name) for name in type(sample).__match_args__]  # type: ignore[attr-defined]
