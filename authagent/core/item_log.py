"""What the log says about items, in the words that operators of the source know.

Rules of this file:

- `said` holds those words; the other keys tell what happened. Never a code, a proof, a lock or a blob.
- Refusals are told at most TOLD_A_SECOND_MAX times a second; the next line says how many were held back. Whoever
  guesses must not fill the disk.

Source: seeds/003 (Mobile Provision Code), "Error Messages"; seeds/000 (Appliance Synchronisation), "Troubleshooting".
"""

import attrs

from authagent.core.commands import Command, Log
from protocol.codes import PROVISION_CODE
from protocol.item import Item
from protocol.messages import Redemption
from protocol.stamp import Now

TOLD_A_SECOND_MAX = 20


@attrs.define
class ItemLog:
    """One agent's lines about items."""

    _second: int = 0
    _told: int = 0
    _held_back: int = 0

    def made(self, item: Item, now: Now) -> list[Command]:
        """A strict item was made."""
        said = f'Provision code created for user "{item.user}"' if item.kind == PROVISION_CODE else "created"
        return self._limited(Log("item.made", "info", {"said": said, "kind": item.kind, "user": item.user}), now)

    def revoked(self, item: Item, now: Now) -> list[Command]:
        """A strict item was voided."""
        keys = {"said": "revoked", "kind": item.kind, "user": item.user}
        return self._limited(Log("item.revoked", "info", keys), now)

    def redeemed(self, item: Item, now: Now, *, alone: bool) -> list[Command]:
        """An item is somebody's; `alone`: the partner did not confirm it in time."""
        claim = item.consumed
        assert claim is not None, "it was redeemed just now"
        provisioned = f'User "{item.user}" provisioned successfully'
        keys = {
            "said": provisioned if item.kind == PROVISION_CODE else "redeemed",
            "kind": item.kind,
            "user": item.user,
            "holder": claim.holder,
        }
        commands: list[Command] = [Log("item.redeemed", "info", keys)]
        if alone:
            text = "SYNC_ERROR, the partner did not confirm it in time"
            commands.append(Log("item.unconfirmed", "warning", {"said": text, "kind": item.kind, "user": item.user}))
        return commands

    def refused(self, wanted: Redemption, user: str, reason: str, now: Now) -> list[Command]:
        """Somebody was told no; only the log says why. `user` is the item's, or the one that was named."""
        keys = {"said": _no(wanted.kind, user, reason), "kind": wanted.kind, "user": user, "reason": reason}
        return self._limited(Log("item.refused", "warning" if reason == "used" else "info", keys), now)

    def unavailable(self, wanted: Redemption, user: str, now: Now) -> list[Command]:
        """Nothing could be decided, and nothing was used up."""
        keys = {"said": "Error Server Connection", "kind": wanted.kind, "user": user}
        return self._limited(Log("item.unavailable", "warning", keys), now)

    def _limited(self, line: Log, now: Now) -> list[Command]:
        second = int(now.monotonic_s)
        if second != self._second:
            self._second, self._told = second, 0
        if self._told >= TOLD_A_SECOND_MAX:
            self._held_back += 1
            return []
        self._told += 1
        held_back, self._held_back = self._held_back, 0
        return [attrs.evolve(line, keys={**line.keys, "held_back": held_back}) if held_back else line]


def _no(kind: str, user: str, reason: str) -> str:
    if kind != PROVISION_CODE:
        return "refused"
    if reason == "unknown_user":
        return "Mobile request from unknown user; the user needs to reprovision"
    failed = f'User "{user}" provision failed'
    return f"{failed}, A valid session could not be loaded or created for the user."
