"""Squid: the two helpers that it starts, and the part of `proxyagent run` that answers them."""
