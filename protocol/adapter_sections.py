"""The tables of the configuration file for adapters of proxies that exist, one class each; sections.py lists them.

The rules are those of sections.py. Only `proxyagent run` reads these tables.
"""

import attrs

from protocol import settings
from protocol.settings import setting


@attrs.frozen(kw_only=True)
class ForwardAuthSettings:
    """[forward_auth]: where nginx, Traefik, Caddy and Envoy ask whether a request may pass; needs the extra `http`."""

    listen: str = setting(
        settings.optional_door,
        'A Unix socket, relative to this file: "/run/authagent/forward-auth.sock"; or HOST:PORT, where only [client] '
        "trusted_proxies get an answer. Empty: nowhere.",
        default="", bounds="a path with a /, or HOST:PORT",
    )  # fmt: skip
    group: str = setting(
        settings.text, 'Group that owns the Unix socket, such as "www-data"; empty: that of the process.', default=""
    )
    mode: int = setting(
        settings.socket_mode, "Permissions of the Unix socket: whoever may connect may ask about every client.",
        default=0o660, bounds='"0600", "0660", "0666"',
    )  # fmt: skip
    login_url: str = setting(
        settings.optional_page,
        "Where browsers are sent to log in; what they wanted is added as `url=`. A path such as "
        '"/login" is one on the host that they asked for: cookies need that.',
        default="", bounds="a path, or http:// or https://",
    )  # fmt: skip
