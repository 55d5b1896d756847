"""Which proxy this is, whom it dials, and where its files are."""

from collections.abc import Callable
from pathlib import Path

import pytest

from protocol.configuration import default, parse
from protocol.mistakes import MistakesFound
from protocol.places import Surroundings
from proxyagent import config

FILE = """
[[authagent]]
id = 2
site = "lan1"
host = "10.1.0.12"
[[authagent]]
id = 1
site = "lan1"
host = "10.1.0.11"
wan_host = "192.0.2.11"
[[proxyagent]]
id = "squid-*"
site = "lan1"
host = "10.1.0.0/24"
[[proxyagent]]
id = "nginx"
site = "lan1"
host = "10.1.0.31"
[[proxyagent]]
id = "nginx"
site = "lan2"
host = "10.2.0.31"
[[proxyagent]]
id = "free"
site = "lan1"
"""


def own(*hosts: str) -> Callable[[str], bool]:
    """A machine with these addresses."""
    return lambda host: host in hosts


def around(folder: Path, **environment: str) -> Surroundings:
    """A user at home in `folder`, with a control folder of its own, since test folders leave no room in 107 bytes."""
    return Surroundings({"RUNTIME_DIRECTORY": "/run/a"} | environment, False, str(folder), str(folder))


def complaint(call: Callable[[], object]) -> str:
    """The one line with which a call is refused."""
    with pytest.raises(MistakesFound) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_named_id_has_its_entry() -> None:
    """Exactly, or by a pattern whose network is this machine's."""
    found = parse(FILE, "x")
    assert config.choose(found, "free", "", own())[1].id == "free"
    assert config.choose(found, "squid-7", "", own("10.1.0.0/24"))[1].id == "squid-*"
    assert config.choose(found, "nginx", "", own("10.2.0.31"))[1].site == "lan2"


def test_without_an_id_the_machine_decides() -> None:
    """The one entry, no pattern, whose host is this machine's."""
    assert config.choose(parse(FILE, "x"), "", "", own("10.1.0.31", "10.1.0.0/24"))[0] == "nginx"


def test_none_or_several_without_an_id() -> None:
    """The line says how to name it."""
    found = parse(FILE, "x")
    assert "no [[proxyagent]] has this machine's address" in complaint(lambda: config.choose(found, "", "", own()))
    several = complaint(lambda: config.choose(found, "", "", own("10.1.0.31", "10.2.0.31")))
    assert "nginx of site lan1, nginx of site lan2" in several and "--id" in several


def test_an_id_that_is_not_listed_is_refused_with_the_nearest() -> None:
    """So is one that no id can be, and any id of a file without proxies."""
    found = parse(FILE, "x")
    assert '"nginxx" is not listed; did you mean nginx?' in complaint(lambda: config.choose(found, "nginxx", "", own()))
    assert "letters, digits" in complaint(lambda: config.choose(found, "a/b", "", own()))
    bare = parse(FILE[: FILE.index("[[proxyagent]]")], "x")
    assert "the file lists no [[proxyagent]]" in complaint(lambda: config.choose(bare, "a", "", own()))


def test_a_host_that_is_not_this_machines_is_refused() -> None:
    """The agent would refuse the link; so it is said here, with the host."""
    text = complaint(lambda: config.choose(parse(FILE, "x"), "nginx", "lan1", own("10.9.9.9")))
    assert "nginx must come from 10.1.0.31, which is no address of this machine" in text


def test_a_site_chooses_and_a_wrong_one_is_named() -> None:
    """--site tells equal ids apart."""
    both = own("10.1.0.31", "10.2.0.31")
    found = parse(FILE, "x")
    assert config.choose(found, "nginx", "lan2", both)[1].site == "lan2"
    assert "name the site with --site" in complaint(lambda: config.choose(found, "nginx", "", both))
    assert config.choose(parse('site = "lan1"' + FILE, "x"), "nginx", "", both)[1].site == "lan1"
    assert "did you mean lan2?" in complaint(lambda: config.choose(found, "nginx", "lan22", both))


def test_the_setup_of_a_proxy(tmp_path: Path) -> None:
    """Agents in order, secret beside the file, a control socket of its own."""
    (tmp_path / "authagent.toml").write_text(FILE)
    made = config.load(id="squid-7", around=around(tmp_path), is_own=own("10.1.0.0/24"))
    assert (made.id, made.site) == ("squid-7", "lan1")
    assert [agent.id for agent in made.agents] == [1, 2] and made.host(made.agents[0]) == "10.1.0.11"
    assert made.secret_path == f"{tmp_path}/secret"
    assert made.control_path == "/run/a/lan1-proxyagent-squid-7.sock"


def test_a_proxy_of_a_site_without_agents_dials_the_others_over_the_wan(tmp_path: Path) -> None:
    """All other sites' agents, at wan_host where they have one."""
    (tmp_path / "authagent.toml").write_text(FILE)
    made = config.load(id="nginx", site="lan2", around=around(tmp_path), is_own=own("10.2.0.31"))
    assert [made.host(agent) for agent in made.agents] == ["192.0.2.11", "10.1.0.12"]


def test_arguments_count_before_the_environment(tmp_path: Path) -> None:
    """Id, site, control path and file."""
    (tmp_path / "other.toml").write_text(FILE)
    environment = around(
        tmp_path, PROXYAGENT_CONFIG="other.toml", PROXYAGENT_ID="free", PROXYAGENT_CONTROL="/c/p.sock"
    )  # fmt: skip
    made = config.load(around=environment, is_own=own())
    assert (made.id, made.control_path) == ("free", "/c/p.sock")
    made = config.load(id="squid-1", control="/d/p.sock", around=environment, is_own=own("10.1.0.0/24"))
    assert (made.id, made.control_path) == ("squid-1", "/d/p.sock")


def test_without_a_file_a_proxy_runs_on_loopback(tmp_path: Path) -> None:
    """Any id will do, and the secret is that of the agents' state folder, made by whoever is first."""
    made = config.load(around=around(tmp_path), is_own=own("127.0.0.1"))
    assert made.id == config.DEFAULT_ID and [agent.port for agent in made.agents] == [9023, 9024]
    assert config.choose(default(), "whatever", "", own())[1].id == "*"
    assert config.read_secret(made) == config.read_secret(config.load(id="b", around=around(tmp_path)))


def test_a_control_path_over_107_bytes_is_refused(tmp_path: Path) -> None:
    """Given, or made from the folder: one line with the cure."""
    long = around(tmp_path, RUNTIME_DIRECTORY="/run/" + "x" * 90)
    assert "the system allows 107" in complaint(lambda: config.load(around=long))
    assert "the system allows 107" in complaint(lambda: config.load(control="/" + "x" * 107, around=around(tmp_path)))


def test_bad_files_are_refused_with_all_mistakes(tmp_path: Path) -> None:
    """A missing file is one line; a bad one has a line for each mistake."""
    assert "there is no such file" in complaint(lambda: config.load("none.toml", around=around(tmp_path)))
    (tmp_path / "authagent.toml").write_text("a = 1\nb = 2\n")
    with pytest.raises(MistakesFound) as caught:
        config.load(around=around(tmp_path))
    assert len(caught.value.mistakes) == 2
