"""`authagent secret add` and `drop`."""

from pathlib import Path

import pytest

from authagent import init, secret_verb
from authagent.config import Flags
from protocol.io import secret_file
from protocol.mistakes import MistakesFound
from protocol.places import Surroundings


@pytest.fixture
def around(tmp_path: Path) -> Surroundings:
    """A user in a folder with a fresh configuration."""
    init.write(str(tmp_path), agents=["10.1.0.11", "10.1.0.12"], proxies=["proxy1"])
    return Surroundings({}, False, str(tmp_path), str(tmp_path))


def test_add_then_drop(around: Surroundings) -> None:
    """The new line comes first, then alone; each verb says where to copy and what comes next."""
    path = f"{around.folder}/secret"
    old = secret_file.read(path).newest
    told = secret_verb.add(Flags(), around)
    lines = secret_file.read(path).lines
    assert lines[1] == old
    for part in ("10.1.0.11", "10.1.0.12", "proxy proxy1", "authagent reload", "authagent secret drop"):
        assert part in told
    told += secret_verb.drop(Flags(), around)
    assert secret_file.read(path).lines == lines[:1]
    assert not any(line.decode() in told for line in lines)


def test_add_twice_and_drop_twice_are_refused(around: Surroundings) -> None:
    """One line that says which verb comes first."""
    with pytest.raises(MistakesFound, match="add a new one first"):
        secret_verb.drop(Flags(), around)
    secret_verb.add(Flags(), around)
    with pytest.raises(MistakesFound, match="drop the older one first"):
        secret_verb.add(Flags(), around)


def test_without_a_secret_there_is_nothing_to_change(tmp_path: Path) -> None:
    """A missing secret is named; add does not make one that nobody else has."""
    (tmp_path / "authagent.toml").write_text("")
    with pytest.raises(MistakesFound, match="there is no such file"):
        secret_verb.add(Flags(), Surroundings({}, False, str(tmp_path), str(tmp_path)))
