"""The site's time as it stands on disk: an offset to the boot clock, and the run of the machine in which that goes on.

Rules of this file:

- The boot clock of a machine never jumps while the machine runs, whatever happens to its wall clock. So a process that
  follows one that crashed goes on with exactly the time that was kept (docs/decisions/0016).
- Where the machine has started anew, or has no name for its run, nothing is known.
"""

from protocol import limits

_DIGITS_MAX = len(str(limits.TIME_MS_MAX))


def write(offset_ms: int | None, boot_id: str) -> str:
    """The text for the store: cluster time less boot clock, in milliseconds; empty where it is not to be kept."""
    return f"{boot_id} {offset_ms}" if boot_id and offset_ms is not None else ""


def read(text: str, boot_id: str) -> int | None:
    """The offset in milliseconds that such a text holds, if it is of this run of the machine; None for any other."""
    kept_id, _, offset_ms = text.partition(" ")
    digits = offset_ms.removeprefix("-")
    if not boot_id or kept_id != boot_id or not digits.isdecimal() or len(digits) > _DIGITS_MAX:
        return None
    return int(offset_ms)
