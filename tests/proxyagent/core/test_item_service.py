"""What a host program does with codes and challenges, without any loop."""

from typing import Any

import pytest

from protocol import codec, codes, limits
from protocol.item import SINGLE_USE, STRICT
from protocol.messages import Redemption
from proxyagent.core.inputs import WrongType
from proxyagent.core.item_service import ItemService
from proxyagent.errors import LimitExceeded
from tests.proxyagent.core.bench import Bench


class Desk:
    """The service of one machine on a bench."""

    def __init__(self, **settings: Any) -> None:
        self.bench = Bench(**settings)
        self.bench.serve()

    @property
    def items(self) -> ItemService:
        return self.bench.client.service.items

    def new(self, **given: Any) -> Any:
        whole = {"kind": "image", "user": "alice", "id": None, "blob": b"", "validity_s": 60.0, "flags": SINGLE_USE}
        return self.items.new_item(**{**whole, "secret": None, "now": self.bench.now, **given})

    def redeem(self, **given: Any) -> Redemption:
        whole = {"kind": "image", "id": "", "user": "alice", "secret": None, "request": None, "holder": ""}
        return self.items.redemption(**{**whole, **given})


def test_a_code_is_known_to_its_maker_only() -> None:
    """The item and the question hold a lock; the code that was drawn opens it."""
    desk = Desk()
    code, item = desk.items.new_code("alice", 600, desk.bench.now)
    wanted = desk.redeem(kind=codes.PROVISION_CODE, secret=code)
    shown = dict(zip(wanted.key_ids, wanted.proofs, strict=True))

    assert codes.normal(code) == code
    assert codes.opens(item.lock, item.id, shown) is True
    assert code.encode() not in codec.encode(desk.items.creation(item)) + codec.encode(wanted)
    assert item.strict and item.sole and item.expires_at - item.made_at == 600_000


def test_making_and_revoking_travel_like_a_login() -> None:
    """What is made here is in the copy at once, and leaves in a report; so does its end."""
    desk = Desk()
    item, serial = desk.items.make_here(desk.new(id="a"), desk.bench.now)
    count, revoked = desk.items.revoke("image", id="a", now=desk.bench.now)

    assert desk.items.get("image", "a") is not None
    assert (count, desk.items.revoke("image", id="a", now=desk.bench.now)) == (1, (0, 0))
    assert revoked >= serial > 0
    assert item.site == "lan1"


def test_without_any_agent_this_proxy_decides_what_is_not_strict() -> None:
    """Once, for one request; the same request again is granted again; what is strict is nobody's to decide here."""
    desk = Desk()
    desk.items.make_here(desk.new(id="a"), desk.bench.now)
    desk.items.make_here(desk.new(id="s", flags=SINGLE_USE | STRICT), desk.bench.now)
    first = desk.redeem(id="a")

    assert desk.items.redeem_here(first, desk.bench.now)[0] is True
    assert desk.items.redeem_here(first, desk.bench.now)[0] is True
    assert desk.items.redeem_here(desk.redeem(id="a"), desk.bench.now)[0] is False
    assert desk.items.redeem_here(desk.redeem(id="s"), desk.bench.now)[0] is None
    assert desk.items.redeem_here(desk.redeem(id="nothing"), desk.bench.now)[0] is None


def test_what_is_listed_has_not_expired() -> None:
    """The latest first; of one user, or of all."""
    desk = Desk()
    for name, user, validity_s in (("a", "alice", 10.0), ("b", "alice", 60.0), ("c", "bob", 60.0)):
        desk.items.make_here(desk.new(id=name, user=user, validity_s=validity_s), desk.bench.now)
    desk.bench.pass_s(30)

    assert [item.id for item in desk.items.of_kind("image", "alice", desk.bench.now)] == ["b"]
    assert [item.id for item in desk.items.of_kind("image", None, desk.bench.now)] == ["c", "b"]


@pytest.mark.parametrize(
    "given",
    [
        {"kind": ""}, {"kind": "k" * 65}, {"user": ""}, {"user": "new\nline"}, {"id": "i" * 129}, {"id": ""},
        {"blob": b"b" * (limits.ITEM_BLOB_BYTES_MAX + 1)}, {"secret": "s" * 257},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_over_its_bound_is_refused_before_anything_has_changed(given: dict[str, Any]) -> None:
    """With the bound's name, and nothing is put anywhere."""
    desk = Desk()

    with pytest.raises(LimitExceeded):
        desk.new(**given)
    assert not desk.bench.client.outbox.has_unsent


@pytest.mark.parametrize("validity_s", [9.9, 1_000_001, float("nan")])
def test_a_codes_validity_is_that_of_the_source(validity_s: float) -> None:
    """10 to 1,000,000 s."""
    desk = Desk()

    with pytest.raises(LimitExceeded):
        desk.items.new_code("alice", validity_s, desk.bench.now)


def test_the_wrong_type_is_a_mistake_of_the_program() -> None:
    """A blob is bytes."""
    with pytest.raises(WrongType):
        Desk().new(blob="text")


def test_users_are_written_as_the_configuration_says() -> None:
    """With user_names = "lower" Alice's code is alice's."""
    desk = Desk(user_names="lower")

    assert desk.new(user="Alice").user == "alice"
    assert desk.redeem(user="ALICE", id="a").user == "alice"


def test_an_id_is_used_once() -> None:
    """A second item of the same name would be a conflict everywhere."""
    desk = Desk()
    desk.items.make_here(desk.new(id="a"), desk.bench.now)

    with pytest.raises(LimitExceeded):
        desk.items.make_here(desk.new(id="a"), desk.bench.now)


@pytest.mark.parametrize("request_id", [b"", b"r" * 65])
def test_a_request_has_its_bounds(request_id: bytes) -> None:
    """1 to 64 bytes."""
    with pytest.raises(LimitExceeded):
        Desk().redeem(request=request_id)
