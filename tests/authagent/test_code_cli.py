"""The command line of `authagent code`: what becomes of its words."""

from typing import Any

import pytest
from click.testing import CliRunner

from authagent import verbs
from authagent.cli import cli


class Played:
    """Verbs that note what they are called with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.called: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        for name in ("create_code", "redeem_code", "revoke_code", "list_codes"):
            monkeypatch.setattr(verbs, name, self._note(name))

    def _note(self, name: str) -> Any:
        def note(options: Any, *given: Any, **more: Any) -> int:
            self.called.append((name, given, more))
            return 0

        return note

    def __call__(self, *words: str) -> int:
        return CliRunner().invoke(cli, ["code", *words], standalone_mode=False).return_value or 0


def test_every_verb_hands_its_words_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the defaults of the source: 600 s; and the code from standard input."""
    played = Played(monkeypatch)
    played("create", "gfield")
    played("create", "gfield", "--validity", "3600", "--json")
    played("redeem", "gfield", "--device", "phone-1")
    played("redeem", "gfield", "BCDF-GHJK", "--device", "phone-1", "--request", "r1", "--timeout", "9")
    played("revoke", "gfield")
    played("list")
    played("list", "gfield", "--json")
    question = {"user": "gfield", "device": "phone-1", "request": None, "within_s": 5.0}

    assert played.called == [
        ("create_code", ("gfield", 600.0, 5.0), {"as_json": False}),
        ("create_code", ("gfield", 3600.0, 5.0), {"as_json": True}),
        ("redeem_code", (question, "-"), {"as_json": False}),
        ("redeem_code", ({**question, "request": "r1", "within_s": 9.0}, "BCDF-GHJK"), {"as_json": False}),
        ("revoke_code", ("gfield", 5.0), {"as_json": False}),
        ("list_codes", (None,), {"as_json": False}),
        ("list_codes", ("gfield",), {"as_json": True}),
    ]


@pytest.mark.parametrize(
    "words",
    [("create",), ("create", "gfield", "--validity", "9"), ("create", "gfield", "--validity", "1000001"),
     ("redeem", "gfield"), ("redeem",), ("revoke",)],
    ids=" ".join,
)  # fmt: skip
def test_what_is_missing_or_out_of_bounds_is_a_mistake(words: tuple[str, ...]) -> None:
    """Exit code 2, before anybody is asked."""
    assert CliRunner().invoke(cli, ["code", *words]).exit_code == 2
