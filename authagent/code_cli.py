"""The command line of `authagent code`: what its verbs are called with. cli.py makes them commands.

Rules of this file: as in cli.py, nothing heavy is imported here.
"""

from collections.abc import Callable, Mapping
from typing import Any

import click

from protocol.io.program import Seconds

Options = Mapping[str, Any]

_TIMEOUT = click.option(
    "--timeout", metavar="S", type=Seconds(0.001, 3600), default=5.0, help="Wait at most S seconds."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="For programs.")
_VALIDITY = click.option(
    "--validity", metavar="S", type=Seconds(10, 1_000_000), default=600.0, help="Seconds; 600."
)


def add_to(group: click.Group) -> None:
    """Give a group the four verbs."""
    epilogs: dict[Callable[..., Any], str] = {
        create: "Example: authagent code create gfield --validity 3600",
        redeem: "Example: authagent code redeem gfield --device phone-1 < code",
        revoke: "Example: authagent code revoke gfield",
        list_codes: "Example: authagent code list --json",
    }
    for function, epilog in epilogs.items():
        name = function.__name__.removesuffix("_codes")
        group.command(name, epilog=epilog)(click.pass_obj(function))


@click.argument("user")
@_VALIDITY
@_TIMEOUT
@_JSON
def create(options: Options, /, user: str, validity: float, timeout: float, as_json: bool) -> int:
    """Make a code for USER and print it; every earlier one is void."""
    from authagent import verbs

    return verbs.create_code(options, user, validity, timeout, as_json=as_json)


@click.argument("user")
@click.argument("code", default="-")
@click.option("--device", metavar="ID", required=True, help="For which device.")
@click.option("--request", metavar="ID", help="The same request is granted again; by default the device stands for it.")
@_TIMEOUT
@_JSON
def redeem(
    options: Options, /, user: str, code: str, device: str, request: str | None, timeout: float, as_json: bool
) -> int:
    """Redeem a code; exit code 1 if it is refused. CODE - (the default) is one line of standard input."""
    from authagent import verbs

    question = {"user": user, "device": device, "request": request, "within_s": timeout}
    return verbs.redeem_code(options, question, code, as_json=as_json)


@click.argument("user")
@_TIMEOUT
@_JSON
def revoke(options: Options, /, user: str, timeout: float, as_json: bool) -> int:
    """Void whatever code USER has. What is used stays used."""
    from authagent import verbs

    return verbs.revoke_code(options, user, timeout, as_json=as_json)


@click.argument("user", required=False)
@_JSON
def list_codes(options: Options, /, user: str | None, as_json: bool) -> int:
    """The codes that have not expired, and what became of them; never the codes themselves."""
    from authagent import verbs

    return verbs.list_codes(options, user, as_json=as_json)
