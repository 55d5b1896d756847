"""Who may be sent to: readiness of one agent as its role changes."""

from pathlib import Path

from authagent.http.readiness import is_ready
from tests.authagent.running import make, run_agents, until, write_files


async def test_a_slave_is_ready_once_it_has_everything(tmp_path: Path) -> None:
    """One that has lost its master is not, until it serves itself."""
    path = write_files(tmp_path, agents=2)
    assert not is_ready(make(path).server)
    async with run_agents(path, 1, 2) as agents:
        master, slave = sorted(agents, key=lambda each: each.role != each.role.MASTER)
        await until(lambda: is_ready(slave.server))
        assert is_ready(master.server)
        replication = slave.server.agent.replication
        complete, replication.complete = replication.complete, None
        assert not is_ready(slave.server)
        replication.complete = complete
        master.server.stop()
        await until(lambda: slave.role == slave.role.MASTER)
        assert is_ready(slave.server)
