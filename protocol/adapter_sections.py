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


@attrs.frozen(kw_only=True)
class SquidSettings:
    """[squid]: what is done for the squid on this machine."""

    helpers: bool = setting(
        settings.flag,
        "Answer `proxyagent squid-session` and `squid-login`, at a socket beside the control socket, with the group "
        "and mode of [control].",
        default=False, bounds="true, false",
    )  # fmt: skip
    access_log: str = setting(
        settings.optional_listener,
        "Where squid's `access_log tcp://` arrives: each line, ADDRESS or ADDRESS COOKIE, is activity. Only [client] "
        "trusted_proxies are believed. Empty: nowhere.",
        default="",
    )
    manager: tuple[str, ...] = setting(
        settings.listeners,
        "Ports of squid whose manager tells what goes through open tunnels, which is activity of an address.",
        default=(), bounds='["127.0.0.1:3128"]',
    )  # fmt: skip


@attrs.frozen(kw_only=True)
class HaproxySettings:
    """[haproxy]: what HAProxy is told: whether to send users here, and who is logged in."""

    agent_check: str = setting(
        settings.optional_listener,
        "Where HAProxy's `agent-check` asks whether this proxy knows everybody by now: HOST:PORT. Empty: nowhere.",
        default="",
    )
    runtime: str = setting(
        settings.optional_door,
        'HAProxy\'s `stats socket` with `level admin`: a path such as "/run/haproxy/admin.sock", relative to this '
        "file, or HOST:PORT. Over it the map is pushed, and tunnels of users who log out are cut.",
        default="", bounds="a path with a /, or HOST:PORT",
    )  # fmt: skip
    map: str = setting(
        settings.text,
        "The map of sessions, with the very name that HAProxy's configuration has for it. All of it is ours: entries "
        "of others are removed. Empty: none.",
        default="",
    )
    activity: str = setting(
        settings.optional_door,
        "Where HAProxy logs to, so that whoever passes it does not become idle: a Unix datagram socket, relative to "
        "this file, or HOST:PORT for UDP, where only [client] trusted_proxies are heard. Empty: nowhere.",
        default="", bounds="a path with a /, or HOST:PORT",
    )  # fmt: skip
