"""docs/howto/troubleshooting.md quotes only what the programs really say."""

import re

import pytest

from tests.repository import tree

FOREIGN = {"authagent: command not found", "externally-managed-environment"}
"""What the shell and pip say."""


def _quotes() -> list[str]:
    """What stands in the first column, as code."""
    text = (tree.ROOT / "docs" / "howto" / "troubleshooting.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `([^`]+)` \|", text, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def sources() -> str:
    """All texts of the programs; those written on several lines joined."""
    joined = "\n".join(path.read_text(encoding="utf-8") for path in tree.sources())
    return re.sub(r'"\s*f?"', "", joined)


@pytest.mark.parametrize("quote", sorted(set(_quotes()) - FOREIGN))
def test_a_quoted_line_is_printed_somewhere(quote: str, sources: str) -> None:
    """Some words of it that stand together are in the code together; what varies is between them."""
    words = quote.split()
    if words[0] in ("alarm", "warning"):
        assert f'"{words[1]}"' in sources
        return
    count = min(3, len(words))
    runs = [" ".join(words[first : first + count]) for first in range(len(words) - count + 1)]
    assert any(run in sources for run in runs)


def test_there_is_something_to_quote() -> None:
    """The page has its tables."""
    assert len(_quotes()) > 50
