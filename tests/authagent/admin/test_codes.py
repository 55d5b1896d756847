"""Codes at the control sockets of real agents: made at either, redeemed at either, refused in the source's words."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

import proxyagent
from protocol.io.control_client import ControlError, ExitCode
from protocol.messages import Role
from tests.authagent.running import Running, make, run_agents, serve, until, write_files, write_secret


@asynccontextmanager
async def pair(folder: Path) -> AsyncIterator[tuple[Running, Running]]:
    """The master and the slave, which counts."""
    async with run_agents(write_files(folder, agents=2), 1, 2) as agents:
        master, slave = sorted(agents, key=lambda each: each.role != Role.MASTER)
        await until(lambda: master.server.agent.service.slave is not None)
        yield master, slave


async def refused(running: Running, **question: object) -> ControlError:
    with pytest.raises(ControlError) as raised:
        await running.ask("code_redeem", **question)
    return raised.value


async def test_a_code_made_at_the_slave_is_redeemed_at_the_master_once(tmp_path: Path) -> None:
    """The device has it from then on; asking again is the same yes, another device is a no."""
    async with pair(tmp_path) as (master, slave):
        made = await slave.ask("code_create", user="gfield", validity_s=60)
        mine = {"user": "gfield", "code": made["code"].lower(), "device": "phone-1"}
        done = await master.ask("code_redeem", **mine)
        again = await slave.ask("code_redeem", **mine)
        no = await refused(slave, **{**mine, "device": "phone-2"})

        assert (made["state"], made["device"]) == ("open", "")
        assert made["validity_left_s"] == pytest.approx(60, abs=1)
        assert (done["state"], done["device"]) == (again["state"], again["device"]) == ("used", "phone-1")
        assert (str(no), no.code) == ("Invalid Provision Code", ExitCode.NO)
        assert any("provisioned successfully" in str(keys["said"]) for keys in master.logged("item.redeemed"))


async def test_a_code_is_in_no_line_and_no_record(tmp_path: Path) -> None:
    """Neither the log, nor the store, nor a list has it, in any spelling."""
    async with pair(tmp_path) as (master, slave):
        code = (await master.ask("code_create", user="gfield"))["code"]
        await refused(master, user="gfield", code="BCDF-BCDF", device="phone-1")
        await slave.ask("code_redeem", user="gfield", code=code, device="phone-1")
        kept = b"".join((*master.store.payloads, *slave.store.payloads))
        told = repr((master.lines, slave.lines, await master.ask("code_list")))

        for spelt in (code, code.replace("-", "")):
            assert spelt not in told and spelt.encode() not in kept


async def test_every_no_is_the_same(tmp_path: Path) -> None:
    """Unknown user, wrong code, no code at all: the same words, the same exit code; no user has its own words."""
    async with run_agents(write_files(tmp_path)) as (one,):
        await one.ask("code_create", user="gfield")
        noes = [
            await refused(one, user=user, code=code, device="phone-1")
            for user, code in (("gfield", "BCDF-BCDF"), ("nobody", "BCDF-BCDF"), ("gfield", "12345678"), ("gfield", 7))
        ]
        nameless = await refused(one, user="", code="BCDF-BCDF", device="phone-1")

        assert {(str(no), no.code) for no in noes} == {("Invalid Provision Code", ExitCode.NO)}
        assert str(nameless) == "User not set"


async def test_a_revoked_code_is_void(tmp_path: Path) -> None:
    """And a second revoking finds nothing."""
    async with pair(tmp_path) as (master, slave):
        code = (await master.ask("code_create", user="gfield"))["code"]
        revoked = [await slave.ask("code_revoke", user="gfield") for _ in range(2)]
        no = await refused(master, user="gfield", code=code, device="phone-1")
        listed = (await slave.ask("code_list", user="gfield"))["codes"]

        assert revoked == [{"revoked": 1}, {"revoked": 0}]
        assert no.code == ExitCode.NO
        assert [each["state"] for each in listed] == ["revoked"]


async def test_without_its_partner_and_a_witness_an_agent_decides_nothing(tmp_path: Path) -> None:
    """The other agent is gone, and no proxy was there when the code was made: not now, exit code 3, nothing used."""
    async with run_agents(write_files(tmp_path, agents=2), 1, 2) as agents:
        master, slave = sorted(agents, key=lambda each: each.role != Role.MASTER)
        await until(lambda: master.server.agent.service.slave is not None)
        code = (await master.ask("code_create", user="gfield"))["code"]
        slave.server.stop()
        await until(lambda: master.server.agent.peers.partner is None)
        no = await refused(master, user="gfield", code=code, device="phone-1", within_s=0.5)
        (state,) = (await master.ask("code_list"))["codes"]

        assert no.code == ExitCode.UNREACHABLE and str(no).startswith("Error Server Connection")
        assert (state["state"], state["tries_left"]) == ("open", 5)


async def test_with_a_witness_the_agent_that_is_left_decides(tmp_path: Path) -> None:
    """A proxy that was linked when the code was made vouches for it when the master is gone."""
    path = write_files(tmp_path, agents=2)
    async with run_agents(path, 1, 2) as agents, proxyagent.open_proxy_agent(path, id="p1") as proxy:
        master, slave = sorted(agents, key=lambda each: each.role != Role.MASTER)
        await until(lambda: master.server.agent.service.slave is not None)
        await proxy.wait_synchronised()
        made = await proxy.codes.create("gfield")
        master.server.stop()
        await until(lambda: slave.role == Role.MASTER)
        done = await slave.ask("code_redeem", user="gfield", code=made.code, device="phone-1", within_s=10)

        assert done["state"] == "used"


@pytest.mark.parametrize(
    ("verb", "question"),
    [
        ("code_create", {"user": "gfield", "validity_s": 9}),
        ("code_create", {"user": "gfield", "validity_s": 1_000_001}),
        ("code_create", {"user": "gfield", "validity_s": True}),
        ("code_create", {}),
        ("code_redeem", {"user": "gfield", "code": "BCDF-BCDF"}),
        ("code_redeem", {"user": "gfield", "code": "BCDF-BCDF", "device": "d" * 257}),
        ("code_revoke", {"user": "line\nbreak"}),
        ("code_list", {"user": 7}),
    ],
)
async def test_questions_out_of_bounds_end_with_2(tmp_path: Path, verb: str, question: dict[str, object]) -> None:
    """Named in one line, and nothing is asked of the machine."""
    async with run_agents(write_files(tmp_path)) as (one,):
        with pytest.raises(ControlError) as raised:
            await one.ask(verb, **question)
        assert raised.value.code == ExitCode.USAGE


async def test_making_and_revoking_is_for_administrators(tmp_path: Path) -> None:
    """Others whom the socket lets in may redeem and list."""
    async with run_agents(write_files(tmp_path)) as (one,):
        for verb in ("code_create", "code_revoke"):
            with pytest.raises(ControlError) as raised:
                await one.ask(verb, administrator=False, user="gfield")
            assert raised.value.code == ExitCode.UNREACHABLE
        code = (await one.ask("code_create", user="gfield"))["code"]
        done = await one.ask("code_redeem", administrator=False, user="gfield", code=code, device="phone-1")
        assert done["state"] == "used"
        assert len((await one.ask("code_list", administrator=False))["codes"]) == 1


async def test_a_code_outlives_a_change_of_the_secret(tmp_path: Path) -> None:
    """Made under the old line, it is redeemed while both are there; made under the new, also after the old is gone."""
    path = write_files(tmp_path)
    (old,) = write_secret(tmp_path)
    async with run_agents(path) as (one,):
        before = (await one.ask("code_create", user="old"))["code"]
        (new,) = write_secret(tmp_path)
        write_secret(tmp_path, new, old)
        one.server.apply(one.read())
        after = (await one.ask("code_create", user="new"))["code"]
        assert (await one.ask("code_redeem", user="old", code=before, device="phone-1"))["state"] == "used"
        write_secret(tmp_path, new)
        one.server.apply(one.read())
        assert (await one.ask("code_redeem", user="new", code=after, device="phone-1"))["state"] == "used"


async def test_many_at_once_are_one(tmp_path: Path) -> None:
    """Twenty devices at both agents with the right code at the same moment: one has it."""
    async with pair(tmp_path) as (master, slave):
        code = (await master.ask("code_create", user="gfield"))["code"]
        won, codes = list[str](), set[int]()

        async def race(number: int) -> None:
            device = f"phone-{number}"
            try:
                await (master, slave)[number % 2].ask("code_redeem", user="gfield", code=code, device=device)
                won.append(device)
            except ControlError as error:
                codes.add(error.code)

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(race, number)
        assert len(won) == 1
        assert codes == {ExitCode.NO}


async def test_codes_survive_the_end_of_every_agent(tmp_path: Path) -> None:
    """What the store has is there again: an open code is redeemed, a used one is not, wrong tries are not forgotten."""
    path = write_files(tmp_path)
    async with run_agents(path) as (one,):
        used = (await one.ask("code_create", user="used"))["code"]
        await one.ask("code_redeem", user="used", code=used, device="phone-1")
        open_code = (await one.ask("code_create", user="open"))["code"]
        await refused(one, user="open", code="BCDF-BCDF", device="phone-1")
        kept = list(one.store.payloads)
    again = make(path)
    again.store.payloads += kept
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, again)
        await until(lambda: again.role == Role.MASTER)
        no = await refused(again, user="used", code=used, device="phone-2")
        (left,) = {each["tries_left"] for each in (await again.ask("code_list", user="open"))["codes"]}
        done = await again.ask("code_redeem", user="open", code=open_code, device="phone-1")
        nursery.cancel_scope.cancel()

    assert no.code == ExitCode.NO
    assert (left, done["state"]) == (4, "used")
