"""Puts one agent together and runs it: the only file of authagent that reads clocks, dice and signals.

Rules of this file:

- Order of coming up: file and secret, log, signals, lock and store, control socket, table, doors. Of going down: hand
  over, doors, control socket, store, log. So `status` tells of a long load, and SIGTERM ends one.
- What is wrong before the doors are open ends the process with one line and exit code 2; a broken invariant, whenever
  it shows, with a traceback for its report and 70.
- A reload reads in another thread: a slow disk or resolver must not keep the loop from its heartbeats.
"""

import datetime
import gc
import os
import random
import secrets
import signal
import traceback
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from authagent import __version__, setup
from authagent.admin.handler import Handler
from authagent.admin.problems import Facts
from authagent.admin.remotes import remotes_of_master
from authagent.config import Flags
from authagent.core.agent import Agent
from authagent.core.settings import Dice, Settings
from authagent.listener import ListenError
from authagent.page.history import History, sample
from authagent.server import Server
from authagent.setup import Setup
from authagent.store import Store, StoreUnusable, open_store
from authagent.tally import Tally
from authagent.webhook.hooks import Hooks
from authagent.webhook.sender import Sources
from protocol import addresses, codec
from protocol.io import program
from protocol.io.clock import read_boot_id, read_clock
from protocol.io.control import serve_control
from protocol.io.control_client import ExitCode
from protocol.io.control_socket import ControlPathError
from protocol.io.http_door import HttpDoor, Place
from protocol.io.log_file import ProgramLog
from protocol.io.notify import from_environment
from protocol.io.tls import TlsError
from protocol.messages import Role
from protocol.mistakes import MistakesFound
from protocol.stamp import Now
from protocol.table import Table

if TYPE_CHECKING:
    from authagent.page.routes import Page
    from protocol.io.http.guard import App

SLICE_RECORDS = 500

HANDOVER_TIMEOUT_S = 0.8
"""With the farewells after it (0.5 s) and the last commit, SIGTERM is answered within 2 s also when a peer hangs."""

UPKEEP_S = 1.0

IDENTITY = "site, id, listen, state_dir, [control] folder and whether there is a partner"

MISTAKES = (ListenError, StoreUnusable, ControlPathError)
"""What is wrong with this machine or its configuration, and found out only in coming up."""


def main(flags: Flags) -> int:
    """Run one agent until it is told to stop; returns the exit code. Blocks."""
    dice = random.SystemRandom()
    try:
        made = setup.read(flags, dice.getrandbits(64))
        settings = made.configuration.logging
        log = ProgramLog(level=settings.level, path=made.made.log_path, form=settings.format, monotonic_s=_monotonic_s)
    except MistakesFound as error:
        return program.say("authagent", str(error), ExitCode.USAGE)
    except (TlsError, OSError) as error:
        return program.say("authagent", _unreadable(error), ExitCode.USAGE)
    try:
        trio.run(_Program(flags, made, log, dice).run)
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - told apart in _ended
        return _ended(error, log)
    finally:
        log.close()
    return ExitCode.DONE


def make_agent(made: Setup, dice: Dice) -> Agent:
    """The machine, as the configuration wants it."""
    timing = made.configuration.timing
    offset_ms = int(timing.max_clock_offset_s * 1000)
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
        handover_timeout_s=HANDOVER_TIMEOUT_S,
        remotes=made.remotes,
        wan_connect_timeout_s=timing.connect_timeout_s,
        wan_heartbeat_interval_s=timing.wan_heartbeat_interval_s,
        wan_suspect_after_s=timing.wan_suspect_after_s,
    )
    records_max = made.configuration.limits.sessions
    table = Table(digest_key=made.digest_key, max_clock_offset_ms=offset_ms, records_max=records_max)
    return Agent(settings, table, dice, made.secret_id)


class _Program:
    """One run."""

    def __init__(self, flags: Flags, made: Setup, log: ProgramLog, dice: random.SystemRandom) -> None:
        self._flags = flags
        self._started_with = made
        self._log = log
        self._store: Store
        self._started_s = _monotonic_s()
        agent = make_agent(made, dice)
        self._server = Server(agent, made, log, _clock, dice, Tally(log), boot_id=read_boot_id())
        self._handler = Handler(self._server, self._facts, _rfc3339, self._reload)
        self._server.carry_out = self._handler.for_partner
        self._server.on_role = self._tell_role
        self._manager = from_environment()
        self._history = History()
        self._page: Page | None = None
        self._http = HttpDoor(self._http_place, self._http_application, log)
        self._hooks = self._make_hooks(made, dice)
        self._hooks.configure(made.receivers)
        self._server.tally.heard = self._hooks.changes
        self._reloading = trio.Lock()
        self._serving = False
        self._all = trio.CancelScope()

    async def run(self) -> None:
        """From the first line of the log to the last. Raises what ends the process, in groups."""
        made, log = self._server.setup, self._log
        log.started("authagent.starting", site=made.site, id=made.id, version=__version__, pid=os.getpid())
        setup.warn(made, log)
        with self._all:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._manager.keep_fed)
                await nursery.start(self._signals)
                await self._serve(nursery)
                nursery.cancel_scope.cancel()
        log.started("authagent.stopped", site=made.site, id=made.id)

    async def _serve(self, nursery: trio.Nursery) -> None:
        made, server = self._server.setup, self._server
        control = made.configuration.control
        async with AsyncExitStack() as stack:
            self._store = await stack.enter_async_context(self._open_store(nursery))
            serve = partial(
                serve_control, mode=control.mode, group=control.group, owner_uid=os.geteuid(), log=self._log
            )
            await nursery.start(serve, made.made.control_path, self._handler)
            nursery.start_soon(self._http.keep)
            nursery.start_soon(self._hooks.run)
            await server.load(self._store)
            gc.collect()
            gc.freeze()
            nursery.start_soon(self._upkeep)
            nursery.start_soon(self._statistics)
            async with trio.open_nursery() as serving:
                await serving.start(server.run)
                self._serving = True
                listening = ", ".join(addresses.join(host, port) for host, port in made.listen)
                self._log.started("authagent.started", site=made.site, id=made.id, listen=listening)

    def _open_store(self, nursery: trio.Nursery) -> AbstractAsyncContextManager[Store]:
        made = self._server.setup
        return open_store(
            nursery,
            made.made.state_dir,
            site=made.site,
            id=made.id,
            slices=self._slices,
            stored=self._server.stored,
            log=self._log,
            wall_ms=lambda: read_clock().wall_ms,
        )

    def _slices(self) -> Iterator[bytes]:
        agent = self._server.agent
        for changes in agent.table.slices(agent.duty.time.shared_ms(_clock()) or 0, SLICE_RECORDS):
            yield from codec.encode_payloads(changes)

    # -- beside serving -------------------------------------------------------------------------------------------

    async def _signals(self, task_status: trio.TaskStatus[None]) -> None:
        """SIGHUP reloads; SIGTERM ends in order, a second one at once."""
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as arriving:
            task_status.started()
            async for number in arriving:
                if number == signal.SIGHUP:
                    await self._reload()
                    continue
                self._manager.stopping()
                if self._serving:
                    self._serving = False
                    self._server.stop()
                else:
                    self._all.cancel()

    async def _upkeep(self) -> None:
        """Once a second: lines held back, sessions timed out, since when something is wrong, the page's curves."""
        while True:
            self._log.settle()
            timed_out = self._server.agent.table.watch_timeouts()
            self._server.tally.timeouts(timed_out)
            self._hooks.timed_out(timed_out)
            self._hooks.problems(self._handler.problems())
            self._history.add(sample(self._server.agent, self._server.tally, trio.current_time()))
            await trio.sleep(UPKEEP_S)

    def _tell_role(self, role: Role, term: int) -> None:
        """The service manager takes the agent for started once a role is decided, and shows which one it is."""
        self._manager.ready(f"{role.name.lower()} of term {term}")
        self._hooks.role(role, term)

    async def _statistics(self) -> None:
        while True:
            await trio.sleep(self._server.setup.configuration.logging.statistics_interval_s)
            agent, tally = self._server.agent, self._server.tally
            tally.statistics(agent.table.alive)
            for each in remotes_of_master(agent, _clock()):
                tally.site_statistics(each.site, each.traffic, **each.standing)

    def _make_hooks(self, made: Setup, dice: random.SystemRandom) -> Hooks:
        sources = Sources(
            wall_ms=lambda: read_clock().wall_ms,
            token=partial(secrets.token_hex, 16),
            jitter=dice.random,
            log=self._log,
            site=made.site,
            id=made.id,
        )
        return Hooks(sources, lambda: self._server.agent.election.role)

    def _http_place(self) -> Place:
        made = self._server.setup
        certificate, key = map(made.made.file, made.configuration.http_certificate)
        return Place(made.made.http, certificate, key, made.tls)

    def _http_application(self) -> "App":
        from authagent.http.server import application  # late: it needs the extra `http`
        from authagent.page.routes import Page
        from authagent.page.sign_in import Gate

        if self._page is None:
            gate = Gate(lambda: self._server.setup, partial(secrets.token_urlsafe, 32), self._log)
            self._page = Page(self._server, self._handler, self._history, gate)
        return application(self._server, self._handler, self._http, self._hooks, self._page.routes())

    # -- reloading ------------------------------------------------------------------------------------------------

    async def _reload(self) -> dict[str, Any]:
        """Read everything again; what is wrong changes nothing."""
        async with self._reloading:
            self._log.reopen()
            old = self._server.setup
            try:
                new = await trio.to_thread.run_sync(setup.read, self._flags, old.identity.incarnation)
            except (MistakesFound, TlsError, OSError) as error:
                reason = "; ".join(_unreadable(error).splitlines())
                self._log.alarm("reload.refused", reason=reason)
                return {"reloaded": False, "text": f"nothing was changed: {reason}", "restart": []}
            if not old.same_identity(new):
                self._log.warning("reload.needs_restart", settings=IDENTITY)
                text = f"nothing was changed: {IDENTITY} need a restart"
                return {"reloaded": False, "text": text, "restart": [IDENTITY]}
            return self._apply(new)

    def _apply(self, new: Setup) -> dict[str, Any]:
        restart = self._started_with.needs_restart(new)
        self._log.level = new.configuration.logging.level
        self._server.apply(new)
        self._http.reopen()
        self._hooks.configure(new.receivers)
        setup.warn(new, self._log)
        self._log.note("reload.done", secret_lines=len(new.identity.secrets.lines))
        if restart:
            self._log.warning("reload.needs_restart", settings=", ".join(restart))
            text = f"reloaded; a restart is needed for: {', '.join(restart)}"
            return {"reloaded": True, "text": text, "restart": restart}
        return {"reloaded": True, "text": "reloaded", "restart": []}

    # -- facts ----------------------------------------------------------------------------------------------------

    def _facts(self) -> Facts:
        stored, made, refusals = self._store.status, self._server.setup, self._server.refusals
        now = read_clock()
        return Facts(
            configuration=made.configuration,
            site=made.site,
            id=made.id,
            version=__version__,
            store_ok=stored.ok,
            store_error=stored.error,
            loaded_fraction=self._store.loaded_fraction,
            certificate_ending=made.certificate_ending(now.wall_ms / 1000),
            refused=refusals.lately(_clock().monotonic_s),
            refused_total=refusals.total,
            uptime_s=now.monotonic_s - self._started_s,
            http_error=self._http.error,
            webhook_errors=self._hooks.doubts,
        )


def _clock() -> Now:
    """All clocks at this moment; the monotonic one is trio's, so that deadlines are comparable."""
    return read_clock()._replace(monotonic_s=trio.current_time())


def _monotonic_s() -> float:
    return read_clock().monotonic_s


def _rfc3339(seconds_ago: float) -> str:
    moment = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=seconds_ago)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# -- ends ---------------------------------------------------------------------------------------------------------


def _ended(error: Exception, log: ProgramLog) -> int:
    """Tell why the process ends; its exit code."""
    causes = list(dict.fromkeys(_leaves(error)))
    if all(isinstance(each, MISTAKES) for each in causes):
        return program.say("authagent", "; ".join(map(str, causes)), ExitCode.USAGE)
    text = "; ".join(repr(each) for each in causes if not isinstance(each, MISTAKES))
    log.alarm("authagent.broken", error=text)
    traceback.print_exception(error)
    return program.say("authagent", f"internal error, please report it with the lines above: {text}", ExitCode.INTERNAL)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


def _unreadable(error: Exception) -> str:
    """One line for each thing that is wrong with the files."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)
