"""Hostile inputs from a seed: right ones with something wrong in them, at every level of their structure.

Rules of this file: nothing here but random.Random decides, so the n-th input of a seed is always the same; an input
is small, since what is long is hostile by its length alone and that is tried on purpose (`bomb`).
"""

import random
import struct
from typing import Any

import msgpack

BOUNDS = (
    0, 1, -1, 31, 32, 127, 128, 255, 256, 4_095, 4_096, 4_097, 65_535, 65_536, (1 << 31) - 1, 1 << 31, (1 << 32) - 1,
    1 << 39, (1 << 40) - 1, 1 << 40, (1 << 62) - 1, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, -(1 << 63),
)  # fmt: skip
"""Numbers at which a bound may have been forgotten."""

ODD: tuple[Any, ...] = (
    None, True, False, 0.0, -0.0, 1e308, float("inf"), float("nan"), "", "a", "\0", "é", "\u202e", "x" * 300, b"",
    b"\0", b"\xff" * 9, [], [[]], {}, {"a": 1}, {1: 2}, msgpack.ExtType(5, b""), msgpack.Timestamp(1, 0),
)  # fmt: skip
"""Values that do not belong where they are put."""


def value(chance: random.Random) -> Any:
    """Anything that msgpack can say."""
    kind = chance.random()
    if kind < 0.45:
        return chance.choice(BOUNDS)
    if kind < 0.6:
        return chance.choice(BOUNDS) + chance.randrange(-2, 3) if chance.random() < 0.5 else chance.getrandbits(40)
    if kind < 0.7:
        return chance.randbytes(chance.randrange(20))
    return chance.choice(ODD)


def wrong_somewhere(tree: list[Any], chance: random.Random) -> list[Any]:
    """A copy of nested lists with one node replaced, left out, doubled, moved or grown."""
    copy = [*tree]
    inner = copy
    while True:
        if not inner:
            inner.append(value(chance))
            return copy
        place = chance.randrange(len(inner))
        below = inner[place]
        if not isinstance(below, (list, tuple)) or not below or chance.random() < 0.2:
            break
        inner[place] = [*below]
        inner = inner[place]
    what = chance.random()
    if what < 0.6:
        inner[place] = _near(inner[place], chance) if chance.random() < 0.5 else value(chance)
    elif what < 0.7:
        del inner[place]
    elif what < 0.8:
        inner.insert(place, inner[place])
    elif what < 0.9:
        other = chance.randrange(len(inner))
        inner[place], inner[other] = inner[other], inner[place]
    else:
        inner[place] = [inner[place]] * chance.choice((1, 2, 17))
    return copy


def _near(node: Any, chance: random.Random) -> Any:
    """Something like what was there."""
    if isinstance(node, bool):
        return not node
    if isinstance(node, int):
        return node + chance.choice((-1, 1, 256, -256, 1 << 33))
    if isinstance(node, str):
        return chance.choice((node + "x", node[:-1], node.upper(), node + "\n", node * 60))
    if isinstance(node, bytes):
        return spoiled(node, chance) if node else b"\0"
    return value(chance)


JSON_ODD: tuple[Any, ...] = (
    *ODD[:14], "x\n", "10.0.0.1", "\x1b[2J", "9" * 5_000, [], [[]], ["x"], [["x"]], {}, {"a": ["b"]}, *BOUNDS,
)  # fmt: skip
"""What JSON can say and nobody expects."""


def wrong_object(tree: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """A copy of nested objects of JSON with one value replaced, left out, or under another name."""
    copy = dict(tree)
    if not copy:
        return {"a": chance.choice(JSON_ODD)}
    name = chance.choice(list(copy))
    below, what = copy[name], chance.random()
    if isinstance(below, dict) and what < 0.8:
        copy[name] = wrong_object(below, chance)
    elif isinstance(below, list) and below and isinstance(below[0], dict) and what < 0.8:
        copy[name] = [wrong_object(below[0], chance), *below[1:]]
    elif what < 0.1:
        del copy[name]
    elif what < 0.2:
        copy[chance.choice((f"{name}x", "", "é"))] = copy.pop(name)
    elif what < 0.3:
        copy[name] = copy[chance.choice(list(copy))]
    elif isinstance(below, str | int) and what < 0.7:
        copy[name] = _near(below, chance)
    else:
        copy[name] = chance.choice(JSON_ODD)
    return copy


def spoiled(data: bytes, chance: random.Random) -> bytes:
    """Bytes with a few changed, cut off, repeated or put in."""
    spoilt = bytearray(data)
    for _ in range(chance.randrange(1, 4)):
        if not spoilt:
            break
        place = chance.randrange(len(spoilt))
        what = chance.random()
        if what < 0.4:
            spoilt[place] = chance.randrange(256)
        elif what < 0.6:
            spoilt[place] ^= 1 << chance.randrange(8)
        elif what < 0.75:
            del spoilt[place:]
        elif what < 0.9:
            spoilt[place:place] = spoilt[place : place + chance.randrange(1, 9)]
        else:
            spoilt[place:place] = chance.randbytes(chance.randrange(1, 5))
    return bytes(spoilt)


def packed(tree: list[Any], chance: random.Random) -> bytes:
    """A tree as msgpack; what msgpack cannot say is made into something that it can."""
    try:
        data: bytes = msgpack.packb(tree)
    except (OverflowError, ValueError, TypeError):
        return bomb(chance)
    return spoiled(data, chance) if chance.random() < 0.2 else data


def bomb(chance: random.Random) -> bytes:
    """Nested arrays, or one string, that claim far more than there is."""
    claim = chance.choice((1, 16, 4_096, 65_536, (1 << 32) - 1))
    if chance.random() < 0.5:
        return (b"\xdd" + struct.pack(">I", claim)) * chance.choice((1, 50, 700))
    return chance.choice((b"\xdb", b"\xc6", b"\xc9", b"\xdf")) + struct.pack(">I", claim) + b"x" * chance.randrange(40)


def text(samples: tuple[str, ...], chance: random.Random) -> str:
    """One of some texts, with characters and lines changed."""
    lines = chance.choice(samples).split("\n")
    for _ in range(chance.randrange(1, 4)):
        place = chance.randrange(len(lines))
        what = chance.random()
        if what < 0.2:
            lines[place] = lines[chance.randrange(len(lines))]
        elif what < 0.3:
            del lines[place]
            lines = lines or [""]
        elif what < 0.6 and "=" in lines[place]:
            lines[place] = f"{lines[place].partition('=')[0]}= {chance.choice(VALUES)}"
        else:
            data = spoiled(lines[place].encode(errors="surrogateescape"), chance)
            lines[place] = data.decode(errors="surrogateescape")
    return "\n".join(lines)


VALUES = (
    "0", "-1", "1e999", "nan", "true", "[]", "{}", '""', '"x"', "[1, 2]", '"1s"', '"-1s"', '"99999999999999999999h"',
    "18446744073709551616", "1979-05-27T07:32:00Z", '"\\u0000"', '"/"', '"../../etc"', '"::1"', '"[::1]:9"', '"é"',
    '["0.0.0.0:1", "x"]', "{ a = 1 }", '"10.0.0.0/99"', "0x10", "1_0", "'a'", '"' + "a" * 5_000 + '"',
)  # fmt: skip
"""Values for a configuration file, right for some key and wrong for the others."""
