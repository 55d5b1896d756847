"""The headers that keep a page of ours to itself: not framed, not kept, and nothing from elsewhere. Pure."""


def page_headers(**allowed: str) -> dict[str, str]:
    """The headers of every answer of a page. `allowed` names what it may load: `style_src="'self'"`.

    There is no Strict-Transport-Security among them: with a self-made certificate it would lock browsers out.
    """
    policy = {
        "default-src": "'none'",
        **{name.replace("_", "-"): sources for name, sources in allowed.items()},
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "content-security-policy": "; ".join(f"{name} {sources}" for name, sources in policy.items()),
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "same-origin",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=()",
        "cache-control": "no-store",
    }
