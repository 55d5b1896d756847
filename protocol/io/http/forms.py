"""Forms of our own pages: whether one came from us, and what stands in it.

Rules of this file:

- A form counts only when its Origin is the page's own, as every browser of these years says with a POST, and when it
  bears the token that only our pages know: no other web site can have a visitor's browser send one (CSRF).
- What is wrong with a form is told in words for its sender, and quotes nothing of it: it may hold a password.
"""

from hmac import compare_digest
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect, Request

FIELDS_MAX = 8


class Refused(Exception):
    """Why a request is not carried out; `status` is that of HTTP."""

    def __init__(self, status: int, text: str, retry_after_s: float = 0.0) -> None:
        super().__init__(text)
        self.status = status
        self.retry_after_s = retry_after_s


async def fields(request: Request, token: str, scheme: str = "") -> dict[str, str]:
    """The fields of a form of ours but its token. Raises Refused for one that is not.

    `token` is what our page put into it, empty where it cannot have put one. `scheme` is how the browser reached the
    page, where that is not how the request came.
    """
    if not _from_here(request, scheme) or request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise Refused(403, "this form did not come from this page")
    try:
        found = parse_qs((await request.body()).decode(), max_num_fields=FIELDS_MAX, strict_parsing=True)
    except ClientDisconnect:
        raise Refused(400, "the form came to an early end") from None
    except ValueError:
        raise Refused(400, "this is no form of this page") from None
    given = {name: values[0] for name, values in found.items()}
    if not token or not compare_digest(given.pop("token", "").encode(), token.encode()):
        raise Refused(403, "this form is of an earlier visit: load the page again")
    return given


def _from_here(request: Request, scheme: str) -> bool:
    """Whether the Origin is the page's own, letter by letter: browsers write it in one way."""
    try:
        own = f"{scheme or request.url.scheme}://{request.url.netloc}"
    except ValueError:  # the Host is no address
        return False
    return request.headers.get("origin", "") == own
