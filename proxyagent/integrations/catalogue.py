"""All adapters, each with the way to make it. A new adapter is a file beside this one and a line here.

What an adapter needs of the extras is imported when it is made, so that a bare install runs without it.
"""

from proxyagent.integrations.adapter import Make

ADAPTERS: dict[str, Make] = {}
"""Makers by the name of their section in the configuration file."""
