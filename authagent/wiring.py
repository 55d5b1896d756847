"""Puts one agent together and runs it: the only file of authagent that reads clocks, dice and signals.

Rules of this file:

- Order of coming up: file and secret, log, lock and store, table, control socket, doors. Of going down: hand over,
  doors, flush, control socket.
- What is wrong before the doors are open ends the process with one line and exit code 2; a broken invariant with 70.
"""

import datetime
import gc
import os
import random
import signal
import sys
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import trio

from authagent import __version__, setup
from authagent.admin.handler import Handler
from authagent.admin.status import Facts
from authagent.config import Flags
from authagent.core.agent import Agent
from authagent.core.settings import Settings
from authagent.listener import ListenError
from authagent.server import Server
from authagent.setup import Setup
from authagent.store import Store, StoreUnusable, open_store
from authagent.tally import Tally
from protocol import codec
from protocol.io.clock import read_clock
from protocol.io.control import serve_control
from protocol.io.control_client import ExitCode
from protocol.io.control_socket import ControlPathError
from protocol.io.log_file import ProgramLog
from protocol.io.tls import TlsError
from protocol.mistakes import MistakesFound
from protocol.stamp import Now
from protocol.table import Table

SLICE_RECORDS = 500


def main(flags: Flags) -> int:
    """Run one agent until it is told to stop; returns the exit code. Blocks."""
    dice = random.SystemRandom()
    try:
        made = setup.read(flags, dice.getrandbits(64))
        settings = made.configuration.logging
        log = ProgramLog(level=settings.level, path=made.made.log_path, form=settings.format, monotonic_s=_monotonic_s)
    except MistakesFound as error:
        return _fail("\n".join(str(error).splitlines()))
    except (TlsError, OSError) as error:
        return _fail(str(error))
    failures: list[BaseException] = []
    try:
        trio.run(_Program(flags, made, log, dice).run)
    except* (ListenError, StoreUnusable, ControlPathError) as group:
        failures = _leaves(group)
    finally:
        log.close()
    return _fail("; ".join(map(str, failures))) if failures else ExitCode.DONE


def _clock() -> Now:
    """All clocks at this moment; the monotonic one is trio's, so that deadlines are comparable."""
    return read_clock()._replace(monotonic_s=trio.current_time())


def _monotonic_s() -> float:
    return read_clock().monotonic_s


class _Program:
    """One run."""

    def __init__(self, flags: Flags, made: Setup, log: ProgramLog, dice: random.SystemRandom) -> None:
        self._flags = flags
        self._log = log
        self._store: Store
        self._started_ms = read_clock().wall_ms
        timing, limits = made.configuration.timing, made.configuration.limits
        offset_ms = int(timing.max_clock_offset_s * 1000)
        table = Table(digest_key=made.digest_key, max_clock_offset_ms=offset_ms, records_max=limits.sessions)
        partner = made.partner
        settings = Settings(
            site=made.site,
            id=int(made.id),
            partner=None if partner is None else partner.id,
            connect_attempts=timing.connect_attempts,
            connect_interval_s=timing.connect_interval_s,
            heartbeat_interval_s=timing.heartbeat_interval_s,
            suspect_after_s=timing.suspect_after_s,
            max_clock_offset_ms=offset_ms,
        )
        tally = Tally(log)
        self._server = Server(Agent(settings, table, dice, made.secret_id), made, log, _clock, dice, tally)
        self._handler = Handler(self._server, self._facts, _rfc3339, self._reload)
        self._server.carry_out = self._handler.carry_out

    async def run(self) -> None:
        server, made, log = self._server, self._server.setup, self._log
        log.started("authagent.starting", site=made.site, id=made.id, version=__version__, pid=os.getpid())
        setup.warn(made, log)
        async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
            self._store = await stack.enter_async_context(
                open_store(
                    nursery,
                    made.made.state_dir,
                    site=made.site,
                    id=made.id,
                    slices=self._slices,
                    stored=server.stored,
                    log=log,
                    wall_ms=lambda: read_clock().wall_ms,
                )
            )
            await server.load(self._store)
            gc.collect()
            gc.freeze()
            control = made.configuration.control
            serve = partial(
                serve_control, mode=control.mode, group=control.group, owner_uid=os.geteuid(), log=log
            )
            await nursery.start(serve, made.made.control_path, self._handler)
            nursery.start_soon(self._signals)
            nursery.start_soon(self._statistics)
            listening = ", ".join(f"{host}:{port}" for host, port in made.listen)
            log.started("authagent.started", site=made.site, id=made.id, listen=listening)
            await server.run()
            log.started("authagent.stopped", site=made.site, id=made.id)
            nursery.cancel_scope.cancel()

    def _slices(self) -> Any:
        table = self._server.agent.table
        for changes in table.slices(self._server.agent.duty.now_ms(_clock()), SLICE_RECORDS):
            yield from codec.encode_payloads(changes)

    async def _signals(self) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as arriving:
            async for number in arriving:
                if number == signal.SIGHUP:
                    self._reload()
                else:
                    self._server.stop()

    async def _statistics(self) -> None:
        while True:
            await trio.sleep(self._server.setup.configuration.logging.statistics_interval_s)
            self._log.settle()
            self._server.tally.statistics(self._server.agent.table.alive)

    def _reload(self) -> dict[str, Any]:
        """Read everything again; a bad file changes nothing."""
        self._log.reopen()
        old = self._server.setup
        try:
            new = setup.read(self._flags, old.identity.incarnation)
        except (MistakesFound, TlsError, OSError) as error:
            self._log.alarm("reload.refused", reason=str(error))
            return {"reloaded": False, "text": f"nothing was changed: {error}"}
        needs_restart = new.made.identity() != old.made.identity()
        if needs_restart:
            self._log.warning("reload.needs_restart", text="site, id, listen and state_dir change at a restart only")
            return {"reloaded": False, "text": "site, id, listen and state_dir change at a restart only"}
        self._log.level = new.configuration.logging.level
        if new.secret_id != old.secret_id:
            self._server.agent.rekey(new.digest_key, new.secret_id)
        self._server.apply(new)
        setup.warn(new, self._log)
        self._log.note("reload.done", secret_lines=len(new.identity.secrets.lines))
        return {"reloaded": True, "text": "reloaded"}

    def _facts(self) -> Facts:
        stored = self._store.status
        made = self._server.setup
        return Facts(
            made.configuration, made.site, made.id, __version__, stored.ok, stored.error, self._started_ms
        )


def _rfc3339(seconds_ago: float) -> str:
    moment = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=seconds_ago)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in _leaves(each)]
    return [error]


def _fail(text: str) -> int:
    sys.stderr.write(f"authagent: {text}\n")
    return ExitCode.USAGE
