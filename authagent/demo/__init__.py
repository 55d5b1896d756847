"""`authagent demo`: the whole story on this machine. `run` is the door; the rest of the package is its stage."""

from authagent.demo.story import run

__all__ = ["run"]
