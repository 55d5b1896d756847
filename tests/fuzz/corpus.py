"""The corpus: inputs that are kept for ever, each a line of hexadecimal digits in the file of its target.

What follows the digits, after a #, says what it was. Every former crash is here; `make test` replays them all.
"""

from pathlib import Path

FOLDER = Path(__file__).with_name("corpus")


def entries(target: str) -> list[bytes]:
    """The inputs kept for one target, in their order."""
    path = FOLDER / f"{target}.txt"
    if not path.exists():
        return []
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [bytes.fromhex(line) for line in lines if line]


def line_of(data: bytes, why: str) -> str:
    """How an input stands in its file."""
    return f"{data.hex()}  # {why}"
