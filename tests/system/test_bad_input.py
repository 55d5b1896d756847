"""What hostile and mistaken input does to real processes: one clear line, the right exit code, and nothing else.

The agent under attack serves a proxy all the while: after every attack a login must still be acknowledged.
"""

import itertools
import json
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import trio

from tests.ports import free_port
from tests.system.harness import ROOT, Site, open_site, until

pytestmark = [pytest.mark.system, pytest.mark.slow]

SERVED_WITHIN_S = 3.0
EXIT_WITHIN_S = 10.0

_number = itertools.count(1)


@pytest.fixture
async def victim(tmp_path: Path) -> AsyncIterator[Site]:
    """One agent pair on loopback with one proxy."""
    async with open_site(tmp_path, proxies=1, relayed=True) as site:
        await site.start()
        yield site


def listening(site: Site) -> tuple[str, int]:
    """Where agent 1 really listens."""
    address = site.wires.address("agent1")
    assert address.listen is not None
    return "127.0.0.1", int(address.listen.rpartition(":")[2])


async def still_serves(site: Site) -> None:
    """A login at the proxy is acknowledged, and both agents are the processes that were started."""
    number = next(_number)
    await site.proxies[1].log_in(f"10.0.0.{number}", f"user{number}", SERVED_WITHIN_S)
    assert [agent.starts for agent in site.agents.values() if agent.running] == [1, 1]


async def closed_by_agent(stream: socket.socket, within_s: float) -> bool:
    """Whether the agent ends the connection in time."""
    stream.settimeout(within_s)

    def read() -> bool:
        try:
            while stream.recv(65_536):
                pass
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        return True

    return await trio.to_thread.run_sync(read)


def machine_of_its_own(site: Site) -> Path:
    """The same configuration as on another machine: the control sockets lie elsewhere."""
    (site.folder / "d").mkdir(mode=0o700)
    text = site.config.read_text()
    other = site.folder / "other.toml"
    other.write_text(text.replace(f'folder = "{site.folder}/c"', f'folder = "{site.folder}/d"'))
    return other


def run(*arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Run `authagent` to its end."""
    command = [sys.executable, "-m", "authagent", *arguments]
    environment = {"PATH": "/usr/bin:/bin:/usr/sbin", "PYTHONPATH": str(ROOT), "HOME": str(cwd or ROOT)}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=EXIT_WITHIN_S)


def is_one_clear_line(done: "subprocess.CompletedProcess[str]", codes: set[int], *words: str) -> None:
    """The exit code, no traceback, and the words in what was said."""
    said = done.stderr + done.stdout
    assert done.returncode in codes, said
    assert "Traceback" not in said
    for word in words:
        assert word in said, f"{word!r} is not in: {said}"


GARBAGE = {
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "zeros": bytes(4096),
    "noise": bytes(range(256)) * 64,
    "length of 4 GiB": struct.pack(">I", 0xFFFFFFFF) + b"x" * 100,
    "length just over the bound": struct.pack(">I", 4097) + b"x" * 4097,
    "deep nesting": struct.pack(">I", 4000) + b"\x91" * 4000,
    "not msgpack": struct.pack(">I", 3) + b"\xc1\xc1\xc1",
    "wrong message": struct.pack(">I", 3) + b"\x92\x0b\x01",
    "huge array header": struct.pack(">I", 5) + b"\xdd\xff\xff\xff\xff",
    "huge string header": struct.pack(">I", 5) + b"\xdb\xff\xff\xff\xff",
}


async def test_garbage_costs_only_its_connection(victim: Site) -> None:
    """Every kind of wrong bytes ends its own connection within the handshake's time, and the agent serves on."""
    for name, data in GARBAGE.items():
        with socket.create_connection(listening(victim)) as stream:
            stream.sendall(data)
            assert await closed_by_agent(stream, 4.0), name
    await still_serves(victim)


async def test_half_frames_and_silence_are_ended_in_time(victim: Site) -> None:
    """A connection that says nothing, or half a frame, or one byte at a time, is closed after two seconds in all."""
    half, silent, dripping = (socket.create_connection(listening(victim)) for _ in range(3))
    with half, silent, dripping:
        half.sendall(struct.pack(">I", 100) + b"x" * 50)
        ended: dict[str, float] = {}

        async def watch(name: str, stream: socket.socket) -> None:
            began = trio.current_time()
            assert await closed_by_agent(stream, 6.0), name
            ended[name] = trio.current_time() - began

        async def drip() -> None:
            dripping.sendall(struct.pack(">I", 1000))
            for _ in range(40):
                try:
                    dripping.send(b"x")
                except OSError:
                    return
                await trio.sleep(0.1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip)
            for name, stream in {"half": half, "silent": silent, "dripping": dripping}.items():
                nursery.start_soon(watch, name, stream)
    assert all(seconds < 4.0 for seconds in ended.values()), ended
    await still_serves(victim)


async def test_a_truncated_tls_handshake_is_harmless(victim: Site) -> None:
    """The first half of a TLS hello, and a whole one on a port without TLS, end their connections and nothing else."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="agent")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = outgoing.read()
    for data in (hello[: len(hello) // 2], hello, b"\x16\x03\x01\xff\xff"):
        with socket.create_connection(listening(victim)) as stream:
            stream.sendall(data)
            assert await closed_by_agent(stream, 4.0)
    await still_serves(victim)


async def test_1000_connections_at_once_do_not_shut_anybody_out(victim: Site) -> None:
    """A flood of silent strangers is bounded; the linked proxy does not notice, and a new one is let in afterwards."""
    strangers: list[socket.socket] = []
    try:
        for _ in range(1_000):
            stream = socket.socket()
            stream.setblocking(False)
            stream.connect_ex(listening(victim))
            strangers.append(stream)
        await still_serves(victim)
    finally:
        for stream in strangers:
            stream.close()
    victim.proxies[1].kill()
    victim.start_proxy(1)
    await victim.proxies[1].log_in("10.9.9.9", "late", 10.0)
    await still_serves(victim)


async def test_a_peer_that_stops_reading_holds_up_nobody(tmp_path: Path) -> None:
    """A stopped proxy loses its link; the others are acknowledged all the while, and it catches up when it goes on."""
    async with open_site(tmp_path, proxies=2, relayed=True) as site:
        await site.start()
        site.proxies[2].pause()
        site.proxies[1].tell(do="load", rate=200, network=1)
        await until(lambda: len(site.oracle.seconds) > 300, 30.0, "300 logins")
        site.proxies[1].tell(do="load", rate=0, network=1)
        site.proxies[2].resume()
        await site.wait_settled()
        await site.verify()
        assert site.oracle.unacknowledged == 0
        assert max(site.oracle.seconds) < 1.0


async def test_a_port_in_use_is_named(victim: Site, tmp_path: Path) -> None:
    """An agent whose port is taken exits and names the address."""
    port = listening(victim)[1]
    arguments = ("--config", str(machine_of_its_own(victim)), "--state-dir", str(tmp_path / "other"))
    done = await trio.to_thread.run_sync(lambda: run("1", "--listen", f"127.0.0.1:{port}", *arguments))
    is_one_clear_line(done, {2, 3}, str(port))
    await still_serves(victim)


async def test_a_control_socket_in_use_is_named(victim: Site, tmp_path: Path) -> None:
    """An agent whose control socket another process serves exits and names it."""
    arguments = ("--config", str(victim.config), "--state-dir", str(tmp_path / "other"))
    done = await trio.to_thread.run_sync(lambda: run("1", "--listen", f"127.0.0.1:{free_port()}", *arguments))
    is_one_clear_line(done, {2, 3}, "lan1-agent-1.sock")
    await still_serves(victim)


async def test_a_state_directory_has_one_owner(victim: Site) -> None:
    """A second agent on the same state directory exits and names the directory; the first goes on."""
    state = str(victim.agents[1].state_dir)
    arguments = ("--config", str(victim.config), "--state-dir", state, "--listen", f"127.0.0.1:{free_port()}")
    done = await trio.to_thread.run_sync(lambda: run("1", *arguments))
    is_one_clear_line(done, {2, 3}, "agent1")
    await still_serves(victim)


async def test_a_second_agent_1_is_refused_by_name(victim: Site, tmp_path: Path) -> None:
    """Another `authagent 1` with its own disk does not become a second member: the pair and the proxy go on."""
    command = [*victim.agents[1].command]
    command[command.index("--listen") + 1] = f"127.0.0.1:{free_port()}"
    command[command.index("--state-dir") + 1] = str(tmp_path / "second")
    other = machine_of_its_own(victim)
    command[command.index("--config") + 1] = str(other)
    log = tmp_path / "second.log"
    with log.open("wb") as out:
        second = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out)
    try:
        await until(lambda: b"linked already" in log.read_bytes() or second.poll(), EXIT_WITHIN_S, "it is refused")
        await still_serves(victim)
        await victim.wait_settled()
        said = log.read_bytes()
        assert b"Traceback" not in said
        assert b"linked already" in said
        asked = await trio.to_thread.run_sync(lambda: run("status", "--json", "--id", "1", "--config", str(other)))
        assert json.loads(asked.stdout)["role"] != "master", "it serves nobody while its partner refuses it"
    finally:
        second.kill()
        second.wait()


async def test_two_proxies_with_one_id_are_told_apart(victim: Site, tmp_path: Path) -> None:
    """The second process of one proxy id is refused while the first lives, and the first goes on undisturbed."""
    log = tmp_path / "twin.log"
    with log.open("wb") as out:
        twin = subprocess.Popen(
            victim.proxies[1].command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=out, bufsize=0
        )
    assert twin.stdin is not None
    assert twin.stdout is not None
    try:
        first = json.loads(await trio.to_thread.run_sync(twin.stdout.readline))
        assert first["event"] == "ready"
        twin.stdin.write(b'{"do": "state", "number": 1}\n')
        state = json.loads(await trio.to_thread.run_sync(twin.stdout.readline))
        assert state["isolated"]
        await still_serves(victim)
    finally:
        twin.kill()
        twin.wait()
        twin.stdin.close()
        twin.stdout.close()


MISTAKES: dict[str, Callable[[str], str]] = {
    "idle_timeuot": lambda text: f'{text}\n[session]\nidle_timeuot = "30m"\n',
    "connect_attempts": lambda text: f'{text}\n[timing]\nconnect_attempts = "five"\n',
    "authagent": lambda text: text.replace("id = 2", "id = 1"),
    "site": lambda text: text.replace('site = "lan1"', "site = 7", 1),
}


@pytest.mark.parametrize("named", MISTAKES)
async def test_a_bad_file_is_refused_with_the_key(tmp_path: Path, named: str) -> None:
    """A mistake in the file ends the start with 2 and a line that names its key."""
    async with open_site(tmp_path, proxies=1, relayed=True) as site:
        site.config.write_text(MISTAKES[named](site.config.read_text()))
        done = await trio.to_thread.run_sync(lambda: run("1", "--config", str(site.config)))
    is_one_clear_line(done, {2}, named)


async def test_agent_numbers_and_files_that_do_not_exist(tmp_path: Path) -> None:
    """`authagent 3`, a missing file and a missing secret end with 2 and say what to do."""
    async with open_site(tmp_path, proxies=1, relayed=True) as site:
        is_one_clear_line(run("3", "--config", str(site.config)), {2}, "3")
        is_one_clear_line(run("1", "--config", str(tmp_path / "missing.toml")), {2}, "missing.toml")
        secret = tmp_path / "secret"
        secret.chmod(0o644)
        is_one_clear_line(run("1", "--config", str(site.config)), {2}, "secret")
        secret.unlink()
        secret.touch(mode=0o600)
        secret.write_text("password\n")
        is_one_clear_line(run("1", "--config", str(site.config)), {2}, "secret")
        secret.unlink()
        is_one_clear_line(run("1", "--config", str(site.config)), {2}, "secret")


async def test_a_host_of_another_machine_is_named(tmp_path: Path) -> None:
    """An agent whose entry names a host that is not this machine's ends its start and names it."""
    async with open_site(tmp_path, proxies=1, relayed=True) as site:
        text = site.config.read_text().replace('host = "127.0.0.1"', 'host = "192.0.2.1"')
        site.config.write_text(text.replace('mode = "off"', 'mode = "auto"'))
        done = run("1", "--config", str(site.config), "--state-dir", str(tmp_path / "state"))
    is_one_clear_line(done, {2, 3}, "192.0.2.1")


async def test_a_control_path_too_long_is_named(tmp_path: Path) -> None:
    """A control folder whose socket path passes 107 bytes ends the start with 2 and names the setting."""
    long = tmp_path / ("x" * 60) / ("y" * 60)
    long.mkdir(parents=True)
    async with open_site(tmp_path, proxies=1, relayed=True) as site:
        text = site.config.read_text()
        line = next(line for line in text.splitlines() if line.startswith("folder = "))
        site.config.write_text(text.replace(line, f'folder = "{long}"'))
        done = run("1", "--config", str(site.config), "--listen", f"127.0.0.1:{free_port()}")
    is_one_clear_line(done, {2}, "107")


async def test_init_does_not_overwrite(tmp_path: Path) -> None:
    """`authagent init` over existing files ends with 2, names the file and leaves it as it was."""
    first = run("init", str(tmp_path / "new"), "--site", "lan1", "--agent", "10.0.0.1", "--agent", "10.0.0.2")
    assert first.returncode == 0, first.stderr
    before = {path: path.read_bytes() for path in (tmp_path / "new").iterdir()}
    is_one_clear_line(run("init", str(tmp_path / "new")), {2}, "exist")
    assert before == {path: path.read_bytes() for path in (tmp_path / "new").iterdir()}


async def test_an_unlisted_proxy_is_told(victim: Site, tmp_path: Path) -> None:
    """A proxy whose id is not in the file is refused before or at its link, and says so itself."""
    command = [*victim.proxies[1].command]
    command[command.index("--id") + 1] = "stranger"
    began = time.monotonic()
    done = await trio.to_thread.run_sync(
        lambda: subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    )
    assert time.monotonic() - began < 15.0
    assert "stranger" in done.stderr
    await still_serves(victim)
