"""Which control socket a verb means, and how fast that is known."""

import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from protocol.io import sockets
from protocol.mistakes import MistakesFound
from protocol.places import Surroundings


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder with a short path: pytest's own leaves too little of the 107 bytes of a socket's path."""
    with tempfile.TemporaryDirectory(prefix="s") as folder:
        yield Path(folder)


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[ExitStack]:
    """Keeps the sockets that a test makes until its end."""
    with ExitStack() as stack:
        yield stack


def around(folder: Path, **environment: str) -> Surroundings:
    """A user whose state folder, and so control folder, is `folder`/.local/state/authagent."""
    return Surroundings(environment, False, str(folder), str(folder))


def control(folder: Path) -> Path:
    """The control folder of that user."""
    made = folder / ".local" / "state" / "authagent"
    made.mkdir(parents=True, exist_ok=True)
    return made


def serve(stack: ExitStack, path: Path) -> str:
    """A socket that somebody listens on."""
    listener = stack.enter_context(socket.socket(socket.AF_UNIX))
    listener.bind(str(path))
    listener.listen()
    return str(path)


def leave(path: Path) -> str:
    """A socket file whose owner was killed."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    return str(path)


def test_the_single_agent_is_found(tmp_path: Path, listening: ExitStack) -> None:
    """One agent needs no name."""
    path = serve(listening, control(tmp_path) / "lan1-agent-1.sock")
    assert sockets.find_agents(around(tmp_path)) == (path,)


def test_both_agents_of_a_site_are_offered_in_order(tmp_path: Path, listening: ExitStack) -> None:
    """Admin verbs work at either agent; a number names one."""
    first = serve(listening, control(tmp_path) / "lan1-agent-1.sock")
    second = serve(listening, control(tmp_path) / "lan1-agent-2.sock")
    assert sockets.find_agents(around(tmp_path)) == (first, second)
    assert sockets.find_agents(around(tmp_path), agent_id="2") == (second,)
    assert sockets.find_agents(around(tmp_path, AUTHAGENT_ID="2")) == (second,)


def test_a_dead_socket_does_not_count_beside_a_living_one(tmp_path: Path, listening: ExitStack) -> None:
    """After kill -9 of one agent the other is asked."""
    leave(control(tmp_path) / "lan1-agent-1.sock")
    second = serve(listening, control(tmp_path) / "lan1-agent-2.sock")
    assert sockets.find_agents(around(tmp_path)) == (second,)


def test_agents_of_several_sites_must_be_told_apart(tmp_path: Path, listening: ExitStack) -> None:
    """The candidates are named; --site or the environment decides."""
    first = serve(listening, control(tmp_path) / "lan1-agent-1.sock")
    serve(listening, control(tmp_path) / "lan2-agent-1.sock")
    with pytest.raises(
        MistakesFound, match=r"several AuthAgents run here \(1 of site lan1, 1 of site lan2\); .*--site"
    ):
        sockets.find_agents(around(tmp_path))
    assert sockets.find_agents(around(tmp_path), site="lan1") == (first,)
    assert sockets.find_agents(around(tmp_path, AUTHAGENT_SITE="lan1")) == (first,)


def test_nobody_there_is_one_line_with_the_folder(tmp_path: Path) -> None:
    """Who asks for a program that does not run learns where it was looked for."""
    with pytest.raises(sockets.NobodyThere, match="no AuthAgent 2 runs here: no control socket in"):
        sockets.find_agents(around(tmp_path), agent_id="2")
    with pytest.raises(sockets.NobodyThere, match="no ProxyAgent p7 runs here"):
        sockets.find_proxy(around(tmp_path), proxy_id="p7")


def test_the_single_proxy_is_found_and_several_are_named(tmp_path: Path, listening: ExitStack) -> None:
    """--id, the environment, or the one that answers."""
    folder = control(tmp_path)
    first = serve(listening, folder / "lan1-proxyagent-squid-1.sock")
    leave(folder / "lan1-proxyagent-old.sock")
    assert sockets.find_proxy(around(tmp_path)) == first
    second = serve(listening, folder / "lan1-proxyagent-squid-2.sock")
    with pytest.raises(MistakesFound, match=r"several ProxyAgents run here .*squid-1 of site lan1.*--id ID"):
        sockets.find_proxy(around(tmp_path))
    assert sockets.find_proxy(around(tmp_path), proxy_id="squid-2") == second
    assert sockets.find_proxy(around(tmp_path, PROXYAGENT_ID="squid-1")) == first


def test_a_named_socket_is_taken_as_it_is(tmp_path: Path) -> None:
    """--control counts before the environment, and both before any search."""
    found = sockets.find_proxy(around(tmp_path, PROXYAGENT_CONTROL="/run/p.sock"))
    assert found == "/run/p.sock"
    assert (
        sockets.find_proxy(around(tmp_path, PROXYAGENT_CONTROL="/run/p.sock"), control="q.sock") == f"{tmp_path}/q.sock"
    )
    assert sockets.find_agents(around(tmp_path, AUTHAGENT_CONTROL="/run/a.sock")) == ("/run/a.sock",)


def test_a_control_path_over_107_bytes_is_one_line(tmp_path: Path) -> None:
    """The system could not connect to it: usage, not a traceback."""
    with pytest.raises(MistakesFound, match="the system allows 107"):
        sockets.find_proxy(around(tmp_path), control="/" + "x" * 107)


def test_the_file_decides_the_folder_even_with_mistakes_elsewhere(tmp_path: Path, listening: ExitStack) -> None:
    """A verb finds its program while the file is being corrected."""
    (tmp_path / "ctl").mkdir()
    (tmp_path / "authagent.toml").write_text('unknown = 1\nstate_dir = 3\n[control]\nfolder = "ctl"\n')
    path = serve(listening, tmp_path / "ctl" / "lan1-agent-1.sock")
    assert sockets.find_agents(around(tmp_path)) == (path,)


def test_a_file_that_is_no_toml_is_one_line(tmp_path: Path) -> None:
    """A broken file is named; a missing one that was named too."""
    for text in ("[control", "a = " + "[" * 5_000, "a = 1" + "0" * 5_000):
        (tmp_path / "authagent.toml").write_text(text)
        with pytest.raises(MistakesFound, match="this is not TOML"):
            sockets.find_agents(around(tmp_path))
    with pytest.raises(MistakesFound, match="there is no such file"):
        sockets.find_agents(around(tmp_path), config="other.toml")


def test_finding_a_socket_loads_nothing_heavy() -> None:
    """Verbs that only ask a control socket must start in under 100 ms: none of the large libraries is loaded."""
    code = (
        "import sys, protocol.io.sockets; "
        "print([m for m in ('trio', 'attr', 'cattrs', 'structlog', 'rich', 'ssl', 'asyncio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.strip() == "[]"
