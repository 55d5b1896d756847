"""Which agent this is, where it listens, where its files are."""

from collections.abc import Callable
from pathlib import Path

import pytest

from authagent import config
from authagent.config import Flags
from protocol.configuration import default, parse
from protocol.mistakes import MistakesFound
from protocol.places import Surroundings

PAIR = """
[[authagent]]
id = 1
site = "lan1"
host = "10.1.0.11"
[[authagent]]
id = 2
site = "lan1"
host = "10.1.0.12"
[[authagent]]
id = 1
site = "lan2"
host = "10.2.0.11"
[[proxyagent]]
id = "squid-*"
site = "lan1"
"""


def own(*hosts: str) -> Callable[[str], bool]:
    """A machine with these addresses."""
    return lambda host: host in hosts


def around(folder: Path, **environment: str) -> Surroundings:
    """A user at home in `folder`, with a control folder of its own, since test folders leave no room in 107 bytes."""
    return Surroundings({"RUNTIME_DIRECTORY": "/run/a"} | environment, False, str(folder), str(folder))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the file of two sites."""
    (tmp_path / "authagent.toml").write_text(PAIR)
    return tmp_path


def complaint(call: Callable[[], object]) -> str:
    """The one line with which a call is refused."""
    with pytest.raises(MistakesFound) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- which entry


def test_the_one_entry_of_this_machine_is_chosen() -> None:
    """Without a number, the host decides."""
    assert str(config.choose(parse(PAIR, "x"), "", "", own("10.1.0.12"))) == "agent 2 of site lan1"


def test_number_and_site_choose() -> None:
    """With both, the host does not matter for the choice."""
    assert str(config.choose(parse(PAIR, "x"), "1", "lan2", own())) == "agent 1 of site lan2"
    assert str(config.choose(parse(PAIR, "x"), "2", "", own())) == "agent 2 of site lan1"


def test_a_number_alone_is_settled_by_the_machine_or_the_file() -> None:
    """Agent 1 of which site: the own address tells, else `site` of the file."""
    assert config.choose(parse(PAIR, "x"), "1", "", own("10.2.0.11")).site == "lan2"
    assert config.choose(parse('site = "lan2"' + PAIR, "x"), "1", "", own()).site == "lan2"


@pytest.mark.parametrize("number", ["3", "0", "one", "-1", "1.0"])
def test_authagent_3_is_refused(number: str) -> None:
    """There are agents 1 and 2."""
    text = complaint(lambda: config.choose(parse(PAIR, "x"), number, "", own()))
    assert text == f'agent ids are 1 and 2, not "{number}"'


def test_none_or_several_are_named() -> None:
    """The candidates stand in the line, with what to say."""
    found = parse(PAIR, "x")
    none = complaint(lambda: config.choose(found, "", "", own("192.0.2.9")))
    assert "no [[authagent]] has a host that is an address of this machine" in none
    assert "agent 2 of site lan1 (10.1.0.12:9023)" in none and "authagent 1 --site NAME" in none
    several = complaint(lambda: config.choose(found, "", "", own("10.1.0.11", "10.1.0.12")))
    assert "several entries fit" in several and "lan2" not in several
    assert "several entries fit" in complaint(lambda: config.choose(found, "1", "", own()))


def test_an_unlisted_number_or_site_is_named() -> None:
    """A site that is misspelled gets the nearest right name."""
    found = parse(PAIR, "x")
    assert "agent 2 of site lan2 is not listed" in complaint(lambda: config.choose(found, "2", "lan2", own()))
    assert "did you mean lan1?" in complaint(lambda: config.choose(found, "1", "lan11", own()))


def test_without_a_file_the_single_agent_is_agent_1() -> None:
    """`authagent` alone just runs, and `authagent 2` is its partner."""
    assert config.choose(default(), "", "", own("127.0.0.1")).port == 9023
    assert config.choose(default(), "2", "", own("127.0.0.1")).port == 9024


# -- everything together


def test_the_setup_of_an_agent(folder: Path) -> None:
    """Partner, remotes, files and folders follow from file and machine."""
    made = config.load(Flags(), around(folder), own("10.1.0.11"))
    state = f"{folder}/.local/state/authagent"
    assert (made.site, made.id, made.listen) == ("lan1", "1", (("10.1.0.11", 9023),))
    assert made.partner is not None and made.partner.id == 2
    assert [str(each) for each in made.remotes] == ["agent 1 of site lan2"]
    assert made.state_dir == f"{state}/lan1-agent-1" and made.control_path == "/run/a/lan1-agent-1.sock"
    assert made.secret_path == f"{folder}/secret" and made.log_path == ""
    assert made.file("tls/key.pem") == f"{folder}/tls/key.pem" and made.file("") == ""


def test_flags_count_before_the_environment_before_the_file(folder: Path) -> None:
    """Number, site, listen, state folder and log level in that order."""
    (folder / "authagent.toml").write_text('state_dir = "/file"\n[logging]\nlevel = 0\n[control]\nfolder = "/c"' + PAIR)
    environment = around(
        folder, AUTHAGENT_ID="2", AUTHAGENT_SITE="lan1", AUTHAGENT_LISTEN="127.0.0.1:1, [::1]:2",
        AUTHAGENT_STATE_DIR="/env", AUTHAGENT_LOG_LEVEL="2",
    )  # fmt: skip
    made = config.load(Flags(), environment, own())
    assert (made.site, made.id, made.listen) == ("lan1", "2", (("127.0.0.1", 1), ("::1", 2)))
    assert made.state_dir == "/env/lan1-agent-2" and made.configuration.logging.level == 2
    flags = Flags(number="1", site="lan2", listen=("127.0.0.1:3",), state_dir="/flag", log_level="1")
    made = config.load(flags, environment, own())
    assert (made.site, made.id, made.listen) == ("lan2", "1", (("127.0.0.1", 3),))
    assert made.state_dir == "/flag/lan2-agent-1" and made.configuration.logging.level == 1
    assert made.control_path == "/c/lan2-agent-1.sock"
    plain = config.load(Flags(number="1", site="lan1"), around(folder), own("10.1.0.11"))
    assert plain.state_dir == "/file/lan1-agent-1" and plain.configuration.logging.level == 0


def test_without_a_file_everything_is_on_loopback(tmp_path: Path) -> None:
    """The secret is then made at first start in the state folder."""
    made = config.load(Flags(), around(tmp_path), own("127.0.0.1"))
    assert made.configuration.path == "" and made.listen == (("127.0.0.1", 9023),)
    assert made.secret_path == f"{tmp_path}/.local/state/authagent/secret"
    assert config.read_secret(made) == config.read_secret(
        config.load(Flags(number="2"), around(tmp_path), own("127.0.0.1"))
    )


def test_a_host_that_is_not_this_machines_is_refused(folder: Path) -> None:
    """Listening there could only fail; where addresses are translated, `listen` says so."""
    text = complaint(lambda: config.load(Flags(number="2", site="lan1"), around(folder), own("10.1.0.11")))
    assert "agent 2 of site lan1 has host 10.1.0.12, which is no address of this machine" in text
    made = config.load(Flags(number="2", listen=("0.0.0.0:9023",)), around(folder), own("10.1.0.11"))
    assert made.listen == (("0.0.0.0", 9023),)


def test_bad_flags_are_one_line(folder: Path) -> None:
    """Each names the flag."""
    here = around(folder)
    for flags, says in (
        (Flags(number="1", site="lan1", listen=("9023",)), '--listen: write "HOST:PORT"'),
        (Flags(log_level="3"), '--log-level: "3": levels are 0, 1 and 2'),
        (Flags(config="none.toml"), "none.toml: there is no such file"),
    ):
        assert says in complaint(lambda flags=flags: config.load(flags, here, own("10.1.0.11")))  # type: ignore[misc]


def test_plain_links_cannot_be_listened_for_beyond_loopback(tmp_path: Path) -> None:
    """A flag does not get around the rule that links are plain on loopback only."""
    (tmp_path / "authagent.toml").write_text('[tls]\nmode = "off"\n')
    said = complaint(lambda: config.load(Flags(number="1", listen=(":9023",)), around(tmp_path), own()))
    assert "0.0.0.0 is not loopback" in said
    (tmp_path / "authagent.toml").write_text('[tls]\nmode = "insecure-plain"\n')
    assert config.load(Flags(number="1", listen=(":9023",)), around(tmp_path), own()).listen == (("0.0.0.0", 9023),)


def test_a_control_path_over_107_bytes_is_refused(folder: Path) -> None:
    """Before anything is opened, with the cure."""
    long = around(folder, RUNTIME_DIRECTORY="/run/" + "x" * 100)
    text = complaint(lambda: config.load(Flags(), long, own("10.1.0.11")))
    assert "the system allows 107; set a shorter folder under [control]" in text


def test_a_secret_that_cannot_be_used_is_refused(folder: Path) -> None:
    """With a file the secret is never made up: a missing or weak one is named."""
    made = config.load(Flags(), around(folder), own("10.1.0.11"))
    assert "there is no such file" in complaint(lambda: config.read_secret(made))
    (folder / "secret").write_text("secret\n")
    (folder / "secret").chmod(0o600)
    assert "line 1 is weak" in complaint(lambda: config.read_secret(made))


def test_identity_is_what_a_reload_cannot_change(folder: Path) -> None:
    """Timing may change by a reload; the port may not."""
    before = config.load(Flags(), around(folder), own("10.1.0.11"))
    (folder / "authagent.toml").write_text("[timing]\nconnect_attempts = 7\n" + PAIR)
    assert config.load(Flags(), around(folder), own("10.1.0.11")).identity() == before.identity()
    (folder / "authagent.toml").write_text(PAIR.replace('host = "10.1.0.11"', 'host = "10.1.0.11"\nport = 9999'))
    assert config.load(Flags(), around(folder), own("10.1.0.11")).identity() != before.identity()
