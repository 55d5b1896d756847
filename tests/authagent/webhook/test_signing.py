"""The signature of a delivery is that of the Standard Webhooks specification."""

from authagent.webhook import signing
from protocol.secret import Secrets


def test_the_specification_s_own_example() -> None:
    """Secret, id, time and body of its reference implementations give the signature that those give."""
    secrets = Secrets(("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",))
    body = b'{"test": 2432232314}'
    headers = dict(signing.headers(secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body))
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert headers["webhook-id"] == "msg_p5jXN8AQM9LWM0D4loKWxJek" and headers["webhook-timestamp"] == "1614265330"


def test_a_secret_that_is_being_changed_signs_with_both_lines() -> None:
    """A receiver that has either is content; what is no base64 behind whsec_ is taken as it is."""
    both = dict(signing.headers(Secrets(("new-line-of-a-secret", "whsec_???")), "id", 1, b"x"))["webhook-signature"]
    one = dict(signing.headers(Secrets(("new-line-of-a-secret",)), "id", 1, b"x"))["webhook-signature"]
    assert len(both.split()) == 2 and both.split()[0] == one
