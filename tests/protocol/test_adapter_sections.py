"""The tables for adapters: what an operator may write there."""

from protocol import configuration


def test_the_endpoint_for_forward_authentication_is_read_from_the_file() -> None:
    """[forward_auth] holds a door, who may open it, and where browsers are sent."""
    text = '[forward_auth]\nlisten = "run/auth.sock"\ngroup = "www-data"\nmode = "0666"\nlogin_url = "/login"\n'
    found = configuration.parse(text, "authagent.toml").forward_auth

    assert (found.listen, found.group, found.mode, found.login_url) == ("run/auth.sock", "www-data", 0o666, "/login")
