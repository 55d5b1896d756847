"""Who looks at the page, as far as it is not seen in test_routes.py."""

from proxyagent.login.visitor import Visitor, form_token


def test_a_form_does_not_show_the_cookie_that_it_is_bound_to() -> None:
    """The token is computed from it, the same each time, and is nothing where there is no cookie."""
    token = form_token("the value of a cookie")
    assert len(token) == 64 and token == form_token("the value of a cookie") != form_token("another")
    assert form_token("") == ""


def test_the_form_cookie_is_bound_to_the_host_where_it_can_be() -> None:
    """Only HTTPS can set a cookie with the prefix. No repr shows the value."""
    made = Visitor("10.0.0.1", "https", None, "a value")
    assert made.secure and made.form_cookie == "__Host-login-form" and "a value" not in repr(made)
    assert Visitor("10.0.0.1", "http", None).form_cookie == "login-form"
