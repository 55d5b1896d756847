"""Who is signed in: kept here and nowhere else, so that signing out, a new password or a restart ends it. Pure.

Rules of this file:

- A browser holds a random token; here is its hash, so that a look into memory or a comparison gives none away.
- Each sign-in has a second token, which every form carries: only pages of ours know it (CSRF).
- It ends after eight hours, after an hour without a request, and with the password that opened it.
"""

import hashlib

import attrs

LIFETIME_S = 8 * 3600.0
IDLE_S = 3600.0
SIGN_INS_MAX = 100
"""At one time; the oldest makes room."""


@attrs.define
class SignIn:
    """One browser that showed the password."""

    form_token: str = attrs.field(repr=False)
    began_s: float
    used_s: float

    def is_over(self, now_s: float) -> bool:
        """Whether its time is up."""
        return now_s - self.began_s >= LIFETIME_S or now_s - self.used_s >= IDLE_S


@attrs.define
class SignIns:
    """All that are open. Times are monotonic seconds."""

    _open: dict[bytes, SignIn] = attrs.field(factory=dict)
    _password_hash: str = attrs.field(default="", repr=False)

    def __len__(self) -> int:
        return len(self._open)

    def keep(self, password_hash: str) -> None:
        """The password is this one now: sign-ins with another are over."""
        if password_hash != self._password_hash:
            self._open.clear()
            self._password_hash = password_hash

    def are_by(self, password_hash: str) -> bool:
        """Whether the password is this one now, of which the hash is empty where there is none."""
        return password_hash == self._password_hash

    def open(self, token: str, form_token: str, now_s: float) -> None:
        """A browser that showed the password is given `token`."""
        self._open = {name: each for name, each in self._open.items() if not each.is_over(now_s)}
        while len(self._open) >= SIGN_INS_MAX:
            del self._open[next(iter(self._open))]
        self._open[_digest(token)] = SignIn(form_token, now_s, now_s)

    def find(self, token: str, now_s: float) -> SignIn | None:
        """The sign-in of a browser that asks for something, while it lasts."""
        found = self._open.get(_digest(token))
        if found is None:
            return None
        if found.is_over(now_s):
            self.close(token)
            return None
        found.used_s = now_s
        return found

    def is_open(self, token: str, now_s: float) -> bool:
        """Whether a sign-in lasts; asking does not make it last longer."""
        found = self._open.get(_digest(token))
        return found is not None and now_s - found.began_s < LIFETIME_S

    def close(self, token: str) -> None:
        """Sign out."""
        self._open.pop(_digest(token), None)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
