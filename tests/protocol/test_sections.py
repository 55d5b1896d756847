"""The tables of the file: their defaults are those that DESIGN promises."""

import tomllib

import attrs
import pytest

from protocol import settings
from protocol.sections import LISTS, SECTIONS, AuthAgentEntry, ProxyAgentEntry

DESIGN = """
[session]
idle_timeout = "30m"
max_lifetime = "12h"
keep_sessions = "until-expiry"
key_scope = "all"
user_names = "exact"
[security]
secret_file = "secret"
[tls]
mode = "auto"
certificate = ""
key = ""
authority = ""
client_certificates = false
[cookie]
key_files = []
name = "one-login"
compatibility = "none"
[control]
folder = ""
group = ""
mode = "0600"
[logging]
level = 1
path = ""
format = "text"
statistics_interval = "60s"
[timing]
connect_attempts = 5
connect_interval = "500ms"
connect_timeout = "3s"
heartbeat_interval = "200ms"
suspect_after = "1s"
max_clock_offset = "2s"
wan_heartbeat_interval = "1s"
wan_suspect_after = "5s"
[failover]
other_sites = []
after = "5s"
return_after = "10s"
[limits]
sessions = 1_000_000
connections = 2_000
outbox_events = 100_000
[http]
listen = ""
proxy_listen = ""
certificate = ""
key = ""
admin_file = "admin"
[client]
key = "address"
cookie = "__Host-login"
trusted_proxies = ["127.0.0.0/8", "::1"]
[squid]
helpers = false
access_log = ""
manager = []
[forward_auth]
listen = ""
group = ""
mode = "0660"
login_url = ""
[haproxy]
agent_check = ""
runtime = ""
map = ""
activity = ""
[login]
listen = ""
backend = ""
hosts = []
return_hosts = []
certificate = ""
key = ""
insecure_plain = false
texts = ""
[ldap]
urls = []
start_tls = "auto"
authority = ""
bind_dn = ""
password_file = ""
base = ""
user_attribute = "uid"
user_filter = "(objectClass=*)"
group_base = ""
group_attribute = "cn"
member_attribute = "member"
timeout = "5s"
"""
"""The file of DESIGN section 7, [cookie], and those of adapters: what a newcomer is told holds by default."""


def test_names_and_defaults_are_those_of_the_design() -> None:
    """Every table has exactly the keys and defaults that were promised, in that order."""
    ours = {
        name: {
            settings.key_of(field): tomllib.loads(f"x = {settings.toml(field)}")["x"] for field in attrs.fields(kind)
        }
        for name, kind in SECTIONS.items()
    }
    assert ours == tomllib.loads(DESIGN)
    assert [list(keys) for keys in ours.values()] == [list(keys) for keys in tomllib.loads(DESIGN).values()]


@pytest.mark.parametrize("kind", [*SECTIONS.values(), *LISTS.values()], ids=lambda kind: kind.__name__)
def test_every_default_passes_its_own_form(kind: type[attrs.AttrsInstance]) -> None:
    """A default is something that an operator could have written, and every setting is explained."""
    for field in attrs.fields(kind):
        assert field.metadata["doc"].endswith((".", "]."))
        if settings.toml(field):
            written = tomllib.loads(f"x = {settings.toml(field)}")["x"]
            assert field.metadata["form"](written) == field.default


def test_patterns_name_many_proxies() -> None:
    """A star stands for any characters, a question mark for one, and case counts."""
    entry = ProxyAgentEntry(id="squid-?*", site="lan1")
    assert entry.is_pattern and entry.names("squid-1") and entry.names("squid-west-12")
    assert not entry.names("squid-") and not entry.names("Squid-1") and not entry.names("xsquid-1")
    assert not ProxyAgentEntry(id="a.b", site="lan1").names("axb")


def test_an_agent_is_named_as_people_name_it() -> None:
    """Messages say "agent 1 of site lan1"."""
    assert str(AuthAgentEntry(id=1, site="lan1", host="h")) == "agent 1 of site lan1"
