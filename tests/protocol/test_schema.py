"""What fields of messages may hold."""

import enum

import attrs
import pytest

from protocol import limits, messages, schema
from protocol.messages import Message
from tests.wire import samples


def complaint(message: Message, **changes: object) -> str | None:
    """What is said of a sample with some fields changed; a Role or Code in it counts as its number."""
    known = schema.BY_NUMBER[message.number]
    values = known.values_of(attrs.evolve(message, **changes))  # type: ignore[misc]
    return known.complaint(tuple(int(value) if isinstance(value, enum.IntEnum) else value for value in values))


def sample(kind: type[Message]) -> Message:
    return next(message for message in samples.MESSAGES if type(message) is kind)


def test_numbers_are_unique_and_in_order() -> None:
    """No two messages share a number, and the list of all is in their order."""
    numbers = [kind.number for kind in messages.ALL]
    assert numbers == sorted(set(numbers))
    assert set(schema.BY_NUMBER) == set(numbers)


def test_every_message_class_is_listed() -> None:
    """Whatever is defined can be spoken."""
    defined = {each for each in vars(messages).values() if isinstance(each, type) and issubclass(each, Message)}
    assert defined - {Message} == set(messages.ALL)


@pytest.mark.parametrize("message", samples.MESSAGES, ids=lambda message: type(message).__name__)
def test_samples_are_right(message: Message) -> None:
    """Nothing is said of a right message."""
    assert complaint(message) is None


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (messages.Ping, "nonce", True),
        (messages.Ping, "nonce", 1.0),
        (messages.Ping, "nonce", None),
        (messages.Heartbeat, "unsure", 1),
        (messages.Heartbeat, "root", "text"),
        (messages.Update, "site", b"lan1"),
        (messages.Update, "payload", "text"),
        (messages.Acknowledgement, "counted", ["1"]),
    ],
)
def test_types_are_exact(kind: type[Message], field: str, value: object) -> None:
    """A bool is no int, an int no bool, a text no bytes, a list no tuple; nothing may be missing that must be there."""
    assert complaint(sample(kind), **{field: value}) == f"{kind.__name__} has a field of the wrong type"


@pytest.mark.parametrize(
    ("kind", "field", "good", "bad"),
    [
        (messages.Ping, "nonce", (1 << 64) - 1, 1 << 64),
        (messages.Ping, "nonce", 0, -1),
        (messages.Update, "site", "x" * 64, "x" * 65),
        (messages.Update, "site", "é" * 32, "é" * 33),
        (messages.Update, "site", "a b", ""),
        (messages.Update, "site", "a", "a\nb"),
        (messages.Update, "site", "a", "\ud800"),
        (messages.Farewell, "text", "x" * 512, "x" * 513),
        (messages.Farewell, "text", "", "\x1b[31m"),
        (messages.Farewell, "elsewhere", "", "x" * 65),
        (messages.Heartbeat, "role", 3, 4),
        (messages.Heartbeat, "cluster_ms", None, limits.TIME_MS_MAX + 1),
        (messages.Heartbeat, "root", None, bytes(65)),
        (messages.Pages, "leaves", (4095,), (4096,)),
        (messages.Pages, "leaves", (), (True,)),
        (messages.Nodes, "paths", (b"\1\2\3", b""), (b"\1\2\3\4", b"")),
        (messages.Acknowledgement, "counted", ("1",), (1,)),
        (messages.IdleQuestion, "sequences", (limits.SEQUENCE_MAX,), (limits.SEQUENCE_MAX + 1,)),
    ],
)
def test_bounds_are_checked_at_their_edge(kind: type[Message], field: str, good: object, bad: object) -> None:
    """The last value within each bound is taken, the first beyond it is not; the complaint quotes no value."""
    assert complaint(sample(kind), **{field: good}) is None
    assert complaint(sample(kind), **{field: bad}) == f"{kind.__name__}.{field} is out of bounds"


@pytest.mark.parametrize("kind", [messages.Pages, messages.Want, messages.IdleQuestion])
def test_columns_have_one_length(kind: type[Message]) -> None:
    """Columns of one table cannot differ in length."""
    assert complaint(sample(kind), epochs=(1, 2)) == f"{kind.__name__} has columns of unequal length"


def test_children_fit_their_paths() -> None:
    """16 hashes of 8 bytes for each node."""
    assert complaint(sample(messages.Nodes), children=bytes(255)) == "Nodes.children does not fit its paths"
