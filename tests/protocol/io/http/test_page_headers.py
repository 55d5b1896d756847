"""The headers of a page: what they forbid, and what a page may allow itself."""

from protocol.io.http.page_headers import page_headers


def test_everything_is_forbidden_but_what_is_named() -> None:
    """Nothing is loaded from anywhere unless the page names it; nobody may frame it; nothing of it is kept."""
    headers = page_headers(style_src="'self'")
    policy = headers["content-security-policy"].split("; ")
    assert policy[:2] == ["default-src 'none'", "style-src 'self'"]
    assert {"frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} <= set(policy)
    assert headers["cache-control"] == "no-store" and headers["x-content-type-options"] == "nosniff"
