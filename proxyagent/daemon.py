"""`proxyagent run`: a ProxyAgent as a process of its own, behind a control socket.

Rules of this file:

- It is a host program like any other: it opens an agent, and only besides has a log, signals and a control socket.
- The service manager takes it for started once it has a full copy, or has waited START_TIMEOUT_S for one: what is
  started after it (squid.service) asks nobody to log in who is logged in.
- SIGTERM and SIGINT end it in order, with exit code 0, within 2 s. SIGHUP (and `proxyagent reload`) reads file and
  secret again and reopens the log; a bad file changes nothing, and what identifies the process needs a restart.
- The log has one line per login, logout and timeout at level 1, never touches (protocol.io.log).
"""

import os
import random
import signal
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs
import trio

from protocol.io.control import serve_control
from protocol.io.control_client import ControlError, ExitCode
from protocol.io.control_socket import ControlPathError
from protocol.io.http_door import HttpDoor, Place
from protocol.io.log import Severity
from protocol.io.log_file import ProgramLog
from protocol.io.notify import from_environment
from protocol.mistakes import Mistake, MistakesFound
from proxyagent import __version__
from proxyagent import config as configs
from proxyagent.agent import ProxyAgent, run_proxy_agent
from proxyagent.config import ProxySetup
from proxyagent.control import Control
from proxyagent.dialling import Site, ring_of, site_of
from proxyagent.errors import ConfigurationError
from proxyagent.integrations.adapter import keepers
from proxyagent.integrations.catalogue import ADAPTERS
from proxyagent.notices import NoticesLost, SessionEnded, SessionOpened

if TYPE_CHECKING:
    from protocol.io.http.guard import App

START_TIMEOUT_S = 2.0
"""As long as open_proxy_agent waits for the first full copy."""

DRAIN_TIMEOUT_S = 1.0
"""For switches in front to hear that this process ends."""

STATUS_S = 1.0
"""Between two looks at whether an agent serves, for the service manager's status line."""


@attrs.frozen
class Flags:
    """What the command line said; None where it said nothing."""

    config: str | None = None
    id: str | None = None
    site: str | None = None
    control: str | None = None
    http: str | None = None


def run(flags: Flags) -> int:
    """Run until told to stop; returns the exit code. Raises MistakesFound for what an operator must set right."""
    incarnation = random.SystemRandom().getrandbits(64)
    setup, site = _read(flags, incarnation)
    log = _open_log(setup)
    try:
        return trio.run(Daemon(flags, incarnation, setup, site, log).serve)
    except ControlPathError as error:
        raise MistakesFound("", [Mistake("control socket", str(error))]) from None
    finally:
        log.close()


def _read(flags: Flags, incarnation: int) -> tuple[ProxySetup, Site]:
    setup = configs.load(flags.config, id=flags.id, site=flags.site, control=flags.control, http=flags.http)
    try:
        site = site_of(setup, configs.read_secret(setup), incarnation, __version__)
        return setup, attrs.evolve(site, ring=ring_of(setup)) if setup.meets_browsers else site
    except ConfigurationError as error:
        raise MistakesFound(setup.configuration.path, [Mistake("", str(error))]) from None


def _open_log(setup: ProxySetup) -> ProgramLog:
    settings = setup.configuration.logging
    try:
        return ProgramLog(
            level=settings.level,
            path=setup.file(settings.path),
            form=settings.format,
            monotonic_s=time.monotonic,  # noqa: TID251 - a program's log has its own sense of seconds
        )
    except OSError as error:
        raise MistakesFound(setup.configuration.path, [Mistake("[logging] path", str(error.strerror))]) from None


class Daemon:
    """One process: agent, control socket, adapters, log and signals."""

    def __init__(self, flags: Flags, incarnation: int, setup: ProxySetup, site: Site, log: ProgramLog) -> None:
        self._flags = flags
        self._incarnation = incarnation
        self._setup = setup
        self._log = log
        self._agent = ProxyAgent(site, write=self._write)
        self._manager = from_environment()
        self._telling = trio.CancelScope()
        self._http = HttpDoor(self._http_place, self._http_application, log)
        self._adapters = keepers(ADAPTERS, lambda: self._setup)

    async def serve(self) -> int:
        """Run until a signal says stop."""
        control = self._setup.configuration.control
        ended: Exception | None = None
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async with trio.open_nursery() as nursery:
                try:
                    await nursery.start(self._serve_control, control.mode, control.group)
                    self._log.started(
                        "proxyagent.started",
                        id=self._setup.id,
                        site=self._setup.site,
                        version=__version__,
                        control=self._setup.control_path,
                    )
                    nursery.start_soon(self._manager.keep_fed)
                    nursery.start_soon(self._http.keep)
                    async with run_proxy_agent(self._agent, start_timeout=0.0):
                        nursery.start_soon(self._tell_manager)
                        nursery.start_soon(self._log_sessions)
                        nursery.start_soon(self._log_statistics)
                        for adapter in self._adapters:
                            nursery.start_soon(adapter.keep, self._agent, self._log)
                        async for number in signals:
                            if number != signal.SIGHUP:
                                break
                            await self._reload_by_signal()
                        self._manager.stopping()
                        self._telling.cancel()
                        await self._drain()
                except ControlPathError as error:
                    ended = error
                nursery.cancel_scope.cancel()
        if ended is not None:
            raise ended
        self._log.started("proxyagent.stopped", id=self._setup.id)
        return int(ExitCode.DONE)

    async def _tell_manager(self) -> None:
        """Ready with a full copy, or after a while without; then how it goes, until the agent is left."""
        with self._telling:
            with trio.move_on_after(START_TIMEOUT_S):
                await self._agent.wait_synchronised()
            self._manager.ready("")
            while True:
                alone = "isolated: no AuthAgent serves this proxy, look-ups are answered from its copy"
                self._manager.status(alone if self._agent.isolated else "served by an AuthAgent")
                await trio.sleep(STATUS_S)

    async def _serve_control(
        self, mode: int, group: str, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        await serve_control(
            self._setup.control_path,
            Control(self._agent, self._reload, self._problems, self._ask_to_drain).handle,
            mode=mode,
            group=group,
            owner_uid=os.getuid(),
            log=self._log,
            task_status=task_status,
        )

    def _problems(self) -> list[str]:
        """Why a part of this process does not serve, one line each."""
        http = [self._http.error] if self._http.error else []
        return [*http, *(f"{each.name}: {each.error}" for each in self._adapters if each.error)]

    def _ask_to_drain(self, wanted: bool) -> bool:
        """Have switches send nobody new here, or again; whether there is any that could be told."""
        told = [adapter.drain(wanted) for adapter in self._adapters]  # every one, not the first that can
        return any(told)

    async def _drain(self) -> None:
        """Give switches that ask a moment to hear that this proxy is leaving."""
        self._ask_to_drain(True)
        with trio.move_on_after(DRAIN_TIMEOUT_S):
            async with trio.open_nursery() as nursery:
                for adapter in self._adapters:
                    nursery.start_soon(adapter.wait_drained)

    def _http_place(self) -> Place:
        certificate, key = map(self._setup.file, self._setup.configuration.http_certificate)
        return Place(self._setup.http, certificate, key)

    def _http_application(self) -> "App":
        from proxyagent.http.server import application  # late: it needs the extra `http`

        return application(self._agent, self._http)

    # -- reading again ---------------------------------------------------------------------------------------------

    async def _reload_by_signal(self) -> None:
        try:
            self._log.note("proxyagent.reloaded", text=await self._reload())
        except ControlError as error:
            self._log.alarm("proxyagent.reload_failed", error=str(error))

    async def _reload(self) -> str:
        """Read file and secret again. Raises ControlError, and changes nothing, when something is wrong."""
        self._log.reopen()
        try:
            setup, site = await trio.to_thread.run_sync(_read, self._flags, self._incarnation)
        except MistakesFound as found:
            raise ControlError("; ".join(str(found).splitlines()), ExitCode.USAGE) from None
        if (setup.site, setup.id) != (self._setup.site, self._setup.id):
            raise ControlError(
                f"the file now makes this {setup.id} of site {setup.site}; that needs a restart", ExitCode.USAGE
            )
        moved = setup.control_path != self._setup.control_path
        self._setup = setup
        self._log.level = setup.configuration.logging.level
        self._agent.shell.reconfigure(site)
        self._http.reopen()
        for adapter in self._adapters:
            adapter.reopen()
        return "read file and secret again" + ("; the control socket moves at the next restart" if moved else "")

    # -- logging ---------------------------------------------------------------------------------------------------

    def _write(self, severity: Severity, event: str, values: Mapping[str, object]) -> None:
        match severity:
            case Severity.ALARM:
                self._log.alarm(event, **values)
            case Severity.WARNING:
                self._log.warning(event, **values)
            case _:
                self._log.note(event, **values)

    async def _log_sessions(self) -> None:
        if self._log.level < 1:
            return
        async for notice in self._agent.notices():
            match notice:
                case SessionOpened(session):
                    self._log.session(
                        "session.opened", user=session.user, site=session.site, proxy=session.proxy, key=session.key
                    )
                case SessionEnded(session, reason):
                    self._log.session(
                        "session.ended", user=session.user, site=session.site, reason=reason, key=session.key
                    )
                case NoticesLost(count):
                    self._log.note("log.suppressed", count=count)

    async def _log_statistics(self) -> None:
        while True:
            await trio.sleep(max(1.0, self._setup.configuration.logging.statistics_interval_s))
            figures = self._agent.statistics()
            self._log.note(
                "statistics",
                agent=figures.agent,
                sessions=figures.sessions,
                tombstones=figures.tombstones,
                outbox=figures.outbox,
                digest=figures.digest,
            )
