"""Adapters are made where the file wants them, and only there."""

import sys
from pathlib import Path

import pytest

from proxyagent.config import ProxySetup, load
from proxyagent.integrations.adapter import AdapterUnusable
from proxyagent.integrations.catalogue import ADAPTERS


def setup_of(folder: Path, text: str) -> ProxySetup:
    """What a file with these lines makes of this machine."""
    path = folder / "authagent.toml"
    path.write_text(f'site = "lan1"\n{text}')
    return load(str(path), id="proxy1")


def test_nothing_is_served_that_the_file_does_not_name(tmp_path: Path) -> None:
    """Without their sections there are no adapters, and nothing of the extras is imported."""
    setup = setup_of(tmp_path, "")
    assert {name: make(setup) for name, make in ADAPTERS.items()} == dict.fromkeys(ADAPTERS)


def test_an_adapter_without_its_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, with the extra."""
    monkeypatch.setitem(sys.modules, "h11", None)
    for name in [name for name in sys.modules if "integrations.forward_auth" in name]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(AdapterUnusable, match=r'\[forward_auth\] needs h11.*pip install "one-login\[http\]"'):
        ADAPTERS["forward_auth"](setup_of(tmp_path, '[forward_auth]\nlisten = "./a.sock"\n'))
