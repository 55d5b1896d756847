"""The documents are true: links resolve, code runs, files load, and what they list is what the code has."""

import ast
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from protocol import configuration
from tests.repository import tree

DOCUMENTS = sorted(path for path in tree.tracked() if path.suffix == ".md")
SERVED = [tree.ROOT / "README.md", tree.ROOT / "docs" / "tutorial.md", *sorted((tree.ROOT / "docs").rglob("*.md"))]

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"(?:<!-- (run|compile) -->\n)?```(\w+)\n(.*?)```", re.DOTALL)
SHOWN = re.compile(r"<!-- from: (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)
EVENT = re.compile(r"[a-z_]+(\.[a-z_]+)?")
LOGGING_CALLS = {"started", "note", "warning", "alarm", "detail", "session", "Log", "_emit", "_write"}

WRITTEN_BY_OTHERS = {"docs/benchmark.md"}
"""Pages that are there only after their program has run: this one is `make bench`'s."""

START_TIMEOUT_S = 20
RUN_TIMEOUT_S = 30


def _name(path: Path) -> str:
    return tree.name(path)


def _prose(text: str) -> str:
    """A document without its code blocks and inline code."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def _anchors(path: Path) -> set[str]:
    """The anchors that headings make, as web pages of repositories name them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _blocks(language: str) -> list["object"]:
    """Every code block of a language, as a test parameter: (document, mark, text)."""
    found = []
    for path in dict.fromkeys(SERVED):
        for number, (mark, kind, text) in enumerate(BLOCK.findall(path.read_text(encoding="utf-8")), 1):
            if kind == language:
                found.append(pytest.param(mark, text, id=f"{_name(path)}-{number}"))
    return found


def _shown() -> list["object"]:
    """Every code block that shows a file, as a test parameter: (the file's name, text)."""
    return [
        pytest.param(name, text, id=f"{_name(path)}-{name}")
        for path in dict.fromkeys(SERVED)
        for name, text in SHOWN.findall(path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize(("name", "text"), _shown())
def test_a_page_shows_the_file_that_the_tests_run(name: str, text: str) -> None:
    """A block behind `<!-- from: FILE -->` is that file, or a part of it in whole lines."""
    assert f"\n{text}" in "\n" + (tree.ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("proxy", ["squid", "nginx", "caddy", "traefik", "envoy"])
def test_a_proxys_page_shows_its_whole_example(proxy: str) -> None:
    """docs/howto/PROXY.md has every file of examples/PROXY, to the letter, so that the page alone is enough."""
    shown = dict(SHOWN.findall((tree.ROOT / "docs" / "howto" / f"{proxy}.md").read_text(encoding="utf-8")))
    files = [path for path in (tree.ROOT / "examples" / proxy).iterdir() if path.suffix != ".md"]

    assert {_name(path): path.read_text(encoding="utf-8") for path in files} == shown


# -- links and words -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_links_resolve(path: Path) -> None:
    """Every link to a file of the repository leads to one, and to a heading that is there."""
    for link in LINK.findall(_prose(path.read_text(encoding="utf-8"))):
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        found = path if not target else (path.parent / target).resolve()
        assert found.exists(), f"{_name(path)} links to {link}"
        assert not anchor or anchor in _anchors(found), f"{_name(path)} links to {link}: no such heading"


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_each_document_has_one_title(path: Path) -> None:
    """A document begins with its only title."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)

    assert text.startswith("# ")
    assert len(re.findall(r"^# ", text, flags=re.MULTILINE)) == 1


def test_every_document_is_found_from_the_index() -> None:
    """Each page under docs/ is linked from docs/index.md, or is a decision, which has its own index."""
    index = tree.ROOT / "docs" / "index.md"
    linked = {(index.parent / link).resolve() for link in LINK.findall(index.read_text(encoding="utf-8"))}
    pages = {path for path in DOCUMENTS if path.is_relative_to(index.parent) and path != index}

    assert {_name(path) for path in pages - linked if path.parent.name != "decisions"} - WRITTEN_BY_OTHERS == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_nobody_is_told_to_install_what_others_own(path: Path) -> None:
    """No document says to install `proxyagent` or `protocol` by name: other projects own these names."""
    text = path.read_text(encoding="utf-8")

    assert not re.search(r"pip3? install (-\S+ )*(proxyagent|protocol|authagent)\b", text)


def test_the_first_screen_of_the_readme_has_the_four_ways_in() -> None:
    """See it, use it, embed it in twelve lines, hack on it; then what users notice when something fails."""
    text = (tree.ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = [block for mark, kind, block in BLOCK.findall(text) if kind == "python"]

    places = [text.index(words) for words in ("make demo", "authagent init", "import proxyagent", "make test")]
    assert places == sorted(places)
    assert places[-1] < text.index("| if this fails | users notice |")
    assert len([line for line in code.splitlines() if line]) <= 12


# -- code ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mark", "text"), _blocks("python"))
def test_python_blocks_compile_and_say_what_becomes_of_them(mark: str, text: str) -> None:
    """Each block of Python compiles, and is marked to be run, or only compiled."""
    compile(text, "a block", "exec")
    assert mark, "write <!-- run --> or <!-- compile --> above it"


@pytest.mark.parametrize(("mark", "text"), _blocks("toml"))
def test_toml_blocks_load(mark: str, text: str) -> None:
    """Each block of TOML is a configuration file without a mistake."""
    configuration.parse(text, "a block")


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder in which authagent.toml lies and an agent runs, as the documents assume; and the environment for it."""
    folder = tmp_path_factory.mktemp("farm")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AUTHAGENT_", "PROXYAGENT_"))},
        "AUTHAGENT_STATE_DIR": str(folder / "state"),
        "RUNTIME_DIRECTORY": str(folder),
        "PYTHONPATH": str(tree.ROOT),
    }
    agent = f'[[authagent]]\nid = 1\nsite = "lan1"\nhost = "127.0.0.1"\nport = {port}\n'
    (folder / "authagent.toml").write_text(f'{agent}[[proxyagent]]\nid = "*"\nsite = "lan1"\n')
    (folder / "secret").write_text("kQ3vX8pLr2Zt7Wm9Bn4Yc6Hd\n")
    (folder / "secret").chmod(0o600)
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "authagent", "1"], cwd=folder, env=environment, stdout=log, stderr=log
        )
        try:
            wait = [sys.executable, "-m", "authagent", "status", "--wait", str(START_TIMEOUT_S)]
            ready = subprocess.run(wait, cwd=folder, env=environment, capture_output=True, text=True)
            assert ready.returncode == 0, ready.stderr + (folder / "log").read_text()
            yield folder, environment
        finally:
            process.terminate()
            process.wait(10)


@pytest.mark.slow
@pytest.mark.parametrize(("mark", "text"), [each for each in _blocks("python") if each.values[0] == "run"])  # type: ignore[attr-defined]
def test_python_blocks_run(mark: str, text: str, farm: tuple[Path, dict[str, str]]) -> None:
    """Each block that is marked so runs to its end beside a real agent."""
    folder, environment = farm
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", text],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=RUN_TIMEOUT_S,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr


# -- what documents list -------------------------------------------------------------------------------------------


def _commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    if not command.hidden:
        yield name, command
    for verb, below in getattr(command, "commands", {}).items():
        yield from _commands(below, f"{name} {verb}")


@pytest.mark.parametrize("program", ["authagent", "proxyagent"])
def test_every_verb_and_option_is_in_the_reference(program: str) -> None:
    """docs/reference/cli.md has each verb with each option of its own, and no option that there is not."""
    import importlib

    group = importlib.import_module(f"{program}.cli").cli
    text = (tree.ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    chapter = text.partition(f"\n## {program}\n")[2].partition("\n## ")[0]
    sections = re.split(r"^### ", chapter, flags=re.MULTILINE)
    shared = {option for parameter in group.params for option in parameter.opts}
    documented = set(re.findall(r"--[a-z][a-z-]+", chapter)) - {"--help"}

    known = set(shared)
    for name, command in _commands(group, program):
        section = sections[0] if name == program else next((s for s in sections if name in s.partition("\n")[0]), "")
        own = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
        known |= own
        wanted = own if name == program else own - (shared - {"--site"})
        missing = {option for option in wanted if option not in section} - {"--site", "--help"}
        assert section or isinstance(command, click.Group), f"{name} is not in the reference"
        assert missing == set(), f"{name}: options that are not in the reference"
    assert documented - known == set(), "in the reference and not in the program"


def _event_names() -> set[str]:
    """Names of log events in the code: the first text in calls that log, or that make a Log command."""
    found = set()
    for path in tree.sources():
        if "demo" in path.parts:
            continue
        for node in ast.walk(tree.parsed(path)):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            texts = [each.value for each in node.args[:2] if isinstance(each, ast.Constant)]
            if called in LOGGING_CALLS and texts and isinstance(texts[0], str) and EVENT.fullmatch(texts[0]):
                found.add(texts[0])
    return found


def test_every_log_event_is_in_the_reference() -> None:
    """docs/reference/logs.md lists the events that the code logs, and no others."""
    text = (tree.ROOT / "docs" / "reference" / "logs.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `([a-z_.]+)` \|", text, flags=re.MULTILINE))

    assert listed == _event_names()


def test_the_fields_of_status_are_in_the_reference(farm: tuple[Path, dict[str, str]]) -> None:
    """docs/reference/json.md names every field that `authagent status --json` prints."""
    folder, environment = farm
    command = [sys.executable, "-m", "authagent", "status", "--json"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    text = (tree.ROOT / "docs" / "reference" / "json.md").read_text(encoding="utf-8")

    assert [name for name in json.loads(done.stdout) if f"`{name}`" not in text] == []


def test_the_fields_of_a_proxys_status_are_in_the_reference() -> None:
    """docs/reference/json.md names every field of a ProxyAgent's statistics."""
    import attrs

    from proxyagent.statistics import Statistics

    text = (tree.ROOT / "docs" / "reference" / "json.md").read_text(encoding="utf-8")
    section = text.partition("## `proxyagent status --json`")[2].partition("\n## ")[0]

    assert [field.name for field in attrs.fields(Statistics) if f"`{field.name}`" not in section] == []


def test_every_public_name_is_in_the_reference() -> None:
    """docs/reference/api.md names everything that `proxyagent` exports, and every public method of ProxyAgent."""
    import proxyagent

    text = (tree.ROOT / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
    members = [name for name in vars(proxyagent.ProxyAgent) if not name.startswith("_") and name != "shell"]
    names = [name for name in proxyagent.__all__ if name not in {"Notice", "ProxyAgent"}]

    assert [name for name in [*names, *members] if not re.search(rf"`(await )?{name}\b", text)] == []
