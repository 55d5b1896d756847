"""`authagent check`: the file, the secret, the certificate, and who asks the agents."""

import datetime
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from authagent import check, init
from authagent.config import Flags
from authagent.findings import Report
from authagent.probe import Asker
from authagent.verdicts import Answered, Refused
from protocol.configuration import AuthAgentEntry, Configuration, default, parse
from protocol.errors import Code
from protocol.places import Surroundings
from protocol.secret import Secrets

NOW_S = 1_800_000_000.0
DAY_S = 86_400


def around(folder: Path) -> Surroundings:
    """A user at home in `folder`."""
    return Surroundings({}, False, str(folder), str(folder))


def own(*hosts: str) -> Callable[[str], bool]:
    """A machine with these addresses."""
    return lambda host: host in hosts


async def nobody(*_: object) -> Answered:
    """An Ask that must not be used."""
    raise AssertionError("no agent may be asked")


def offline(folder: Path) -> Report:
    """The check of the file alone."""
    return check.run(Flags(), now_s=NOW_S, offline=True, around=around(folder), is_own=own(), ask=nobody)


def codes(report: Report) -> dict[str, str]:
    """Level by code, all but the ok ones."""
    return {each.code: each.level for each in report.findings if each.level != "ok"}


def test_a_fresh_configuration_is_well(tmp_path: Path) -> None:
    """What init wrote passes, and the only remark is on ids without a host."""
    init.write(str(tmp_path), agents=["10.1.0.11", "10.1.0.12"], proxies=["a=10.1.0.21", "b", "c"])
    report = offline(tmp_path)
    assert report.exit_code == 0 and codes(report) == {"ids_without_host": "warning"}
    assert "2 of 3 have no host (b, c)" in "\n".join(report.lines())


def test_on_loopback_nothing_is_warned_about(tmp_path: Path) -> None:
    """Without any file a secret is made at the first start, and until then there is nobody to ask."""
    report = check.run(Flags(), now_s=NOW_S, around=around(tmp_path), is_own=own(), ask=nobody)
    assert report.exit_code == 0 and codes(report) == {"no_secret": "note"}
    assert report.lines()[-1] == "check: all is well" and list(tmp_path.iterdir()) == []
    init.write(str(tmp_path))
    assert codes(offline(tmp_path)) == {}


def test_all_mistakes_of_the_file_are_findings(tmp_path: Path) -> None:
    """Exit code 2, one finding each, and no agent is asked."""
    (tmp_path / "authagent.toml").write_text("portt = 1\n[tls]\nmode = 3\n")
    report = check.run(Flags(), now_s=NOW_S, around=around(tmp_path), is_own=own(), ask=nobody)
    assert report.exit_code == 2 and len(report.findings) == 2
    assert all(each.subject.endswith("authagent.toml") for each in report.findings)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: path.unlink(), "there is no such file"),
        (lambda path: path.chmod(0o644), "mode 0644 opens it to others"),
        (lambda path: path.write_text("hunter2\n"), "line 1 is weak"),
    ],
)
def test_a_secret_that_cannot_be_used_ends_with_2(tmp_path: Path, spoil: Callable[[Path], object], says: str) -> None:
    """Missing, open or weak: an error that names the file, and no agent is asked with it."""
    init.write(str(tmp_path), agents=["10.1.0.11"], proxies=["a=10.1.0.21"])
    spoil(tmp_path / "secret")
    report = check.run(Flags(), now_s=NOW_S, around=around(tmp_path), is_own=own(), ask=nobody)
    assert report.exit_code == 2 and codes(report)["secret"] == "error"
    assert says in "\n".join(report.lines()) and "hunter2" not in "\n".join(report.lines())


def test_a_poor_secret_is_warned_about(tmp_path: Path) -> None:
    """Accepted, and advised against."""
    init.write(str(tmp_path))
    (tmp_path / "secret").write_text("k3x9q2m7k3z9q2w7k3x8\n")
    assert codes(offline(tmp_path))["weak_secret"] == "warning"


def test_a_second_line_is_mentioned(tmp_path: Path) -> None:
    """A change of secret that was not finished is not forgotten."""
    init.write(str(tmp_path))
    with (tmp_path / "secret").open("a") as file:
        file.write("q3V9x-7fKz0LmWc2RtY8uBn5HsJd1PaEoGi4TkXwZvM\n")
    assert codes(offline(tmp_path)) == {"two_secrets": "note"}


def test_proxies_that_nobody_lists_or_serves() -> None:
    """No proxies, a site without agents (a typing error, perhaps), and a single agent are said."""
    one = '[[authagent]]\nid = 1\nsite = "lan1"\nhost = "10.1.0.11"\n'
    assert {each.code for each in check.of_file(parse(one, "x"))} == {"file", "no_proxies", "single_agent"}
    typo = list(check.of_file(parse(one + '[[proxyagent]]\nid = "a"\nsite = "lan11"\n', "x")))
    assert "did you mean lan1?" in next(each.text for each in typo if each.code == "site_without_agent")


def test_a_filter_does_not_hold_for_proxies_that_are_served_elsewhere() -> None:
    """Both are there: a warning; either alone is none."""
    stand_in, filtered = '[failover]\nother_sites = ["lan1"]\n', '[[remote]]\nsite = "lan1"\nusers = ["!guest"]\n'
    agent = '[[authagent]]\nid = 1\nsite = "lan1"\nhost = "127.0.0.1"\n'
    for text, warned in ((stand_in, False), (filtered, False), (stand_in + filtered, True)):
        codes_found = {each.code for each in check.of_file(parse(text + agent, "x"))}
        assert ("filter_and_stand_in" in codes_found) is warned


def certified(folder: Path, days: float, *, other_key: bool = False) -> None:
    """A configuration with an own certificate that has `days` left."""
    init.write(str(folder), agents=["10.1.0.11", "10.1.0.12"], proxies=["a=10.1.0.21"])
    path = folder / "authagent.toml"
    own_files = '[tls]\nmode = "files"\ncertificate = "c.pem"\nkey = "k.pem"\n'
    path.write_text(path.read_text().replace("[tls]\n", own_files))
    ends = datetime.datetime.fromtimestamp(NOW_S + days * DAY_S, tz=datetime.UTC)
    authority = trustme.CA()
    issued = authority.issue_cert("agent.example", not_after=ends)
    issued.cert_chain_pems[0].write_to_path(folder / "c.pem")
    key = authority.issue_cert("other.example") if other_key else issued
    key.private_key_pem.write_to_path(folder / "k.pem")


@pytest.mark.parametrize(
    ("days", "expected", "exit_code"),
    [(90, {}, 0), (13, {"certificate_ends": "warning"}, 0), (-1, {"certificate_ended": "error"}, 2)],
)
def test_a_certificate_is_warned_about_from_14_days_before_its_end(
    tmp_path: Path, days: float, expected: dict[str, str], exit_code: int
) -> None:
    """Time left, little time left, none left."""
    certified(tmp_path, days)
    report = offline(tmp_path)
    assert codes(report) == expected and report.exit_code == exit_code


def test_certificate_files_that_cannot_be_used(tmp_path: Path) -> None:
    """The key of another certificate, rubbish, a missing file: one line, exit code 2."""
    certified(tmp_path, 90, other_key=True)
    assert "it is not the key of the certificate" in "\n".join(offline(tmp_path).lines())
    (tmp_path / "k.pem").write_text("rubbish")
    assert codes(offline(tmp_path)) == {"tls_file": "error"}
    (tmp_path / "k.pem").unlink()
    report = offline(tmp_path)
    assert report.exit_code == 2 and "k.pem cannot be read: No such file" in "\n".join(report.lines())
    assert all("\n" not in line for line in report.lines())


def test_plain_links_are_warned_about() -> None:
    """insecure-plain is called what it is."""
    found = parse('[tls]\nmode = "insecure-plain"\n', "x")
    assert [each.level for each in check.of_tls(found, NOW_S)] == ["warning"]


def test_every_listed_agent_is_asked(tmp_path: Path) -> None:
    """The verdicts follow the file's findings, and decide the exit code."""
    init.write(str(tmp_path), agents=["10.1.0.11", "10.1.0.12"], proxies=["a=10.1.0.21"])
    askers: list[Asker] = []

    async def ask(
        host: str, agent: AuthAgentEntry, found: Configuration, secrets: Secrets, asker: Asker
    ) -> Answered | Refused:
        askers.append(asker)
        return (
            Answered("lan1", "1", "authagent/0.1.0", found.agreed_hash, 0)
            if agent.id == 1
            else Refused(Code.UNAUTHORIZED, "")
        )

    report = check.run(Flags(), now_s=NOW_S, around=around(tmp_path), is_own=own("10.1.0.21"), ask=ask)
    assert report.exit_code == 3 and codes(report) == {"unauthorized": "error"}
    assert askers == [Asker(site="lan1", id="a")] * 2
    assert "SYNC_ERROR_UNAUTHORIZED" in report.lines()[-2] and report.lines()[-1] == "check: 1 error"


def test_who_asks() -> None:
    """The id that was named, else this machine's agent, else its proxy, else nobody with a note."""
    found = parse(
        '[[authagent]]\nid = 2\nsite = "lan1"\nhost = "10.1.0.12"\n'
        '[[proxyagent]]\nid = "a"\nsite = "lan1"\nhost = "10.1.0.21"\n[[proxyagent]]\nid = "b-*"\nsite = "lan1"\n',
        "x",
    )
    assert check.who_asks(found, "b-7", "", own()) == (Asker(site="lan1", id="b-7"), [])
    assert check.who_asks(found, "", "", own("10.1.0.12")) == (Asker(site="lan1", id="2"), [])
    assert check.who_asks(found, "", "", own("10.1.0.21")) == (Asker(site="lan1", id="a"), [])
    asker, notes = check.who_asks(found, "", "", own())
    assert asker.id == "" and [note.code for note in notes] == ["nobody"]
    assert check.who_asks(default(), "", "", own("127.0.0.1"))[0] == Asker(site="local", id="1")


def test_what_http_and_webhooks_need_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing secret, a receiver that anybody can listen in on, libraries that are not there; no address is shown."""
    init.write(str(tmp_path))
    path = tmp_path / "authagent.toml"
    hooks = (
        '[[webhook]]\nurl = "http://a.test/?private"\nsecret = "Vb5Nj1Rw8Tq4Lx0Zs7Mf2Gk9"\n'
        '[[webhook]]\nurl = "http://127.0.0.1/?private"\nsecret_file = "none"\n'
    )
    path.write_text(path.read_text() + hooks)
    report = offline(tmp_path)
    assert report.exit_code == 0 and codes(report) == {"webhook": "warning", "webhook_plain": "warning"}
    assert "private" not in "\n".join(report.lines()) and "there is no such file" in "\n".join(report.lines())
    monkeypatch.setattr(check.importlib.util, "find_spec", lambda name: None)
    assert codes(offline(tmp_path))["extra"] == "warning"
