"""What the library raises, and what host programs may catch it as."""

import pytest

from protocol.mistakes import Mistake, MistakesFound
from proxyagent import errors


@pytest.mark.parametrize(
    ("kind", "also"),
    [
        (errors.ConfigurationError, ValueError),
        (errors.LimitExceeded, ValueError),
        (errors.NotAcknowledged, TimeoutError),
        (errors.Closed, errors.Error),
        (errors.InternalError, errors.Error),
    ],
)
def test_each_error_is_the_librarys_and_one_that_hosts_know(kind: type[Exception], also: type[Exception]) -> None:
    """`except proxyagent.Error` catches all; `except ValueError` and `except TimeoutError` work as people expect."""
    assert issubclass(kind, errors.Error) and issubclass(kind, also)


def test_a_configuration_error_carries_all_mistakes() -> None:
    """Text and list are those of the parser."""
    found = MistakesFound("a.toml", [Mistake("x", "first"), Mistake("y", "second")])
    error = errors.ConfigurationError.of(found)
    assert str(error) == str(found) and [each.key for each in error.mistakes] == ["x", "y"]


def test_not_acknowledged_says_how_far_it_got() -> None:
    """`.reached` is the level that holds."""
    error = errors.NotAcknowledged("level site was not reached in 1 s", "master")
    assert error.reached == "master" and "site" in str(error)
