"""All adapters, each with the way to make it. A new adapter is a file or folder beside this one and a line here.

What an adapter needs of the extras is imported when it is made, so that a bare install runs without it.
"""

from proxyagent.config import ProxySetup
from proxyagent.integrations.adapter import Adapter, AdapterUnusable, Make
from proxyagent.integrations.haproxy import activity, agent_check, session_map, tunnels
from proxyagent.integrations.squid.adapter import make as make_squid


def _forward_auth(setup: ProxySetup) -> Adapter | None:
    if not setup.configuration.forward_auth.listen:
        return None
    try:
        from proxyagent.integrations.forward_auth.adapter import make
    except ModuleNotFoundError as error:
        raise _lacking("[forward_auth]", error, "http") from None
    return make(setup)


def _login(setup: ProxySetup) -> Adapter | None:
    if not setup.configuration.login.listen:
        return None
    try:
        from proxyagent.integrations.login_page import LoginPage
    except ModuleNotFoundError as error:
        raise _lacking("[login]", error, "http") from None
    return LoginPage(setup)


def _lacking(section: str, error: ModuleNotFoundError, extra: str) -> AdapterUnusable:
    return AdapterUnusable(f'{section} needs {error.name}, which is not installed: pip install "one-login[{extra}]"')


ADAPTERS: dict[str, Make] = {
    "squid": make_squid,
    "forward_auth": _forward_auth,
    "login": _login,
    "haproxy.agent_check": agent_check.make,
    "haproxy.map": session_map.make,
    "haproxy.tunnels": tunnels.make,
    "haproxy.activity": activity.make,
}
"""Makers by the name of their section in the configuration file, and of the setting where a section has several."""
