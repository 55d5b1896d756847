"""Which files and folders are used: flag, environment, file, default, in that order."""

import pytest

from protocol import places
from protocol.places import Surroundings

USER = Surroundings({}, False, "/home/ann", "/home/ann/proxies")
ROOT = Surroundings({}, True, "/root", "/root")


def around(root: bool = False, **environment: str) -> Surroundings:
    """Surroundings with an environment."""
    return (ROOT if root else USER)._replace(environment=environment)


def test_a_flag_counts_before_the_environment() -> None:
    """given() takes the flag, else the first variable that is set, and an empty one is not set."""
    names = ("A", "B")
    assert places.given("flag", names, around(A="a")) == "flag"
    assert places.given(None, names, around(A="", B="b")) == "b"
    assert places.given("", names, around()) == ""


def test_the_named_configuration_file() -> None:
    """--config, then the program's own variable, then AUTHAGENT_CONFIG; relative to where the person is."""
    assert places.named_config("x.toml", "authagent", around(AUTHAGENT_CONFIG="/e")) == "/home/ann/proxies/x.toml"
    assert places.named_config("./x.toml", "authagent", around()) == "/home/ann/proxies/x.toml"
    assert places.named_config("~/x.toml", "authagent", around()) == "/home/ann/x.toml"
    assert places.named_config(None, "proxyagent", around(AUTHAGENT_CONFIG="/e", PROXYAGENT_CONFIG="/p")) == "/p"
    assert places.named_config(None, "proxyagent", around(AUTHAGENT_CONFIG="/e")) == "/e"
    assert places.named_config(None, "authagent", around(PROXYAGENT_CONFIG="/p")) == ""


def test_the_usual_configuration_files() -> None:
    """The current folder before /etc."""
    assert places.usual_configs(USER) == ("/home/ann/proxies/authagent.toml", "/etc/authagent/authagent.toml")


def test_the_state_folder() -> None:
    """Flag, environment, file, $STATE_DIRECTORY, then root's or the user's own."""
    full = around(AUTHAGENT_STATE_DIR="/env", STATE_DIRECTORY="/var/lib/a:/var/lib/b")
    assert places.state_folder("flag", "file", "/etc/a.toml", full) == "/home/ann/proxies/flag"
    assert places.state_folder(None, "file", "/etc/a.toml", full) == "/env"
    service = around(STATE_DIRECTORY="/var/lib/a:/var/lib/b")
    assert places.state_folder(None, "file", "/etc/a.toml", service) == "/etc/file"
    assert places.state_folder(None, "", "/etc/a.toml", service) == "/var/lib/a"
    assert places.state_folder(None, "", "", ROOT) == "/var/lib/authagent"
    assert places.state_folder(None, "", "", USER) == "/home/ann/.local/state/authagent"


def test_the_control_folder() -> None:
    """File, $RUNTIME_DIRECTORY, /run/authagent for root, else the state folder."""
    service = around(RUNTIME_DIRECTORY="/run/a:/run/b")
    assert places.control_folder("ctl", "/etc/a.toml", "/s", service) == "/etc/ctl"
    assert places.control_folder("", "/etc/a.toml", "/s", service) == "/run/a"
    assert places.control_folder("", "", "/s", ROOT) == "/run/authagent"
    assert places.control_folder("", "", "/s", USER) == "/s"


def test_names_of_folders_and_sockets() -> None:
    """Each agent has a folder of its own; sockets carry site and id."""
    assert places.agent_folder("/s", "lan1", 2) == "/s/lan1-agent-2"
    assert places.agent_socket("/c", "lan1", 1) == "/c/lan1-agent-1.sock"
    assert places.proxy_socket("/c", "lan1", "squid-7") == "/c/lan1-proxyagent-squid-7.sock"
    assert places.squid_socket("/c/lan1-proxyagent-squid-7.sock") == "/c/lan1-proxyagent-squid-7.squid"
    assert places.squid_socket("/c/mine") == "/c/mine.squid"


def test_a_socket_path_of_107_bytes_is_the_longest() -> None:
    """One byte more is refused in one line that names the cure; bytes count, not characters."""
    assert len(places.checked_socket("/" + "x" * 106)) == 107
    for path in ("/" + "x" * 107, "/" + "ä" * 54):
        with pytest.raises(places.PathTooLong, match="allows 107; set a shorter folder") as caught:
            places.checked_socket(path)
        assert "\n" not in str(caught.value)


def test_a_socket_path_need_not_be_text() -> None:
    """What the system takes for a path has bytes in any order; Python writes those as half letters."""
    assert places.checked_socket("/run/\udcff" + "x" * 101) and len(b"/run/\xff") + 101 == 107
    with pytest.raises(places.PathTooLong):
        places.checked_socket("/run/\udcff" + "x" * 102)


def test_files_beside_the_configuration_file() -> None:
    """A relative name belongs to the file that says it."""
    assert places.beside("/etc/authagent/authagent.toml", "secret") == "/etc/authagent/secret"
    assert places.beside("/etc/authagent/authagent.toml", "/run/secrets/x") == "/run/secrets/x"
    assert places.beside("", "secret") == "secret"
