"""A file of users under hostile hands, as Apache's htpasswd writes it, and passwords that are typed.

Rules of this file:

- The file raises nothing but ValueError, in one line that quotes nothing; whoever reads it makes a refusal of that.
- What is let in can be checked within seconds and without an error; only hashes that take no time are checked here,
  and only the right password fits.
"""

import random
import re

import msgpack

from proxyagent.login.htpasswd import ARGON2_KIB_MAX, ARGON2_LANES_MAX, ARGON2_WORK_MAX, BCRYPT_COSTS, _fits, _parse
from tests.fuzz import inputs
from tests.fuzz.taking import hold

PASSWORD = "wonderland"
BCRYPT = "$2b$04$abcdefghijklmnopqrstuujZkTwHUiJ9XdZPwKfcfDo7dMp5DjlTu"
ARGON2 = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$ct22u8Xr/tuaRyvWEu6prw"
LINES = (
    f"alice:{BCRYPT}", f"bob:{ARGON2}:more", f"Böb:{BCRYPT.replace('2b', '2y')}", "# people", "", "carol:x", ":",
    "dave", f":{BCRYPT}", f"ALICE:{BCRYPT}", f"eve:{BCRYPT.replace('$04$', '$31$')}",
    f"eve:{BCRYPT.replace('$04$', '$00$')}", f"eve:{BCRYPT.replace('quu', 'qua')}",
    f"eve:{ARGON2.replace('m=8', 'm=4294967295')}", f"eve:{ARGON2.replace('t=1', 't=4294967295')}",
    f"eve:{ARGON2.replace('p=1', 'p=16777215')}", f"eve:{ARGON2.replace('v=19', 'v=' + '9' * 5_000)}",
    f"eve:{ARGON2.replace('c2FsdHNhbHQ', 'A')}", "eve:{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=", "eve:$apr1$x$y",
)  # fmt: skip
TYPED = (PASSWORD, "", "\0", "\ud800", "x" * 100, "wonderland\0", "Wonderland")
_COST = re.compile(r"\$2.\$([0-9]{2})\$|.*\$m=([0-9]+),t=([0-9]+),p=([0-9]+)\$")


def make(chance: random.Random) -> bytes:
    """A file, whether letters count, and what is typed."""
    lines = [chance.choice(LINES[:5] if chance.random() < 0.8 else LINES) for _ in range(chance.randrange(1, 5))]
    text = "\n".join(lines).encode()
    sent = inputs.spoiled(text, chance) if chance.random() < 0.5 else text
    typed = chance.choice(TYPED).encode(errors="surrogatepass")
    return msgpack.packb([sent, chance.random() < 0.5, typed])  # type: ignore[no-any-return]


class Passwords:
    """Files are read, and who is in them is asked for."""

    def __init__(self) -> None:
        self.accepted = 0
        """Files that could be used."""

    def __call__(self, data: bytes) -> None:
        content, lower, typed = msgpack.unpackb(data)
        try:
            users = _parse(content.decode(), lower)
        except UnicodeDecodeError:
            return
        except ValueError as mistake:
            quoted = re.search(r"\n|\$2|argon2id|wonder", str(mistake))
            hold(str(mistake).startswith("line ") and not quoted, "one line, which quotes nothing")
            return
        self.accepted += 1
        password = typed.decode(errors="surrogatepass")
        for user, hashed in users.items():
            assert user and (not lower or user == user.lower())
            if _costs_little(hashed):
                right = _fits(hashed, password)
                assert not right or password == PASSWORD, "nothing fits but the password"
                assert right or password != PASSWORD or hashed not in (BCRYPT, ARGON2), "the password fits"


def _costs_little(hashed: str) -> bool:
    """Whether a check ends in a millisecond; that it ends at all is asserted."""
    found = _COST.match(hashed)
    assert found is not None
    if found[1]:
        assert int(found[1]) in BCRYPT_COSTS
        return int(found[1]) == BCRYPT_COSTS[0]
    kib, passes, lanes = map(int, found.groups()[1:])
    assert kib <= ARGON2_KIB_MAX and kib * passes <= ARGON2_WORK_MAX and lanes <= ARGON2_LANES_MAX
    return kib * passes <= 1_000 and lanes == 1
