"""Who is told, as the file has it: secrets from files or the file itself, and what is wrong with them."""

from pathlib import Path

import pytest

from authagent import receivers, setup
from authagent.config import Flags
from protocol.mistakes import MistakesFound
from tests.authagent.running import write_files

SECRET = "Vb5Nj1Rw8Tq4Lx0Zs7Mf2Gk9"


def read(path: Path) -> tuple[receivers.Receiver, ...]:
    return setup.read(Flags(config=str(path), number="1"), 1).receivers


def configured(folder: Path, *entries: str) -> Path:
    path = write_files(folder)
    path.write_text(path.read_text() + "".join(f"[[webhook]]\n{entry}\n" for entry in entries))
    return path


def test_secrets_come_from_a_file_or_stand_in_the_file(tmp_path: Path) -> None:
    """Both ways give the same; nothing of it is in a repr."""
    (tmp_path / "hook").write_text(f"{SECRET}\n")
    (tmp_path / "hook").chmod(0o600)
    (tmp_path / "ca.pem").write_text("certificates")
    one, two = read(
        configured(
            tmp_path,
            'url = "https://a.test/h?t=private"\nsecret_file = "hook"\nevents = ["session.*"]\nauthority = "ca.pem"',
            f'url = "http://b.test"\nsecret = "{SECRET}"',
        )
    )
    assert one.secrets == two.secrets and one.events == ("session.*",) and two.events == ()
    assert (one.authority, two.authority) == ("certificates", "")
    assert SECRET not in repr((one, two)) and "private" not in repr((one, two))


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('url = "https://a.test"', "[[webhook]] 1 secret_file: give a secret_file, or a secret, and not both"),
        (f'url = "https://a.test"\nsecret_file = "x"\nsecret = "{SECRET}"', "and not both"),
        ('url = "ftp://a.test"\nsecret_file = "x"', "[[webhook]] 1 url: an address begins with http:// or https://"),
        ('url = "https://me:word@a.test"\nsecret_file = "x"', "an address has no user"),
        ('url = "https://a.test:99999"\nsecret_file = "x"', "this is no address"),
        ('url = "https://a.test"\nsecret = "password"', "[[webhook]] 1 secret: it is weak"),
        ('url = "https://a.test"\nsecret_file = "none"', "there is no such file"),
        (f'url = "https://a.test"\nsecret = "{SECRET}"\nauthority = "none.pem"', "[[webhook]] 1 authority:"),
        (f'url = "https://a.test"\nsecret = "{SECRET}"\nevents = ["session.open"]', "did you mean session.opened?"),
        ("secret_file = 'x'", "[[webhook]] 1 url: missing"),
    ],
)
def test_what_is_wrong_is_said_without_what_is_secret(entry: str, said: str, tmp_path: Path) -> None:
    """One line that names the key; the address and the secret are in none."""
    with pytest.raises(MistakesFound) as found:
        read(configured(tmp_path, entry))
    assert said in str(found.value)
    assert SECRET not in str(found.value) and "me:word" not in str(found.value) and '"password"' not in str(found.value)
