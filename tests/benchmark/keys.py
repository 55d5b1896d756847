"""The keys of both sides: client addresses, as most proxies use them, given out by number."""

import hashlib
import itertools

_numbers = itertools.count(step=4_000_000)


def address(number: int) -> str:
    """The IPv4 address of a number below 2 ** 28."""
    return f"{10 + (number >> 24)}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def cookie(number: int) -> str:
    """The key of a browser: 32 hex digits of the hash of a cookie's value, which are chance."""
    return f"cookie:{hashlib.sha256(str(number).encode()).hexdigest()[:32]}"


def block() -> int:
    """The first number of a block of 4,000,000 that nobody else in this process has."""
    return next(_numbers) % (1 << 28)
