"""Manual pages from the command lines: what `--help` says, in the form that man(1) reads.

Rules of this file:

- Everything is read from click's commands; only what no `--help` says (exit codes, files, environment) is written here.
- No date and no version stands in a page, so that it changes only when a command does.
- docs/generate.py writes the pages and a test holds them to the code.
"""

import re
from collections.abc import Iterable, Iterator

import click

PURPOSE = {
    "authagent": "one login for every proxy: the agent that keeps the sessions of a site",
    "proxyagent": "one login for every proxy: a proxy's part of it",
}

_EXIT_CODES = (
    ("0", "Done, or yes."),
    ("1", '"No", and nothing else: not authenticated, not equal, not healthy in time, nothing known.'),
    ("2", "Wrong usage or configuration."),
    ("3", "Cannot reach, or not permitted."),
    ("4", "Not finished in time; what is pending is named."),
    ("70", "An internal error; please report it."),
    ("130", "Interrupted."),
)

_ENVIRONMENT = (
    ("{PROGRAM}_CONFIG, {PROGRAM}_SITE, {PROGRAM}_ID", "As the options of these names, which count first."),
    ("AUTHAGENT_CONFIG", "The configuration file, for both programs."),
    ("STATE_DIRECTORY, RUNTIME_DIRECTORY", "Where a service manager wants state and sockets."),
    ("CREDENTIALS_DIRECTORY", "Where it has put the secret, when the program may not read the file itself."),
    ("NOTIFY_SOCKET, WATCHDOG_USEC", "How a service manager is told that the program is ready, and that it lives."),
)

_FILES = (
    ("/etc/authagent/authagent.toml", "The configuration, the same on every machine."),
    ("/etc/authagent/secret", "The shared secret; mode 0600 or 0640."),
    ("/var/lib/authagent", "State of agents."),
    ("/run/authagent", "Control sockets."),
)


def page(program: str, group: click.Group) -> str:
    """The manual page of one program in section 1."""
    context = click.Context(group, info_name=program)
    shared = {_signature(parameter) for parameter in group.params}
    lines = [
        f'.TH {program.upper()} 1 "" "one-login" "User Commands"',
        ".SH NAME",
        f"{program} \\- {_text(PURPOSE[program])}",
        ".SH SYNOPSIS",
        f".B {program}",
        "[\\fIOPTIONS\\fR] [\\fIVERB\\fR] [\\fIARGUMENTS\\fR]",
        ".SH DESCRIPTION",
        *_prose(group.help or ""),
        ".SH OPTIONS",
        "These stand before or after a verb; the one after it counts.",
        *_options(group.params, context),
        ".SH VERBS",
    ]
    for name, verb in _verbs(group, ""):
        lines += _verb(program, name, verb, shared)
    lines += [".SH EXIT STATUS", *_terms(_EXIT_CODES)]
    environment = [(name.format(PROGRAM=program.upper()), text) for name, text in _ENVIRONMENT]
    lines += [".SH ENVIRONMENT", *_terms(environment), ".SH FILES", *_terms(_FILES)]
    other = next(each for each in PURPOSE if each != program)
    lines += [".SH SEE ALSO", f".BR {other} (1),", "and the documentation that comes with the source."]
    return "\n".join(lines) + "\n"


def _verbs(group: click.Group, before: str) -> Iterator[tuple[str, click.Command]]:
    """Every verb with its whole name, those below others included."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _verbs(command, f"{before}{name} ")
        elif not command.hidden:
            yield f"{before}{name}", command


def _verb(program: str, name: str, verb: click.Command, shared: set[tuple[str, ...]]) -> Iterator[str]:
    context = click.Context(verb, info_name=name)
    arguments = " ".join(
        argument.make_metavar(context) for argument in verb.params if isinstance(argument, click.Argument)
    )
    yield f".SS {program} {_text(name)} {_text(arguments)}".rstrip()
    yield from _prose(verb.help or "")
    own = [each for each in verb.params if _signature(each) not in shared and "--help" not in each.opts]
    yield from _options(own, context)
    yield from _prose((verb.epilog or "").removeprefix("\b\n"), literal=True)


def _options(parameters: Iterable[click.Parameter], context: click.Context) -> Iterator[str]:
    for parameter in parameters:
        if isinstance(parameter, click.Option) and (record := parameter.get_help_record(context)):
            yield ".TP"
            yield f".B {_text(record[0])}"
            yield _text(record[1] or "")


def _terms(terms: Iterable[tuple[str, str]]) -> Iterator[str]:
    for term, text in terms:
        yield ".TP"
        yield f".B {_text(term)}"
        yield _text(text)


def _prose(text: str, *, literal: bool = False) -> Iterator[str]:
    """Paragraphs; `literal` keeps lines as they are."""
    if not text.strip():
        return
    if literal:
        yield from (".PP", ".nf", *(_text(line) for line in text.rstrip().splitlines()), ".fi")
        return
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        yield ".PP"
        yield _text(" ".join(paragraph.split()))


def _signature(parameter: click.Parameter) -> tuple[str, ...]:
    return (*parameter.opts, str(getattr(parameter, "help", "")))


def _text(text: str) -> str:
    """Text with nothing in it that roff would read as its own: backslashes, hyphens, and a dot at the start."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga").replace("'", "\\(aq")
    return f"\\&{escaped}" if escaped.startswith(".") else escaped
