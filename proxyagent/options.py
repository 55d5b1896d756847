"""Options that several verbs of the command line share. Nothing heavy is imported here, as in cli.py."""

import functools
from collections.abc import Callable
from typing import Any

import click

from protocol.io.program import Seconds

SHARED = ("config", "site", "id", "control")

LEVELS = click.Choice(["local", "master", "site"])
SECONDS = Seconds(0.001, 3600)


def shared(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that every verb understands, before it or after it; handed on as `options`."""

    @click.option("--config", metavar="FILE", help="The configuration file.")
    @click.option("--site", metavar="NAME", help="Which site's proxy, where several fit.")
    @click.option("--id", metavar="ID", help="Which proxy, where several run here.")
    @click.option("--control", metavar="PATH", help="The control socket.")
    @functools.wraps(function)
    def given(*arguments: Any, **options: Any) -> Any:
        before = click.get_current_context().obj or {}
        chosen = {name: options.pop(name) or before.get(name) for name in SHARED}
        return function(*arguments, options=chosen, **options)

    return given


def pairs(given: tuple[str, ...], option: str = "--attribute") -> dict[str, str | list[str]]:
    """Attributes or claims from the command line: one value, or a list where a name is repeated."""
    pairs: dict[str, list[str]] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"{each!r}: write NAME=VALUE", param_hint=option)
        pairs.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in pairs.items()}
