"""The processes of the demo."""

import socket
import sys
from pathlib import Path

import pytest

from authagent.demo.cast import Program, free_port, make_agent, make_proxy, proxy_program, until, write_configuration
from authagent.demo.narrate import StepFailed
from protocol.configuration import parse
from protocol.io import secret_file


def program(folder: Path, code: str) -> Program:
    """A small Python program."""
    return Program("it", [sys.executable, "-c", code], folder / "it.log")


def test_the_configuration_is_a_right_one(tmp_path: Path) -> None:
    """What the demo writes is accepted whole, secret included, and readable by its owner only."""
    path = write_configuration(tmp_path, (20001, 20002), {"alice": "x"})
    configuration = parse(path.read_text(), str(path))
    assert [entry.port for entry in configuration.authagents] == [20001, 20002]
    secret_file.read(str(tmp_path / "secret"))
    assert (tmp_path / "users.txt").stat().st_mode & 0o077 == 0


def test_agents_listen_elsewhere_than_the_file_says(tmp_path: Path) -> None:
    """Each agent and proxy has a port, a log and a state directory of its own."""
    config = tmp_path / "authagent.toml"
    agents = [make_agent(tmp_path, config, number) for number in (1, 2)]
    proxies = [make_proxy(tmp_path, config, number) for number in (1, 2)]
    assert f"127.0.0.1:{agents[0].port}" in agents[0].command
    assert agents[0].state_dir != agents[1].state_dir
    assert len({process.log for process in (*agents, *proxies)}) == 4


def test_the_proxy_program_is_found() -> None:
    """The example is there, in a checkout as in an installation."""
    assert proxy_program().name == "minimal_proxy.py"


def test_a_free_port_can_be_listened_on() -> None:
    """And lies below the ports that the kernel gives to outgoing connections."""
    port = free_port()
    assert port < 32_768
    with socket.create_server(("127.0.0.1", port)):
        pass


async def test_a_program_is_killed_and_started_again(tmp_path: Path) -> None:
    """kill() ends it at once, and start() adds to the same log."""
    it = program(tmp_path, "import time; time.sleep(60)")
    it.start()
    assert it.running
    it.kill()
    assert not it.running
    it.start()
    assert it.running
    it.kill()
    it.kill()


async def test_a_program_that_ends_badly_fails_the_step(tmp_path: Path) -> None:
    """Another exit code than 0 after SIGTERM is told with the last line of the log."""
    it = program(tmp_path, "import signal; print('up', flush=True); signal.pause()")
    it.start()
    await until(lambda: "up" in it.log.read_text() or it.last_line(), 5.0, "it is up")
    with pytest.raises(StepFailed, match="it: up"):
        await it.stop(5.0)


async def test_until_tells_what_was_seen_last() -> None:
    """A condition that does not come true in time fails with what was expected and what was seen."""
    with pytest.raises(StepFailed) as failed:
        await until(lambda: "still nothing", 0.05, "something")
    assert failed.value.expected == "something within 0.05 s"
    assert failed.value.seen == "still nothing"
