"""A proxy's part of one login for a whole farm: the local copy of all sessions, kept current by the AuthAgents.

    async with proxyagent.open_proxy_agent("authagent.toml", id="proxy1") as agent:
        session = agent.lookup("10.3.4.5")

Everything public is named here and loaded at its first use: a verb on the command line must not wait for trio.
"""

import importlib
import importlib.util
import os
from typing import TYPE_CHECKING

__version__ = "0.1.0"


def _check_protocol() -> None:
    """Raise ImportError when `protocol` is another project's: that name is taken on the package index."""
    spec = importlib.util.find_spec("protocol")
    found = spec.origin if spec is not None else None
    wanted = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "protocol", "__init__.py")
    if found is None or os.path.realpath(found) != os.path.realpath(wanted):
        raise ImportError(
            f"proxyagent needs its own package `protocol` ({wanted}), but Python finds {found or 'none'}: "
            "remove or rename that one (`python -m pip uninstall protocol`), or install one-login into an "
            "environment of its own"
        )


_check_protocol()

if TYPE_CHECKING:
    from protocol.code_state import CodeState as CodeState
    from protocol.key import key as key
    from proxyagent.agent import ProxyAgent as ProxyAgent
    from proxyagent.agent import open_proxy_agent as open_proxy_agent
    from proxyagent.blocking import BlockingProxyAgent as BlockingProxyAgent
    from proxyagent.challenges import Challenge as Challenge
    from proxyagent.codes import ProvisionCode as ProvisionCode
    from proxyagent.errors import Closed as Closed
    from proxyagent.errors import ConfigurationError as ConfigurationError
    from proxyagent.errors import Error as Error
    from proxyagent.errors import InternalError as InternalError
    from proxyagent.errors import LimitExceeded as LimitExceeded
    from proxyagent.errors import NotAcknowledged as NotAcknowledged
    from proxyagent.errors import Refused as Refused
    from proxyagent.errors import Undecided as Undecided
    from proxyagent.notices import AgentFound as AgentFound
    from proxyagent.notices import AgentLost as AgentLost
    from proxyagent.notices import AgentRefused as AgentRefused
    from proxyagent.notices import Notice as Notice
    from proxyagent.notices import NoticesLost as NoticesLost
    from proxyagent.notices import Resynced as Resynced
    from proxyagent.notices import SessionEnded as SessionEnded
    from proxyagent.notices import SessionOpened as SessionOpened
    from proxyagent.session import Session as Session
    from proxyagent.statistics import Statistics as Statistics

_HOMES = {
    "protocol.code_state": ("CodeState",),
    "protocol.key": ("key",),
    "proxyagent.agent": ("ProxyAgent", "open_proxy_agent"),
    "proxyagent.blocking": ("BlockingProxyAgent",),
    "proxyagent.challenges": ("Challenge",),
    "proxyagent.codes": ("ProvisionCode",),
    "proxyagent.errors": (
        "Closed",
        "ConfigurationError",
        "Error",
        "InternalError",
        "LimitExceeded",
        "NotAcknowledged",
        "Refused",
        "Undecided",
    ),
    "proxyagent.notices": (
        "AgentFound",
        "AgentLost",
        "AgentRefused",
        "Notice",
        "NoticesLost",
        "Resynced",
        "SessionEnded",
        "SessionOpened",
    ),
    "proxyagent.session": ("Session",),
    "proxyagent.statistics": ("Statistics",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [*_HOME_OF]


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(home), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
