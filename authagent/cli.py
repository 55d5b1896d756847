"""The command line of authagent: what it is called with.

Rules of this file:

- Verbs that only ask a control socket start in under 100 ms: nothing heavy is imported here, only where it is needed.
- Shared options stand before or after the verb; the one after it counts (Verb).
- How it ends, and with which exit code, is said in protocol.io.program.
"""

import os
import signal
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from authagent import __version__, code_cli
from protocol.io import program
from protocol.io.program import Seconds

if TYPE_CHECKING:
    from authagent.config import Flags

Options = Mapping[str, Any]
"""The shared options by name, None where nobody gave one."""

_Command = TypeVar("_Command", bound=Callable[..., Any])

_SECONDS = Seconds(0.001, 3600)


def _shared() -> list[click.Parameter]:
    """The options that every verb understands, before it or after it."""
    return [
        click.Option(["--config"], metavar="FILE", help="The configuration file."),
        click.Option(["--site"], metavar="NAME", help="Which site's agent, where several fit."),
        click.Option(["--id"], metavar="1|2", help="Which agent, where two run on this machine."),
        click.Option(["--state-dir"], metavar="DIR", help="Where state is kept."),
        click.Option(["--control"], metavar="PATH", help="The control socket to ask."),
    ]


class Verb(click.Command):
    """A command that takes the shared options besides its own; those given go to `ctx.obj`, over those before it."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        own = {flag for parameter in self.params for flag in parameter.opts}
        self._taken = [option for option in _shared() if own.isdisjoint(option.opts)]
        self.params += self._taken

    def invoke(self, ctx: click.Context) -> Any:
        given = {str(option.name): ctx.params.pop(str(option.name)) for option in self._taken}
        before = ctx.obj or {}
        ctx.obj = {**before, **{name: value for name, value in given.items() if value or name not in before}}
        return super().invoke(ctx)


class VerbGroup(Verb, click.Group):
    """A group that takes the shared options too, and whose first word may be the number of an agent to run."""

    command_class = Verb

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if "run" in self.commands and args[0].lstrip("-").isdigit():
            return super().resolve_command(ctx, ["run", *args])
        return super().resolve_command(ctx, args)


def running(function: _Command) -> _Command:
    """The options of those who run an agent."""
    listen = click.option("--listen", metavar="HOST:PORT", multiple=True, help="Where to listen; may be repeated.")
    level = click.option("--log-level", metavar="0|1|2", help="How much is logged.")
    http = click.option("--http", metavar="HOST:PORT", help="Where to serve health, numbers and the status page.")
    return listen(level(http(function)))


@click.group(
    cls=VerbGroup,
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
@running
@click.pass_context
def cli(ctx: click.Context, /, listen: tuple[str, ...], log_level: str | None, http: str | None) -> int | None:
    """One login for every proxy: the agent that keeps the sessions of a site.

    Without a verb it runs the agent; `authagent 1` and `authagent 2` are the two of a pair.
    """
    ctx.obj = {**ctx.obj, "listen": listen, "log_level": log_level, "http": http}
    return _run(ctx.obj, None) if ctx.invoked_subcommand is None else None


@cli.command(hidden=True, epilog="Example: authagent 1 --config /etc/authagent/authagent.toml")
@click.argument("number", required=False)
@running
@click.pass_obj
def run(options: dict[str, Any], /, number: str | None, **own: Any) -> int:
    """Run an agent until it is told to stop."""
    return _run({**options, **{name: value or options[name] for name, value in own.items()}}, number)


def _run(options: Options, number: str | None) -> int:
    """Run an agent. Until it has its own handlers, SIGTERM ends it at once: it holds nothing yet."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if options["control"]:
        raise click.UsageError("--control is for verbs that ask an agent; its place is [control] folder in the file")
    from authagent import wiring

    return wiring.main(_flags(options, number))


def _flags(options: Options, number: str | None = None) -> "Flags":
    from authagent.config import Flags

    return Flags(
        number=number or options["id"],
        config=options["config"],
        site=options["site"],
        listen=options["listen"],
        state_dir=options["state_dir"],
        log_level=options["log_level"],
        http=options["http"],
    )


# -- files --------------------------------------------------------------------------------------------------------


@cli.command(epilog="Example: authagent init /etc/authagent --site lan1 --agent 10.1.0.11 --agent 10.1.0.12")
@click.argument("folder", metavar="[DIR]", default=".")
@click.option("--agent", "agents", metavar="HOST", multiple=True, help="A host of the pair, at most two.")
@click.option("--proxy", "proxies", metavar="ID[=HOST]", multiple=True, help="A proxy, or a pattern for many.")
@click.pass_obj
def init(options: Options, /, folder: str, agents: tuple[str, ...], proxies: tuple[str, ...]) -> None:
    """Write a commented authagent.toml and a fresh secret; never overwrites."""
    from authagent import init as verb

    click.echo(verb.write(folder, site=options["site"] or "", agents=agents, proxies=proxies))


@cli.command("import", epilog="Example: authagent import auth.cfg --output /etc/authagent/authagent.toml")
@click.argument("path", metavar="AUTH.CFG")
@click.option("--output", metavar="FILE", help="Write it there, and a secret beside it; otherwise it is printed.")
@click.pass_obj
def import_(options: Options, /, path: str, output: str | None) -> None:
    """Turn the auth.cfg of BorderManager 3.8 into an authagent.toml."""
    from authagent import import_verb

    made = import_verb.run(path, site=options["site"] or "", output=output or "")
    click.echo(made.told or made.text, nl=bool(made.told))
    for remark in made.remarks:
        click.echo(f"authagent: not carried over: {remark}", err=True)


@cli.command(epilog="Example: authagent check --as squid-1")
@click.option("--offline", is_flag=True, help="Only the file, the secret and the certificate.")
@click.option("--as", "as_id", metavar="ID", default="", help="Ask as this agent or proxy.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def check(options: Options, /, offline: bool, as_id: str, as_json: bool) -> int:
    """Check the file, then every listed agent: what is wrong, and where."""
    import json

    from authagent import check as verb
    from authagent import probe
    from protocol import settings
    from protocol.io.clock import read_clock

    try:
        as_id = as_id and settings.name(as_id)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--as") from None
    now_s = read_clock().wall_ms / 1000
    report = verb.run(_flags(options), now_s=now_s, offline=offline, as_id=as_id, ask=probe.ask)
    click.echo(json.dumps(report.as_json()) if as_json else "\n".join(report.lines()))
    return report.exit_code


@cli.group(cls=VerbGroup, no_args_is_help=False, epilog="Example: authagent secret add")
def secret() -> None:
    """Change the shared secret without a break: add, copy, reload everywhere; drop, copy, reload."""


@secret.command(epilog="Example: authagent secret add --config /etc/authagent/authagent.toml")
@click.pass_obj
def add(options: Options, /) -> None:
    """Put a fresh line before the one in use."""
    from authagent import secret_verb

    click.echo(secret_verb.add(_flags(options)))


@secret.command(epilog="Example: authagent secret drop --config /etc/authagent/authagent.toml")
@click.pass_obj
def drop(options: Options, /) -> None:
    """Remove the older line."""
    from authagent import secret_verb

    click.echo(secret_verb.drop(_flags(options)))


@cli.command(epilog="Example: authagent passwd --config /etc/authagent/authagent.toml")
@click.pass_obj
def passwd(options: Options, /) -> None:
    """Set the password of the status page; asks for it, or reads one line of standard input."""
    from authagent import passwd as verb

    click.echo(verb.run(_flags(options)))


# -- the running agent --------------------------------------------------------------------------------------------


@cli.command(epilog="Example: authagent status --wait 10 && echo all is well")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--wait", metavar="S", type=Seconds(0, 86_400), default=0.0, help="Until healthy, at most S s.")
@click.pass_obj
def status(options: Options, /, as_json: bool, wait: float) -> int:
    """All equal, or what is wrong."""
    from authagent import verbs

    return verbs.status(options, as_json=as_json, wait_s=wait)


@cli.command(epilog="Example: authagent sessions --user alice")
@click.argument("key", metavar="[KEY]", required=False)
@click.option("--key", "key_option", metavar="K", help="The session of one key.")
@click.option("--user", metavar="U", help="Sessions of one user.")
@click.option("--site", "of_site", metavar="S", help="Sessions that began at one site.")
@click.option("--proxy", metavar="P", help="Sessions that began at one proxy.")
@click.option("--limit", metavar="N", type=click.IntRange(1), default=1_000, help="At most N.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def sessions(options: Options, /, key: str | None, key_option: str | None, as_json: bool, **question: Any) -> int:
    """Who is logged in."""
    from authagent import verbs

    question["site"] = question.pop("of_site")
    return verbs.sessions(options, {"key": _one_key(key, key_option), **question}, as_json=as_json)


@cli.command(epilog="Example: authagent logout --user alice --timeout 5")
@click.argument("key", metavar="[KEY]", required=False)
@click.option("--key", "key_option", metavar="K", help="End the session of one key.")
@click.option("--user", metavar="U", help="End all sessions of one user.")
@click.option("--site", "of_site", metavar="S", help="End all sessions that began at one site.")
@click.option("--all", "everything", is_flag=True, help="End all sessions.")
@click.option("--timeout", metavar="S", type=_SECONDS, default=5.0, help="Wait at most S seconds.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def logout(
    options: Options, /, key: str | None, key_option: str | None, user: str | None, of_site: str | None,
    everything: bool, timeout: float, as_json: bool,
) -> int:  # fmt: skip
    """End sessions everywhere, and tell node by node where that is done."""
    from authagent import verbs

    whose = {"key": _one_key(key, key_option), "user": user, "site": of_site, "all": everything or None}
    if sum(each is not None for each in whose.values()) != 1:
        raise click.UsageError("say exactly one of: KEY, --user, --site, --all")
    return verbs.logout(options, {**whose, "within_s": timeout}, as_json=as_json)


def _one_key(argument: str | None, option: str | None) -> str | None:
    if argument is not None and option is not None:
        raise click.UsageError("give the key once: as KEY or as --key")
    return argument if option is None else option


@cli.command(epilog="Example: authagent switch && authagent status --wait 10")
@click.option("--timeout", metavar="S", type=_SECONDS, default=5.0, help="Try for at most S seconds.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def switch(options: Options, /, timeout: float, as_json: bool) -> int:
    """Hand over: the agent that stands by serves, and nothing is lost."""
    from authagent import verbs

    return verbs.switch(options, within_s=timeout, as_json=as_json)


@cli.group(cls=VerbGroup, no_args_is_help=False, epilog="Example: authagent code create gfield")
def code() -> None:
    """One-time codes by which a user's device is provisioned."""


code_cli.add_to(code)


@cli.command(epilog="Example: authagent explain 10.3.4.5")
@click.argument("key_or_user", metavar="KEY|USER")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def explain(options: Options, /, key_or_user: str, as_json: bool) -> int:
    """What happened to sessions: where each began, how that travelled, what ended it; exit code 1 if none is known."""
    from authagent import verbs

    return verbs.explain(options, key_or_user, as_json=as_json)


@cli.command(epilog="Example: authagent reload")
@click.pass_obj
def reload(options: Options, /) -> int:
    """Read file, secret and certificates again; a bad file changes nothing."""
    from authagent import verbs

    return verbs.reload(options)


@cli.command(epilog="Example: authagent demo --keep")
@click.option("--squid", is_flag=True, help="Three Squids, HAProxy, a login page and LDAP, where these are installed.")
@click.option("--wan", is_flag=True, help="Two sites, and a WAN between them that is cut.")
@click.option("--keep", is_flag=True, help="Keep the folder with the logs.")
def demo(squid: bool, wan: bool, keep: bool) -> int:
    """The whole story on this machine, narrated; exits 0 only if every step held."""
    from authagent.demo import farm_story, story, wan_story

    if squid and wan:
        raise click.UsageError("one story at a time: --squid or --wan")
    if squid:
        return farm_story.run(keep=keep)
    return wan_story.run(keep=keep) if wan else story.run(keep=keep)


# -- ends ---------------------------------------------------------------------------------------------------------


def main() -> None:
    """The program. Never returns."""
    program.end("authagent", cli)
