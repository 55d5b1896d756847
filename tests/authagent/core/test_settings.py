"""Settings: what an agent and its partner are called."""

from authagent.core.settings import Settings


def test_names_are_ids_in_text() -> None:
    """Ids are numbers in the file and texts on the wire; a single agent's partner has no name."""
    pair = Settings(site="lan1", id=1, partner=2)

    assert (pair.name, pair.partner_name) == ("1", "2")
    assert Settings(site="lan1", id=1, partner=None).partner_name == ""


def test_making_sure_of_a_lost_master_fits_into_half_a_second() -> None:
    """The attempts of a slave, each with its timeout or its interval with jitter, stay below 0.5 s (promise 6)."""
    settings = Settings(site="lan1", id=1, partner=2)

    each_s = max(settings.retry_timeout_s, settings.retry_interval_s * 1.2)
    assert settings.retry_attempts * each_s < 0.5
