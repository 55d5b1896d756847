"""Options that several verbs share."""

import click
import pytest

from proxyagent.options import pairs


def test_names_that_are_repeated_make_a_list() -> None:
    """One value is a text, several are a list, in the order in which they were given; a value may hold `=`."""
    assert pairs(("a=1", "b=x=y", "a=2")) == {"a": ["1", "2"], "b": "x=y"}


@pytest.mark.parametrize("wrong", ["a", "=1", ""])
def test_what_is_no_pair_is_refused_with_the_option_s_name(wrong: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(click.BadParameter, match="write NAME=VALUE") as error:
        pairs((wrong,), "--claim")
    assert error.value.param_hint == "--claim"
