"""Whether a request may pass: the question of a front, answered from the copy of the ProxyAgent beside it.

Rules of this file:

- It answers from the copy, however old: a proxy that no agent serves lets in whom it knows, and nobody else.
- A look-up counts as activity.
- Where a part of the key is missing (no X-Forwarded-For, no cookie) nobody is logged in: the address of the front is
  never taken for its client's.
- The failover cookie ([cookie] key_files) counts only where the key is unknown, and is renewed with what is let in.
"""

import attrs

from proxyagent import cookie as failover
from proxyagent.agent import ProxyAgent
from proxyagent.integrations.client_key import ClientKeys
from proxyagent.integrations.forward_auth import question
from proxyagent.integrations.forward_auth.answer import (
    allowed,
    allowed_with_cookie,
    answer,
    login_location,
    refused,
)
from proxyagent.integrations.forward_auth.plain import Request
from proxyagent.integrations.forward_auth.question import Front, Headers
from proxyagent.session import Session

NOT_FOUND = answer(404)


@attrs.frozen
class Gate:
    """Answers requests. `login_url` is empty where there is no log-in page, `carried` says whether cookies carry."""

    agent: ProxyAgent
    keys: ClientKeys
    login_url: str = ""
    carried: bool = False

    def reply(self, peer: str, request: Request) -> bytes:
        """The answer to a front at the address `peer`, "" for a Unix socket, which [client] trusts. Never blocks."""
        front = question.front_of(request.target)
        if front is None:
            return NOT_FOUND
        headers = question.headers_of(request)
        key = self._key(headers, peer)
        if key is not None:
            session = self.agent.lookup(key)
            if self.carried:
                return self._carried(session, key, request, front, headers)
            if session is not None:
                return allowed(session.user, session.packed_attributes)
        return self._refused(request, front, headers)

    def _key(self, headers: Headers, peer: str) -> str | None:
        settings = self.keys.settings
        forwarded = question.forwarded_for(headers) if settings.key != "cookie" else []
        address = self.keys.address(peer, forwarded) if forwarded else None
        return self.keys.key(address, question.cookie(headers, settings.cookie.encode()))

    def _carried(
        self, session: Session | None, key: str, request: Request, front: Front, headers: Headers
    ) -> bytes:
        """The same with a failover cookie, which may know a session that nobody else does."""
        name = self.agent.cookie_name
        held = question.cookie(headers, name.encode())
        found = session or self.agent.honour_cookie(held, key)
        if found is None:
            return self._refused(request, front, headers)
        token = self.agent.renew_cookie(found, held)
        if token is None:
            return allowed(found.user, found.packed_attributes)
        given = failover.header(name, token, secure=question.is_https(headers))
        return allowed_with_cookie(found.user, found.packed_attributes, given)

    def _refused(self, request: Request, front: Front, headers: Headers) -> bytes:
        if front is Front.PASSES_ON and not question.is_browser(request, headers):
            return refused(None, redirect=False)
        location = None
        if self.login_url:
            location = login_location(self.login_url, question.origin(headers), question.page(request, headers))
        return refused(location, redirect=front is Front.PASSES_ON)
