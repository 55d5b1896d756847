"""A site of two agents and three proxies, running and settled."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.system.harness import Site, open_site


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """Started, with one master, one slave and all tables equal."""
    async with open_site(tmp_path) as site:
        await site.start()
        yield site
