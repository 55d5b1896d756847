"""The command line of authagent: what it is called with, and what it prints.

Rules of this file:

- Verbs that only ask a control socket start in under 100 ms: nothing heavy is imported here, only where it is needed.
- Shared options stand before or after the verb; the one after it counts.
- Exit codes are those of DESIGN section 6. A user's mistake is one line on standard error, never a traceback.
"""

import functools
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

import click

from authagent import __version__

SHARED = ("config", "site", "state_dir", "control", "id")


class Verbs(click.Group):
    """A group whose first word may be the number of an agent to run instead of a verb."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0] if args else ""
        if word not in self.commands and word.lstrip("-").isdigit():
            return super().resolve_command(ctx, ["run", *args])
        return super().resolve_command(ctx, args)


def shared(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that every verb understands, before it or after it."""

    @click.option("--config", metavar="FILE", help="The configuration file.")
    @click.option("--site", metavar="NAME", help="Which site's agent, where several fit.")
    @click.option("--state-dir", metavar="DIR", help="Where state is kept.")
    @click.option("--control", metavar="PATH", help="The control socket to ask.")
    @click.option("--id", metavar="1|2", help="Which agent, where two run on this machine.")
    @functools.wraps(function)
    def given(*arguments: Any, **options: Any) -> Any:
        before = click.get_current_context().obj or {}
        for name in SHARED:
            options[name] = options[name] if options[name] is not None else before.get(name)
        return function(*arguments, **options)

    return given


@click.group(
    cls=Verbs,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Examples:
  authagent                      run the agent of this machine
  authagent 1                    run agent 1 of the pair
  authagent status               is everything equal?
  authagent logout --user alice  end her sessions, everywhere
""",
)
@click.version_option(__version__, prog_name="authagent")
@click.option("--config", metavar="FILE", help="The configuration file.")
@click.option("--site", metavar="NAME", help="Which site's agent, where several fit.")
@click.option("--state-dir", metavar="DIR", help="Where state is kept.")
@click.option("--control", metavar="PATH", help="The control socket to ask.")
@click.option("--id", metavar="1|2", help="Which agent, where two run on this machine.")
@click.option("--listen", metavar="HOST:PORT", multiple=True, help="Where to listen.")
@click.option("--log-level", metavar="0|1|2", help="How much is logged.")
@click.pass_context
def cli(ctx: click.Context, /, **options: Any) -> None:
    """One login for every proxy: the agent that keeps the sessions of a site.

    Without a verb it runs the agent; `authagent 1` and `authagent 2` are the two of a pair.
    """
    ctx.obj = options
    if ctx.invoked_subcommand is None:
        ctx.exit(_run(None, options))


@cli.command(hidden=True)
@click.argument("number", required=False)
@shared
@click.option("--listen", metavar="HOST:PORT", multiple=True)
@click.option("--log-level", metavar="0|1|2")
@click.pass_context
def run(ctx: click.Context, /, number: str | None, **options: Any) -> None:
    """Run an agent until it is told to stop."""
    before = ctx.obj or {}
    for name in ("listen", "log_level"):
        options[name] = options[name] or before.get(name)
    ctx.exit(_run(number, options))


def _run(number: str | None, options: Mapping[str, Any]) -> int:
    from authagent import wiring

    return wiring.main(_flags(options, number))


def _flags(options: Mapping[str, Any], number: str | None = None) -> Any:
    from authagent.config import Flags

    return Flags(
        number=number or options.get("id"),
        config=options.get("config"),
        site=options.get("site"),
        listen=tuple(options.get("listen") or ()),
        state_dir=options.get("state_dir"),
        log_level=options.get("log_level"),
    )


# -- files --------------------------------------------------------------------------------------------------------


@cli.command(epilog="Example: authagent init /etc/authagent --site lan1 --agent 10.1.0.11 --agent 10.1.0.12")
@click.argument("folder", default=".")
@click.option("--agent", "agents", metavar="HOST", multiple=True, help="A host of the pair, at most two.")
@click.option("--proxy", "proxies", metavar="ID[=HOST]", multiple=True, help="A proxy, or a pattern for many.")
@shared
def init(folder: str, agents: tuple[str, ...], proxies: tuple[str, ...], **options: Any) -> None:
    """Write a commented authagent.toml and a fresh secret; never overwrites."""
    from authagent import init as verb

    click.echo(verb.write(folder, site=options["site"] or "", agents=agents, proxies=proxies))


@cli.command(epilog="Example: authagent check --as squid-1")
@click.option("--offline", is_flag=True, help="Only the file, the secret and the certificate.")
@click.option("--as", "as_id", metavar="ID", default="", help="Ask as this agent or proxy.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@shared
@click.pass_context
def check(ctx: click.Context, /, offline: bool, as_id: str, as_json: bool, **options: Any) -> None:
    """Check the file, then every listed agent: what is wrong, and where."""
    from authagent import check as verb
    from authagent import probe
    from protocol.io.clock import read_clock

    now_s = read_clock().wall_ms / 1000
    report = verb.run(_flags(options), now_s=now_s, offline=offline, as_id=as_id, ask=probe.ask)
    click.echo(json.dumps(report.as_json()) if as_json else "\n".join(report.lines()))
    ctx.exit(report.exit_code)


@cli.group()
def secret() -> None:
    """Change the shared secret without a break: add, copy, reload everywhere; drop, copy, reload."""


@secret.command()
@shared
def add(**options: Any) -> None:
    """Put a fresh line before the one in use."""
    from authagent import secret_verb

    click.echo(secret_verb.add(_flags(options)))


@secret.command()
@shared
def drop(**options: Any) -> None:
    """Remove the older line."""
    from authagent import secret_verb

    click.echo(secret_verb.drop(_flags(options)))


# -- the running agent --------------------------------------------------------------------------------------------


@cli.command(epilog="Example: authagent status --wait 10 && echo all is well")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--wait", metavar="S", type=click.FloatRange(0), default=0.0, help="Until healthy, at most S seconds.")
@shared
@click.pass_context
def status(ctx: click.Context, /, as_json: bool, wait: float, **options: Any) -> None:
    """All equal, or what is wrong."""
    from authagent import verbs

    ctx.exit(verbs.status(options, as_json=as_json, wait_s=wait))


@cli.command(epilog="Example: authagent sessions --user alice")
@click.argument("key", required=False)
@click.option("--key", "key_option", metavar="K", help="The session of one key.")
@click.option("--user", metavar="U", help="Sessions of one user.")
@click.option("--proxy", metavar="P", help="Sessions that began at one proxy.")
@click.option("--limit", metavar="N", type=click.IntRange(1), default=1_000, help="At most N.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@shared
@click.pass_context
def sessions(ctx: click.Context, /, key: str | None, key_option: str | None, as_json: bool, **options: Any) -> None:
    """Who is logged in."""
    from authagent import verbs

    question = {name: options.pop(name) for name in ("user", "proxy", "limit")}
    chosen = ctx.get_parameter_source("site") == click.core.ParameterSource.COMMANDLINE
    question["site"] = options["site"] if chosen else None
    ctx.exit(verbs.sessions(options, {"key": key or key_option, **question}, as_json=as_json))


@cli.command(epilog="Example: authagent logout --user alice --timeout 5")
@click.argument("key", required=False)
@click.option("--key", "key_option", metavar="K", help="End the session of one key.")
@click.option("--user", metavar="U", help="End all sessions of one user.")
@click.option("--all", "everything", is_flag=True, help="End all sessions.")
@click.option("--timeout", metavar="S", type=click.FloatRange(0.001, 3600), default=5.0, help="Wait at most S seconds.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@shared
@click.pass_context
def logout(
    ctx: click.Context, /, key: str | None, key_option: str | None, everything: bool, timeout: float, as_json: bool,
    user: str | None, **options: Any,
) -> None:  # fmt: skip
    """End sessions everywhere, and tell node by node where that is done."""
    from authagent import verbs

    chosen = ctx.get_parameter_source("site") == click.core.ParameterSource.COMMANDLINE
    site = options["site"] if chosen else None
    question = {"key": key or key_option, "user": user, "site": site, "all": everything, "within_s": timeout}
    ctx.exit(verbs.logout(options, question, as_json=as_json))


@cli.command()
@shared
@click.pass_context
def reload(ctx: click.Context, /, **options: Any) -> None:
    """Read file, secret and certificates again; a bad file changes nothing."""
    from authagent import verbs

    ctx.exit(verbs.reload(options))


@cli.command(epilog="Example: authagent demo --keep")
@click.option("--keep", is_flag=True, help="Keep the folder with the logs.")
@click.pass_context
def demo(ctx: click.Context, /, keep: bool) -> None:
    """The whole story on this machine, narrated; exits 0 only if every step held."""
    from authagent.demo import story

    ctx.exit(story.run(keep=keep))


def main() -> None:
    """The program. Never returns."""
    try:
        code = cli(prog_name="authagent", standalone_mode=False)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
    except Exception as error:  # noqa: BLE001 - told apart in _said, raised again there if unknown
        sys.exit(_said(error))
    sys.exit(code or 0)


def _said(error: Exception) -> int:
    """One line for a user's mistake, and its exit code; any other error goes on as it is."""
    from protocol.io.control_client import ControlError, ExitCode
    from protocol.io.sockets import NobodyThere
    from protocol.mistakes import MistakesFound

    match error:
        case MistakesFound():
            code = ExitCode.USAGE
        case NobodyThere():
            code = ExitCode.UNREACHABLE
        case ControlError():
            code = ExitCode(error.code)
        case _:
            raise error
    for line in str(error).splitlines():
        sys.stderr.write(f"authagent: {line}\n")
    return code
