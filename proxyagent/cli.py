"""The command line of proxyagent: what it is called with.

Rules of this file:

- Verbs that only ask a control socket start in under 100 ms: nothing heavy is imported here, only where it is needed.
- Shared options stand before or after the verb; the one after it counts.
- How it ends, and with which exit code, is said in protocol.io.program.
"""

from collections.abc import Callable, Mapping
from typing import Any

import click

from protocol.io import program
from protocol.io.program import Seconds
from proxyagent import __version__
from proxyagent.options import LEVELS, SECONDS, pairs, shared


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Examples:
  proxyagent run --id squid-1          a ProxyAgent as a process of its own
  proxyagent lookup 10.3.4.5           who is it? exit code 0 or 1
  proxyagent login 10.3.4.5 --user alice --wait site
  proxyagent send-sync-to-agent        force a resync
""",
)
@click.version_option(__version__, prog_name="proxyagent")
@click.option("--config", metavar="FILE", help="The configuration file.")
@click.option("--site", metavar="NAME", help="Which site's proxy, where several fit.")
@click.option("--id", metavar="ID", help="Which proxy, where several run here.")
@click.option("--control", metavar="PATH", help="The control socket.")
@click.pass_context
def cli(ctx: click.Context, /, **options: Any) -> None:
    """One login for every proxy: a proxy's part of it.

    `run` keeps a copy of all sessions beside a proxy; the other verbs ask the ProxyAgent that `run` keeps on this
    machine. One that is embedded in a program is asked through its Python interface.
    """
    ctx.obj = options


@cli.command(epilog="Example: proxyagent run --id squid-1 --config /etc/authagent/authagent.toml")
@click.option("--http", metavar="HOST:PORT", help="Where to serve health and numbers.")
@shared
@click.pass_context
def run(ctx: click.Context, /, http: str | None, options: Mapping[str, Any]) -> None:
    """Run a ProxyAgent until it is told to stop (SIGTERM); SIGHUP reads file and secret again."""
    from proxyagent import daemon

    ctx.exit(daemon.run(daemon.Flags(**options, http=http)))


@cli.command(epilog="Example: proxyagent status --json")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@shared
@click.pass_context
def status(ctx: click.Context, /, as_json: bool, options: Mapping[str, Any]) -> None:
    """What the ProxyAgent is linked to, and what it holds."""
    from proxyagent import verbs

    ctx.exit(verbs.status(options, as_json=as_json))


@cli.command(epilog="Example: proxyagent sessions --user alice")
@click.option("--user", metavar="U", help="Sessions of one user.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@shared
@click.pass_context
def sessions(ctx: click.Context, /, user: str | None, as_json: bool, options: Mapping[str, Any]) -> None:
    """Who is logged in."""
    from proxyagent import verbs

    ctx.exit(verbs.sessions(options, user, as_json=as_json))


@cli.command(epilog="Example: proxyagent lookup 10.3.4.5 && echo let through")
@click.argument("key")
@click.option("--touch", is_flag=True, help="Count it as activity.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@shared
@click.pass_context
def lookup(ctx: click.Context, /, key: str, touch: bool, as_json: bool, options: Mapping[str, Any]) -> None:
    """The session of KEY; exit code 0 if somebody is logged in there, 1 if not."""
    from proxyagent import verbs

    ctx.exit(verbs.lookup(options, key, touch=touch, as_json=as_json))


@cli.command(epilog="Example: proxyagent login 10.3.4.5 --user alice --attribute groups=staff --wait site")
@click.argument("key")
@click.option("--user", metavar="U", required=True, help="Who logs in.")
@click.option("--attribute", "attributes", metavar="K=V", multiple=True, help="More than once under one K: a list.")
@click.option("--idle-timeout", metavar="S", type=float, help="Seconds; at least 60.")
@click.option("--lifetime", metavar="S", type=float, help="Seconds; at most max_lifetime.")
@click.option("--wait", type=LEVELS, default="local", help="How far it must have got.")
@click.option("--timeout", metavar="S", type=SECONDS, default=5.0, help="Wait at most S seconds.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@shared
@click.pass_context
def login(
    ctx: click.Context, /, key: str, user: str, attributes: tuple[str, ...], idle_timeout: float | None,
    lifetime: float | None, wait: str, timeout: float, as_json: bool, options: Mapping[str, Any],
) -> None:  # fmt: skip
    """Log a user in under KEY, here and everywhere. The password is checked by whoever calls this."""
    from proxyagent import verbs

    question = {
        "key": key,
        "user": user,
        "attributes": pairs(attributes),
        "idle_timeout_s": idle_timeout,
        "lifetime_s": lifetime,
        "wait": wait,
        "within_s": timeout,
    }
    ctx.exit(verbs.login(options, question, as_json=as_json))


@cli.command(epilog="Example: proxyagent logout --user alice --wait site")
@click.argument("key", required=False)
@click.option("--user", metavar="U", help="Everything of one user, everywhere.")
@click.option("--wait", type=LEVELS, default="local", help="How far it must have got.")
@click.option("--timeout", metavar="S", type=SECONDS, default=5.0, help="Wait at most S seconds.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@shared
@click.pass_context
def logout(
    ctx: click.Context, /, key: str | None, user: str | None, wait: str, timeout: float, as_json: bool,
    options: Mapping[str, Any],
) -> None:  # fmt: skip
    """Log out whoever is under KEY, or a user everywhere."""
    from proxyagent import verbs

    if (key is None) == (user is None):
        raise click.UsageError("give a KEY or --user U, and not both")
    question = {"key": key, "user": user, "wait": wait, "within_s": timeout}
    ctx.exit(verbs.logout(options, question, as_json=as_json))


@cli.command(epilog="Example: proxyagent touch 10.3.4.5")
@click.argument("key")
@shared
@click.pass_context
def touch(ctx: click.Context, /, key: str, options: Mapping[str, Any]) -> None:
    """Note activity under KEY; exit code 1 if nobody is logged in there."""
    from proxyagent import verbs

    ctx.exit(verbs.touch(options, key))


@cli.command(epilog="Example: proxyagent watch --json | jq .event")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@shared
@click.pass_context
def watch(ctx: click.Context, /, as_json: bool, options: Mapping[str, Any]) -> None:
    """What happens, as it happens, one line each."""
    from proxyagent import verbs

    ctx.exit(verbs.watch(options, as_json=as_json))


@cli.command("send-sync-to-agent", epilog="Example: proxyagent send-sync-to-agent --timeout 30")
@click.option("--timeout", metavar="S", type=SECONDS, default=10.0, help="Wait at most S seconds.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@shared
@click.pass_context
def send_sync_to_agent(ctx: click.Context, /, timeout: float, as_json: bool, options: Mapping[str, Any]) -> None:
    """Compare with the master now, both ways; print what was sent and received, and how long it took.

    Also accepts a master whose time is far from the one kept here.
    """
    from proxyagent import verbs

    ctx.exit(verbs.resync(options, timeout, as_json=as_json))


cli.add_command(send_sync_to_agent, "resync")


@cli.command(epilog="Example: proxyagent drain, then stop squid; proxyagent drain --undo to go on")
@click.option("--undo", is_flag=True, help="Let new users come again.")
@shared
@click.pass_context
def drain(ctx: click.Context, /, undo: bool, options: Mapping[str, Any]) -> None:
    """Have the switch in front send nobody new here ([haproxy] agent_check); who is connected stays."""
    from proxyagent import verbs

    ctx.exit(verbs.drain(options, undo=undo))


@cli.command(epilog="Example: proxyagent reload")
@shared
@click.pass_context
def reload(ctx: click.Context, /, options: Mapping[str, Any]) -> None:
    """Have file and secret read again; a bad file changes nothing."""
    from proxyagent import verbs

    ctx.exit(verbs.reload(options))


@cli.command("squid-session", epilog="Example: external_acl_type session ttl=0 concurrency=500 ... "
             "proxyagent squid-session")
@shared
@click.pass_context
def squid_session(ctx: click.Context, /, options: Mapping[str, Any]) -> None:
    """A helper that Squid starts: is this client logged in, and as whom? Counts as activity.

    Reads %>a and, where [client] key wants it, %{Cookie:;NAME}>h, until its input ends.
    """
    from proxyagent.integrations.squid import helper

    ctx.exit(helper.run("session", options))


@cli.command("squid-login", epilog="Example: external_acl_type login ttl=0 concurrency=100 ... proxyagent squid-login")
@shared
@click.pass_context
def squid_login(ctx: click.Context, /, options: Mapping[str, Any]) -> None:
    """A helper that Squid starts: record the login of a user whose password Squid has checked.

    Reads %un, %>a and, where [client] key wants it, %{Cookie:;NAME}>h, until its input ends. After a logout it answers
    ERR once, so that a browser which sends the old password again is asked for it.
    """
    from proxyagent.integrations.squid import helper

    ctx.exit(helper.run("login", options))


@cli.group()
def code() -> None:
    """One-time codes by which a user's device is provisioned: asked of the master, through this ProxyAgent."""


_CODE_TIMEOUT = click.option("--timeout", metavar="S", type=SECONDS, default=5.0, help="Wait at most S seconds.")
_CODE_JSON = click.option("--json", "as_json", is_flag=True, help="For programs.")


@code.command(epilog="Example: proxyagent code create gfield --validity 3600")
@click.argument("user")
@click.option("--validity", metavar="S", type=Seconds(10, 1_000_000), default=600.0, help="Seconds; 600.")
@_CODE_TIMEOUT
@_CODE_JSON
@shared
@click.pass_context
def create(
    ctx: click.Context, /, user: str, validity: float, timeout: float, as_json: bool, options: Mapping[str, Any]
) -> None:
    """Make a code for USER and print it; every earlier one is void."""
    from proxyagent import verbs

    question = {"user": user, "validity_s": validity, "within_s": timeout}
    ctx.exit(verbs.create_code(options, question, as_json=as_json))


@code.command(epilog="Example: proxyagent code redeem gfield --device phone-1 < code")
@click.argument("user")
@click.argument("typed", metavar="[CODE]", default="-")
@click.option("--device", metavar="ID", required=True, help="For which device.")
@click.option("--request", metavar="ID", help="The same request is granted again; by default the device stands for it.")
@_CODE_TIMEOUT
@_CODE_JSON
@shared
@click.pass_context
def redeem(
    ctx: click.Context, /, user: str, typed: str, device: str, request: str | None, timeout: float, as_json: bool,
    options: Mapping[str, Any],
) -> None:  # fmt: skip
    """Redeem a code; exit code 1 if it is refused. CODE - (the default) is one line of standard input."""
    from proxyagent import verbs

    question = {"user": user, "device": device, "request": request, "within_s": timeout}
    ctx.exit(verbs.redeem_code(options, question, typed, as_json=as_json))


@code.command(epilog="Example: proxyagent code revoke gfield")
@click.argument("user")
@_CODE_TIMEOUT
@_CODE_JSON
@shared
@click.pass_context
def revoke(ctx: click.Context, /, user: str, timeout: float, as_json: bool, options: Mapping[str, Any]) -> None:
    """Void whatever code USER has. What is used stays used."""
    from proxyagent import verbs

    ctx.exit(verbs.revoke_code(options, {"user": user, "within_s": timeout}, as_json=as_json))


@code.command("list", epilog="Example: proxyagent code list --json")
@click.argument("user", required=False)
@_CODE_JSON
@shared
@click.pass_context
def list_codes(ctx: click.Context, /, user: str | None, as_json: bool, options: Mapping[str, Any]) -> None:
    """The codes that have not expired, and what became of them; never the codes themselves."""
    from proxyagent import verbs

    ctx.exit(verbs.list_codes(options, user, as_json=as_json))


@cli.command(epilog="Example: proxyagent keygen /etc/authagent/cookie.key")
@click.argument("file", default="cookie.key")
def keygen(file: str) -> None:
    """Write a key for failover cookies to FILE (cookie.key): 64 random bytes, mode 0600. Never overwrites."""
    from proxyagent import cookie_verbs

    click.get_current_context().exit(cookie_verbs.keygen(file))


@cli.group()
def cookie() -> None:
    """Failover cookies: seal one, or open one and see what it says. No ProxyAgent is asked."""


def _key_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say under which keys."""
    key = click.option(
        "--key", "keys", metavar="FILE", multiple=True, required=True, help="A key; the first writes, all are read."
    )
    choice = click.Choice(["none", "iag"])
    compatibility = click.option(
        "--compatibility", type=choice, default="none", help="iag: fill up short keys with zeros, as IBM does."
    )
    return key(compatibility(function))


@cookie.command(epilog="Example: proxyagent cookie seal --key cookie.key --user alice --claim groups=staff")
@_key_options
@click.option("--user", metavar="U", required=True, help="Who.")
@click.option("--claim", "claims", metavar="K=V", multiple=True, help="More than once under one K: a list.")
@click.option("--lifetime", metavar="S", type=Seconds(1, 604_800), default=3600.0, help="Seconds; 3600.")
def seal(keys: tuple[str, ...], compatibility: str, user: str, claims: tuple[str, ...], lifetime: float) -> None:
    """Print a cookie for a user. It names no session, so no logout revokes it: only its lifetime ends it."""
    from proxyagent import cookie_verbs

    if lifetime != lifetime:
        raise click.BadParameter("nan is no number of seconds", param_hint="--lifetime")
    code = cookie_verbs.seal(keys, compatibility, user, pairs(claims, "--claim"), lifetime)
    click.get_current_context().exit(code)


@cookie.command("open", epilog="Example: proxyagent cookie open --key cookie.key - < token")
@_key_options
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.argument("token")
def open_token(keys: tuple[str, ...], compatibility: str, as_json: bool, token: str) -> None:
    """Print the user and the claims of a cookie; exit code 1 if it is refused. TOKEN - is standard input."""
    from proxyagent import cookie_verbs

    click.get_current_context().exit(cookie_verbs.open_token(keys, compatibility, token, as_json=as_json))


def main() -> None:
    """The program. Never returns."""
    program.end("proxyagent", cli)
