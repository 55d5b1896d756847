"""A disk that has changed a byte: what an agent that is alone, and so the only one who knows, makes of it."""

from pathlib import Path

import pytest

from tests.authagent.test_store_reading import cells, spoil
from tests.system.harness import open_site, until

pytestmark = [pytest.mark.system, pytest.mark.slow]

LOGINS = 30
SPOILT = 12


@pytest.mark.parametrize("id", [0x03, 0x5A], ids=["a number of before", "a number of none"])
async def test_one_wrong_byte_costs_nobody(tmp_path: Path, id: int) -> None:
    """In the number of a row: the only agent comes back with every login, mends its file, and says what it did."""
    async with open_site(tmp_path, proxies=1) as site:
        await site.start()
        proxy, agent = site.proxies[1], site.agents[1]
        keys = [f"10.0.0.{number}" for number in range(1, LOGINS + 1)]
        for key in keys:  # one at a time: each is a row
            await proxy.log_in(key, f"user-{key}")
        await site.agents[2].terminate()
        await agent.terminate()
        proxy.kill()

        stores = list(agent.state_dir.rglob("sessions.db"))
        spoil(stores[0], cells(stores[0])[SPOILT], bytes([id]))
        for _ in range(2):  # the second time from the file that was mended
            agent.start()
            await site.wait_role(1, "master")
            site.start_proxy(1)

            async def known() -> object:
                shown = await proxy.shown()
                return sorted(shown.values()) == sorted(keys) or shown

            await until(known, 15.0, "an empty proxy knows everybody")

            async def mended() -> object:
                store = (await agent.status()).get("store", {})
                return store == {"ok": True, "error": ""} or store

            await until(mended, 15.0, "the store is sound")
            await agent.terminate()
            proxy.kill()
        assert len(list(agent.state_dir.rglob("sessions.db.set-aside-*"))) == 1
        assert "stands where row" in agent.log.read_text()
