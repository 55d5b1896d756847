"""`authagent init`: what it writes is right, and it overwrites nothing."""

import os
import tomllib
from pathlib import Path

import attrs
import pytest

from authagent import init
from protocol.configuration import SessionSettings, TimingSettings, default, parse
from protocol.io import secret_file
from protocol.mistakes import MistakesFound


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    """The file lists what was asked for and has every default; the secret is private and strong."""
    folder = tmp_path / "new" / "conf"
    init.write(
        str(folder), site="paris", agents=["10.1.0.11", "agent2.example"], proxies=["squid-*=10.1.0.0/24", "nginx1"]
    )
    found = parse((folder / "authagent.toml").read_text(), "x")
    assert [(str(each), each.host, each.port) for each in found.authagents] == [
        ("agent 1 of site paris", "10.1.0.11", 9023),
        ("agent 2 of site paris", "agent2.example", 9023),
    ]
    assert [(each.id, each.site, each.host) for each in found.proxyagents] == [
        ("squid-*", "paris", "10.1.0.0/24"),
        ("nginx1", "paris", ""),
    ]
    assert found.session == SessionSettings() and found.timing == TimingSettings()
    assert (folder / "secret").stat().st_mode & 0o777 == 0o600
    assert secret_file.read(str(folder / "secret")).lines


def test_without_hosts_the_pair_runs_on_loopback(tmp_path: Path) -> None:
    """`authagent init` alone gives a file for one machine."""
    text = init.write(str(tmp_path))
    found = parse((tmp_path / "authagent.toml").read_text(), "x")
    assert [(each.host, each.port) for each in found.authagents] == [
        (each.host, each.port) for each in default().authagents
    ]
    assert found.proxy("lan1", "anything") is not None
    assert "authagent 1" in text and "firewall" not in text


def test_every_commented_default_is_right(tmp_path: Path) -> None:
    """With the # taken away from its settings, the file is still valid and means the same."""
    init.write(str(tmp_path), agents=["10.1.0.11"])
    text = (tmp_path / "authagent.toml").read_text()
    lines = [line.removeprefix("#") if line[:1] == "#" and line[1:2].isalpha() else line for line in text.splitlines()]
    assert parse("\n".join(lines), "x") == parse(text, "x")
    assert len(tomllib.loads("\n".join(lines))["timing"]) == len(attrs.fields(TimingSettings))
    assert all(len(line) <= 120 for line in lines)


def test_it_says_what_to_copy_where_and_the_firewall_line(tmp_path: Path) -> None:
    """Hosts, both files, the port, the commands, and nothing of the secret."""
    text = init.write(str(tmp_path), agents=["10.1.0.11", "10.1.0.12"], proxies=["proxy1=10.1.0.21"])
    for part in ("10.1.0.11", "10.1.0.12", "10.1.0.21", str(tmp_path / "secret"), "/etc/authagent", "authagent 2",
                 "nft add rule inet filter input tcp dport 9023 accept", "authagent check"):  # fmt: skip
        assert part in text
    assert (tmp_path / "secret").read_text().strip() not in text


@pytest.mark.parametrize(
    ("proxies", "id"), [([], "proxy1"), (["squid-*"], "squid-1"), (["p?", "q"], "p1"), (["web"], "web")]
)
def test_what_is_advised_is_let_in(tmp_path: Path, proxies: list[str], id: str) -> None:
    """The proxy that is to be started has an id that the file lists."""
    said = init.write(str(tmp_path), proxies=proxies)
    assert f"proxyagent run --id {id}\n" in said
    assert parse((tmp_path / "authagent.toml").read_text(), "x").proxy("lan1", id) is not None


@pytest.mark.parametrize("existing", ["authagent.toml", "secret"])
def test_nothing_is_overwritten(tmp_path: Path, existing: str) -> None:
    """Where either file exists, neither is written, and the line names it."""
    (tmp_path / existing).write_text("mine")
    with pytest.raises(MistakesFound, match=f"{existing}: exists already; nothing was written"):
        init.write(str(tmp_path))
    assert os.listdir(tmp_path) == [existing] and (tmp_path / existing).read_text() == "mine"


def test_all_wrong_flags_are_reported_at_once(tmp_path: Path) -> None:
    """Site, hosts, proxies: one line each in terms of the flags, and nothing is written."""
    with pytest.raises(MistakesFound) as caught:
        init.write(
            str(tmp_path / "x"), site="a b", agents=["10.1.0.11:9023", "0.0.0.0", "h"], proxies=["p q", "p=10.0.0.0/99"]
        )
    assert [mistake.key for mistake in caught.value.mistakes] == [
        "--site", "--agent", "--agent", "--proxy", "--proxy", "--agent",
    ]  # fmt: skip
    assert not (tmp_path / "x").exists()


def test_proxies_listed_twice_are_refused(tmp_path: Path) -> None:
    """What would be a mistake in the file is not written."""
    with pytest.raises(MistakesFound, match="listed twice"):
        init.write(str(tmp_path / "x"), proxies=["a", "a"])
    assert not (tmp_path / "x").exists()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    """A file in the way is named, without a traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(MistakesFound, match="nothing was written") as caught:
        init.write(str(tmp_path / "file" / "conf"))
    assert "\n" not in str(caught.value)


def test_a_full_disk_leaves_no_half_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the file cannot be written, the secret made for it goes too, so that init can be run again."""

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(init, "open", full, raising=False)
    with pytest.raises(MistakesFound, match="No space left on device"):
        init.write(str(tmp_path))
    assert os.listdir(tmp_path) == []
