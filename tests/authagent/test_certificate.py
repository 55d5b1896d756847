"""The operator's own certificate."""

import datetime
import ssl

import pytest
import trustme

from authagent import certificate

DAY_S = 86_400


def made(days: float) -> tuple[bytes, bytes, float]:
    """A certificate, its key, and a `now_s` at which it has `days` left."""
    ends = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
    issued = trustme.CA().issue_cert("agent.example", not_after=ends)
    chain = issued.cert_chain_pems[0].bytes()
    return chain, issued.private_key_pem.bytes(), ends.timestamp() - days * DAY_S


@pytest.mark.parametrize("days", [14.5, 90])
def test_a_certificate_with_time_left_is_not_mentioned(days: float) -> None:
    """Nothing is said until 14 days before the end."""
    chain, _, now_s = made(days)
    assert certificate.ending(chain, now_s) is None
    assert certificate.days_left(chain, now_s) == pytest.approx(days)


def test_a_certificate_near_its_end_is_warned_about() -> None:
    """From 14 days before the end, with the days and the cure."""
    chain, _, now_s = made(13)
    assert certificate.ending(chain, now_s) == "it ends in 13 days; replace it and run: authagent reload"


def test_a_certificate_that_has_ended_says_so() -> None:
    """After the end the line says how long ago."""
    chain, _, now_s = made(-3)
    assert "it ended 3 days ago" in (certificate.ending(chain, now_s) or "")


def test_the_key_must_be_that_of_the_certificate() -> None:
    """Another key does not fit."""
    chain, key, _ = made(1)
    _, other, _ = made(1)
    assert certificate.fits(chain, key) and not certificate.fits(chain, other)


def test_a_certificate_of_an_unknown_version_raises_value_error() -> None:
    """What the library calls by another name is one line for the operator, too."""
    chain, key, now_s = made(1)
    version_3 = bytes.fromhex("a003020102")
    odd = ssl.PEM_cert_to_DER_cert(chain.decode()).replace(version_3, version_3[:-1] + b"\x7f", 1)
    chain = ssl.DER_cert_to_PEM_cert(odd).encode()
    for read in (lambda: certificate.fits(chain, key), lambda: certificate.ending(chain, now_s)):
        with pytest.raises(ValueError, match="version"):
            read()


def test_what_is_no_pem_raises_value_error() -> None:
    """Rubbish is a ValueError that the caller turns into a line."""
    chain, key, _ = made(1)
    for bad_chain, bad_key in ((b"rubbish", key), (chain, b"rubbish"), (b"", key)):
        with pytest.raises(ValueError):
            certificate.fits(bad_chain, bad_key)
    with pytest.raises(ValueError):
        certificate.ending(b"rubbish", 0)
