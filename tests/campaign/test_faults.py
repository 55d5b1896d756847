"""The breaker itself: what it draws, what it counts, and that it leaves nothing broken."""

import random
from pathlib import Path

import pytest
import trio

from tests.campaign.contenders import CONTENDERS, PAIR
from tests.campaign.faults import Faults
from tests.campaign.run import PROXIES
from tests.system.clocks import Clocks
from tests.system.disks import open_disks
from tests.system.ground import open_ground


async def test_a_kind_that_this_ground_cannot_have_is_not_drawn(tmp_path: Path) -> None:
    """On relays and plain folders there are kills, stops and cuts, and the ground names the rest."""
    async with open_ground(tmp_path, PAIR.servers, PROXIES, relayed=True) as ground:
        faults = Faults(PAIR.make(ground), random.Random(1), lambda number: None)
        names = {kind.__name__ for kind in faults.kinds}
        assert names == {"kill_server", "kill_proxy", "stop_server", "stop_proxy", "cut", "isolate"}
        assert len(ground.missing) == 3


def test_a_clock_is_shifted_by_its_file(tmp_path: Path) -> None:
    """Whoever reads the file while it is replaced sees the old shift or the new one."""
    clocks = Clocks(tmp_path, ["agent1"])
    assert (tmp_path / "clock-agent1").read_text() == "+0.000\n"
    clocks.shift("agent1", -1.25)
    assert (tmp_path / "clock-agent1").read_text() == "-1.250\n"
    if clocks.possible:
        assert clocks.environment("agent1")["FAKETIME_TIMESTAMP_FILE"] == str(tmp_path / "clock-agent1")


def test_a_full_disk_takes_nothing_and_a_freed_one_takes_all(tmp_path: Path) -> None:
    """As far as this machine lets a disk be filled."""
    with open_disks(tmp_path, ["agent1"], small=True) as disks:
        if not disks.possible:
            pytest.skip("needs root, to mount a tmpfs")
        file = disks.folders["agent1"] / "file"
        disks.fill("agent1")
        with pytest.raises(OSError, match="No space left"):
            file.write_bytes(b"x" * 4096)
        disks.free("agent1")
        assert file.write_bytes(b"x" * 4096) == 4096


@pytest.mark.parametrize("name", sorted(CONTENDERS))
async def test_each_contender_is_made_of_named_servers(name: str, tmp_path: Path) -> None:
    """Nothing is started; every server has a process, and no two processes share a log."""
    contender = CONTENDERS[name]
    async with open_ground(tmp_path, contender.servers, PROXIES if name == PAIR.name else (), relayed=True) as ground:
        crew = contender.make(ground)
        processes = [process for server in crew.servers.values() for process in server.processes]
        assert set(crew.servers) == set(contender.servers)
        assert len({process.log for process in processes}) == len(processes)
        await trio.lowlevel.checkpoint()
