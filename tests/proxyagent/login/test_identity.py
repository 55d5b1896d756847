"""Who somebody is once a password was right."""

import attrs
import pytest

from proxyagent.login import Identity


def test_an_identity_is_a_user_and_perhaps_attributes() -> None:
    """A value: equal by what it says, and not to be changed."""
    assert Identity("alice") == Identity("alice", {})
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Identity("alice").user = "bob"  # type: ignore[misc]
