"""AuthAgent: the server that keeps a site's logins, alone or as one of a pair.

Nothing is imported here but what tells that `protocol` is ours, so that every verb starts quickly.
"""

import importlib.util
import os

__version__ = "0.1.0"


def _check_protocol() -> None:
    """Raise ImportError when `protocol` is another project's: that name is taken on the package index."""
    spec = importlib.util.find_spec("protocol")
    found = spec.origin if spec is not None else None
    wanted = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "protocol", "__init__.py")
    if found is None or os.path.realpath(found) != os.path.realpath(wanted):
        raise ImportError(
            f"authagent needs its own package `protocol` ({wanted}), but Python finds {found or 'none'}: "
            "remove or rename that one (`python -m pip uninstall protocol`), or install one-login into an "
            "environment of its own"
        )


_check_protocol()
