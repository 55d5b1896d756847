"""The tables for adapters: what an operator may write there."""

from protocol import configuration


def test_the_endpoint_for_forward_authentication_is_read_from_the_file() -> None:
    """[forward_auth] holds a door, who may open it, and where browsers are sent."""
    text = '[forward_auth]\nlisten = "run/auth.sock"\ngroup = "www-data"\nmode = "0666"\nlogin_url = "/login"\n'
    found = configuration.parse(text, "authagent.toml").forward_auth

    assert (found.listen, found.group, found.mode, found.login_url) == ("run/auth.sock", "www-data", 0o666, "/login")


def test_what_haproxy_is_told_is_read_from_the_file() -> None:
    """[haproxy] holds where its agent-check asks, where it is spoken to, the map's name, and where it logs to."""
    text = (
        '[haproxy]\nagent_check = "127.0.0.1:9088"\nruntime = "/run/haproxy/admin.sock"\n'
        'map = "/etc/haproxy/sessions.map"\nactivity = "127.0.0.1:9514"\n'
    )
    found = configuration.parse(text, "authagent.toml").haproxy

    assert (found.agent_check, found.runtime) == ("127.0.0.1:9088", "/run/haproxy/admin.sock")
    assert (found.map, found.activity) == ("/etc/haproxy/sessions.map", "127.0.0.1:9514")


def test_what_is_done_for_squid_is_read_from_the_file() -> None:
    """[squid] says whether helpers are answered, where the access log arrives, and whose manager is asked."""
    text = '[squid]\nhelpers = true\naccess_log = "127.0.0.1:3129"\nmanager = ["127.0.0.1:3128"]\n'
    found = configuration.parse(text, "authagent.toml").squid

    assert (found.helpers, found.access_log, found.manager) == (True, "127.0.0.1:3129", ("127.0.0.1:3128",))
