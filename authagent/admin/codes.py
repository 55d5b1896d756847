"""`authagent code`: one-time provisioning codes, made, redeemed, voided and listed at either agent.

Rules of this file:

- The machine decides; here codes are drawn and proofs made, and "not now" is asked again until time is up.
- A code is in the answer to `code_create` and in the question of `code_redeem`, both on the control socket, and
  nowhere else.
- No is exit code 1 and "Invalid Provision Code", whatever the reason; not now is exit code 3.
"""

import datetime
import hashlib
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import attrs
import trio

from authagent.admin.asking import within_s
from authagent.core import commands as do
from authagent.core import events as on
from authagent.server import Server
from protocol import code_state, codes, limits, schema
from protocol.changes import Changes
from protocol.codec import decode_changes, encode_changes
from protocol.io.control_client import ControlError, ExitCode
from protocol.item import SINGLE_USE, SOLE, STRICT, Item
from protocol.messages import Creation, Redemption, Revocation, Ruling

RETRY_S = 0.2

REFUSED_AFTER_S = 0.25
"""What cannot be a code is refused as late as what is none."""

VALIDITY_S = 600

Question: TypeAlias = Creation | Redemption | Revocation


@attrs.define
class Codes:
    """Carries out what one agent's control socket is asked about codes."""

    server: Server

    async def create(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """A fresh code. Raises ControlError."""
        user, validity_s = self._user(question), _validity_s(question)
        code = ""

        def draw() -> Creation:
            nonlocal code
            code, creation = self._fresh(user, validity_s)
            return creation

        answer = await self._decided(draw, question)
        if answer.ruling == Ruling.FULL:
            raise ControlError(f"the table of items is full: {limits.ITEMS_MAX:,} at once", ExitCode.UNREACHABLE)
        (made,) = decode_changes(answer.body).items
        now_ms = self._now_ms()
        told = code_state.as_json(code_state.code_state(self.server.agent.table, made, now_ms), now_ms, _rfc3339)
        return {**told, "code": codes.spell(code)}

    def _fresh(self, user: str, validity_s: float) -> tuple[str, Creation]:
        """A code, and the question that has the master take it in; another for each attempt: proxyagent/asking.py."""
        code, now_ms = codes.draw(self.server.dice.getrandbits), self._now_ms()
        name = f"{self.server.dice.getrandbits(128):032x}"
        key_id, key = self.server.setup.code_lines[0]
        lock = codes.lock(key_id, name, codes.proof(key, codes.PROVISION_CODE, user, code))
        expires_ms = now_ms + math.ceil(validity_s * 1000)
        flags, site = SINGLE_USE | STRICT | SOLE, self.server.setup.site
        item = Item(codes.PROVISION_CODE, name, user, site, now_ms, expires_ms, flags, b"", lock)
        return code, Creation(0, encode_changes(Changes(items=(item,))))

    async def redeem(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Redeem a code for a device. Raises ControlError: with exit code 1 when it is refused."""
        if question.get("user") == "":
            raise ControlError("User not set", ExitCode.USAGE)
        user, device = self._user(question), _text(question, "device", limits.ITEM_HOLDER_BYTES_MAX)
        given = question.get("code")
        code = codes.normal(given) if isinstance(given, str) else None
        if code is None:
            await trio.sleep(REFUSED_AFTER_S)
            raise ControlError("Invalid Provision Code", ExitCode.NO)
        request = question.get("request")
        redeemer = hashlib.sha256((request if isinstance(request, str) and request else device).encode()).digest()
        shown = codes.proofs(dict(self.server.setup.code_lines), codes.PROVISION_CODE, user, code)
        key_ids, proofs = tuple(shown), tuple(shown.values())
        wanted = Redemption(0, codes.PROVISION_CODE, "", user, redeemer, device, key_ids, proofs)
        answer = await self._decided(lambda: wanted, question)
        if answer.ruling != Ruling.GRANTED:
            raise ControlError("Invalid Provision Code", ExitCode.NO)
        return self._described(decode_changes(answer.body).items[0])

    async def revoke(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Void whatever code a user has. Raises ControlError."""
        wanted = Revocation(0, codes.PROVISION_CODE, "", self._user(question))
        answer = await self._decided(lambda: wanted, question)
        return {"revoked": len(decode_changes(answer.body).items)}

    def list(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """The codes that have not expired, the latest first; of one user where given."""
        items, now_ms = self.server.agent.table.items, self._now_ms()
        if question.get("user") is None:
            found = [item for item in items if item.kind == codes.PROVISION_CODE]
        else:
            found = items.of_user(codes.PROVISION_CODE, self._user(question))
        found.sort(key=lambda item: (item.made_at, item.id), reverse=True)
        return {"codes": [self._described(item) for item in found if now_ms < item.expires_at]}

    # -- within ---------------------------------------------------------------------------------------------------

    async def _decided(self, draw: Callable[[], Question], question: Mapping[str, Any]) -> do.Answer:
        """The machine's answer, whichever agent gave it; after "not now" the next is asked. Raises ControlError."""
        timeout_s = within_s(question)
        with trio.move_on_after(timeout_s):
            while True:
                answer = await self.server.ask_machine(partial(_asked, draw()))
                if answer.ruling != Ruling.UNAVAILABLE:
                    return answer
                await trio.sleep(RETRY_S)
        text = f"Error Server Connection: nobody may decide now ({self._why()}); nothing was used up, try again"
        raise ControlError(text, ExitCode.UNREACHABLE)

    def _why(self) -> str:
        if self.server.agent.election.split:
            return "the two agents are apart"
        return "the partner is gone, and most of the code's witnesses are not linked here"

    def _described(self, item: Item) -> dict[str, Any]:
        now_ms = self._now_ms()
        return code_state.as_json(code_state.code_state(self.server.agent.table, item, now_ms), now_ms, _rfc3339)

    def _now_ms(self) -> int:
        return self.server.agent.duty.now_ms(self.server.clock())

    def _user(self, question: Mapping[str, Any]) -> str:
        user = _text(question, "user", limits.USER_BYTES_MAX)
        return user.lower() if self.server.setup.configuration.session.user_names == "lower" else user


def _asked(wanted: Question, request: int) -> on.ItemAsked:
    return on.ItemAsked(attrs.evolve(wanted, question=request))


def _text(question: Mapping[str, Any], name: str, bytes_max: int) -> str:
    value = question.get(name)
    if not isinstance(value, str) or not schema.text_fits(value, 1, bytes_max):
        raise ControlError(f"{name}: a printable text of 1 to {bytes_max} bytes", ExitCode.USAGE)
    return value


def _validity_s(question: Mapping[str, Any]) -> float:
    given, least, most = question.get("validity_s"), limits.CODE_VALIDITY_S_MIN, limits.CODE_VALIDITY_S_MAX
    if given is None:
        return VALIDITY_S
    if isinstance(given, bool) or not isinstance(given, int | float) or not least <= given <= most:
        raise ControlError(f"--validity is a number of seconds from {least} to {most:,}", ExitCode.USAGE)
    return given


def _rfc3339(at_ms: int) -> str:
    moment = datetime.datetime.fromtimestamp(at_ms / 1000, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
