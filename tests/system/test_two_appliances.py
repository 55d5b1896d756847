"""examples/two_appliances with real processes: its test, a trouble of its list, and what its README promises."""

import contextlib
import re
import secrets
import socket
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from protocol.io.control_client import ControlError, ask
from tests.system.processes import ROOT, Process, until

pytestmark = [pytest.mark.system, pytest.mark.slow]

EXAMPLE = ROOT / "examples" / "two_appliances"
PIN = "1370"


@attrs.define
class Appliance:
    """One machine: its agent, its program, and what the program says."""

    number: int
    folder: Path
    agent: Process
    program: Process
    lines: list[str] = attrs.field(factory=list)

    async def say(self, command: str) -> str:
        """One command, and its answer."""
        since = len(self.lines)
        assert self.program.process.stdin is not None
        self.program.process.stdin.write(command.encode() + b"\n")
        told = partial(self._told, since)
        await until(told, 15, f"appliance {self.number} answers {command.split()[0]}")
        return self.lines[since]

    def _told(self, since: int) -> object:
        return len(self.lines) > since or f"nothing; {self.program.log_end()}; {self.agent.log_end()}"

    async def listen(self) -> None:
        """Take in what the program says, until it ends."""
        assert self.program.process.stdout is not None
        while line := await trio.to_thread.run_sync(self.program.process.stdout.readline, abandon_on_cancel=True):
            self.lines.append(line.decode().rstrip("\n"))

    async def status(self) -> dict[str, Any]:
        path = str(self.folder / "run" / f"appliances-agent-{self.number}.sock")
        try:
            return await trio.to_thread.run_sync(partial(ask, path, "status", timeout_s=5.0))
        except (ControlError, OSError):
            return {}

    @property
    def log(self) -> str:
        return self.agent.log.read_text() if self.agent.log.exists() else ""


def _ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        return one.getsockname()[1], two.getsockname()[1]


def _write(folder: Path, ports: tuple[int, int], secret: str) -> None:
    """The example's own file, with the hosts of this machine."""
    text = (EXAMPLE / "authagent.toml").read_text(encoding="utf-8")
    for name, port in zip(("primary", "standby"), ports, strict=True):
        text = re.sub(rf'"{name}\.appliances\.example"(.*)\nport = 9023', rf'"127.0.0.1"\1\nport = {port}', text)
    assert "example" not in text
    folder.mkdir()
    (folder / "run").mkdir(mode=0o700)
    (folder / "authagent.toml").write_text(f'{text}\n[control]\nfolder = "run"\n')
    (folder / "secret").touch(mode=0o600)
    (folder / "secret").write_text(f"{secret}\n")
    (folder / "users.txt").write_text(f"admin:{PIN}\n")


def _appliance(folder: Path, number: int) -> Appliance:
    config = ["--config", str(folder / "authagent.toml")]
    agent = [sys.executable, "-m", "authagent", str(number), *config, "--state-dir", str(folder / "state")]
    program = [sys.executable, str(EXAMPLE / "appliance.py"), "--id", f"appliance-{number}", *config]
    program += ["--users", str(folder / "users.txt")]
    environment = {"PYTHONPATH": str(ROOT)}
    return Appliance(
        number, folder,
        Process(f"agent{number}", agent, folder / "agent.log", environment=environment),
        Process(f"appliance{number}", program, folder / "program.log", piped=True, environment=environment),
    )  # fmt: skip


@contextlib.asynccontextmanager
async def open_appliances(folder: Path) -> AsyncIterator[tuple[Appliance, Appliance]]:
    """Both machines, each with its own folder; every process is ended on leaving."""
    short = Path(f"/tmp/ta-{secrets.token_hex(4)}")  # the path of a Unix socket has at most 107 bytes
    short.symlink_to(folder)
    ports, secret = _ports(), secrets.token_urlsafe(32)
    for number in (1, 2):
        _write(short / f"machine{number}", ports, secret)
    one, two = (_appliance(short / f"machine{number}", number) for number in (1, 2))
    async with trio.open_nursery() as nursery:
        try:
            for each in (one, two):
                each.agent.start()
            await until(partial(_equal, one, two), 20, "the agents are equal")
            for each in (one, two):
                each.program.start()
                nursery.start_soon(each.listen)
            await until(partial(_linked, one, two), 20, "both programs are linked")
            yield one, two
        finally:
            for each in (one, two):
                each.program.kill()
                each.agent.kill()
            short.unlink()
            nursery.cancel_scope.cancel()


async def _equal(*appliances: Appliance) -> object:
    states = [await each.status() for each in appliances]
    roles = sorted(str(state.get("role")) for state in states)
    return (roles == ["master", "slave"] and all(state["partner"]["digest_equal"] for state in states)) or str(states)


async def _linked(*appliances: Appliance) -> object:
    states = [await each.status() for each in appliances]
    linked = [proxy["id"] for state in states for proxy in state.get("proxies", ()) if proxy["connected"]]
    return sorted(linked) == ["appliance-1", "appliance-2"] or str(linked)


def otc(digits: str) -> str:
    """What a user with the PIN reads from the picture."""
    return digits[0] + digits[2] + digits[6] + digits[9]


async def test_an_image_made_on_one_appliance_allows_the_login_at_the_partner(tmp_path: Path) -> None:
    """The source's own test, both ways; once only; and each agent's log says SESSION_UPDATE for what came over."""
    async with open_appliances(tmp_path) as (one, two):
        digits = await one.say("image admin")
        wrong = await two.say("login admin 0000" if otc(digits) != "0000" else "login admin 1111")
        right = await two.say(f"login admin {otc(digits)}")
        again = await one.say(f"login admin {otc(digits)}")
        back = await one.say(f"login admin {otc(await two.say('image admin'))}")

        assert re.fullmatch(r"\d{10}", digits)
        assert (wrong, right, again, back) == ("no", "yes", "no", "yes")
        for each in (one, two):
            assert "said=SESSION_UPDATE kind=image user=admin" in each.log
            assert digits not in each.log


async def test_sms_and_provision_codes_are_good_at_both_and_once(tmp_path: Path) -> None:
    """Sent by one, typed at the other; and what one made the other has when its agent is killed."""
    async with open_appliances(tmp_path) as (one, two):
        code = (await one.say("sms admin")).rpartition(" ")[2]
        provision = await two.say("provision gfield")
        later = (await two.say("sms admin")).rpartition(" ")[2]
        first = await two.say(f"login admin {later}")
        activated = await two.say(f"activate gfield {provision} phone-1")
        refused = await one.say(f"activate gfield {provision} tablet")
        image = await one.say("image admin")
        master = one if (await one.status())["role"] == "master" else two
        master.agent.kill()
        after = await two.say(f"login admin {otc(image)}")
        alone = await one.say(f"login admin {code}")

        assert first == "yes"
        assert (activated, refused) == ('User "gfield" provisioned successfully', "Invalid Provision Code")
        assert (after, alone) == ("yes", "yes")
        assert all(each not in one.log + two.log for each in (code, later, provision))


async def test_another_secret_is_told_in_the_words_of_the_source(tmp_path: Path) -> None:
    """SYNC_ERROR_UNAUTHORIZED, Time out now 10; and when the file is copied again, it works."""
    async with open_appliances(tmp_path) as (one, two):
        two.agent.kill()
        good = (two.folder / "secret").read_text()
        (two.folder / "secret").write_text(secrets.token_urlsafe(32) + "\n")
        two.agent.start()
        await until(lambda: "SYNC_ERROR_UNAUTHORIZED" in two.log or two.agent.log_end(3), 20, "agent 2 says why")
        line = next(line for line in two.log.splitlines() if "SYNC_ERROR_UNAUTHORIZED" in line)
        (two.folder / "secret").write_text(good)
        two.agent.kill()
        two.agent.start()
        await until(partial(_equal, one, two), 20, "the agents are equal again")

        assert "Time out now 10" in line
