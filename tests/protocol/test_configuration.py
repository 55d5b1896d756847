"""Text to Configuration: defaults, and every mistake at once with what would be right."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import configuration
from protocol.configuration import AuthAgentEntry, Configuration, ProxyAgentEntry, default, parse
from protocol.mistakes import Mistake, MistakesFound

PAIR = """
[[authagent]]
id = 1
site = "lan1"
host = "10.1.0.11"
[[authagent]]
id = 2
site = "lan1"
host = "10.1.0.12"
wan_host = "192.0.2.12"
port = 9024
listen = ["0.0.0.0:9024"]
[[proxyagent]]
id = "squid-*"
site = "lan1"
host = "10.1.0.0/24"
"""


def mistakes(text: str) -> dict[str, str]:
    """What parse() complains about, by key."""
    with pytest.raises(MistakesFound) as caught:
        parse(text, "authagent.toml")
    assert all(line.startswith("authagent.toml: ") for line in str(caught.value).splitlines())
    assert len(str(caught.value).splitlines()) == len(caught.value.mistakes)
    return {mistake.key: mistake.text for mistake in caught.value.mistakes}


def test_without_any_file_a_pair_runs_on_loopback() -> None:
    """default() is agents 1 and 2 on ports 9023 and 9024 of this machine, and any proxy."""
    found = default()
    assert [(agent.id, agent.host, agent.port) for agent in found.authagents] == [
        (1, "127.0.0.1", 9023), (2, "127.0.0.1", 9024),
    ]  # fmt: skip
    assert found.site == "local" and found.path == ""
    assert found.proxy("local", "anything") is not None


def test_an_empty_file_is_as_good_as_none() -> None:
    """A file that says nothing changes nothing."""
    assert attrs.evolve(parse("", "x"), path="") == default()


def test_a_file_without_agents_keeps_its_site_on_loopback() -> None:
    """`site = "x"` alone names the site of the loopback pair."""
    assert parse('site = "x"', "").sites == ("x",)


def test_values_are_read_into_their_classes() -> None:
    """Durations become seconds, the mode a number, lists tuples."""
    text = '[session]\nidle_timeout = "90s"\nkeep_sessions = "10m"\n[control]\nmode = "0660"\n[tls]\nmode = "auto"\n'
    found = parse(text + PAIR, "/etc/authagent/authagent.toml")
    assert found.path == "/etc/authagent/authagent.toml"
    assert found.session.idle_timeout_s == 90.0 and found.session.keep_sessions == 600.0
    assert found.control.mode == 0o660
    second = AuthAgentEntry(
        id=2, site="lan1", host="10.1.0.12", wan_host="192.0.2.12", port=9024, listen=("0.0.0.0:9024",)
    )
    assert found.agent("lan1", 2) == second and found.agents_of("lan1")[1] == second
    assert found.agent("lan2", 1) is None
    assert found.proxyagents == (ProxyAgentEntry(id="squid-*", site="lan1", host="10.1.0.0/24"),)


def test_an_entry_without_a_site_has_that_of_the_file() -> None:
    """`site` at the top stands for entries that name none."""
    found = parse('site = "lan9"\n[[authagent]]\nid = 1\nhost = "h"\n[[proxyagent]]\nid = "p"\n', "")
    assert found.authagents[0].site == found.proxyagents[0].site == "lan9"


def test_all_mistakes_are_reported_at_once_with_the_nearest_right_name() -> None:
    """Unknown keys, wrong types, wrong words and missing keys of one file come in one error."""
    found = mistakes("""
        sitee = "lan1"
        idle_timeout = "30m"
        logging = 3
        [session]
        idle_timeot = "30m"
        max_lifetime = 3600
        keep_sessions = "dropp"
        [tls]
        mode = "of"
        client_certificates = "yes"
        [timing]
        suspect_after = "200ms"
        [[authagent]]
        id = 3
        site = "lan1"
        host = "10.1.0.12"
        prot = 9024
        [[authagent]]
        id = 2
        host = "10.1.0.11:9023"
        port = "x"
    """)
    assert found["sitee"] == "unknown key; did you mean site?"
    assert found["idle_timeout"] == "unknown key; it belongs under [session]"
    assert found["[logging]"] == "write a table"
    assert found["[session] idle_timeot"] == "unknown key; did you mean idle_timeout?"
    assert '"3600s"' in found["[session] max_lifetime"]
    assert '"until-expiry"' in found["[session] keep_sessions"]
    assert found["[tls] mode"].endswith("did you mean off?")
    assert found["[tls] client_certificates"] == "true or false is expected, not a text"
    assert "twice heartbeat_interval" in found["[timing] suspect_after"]
    assert found["[[authagent]] 1 id"] == "3: agent ids are 1 and 2"
    assert found["[[authagent]] 1 prot"] == "unknown key; did you mean port?"
    assert found["[[authagent]] 2 site"] == "missing, and it has no default"
    assert "port = 9023" in found["[[authagent]] 2 host"]
    assert found["[[authagent]] 2 port"] == "a whole number is expected, not a text"
    assert len(found) == 14


def test_duplicate_ids_are_found_even_beside_other_mistakes() -> None:
    """(site, id) is unique for agents and proxies, whatever else is wrong in the second entry."""
    text = (
        PAIR
        + '[[authagent]]\nid = 1\nsite = "lan1"\nhost = "bad host"\n[[proxyagent]]\nid = "squid-*"\nsite = "lan1"\n'
    )
    found = mistakes(text)
    assert found["[[authagent]] 3 id"] == "id 1 of site lan1 is listed twice (entries 1 and 3); keep one"
    assert "entries 1 and 2" in found["[[proxyagent]] 2 id"]
    assert "bad host" in found["[[authagent]] 3 host"]


def test_the_same_id_at_two_sites_is_no_duplicate() -> None:
    """Every site has its own agent 1."""
    found = parse(PAIR + '[[authagent]]\nid = 1\nsite = "lan2"\nhost = "10.2.0.11"\n', "")
    assert found.sites == ("lan1", "lan2")


def test_two_agents_cannot_share_an_address() -> None:
    """A pair on one machine needs two ports."""
    text = '[[authagent]]\nid = 1\nsite = "a"\nhost = "h"\n[[authagent]]\nid = 2\nsite = "a"\nhost = "h"\n'
    assert "agent 2 of site a has the address h:9023 of agent 1" in mistakes(text)["[[authagent]] port"]


def test_only_sites_with_agents_can_stand_in() -> None:
    """Any of the file, the own one too, so that the list can be the same everywhere; else the nearest is named."""
    found = mistakes(PAIR + '[failover]\nother_sites = ["lan1", "lan11"]\n')
    assert found == {"[failover] other_sites": '"lan11" has no [[authagent]]; did you mean lan1?'}
    assert parse(PAIR + '[failover]\nother_sites = ["lan1"]\n', "").failover.other_sites == ("lan1",)


def test_filters_are_of_sites_that_exist_one_each() -> None:
    """Their site is always written, whatever the file's own is: an entry means the same on every machine."""
    entry = '[[remote]]\nsite = "lan1"\nusers = ["!guest-*"]\n'
    (remote,) = parse(PAIR + entry, "").remotes
    assert (remote.site, remote.users, remote.groups, remote.networks) == ("lan1", ("!guest-*",), (), ())
    found = mistakes(PAIR + entry + entry + '[[remote]]\nsite = "lan11"\n')
    assert found == {
        "[[remote]] 2 site": '"lan1" has an entry already; put both into one',
        "[[remote]] 3 site": '"lan11" has no [[authagent]]; did you mean lan1?',
    }
    assert "missing" in mistakes(f'site = "lan1"\n{PAIR}[[remote]]\nusers = ["a"]\n')["[[remote]] 1 site"]


@pytest.mark.parametrize("where", ['host = "10.1.0.11"', 'host = "::1"\nwan_host = "10.1.0.11"',
                                   'host = "::1"\nlisten = ["[::]:9023"]'])  # fmt: skip
def test_tls_off_is_for_loopback_only(where: str) -> None:
    """Plain links beyond this machine need the option that names itself insecure."""
    text = f'[tls]\nmode = "off"\n[[authagent]]\nid = 1\nsite = "a"\n{where}\n'
    assert "loopback only" in mistakes(text)["[tls] mode"]
    assert parse(text.replace('"off"', '"insecure-plain"'), "").tls.mode == "insecure-plain"


def test_tls_off_on_loopback_is_accepted() -> None:
    """On this machine alone nobody else listens."""
    found = parse('[tls]\nmode = "off"\n', "")
    assert found.plain and not default().plain


@pytest.mark.parametrize(
    ("tls", "key"),
    [
        ('mode = "files"\ncertificate = "c.pem"', "[tls] key"),
        ('mode = "files"\nkey = "k.pem"', "[tls] certificate"),
        ('certificate = "c.pem"\nkey = "k.pem"', "[tls] mode"),
        ("client_certificates = true", "[tls] client_certificates"),
    ],
)
def test_tls_settings_must_fit_together(tls: str, key: str) -> None:
    """Certificate, key, authority and mode are asked for where one needs the other."""
    assert key in mistakes(f"[tls]\n{tls}\n")


@pytest.mark.parametrize(
    "text",
    ["[session", "a = ", 'a = "\\q"', "a = 1\na = 2", "\0", "a = " + "[" * 5_000, "a = 1" + "0" * 5_000],
    ids=range(7),
)
def test_what_is_no_toml_is_one_line(text: str) -> None:
    """A syntax error names its line, without a traceback."""
    assert "this is not TOML" in mistakes(text)[""]


@pytest.mark.parametrize(
    "text", ["authagent = 3", "[authagent]\nid = 1", "authagent = [3]", "session = []", "tls = '''x'''"]
)
def test_tables_and_lists_of_the_wrong_shape(text: str) -> None:
    """A table where a list belongs, or the reverse, is a mistake and no crash."""
    assert all("table" in complaint for complaint in mistakes(text).values())


def test_unknown_keys_do_not_quote_their_value() -> None:
    """A secret written into the file by mistake is not repeated in the error."""
    with pytest.raises(MistakesFound) as caught:
        parse('secret = "hunter2-hunter2"\n[security]\nsecret = "hunter2-hunter2"\n', "x")
    assert "hunter2" not in str(caught.value) and "secret_file" in str(caught.value)


def test_an_exact_id_counts_before_a_pattern() -> None:
    """proxy() prefers the entry with the id itself, then the first pattern, and knows sites apart."""
    text = PAIR + '[[proxyagent]]\nid = "squid-7"\nsite = "lan1"\nhost = "10.1.0.7"\n'
    found = parse(text, "")
    assert (exact := found.proxy("lan1", "squid-7")) is not None and exact.host == "10.1.0.7"
    assert (many := found.proxy("lan1", "squid-8")) is not None and many.id == "squid-*"
    assert found.proxy("lan1", "nginx") is None and found.proxy("lan2", "squid-8") is None


def test_the_agreed_hash_is_over_session_and_agents_only() -> None:
    """Order, logging and proxies may differ between machines; sessions and agents may not."""
    found = parse(PAIR, "a")
    assert len(found.agreed_hash) == 8
    same = attrs.evolve(found, path="b", authagents=found.authagents[::-1], proxyagents=(), site="lan1",
                        logging=configuration.LoggingSettings(level=2))  # fmt: skip
    assert same.agreed_hash == found.agreed_hash
    assert parse('[session]\nidle_timeout = "31m"\n' + PAIR, "a").agreed_hash != found.agreed_hash
    assert parse(PAIR.replace("9024", "9025"), "a").agreed_hash != found.agreed_hash


KEYS = st.sampled_from(["session", "tls", "authagent", "proxyagent", "id", "site", "host", "mode", "x"])
ATOMS = st.none() | st.booleans() | st.integers() | st.text(max_size=5)


@given(st.recursive(ATOMS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4)))
def test_reading_any_content_gives_a_configuration_or_mistakes(content: object) -> None:
    """Whatever TOML holds, the answer is values or mistakes: never another exception."""
    found: list[Mistake] = []
    result = configuration._read(content if isinstance(content, dict) else {"session": content}, found)
    assert isinstance(result, Configuration)
