"""The login page: who is asked for a password, who checks it, and where its user is signed in then."""

from proxyagent.login.identity import Identity as Identity

__all__ = ["Identity"]
