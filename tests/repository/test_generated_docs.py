"""Pages made from the code are current."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from protocol.configuration import parse

DOCS = Path(__file__).resolve().parents[2] / "docs"


def generator() -> ModuleType:
    """docs/generate.py as a module; docs is no package."""
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", sorted(generator().PAGES))
def test_each_page_is_what_the_code_says(name: str) -> None:
    """After a change of the code the page on disk must be written anew."""
    assert (DOCS / name).read_text(encoding="utf-8") == generator().PAGES[name](), "run: python docs/generate.py"


@pytest.mark.parametrize("page", sorted((DOCS / "howto").glob("*.md")), ids=lambda page: page.name)
def test_every_configuration_shown_in_a_how_to_is_accepted(page: Path) -> None:
    """What people will copy is right: each TOML block that is a file of ours has no mistakes."""
    for block in re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        parse(block, page.name)
