"""The helpers as Squid starts them, beside a real `proxyagent run`, and whatever comes in at their standard input."""

import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from protocol.io.control_client import ask
from proxyagent.integrations.squid.questions import DEADLINE_S
from tests.ports import free_port
from tests.proxyagent.processes import PATIENCE_S, until
from tests.system.processes import ROOT

pytestmark = [pytest.mark.system, pytest.mark.slow]

PIPE_BYTES = 1024 * 1024


@attrs.define
class Site:
    """A configuration without any agent, and a ProxyAgent that goes by it."""

    folder: Path
    daemon: "subprocess.Popen[bytes] | None" = None

    @property
    def options(self) -> list[str]:
        return ["--config", str(self.folder / "authagent.toml"), "--id", "p1"]

    @property
    def control(self) -> str:
        return str(self.folder / "lan1-proxyagent-p1.sock")

    def start(self) -> None:
        """Start the ProxyAgent, and wait until helpers are answered."""
        command = [sys.executable, "-m", "proxyagent", "run", *self.options]
        with (self.folder / "log").open("ab") as log:
            self.daemon = subprocess.Popen(command, stderr=log, cwd=ROOT)
        until((self.folder / "lan1-proxyagent-p1.squid").exists)

    def kill(self) -> None:
        """kill -9."""
        if self.daemon is not None:
            self.daemon.kill()
            self.daemon.wait()
        (self.folder / "lan1-proxyagent-p1.squid").unlink(missing_ok=True)


@attrs.define
class Helper:
    """A helper, asked as Squid asks it."""

    process: "subprocess.Popen[bytes]"
    heard: bytes = b""

    def say(self, data: bytes) -> None:
        """Write it all; a helper that does not read in time fails the test."""
        assert self.process.stdin is not None
        deadline = time.monotonic() + PATIENCE_S
        while data:
            _, writable, _ = select.select([], [self.process.stdin], [], deadline - time.monotonic())
            assert writable, "the helper reads no more"
            data = data[os.write(self.process.stdin.fileno(), data[:65_536]) :]

    def hear(self, lines: int) -> list[bytes]:
        """The next answers, as many as these and no more."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + PATIENCE_S
        while self.heard.count(b"\n") < lines:
            readable, _, _ = select.select([self.process.stdout], [], [], deadline - time.monotonic())
            assert readable, f"not {lines} answers in time: {self.heard[-100:]!r}"
            data = os.read(self.process.stdout.fileno(), 65_536)
            assert data, "the helper has ended"
            self.heard += data
        *answers, self.heard = self.heard.split(b"\n")
        assert len(answers) == lines, answers[-3:]
        return answers


@contextmanager
def helper(site: Site, verb: str = "squid-session") -> Iterator[Helper]:
    """One that runs; at its end its input is closed, and it must end well."""
    command = [sys.executable, "-m", "proxyagent", verb, *site.options]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=ROOT, bufsize=0) as process:
        try:
            assert process.stdin is not None and process.stdout is not None
            os.set_blocking(process.stdin.fileno(), False)
            fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            started = Helper(process)
            yield started
            left, said = process.communicate(timeout=PATIENCE_S)
            assert (process.returncode, started.heard + left) == (0, b""), said
            assert b"Traceback" not in said
        finally:
            process.kill()


@contextmanager
def running(folder: Path) -> Iterator[Site]:
    """A ProxyAgent that runs, alone in the world."""
    (folder / "secret").touch(mode=0o600)
    (folder / "secret").write_text("Zq3vX9tLr7Bn2KwYp5HdMs8FgJcT4aUe\n")
    (folder / "authagent.toml").write_text(
        f'site = "lan1"\nstate_dir = "{folder}"\n[control]\nfolder = "{folder}"\n[squid]\nhelpers = true\n'
        f'[[authagent]]\nid = 1\nhost = "127.0.0.1"\nport = {free_port()}\n[[proxyagent]]\nid = "p*"\n'
    )
    site = Site(folder)
    try:
        site.start()
        yield site
    finally:
        site.kill()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for several tests."""
    with running(tmp_path_factory.mktemp("s")) as site:
        yield site


@pytest.fixture
def mortal_site(tmp_path: Path) -> Iterator[Site]:
    """One that may be killed."""
    with running(tmp_path) as site:
        yield site


def test_hostile_input_costs_nobody_else_an_answer(site: Site) -> None:
    """Garbage, half a megabyte without an end, a megabyte with one, channels nobody has: the next question is answered.

    What has no channel gets no answer: Squid dies of one that it did not ask for.
    """
    ask(site.control, "login", key="10.0.0.1", user="alice")
    with helper(site) as session, helper(site, "squid-login") as login:
        for each in (session, login):
            each.say(b"\n\n \nhello\n-1 10.0.0.1\n\x00\xff\xfe\n" + b"9" * 40 + b" 10.0.0.1 -\n")
            each.say(b"7 " + b"x" * 1_000_000 + b"\n8\n999999999 \n9 \xff\xfe %00 %zz\n")
            assert sorted(each.hear(4)) == [b"7 ERR", b"8 ERR", b"9 ERR", b"999999999 ERR"]
            each.say(b"x" * 500_000)
            each.say(b"\n")
        session.say(b"1 10.0.0.1 -\n")
        assert session.hear(1) == [b"1 OK user=alice"]
        login.say(b"1 b%C3%B6b%20%0a 10.0.0.2 -\n")
        assert login.hear(1) == [b"1 OK user=b%C3%B6b%20%0A"]
        session.say(b"2 10.0.0.2 -\n")
        assert session.hear(1) == [b"2 OK user=b%C3%B6b%20%0A"]


def answered(helper: Helper, questions: dict[int, bytes]) -> dict[int, bytes]:
    """The answers to questions asked at once, by channel: each is answered once.

    What a machine that does much else cannot answer within the deadline, which is ERR then, is asked again.
    """
    answers: dict[int, bytes] = {}
    for _ in range(10):
        left = {channel: question for channel, question in questions.items() if answers.get(channel, b"ERR") == b"ERR"}
        helper.say(b"".join(b"%d %b -\n" % each for each in left.items()))
        heard = [line.split(b" ", 1) for line in helper.hear(len(left))]
        assert sorted(int(channel) for channel, _ in heard) == sorted(left)
        answers |= {int(channel): answer for channel, answer in heard}
    return answers


def test_five_thousand_questions_at_once_are_answered(site: Site) -> None:
    """Each with its own answer, in whatever order, on channels of its own; logins too."""
    addresses = {number: b"10.1.%d.%d" % (number // 250, number % 250) for number in range(6_000)}
    users = {number: b"user%d" % number for number in range(5_000)}
    with helper(site) as session, helper(site, "squid-login") as login:
        expected = {number: b"OK user=" + user for number, user in users.items()}
        assert answered(login, {n: user + b" " + addresses[n] for n, user in users.items()}) == expected
        assert answered(session, addresses) == expected | dict.fromkeys(range(5_000, 6_000), b"ERR")


def test_a_daemon_that_dies_in_mid_question_hangs_nobody(mortal_site: Site) -> None:
    """Stopped, it costs the deadline; killed, no more than that, however many ask."""
    site = mortal_site
    assert site.daemon is not None
    with helper(site) as session:
        ask(site.control, "login", key="10.0.0.1", user="alice")
        site.daemon.send_signal(signal.SIGSTOP)
        session.say(b"1 10.0.0.1 -\n2 10.0.0.2 -\n")
        began = time.monotonic()
        assert session.hear(2) == [b"1 ERR", b"2 ERR"]
        assert time.monotonic() - began >= DEADLINE_S / 2
        session.say(b"3 10.0.0.1 -\n")
        site.kill()
        assert session.hear(1) == [b"3 ERR"]
        session.say(b"".join(b"%d 10.0.0.1 -\n" % n for n in range(100)))
        assert session.hear(100) == [b"%d ERR" % n for n in range(100)]


def test_a_reload_is_noticed_by_nobody(site: Site) -> None:
    """The listener is made anew under questions; each gets the answer that it would have got."""
    with helper(site) as session:
        ask(site.control, "login", key="10.0.0.1", user="alice")
        for number in range(20):
            session.say(b"%d 10.0.0.1 -\n" % number)
            if number % 5 == 0:
                ask(site.control, "reload")
            assert session.hear(1) == [b"%d OK user=alice" % number]


def test_whatever_is_wrong_at_its_start_it_serves(tmp_path: Path) -> None:
    """No file, no daemon, a file with mistakes: a line for Squid's log, ERR, and 0 at the end of its input."""
    pipe, started = subprocess.PIPE, []
    for number, text in enumerate(("", f'[control]\nfolder = "{tmp_path}"\n', "this is no TOML [")):
        file = tmp_path / f"authagent-{number}.toml"
        if text:
            file.write_text(text)
        command = [sys.executable, "-m", "proxyagent", "squid-session", "--config", str(file)]
        started.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=ROOT))
    for process in started:
        answer, said = process.communicate(b"5 10.0.0.1 -\n", timeout=PATIENCE_S)
        assert (process.returncode, answer) == (0, b"5 ERR\n")
        assert said.startswith(b"proxyagent: ") and b"Traceback" not in said
