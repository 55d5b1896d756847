"""A log-in endpoint for nginx, Traefik or Caddy that keeps its users when every AuthAgent is lost.

    python forward_auth.py --id proxy1 --config authagent.toml --users users.txt --listen 127.0.0.1:8080

The front asks `GET /auth` for each request (auth_request, forwardAuth, forward_auth): 200 with `X-User`, or 401.
`POST /login` (user, password) logs in, `POST /logout` logs out, everywhere. A browser holds two cookies: `sid`, a
random value whose hash is the session's key, and the failover cookie, which carries the session itself. The latter
counts only where nobody knows the key: when this process starts empty and no agent answers. Any number of these may
stand behind one name; give all of them the same `[cookie] key_files`. See docs/howto/failover-cookie.md.

Left out on purpose: TLS (the front has it), a log-in page, limits on connections and guesses (the front's, too), and
a real password store: `users.txt` holds `name:password` lines and is a toy.
"""

import argparse
import functools
import hmac
import secrets
import signal
import sys
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote

import proxyagent
from proxyagent import cookie

FORM_BYTES_MAX, TIMEOUT_S, ACKNOWLEDGED_WITHIN_S = 4 * 1024, 10.0, 1.0


class Gate(BaseHTTPRequestHandler):
    """One request of the front. All that they share is the agent, whose look-ups never block."""

    timeout = TIMEOUT_S

    def __init__(self, agent: proxyagent.BlockingProxyAgent, users: dict[str, str], secure: bool, *more: object):
        self.agent, self.users, self.secure = agent, users, secure
        super().__init__(*more)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """May whoever holds these cookies pass?"""
        if self.path.partition("?")[0] != "/auth":
            return self.answer(404)
        session = self.session()
        if session is None:
            return self.answer(401)
        renewed = self.agent.renew_cookie(session, self.cookies().get(self.agent.cookie_name))
        given = [] if renewed is None else [(self.agent.cookie_name, renewed)]
        return self.answer(200, given, user=session.user)

    def do_POST(self) -> None:
        """Log in, or out."""
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > FORM_BYTES_MAX:
            return self.answer(413)
        form = parse_qs(self.rfile.read(int(length)).decode("utf-8", "replace"))
        if self.path == "/logout":
            return self.log_out()
        if self.path == "/login":
            return self.log_in(form.get("user", [""])[0], form.get("password", [""])[0])
        return self.answer(404)

    def session(self) -> proxyagent.Session | None:
        """Whose cookies these are: by what is known here, else by what the failover cookie says of the same key."""
        cookies = self.cookies()
        if not cookies.get("sid"):
            return None
        key = proxyagent.key(cookie=cookies["sid"])
        return self.agent.lookup(key) or self.agent.honour_cookie(cookies.get(self.agent.cookie_name), key)

    def log_in(self, user: str, password: str) -> None:
        """A fresh `sid` for a right password: one that was there before may be known to others."""
        right = self.users.get(user)
        if not right or not hmac.compare_digest(right.encode(), password.encode()):
            return self.answer(401)
        sid = secrets.token_urlsafe(32)
        try:
            session = self.agent.login(proxyagent.key(cookie=sid), user)
        except proxyagent.LimitExceeded:
            return self.answer(503)
        self.wait(session)
        return self.answer(200, [("sid", sid), (self.agent.cookie_name, self.agent.seal_cookie(session))], user=user)

    def log_out(self) -> None:
        """Everywhere. A session that only its cookie knows is let in first, so that there is something to end."""
        session = self.session()
        if session is not None:
            self.wait(self.agent.logout(session.key))
        return self.answer(200, [("sid", None), (self.agent.cookie_name, None)])

    def wait(self, what: proxyagent.Session | tuple[proxyagent.Session, ...]) -> None:
        """Until it would survive this process, if an agent is in reach."""
        try:
            self.agent.wait_acknowledged(what, level="site", timeout=ACKNOWLEDGED_WITHIN_S)
        except proxyagent.NotAcknowledged:
            pass  # known here now, and elsewhere when an agent is back

    def cookies(self) -> dict[str, str]:
        """What the browser sent."""
        pairs = (part.strip().partition("=") for part in self.headers.get("Cookie", "").split(";"))
        return {name: value for name, _, value in pairs}

    def answer(self, status: int, given: Iterable[tuple[str, str | None]] = (), user: str = "") -> None:
        """No body; cookies that are None are taken away. A user's name may hold anything, a header may not."""
        self.send_response(status)
        for name, value in given:
            self.send_header("Set-Cookie", cookie.header(name, value, secure=self.secure))
        if user:
            self.send_header("X-User", quote(user, safe="@"))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """The front has a log."""


def main(options: argparse.Namespace, users: dict[str, str]) -> None:
    """Serve until SIGTERM; leaving the agent's block gives what is not yet acknowledged to an AuthAgent."""
    host, _, port = options.listen.rpartition(":")
    with proxyagent.BlockingProxyAgent(options.config, id=options.id) as agent:
        gate = functools.partial(Gate, agent, users, not options.plain)
        with ThreadingHTTPServer((host, int(port)), gate) as server:  # type: ignore[arg-type]
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
            print(f"{options.id} listens on {host}:{server.server_port}", flush=True)
            server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A log-in endpoint for a front that asks for each request.")
    parser.add_argument("--id", default="proxy1", help="this proxy's id in the configuration")
    parser.add_argument("--config", help="authagent.toml; without it the ordinary places, else loopback")
    parser.add_argument("--users", required=True, help="a file of name:password lines")
    parser.add_argument("--listen", default="127.0.0.1:8080", help="HOST:PORT; port 0 takes a free one")
    parser.add_argument("--plain", action="store_true", help="browsers come without TLS: cookies are not Secure")
    given_options = parser.parse_args()
    try:
        user_lines = Path(given_options.users).read_text(encoding="utf-8").split()
        main(given_options, dict(line.split(":", 1) for line in user_lines))
    except (proxyagent.ConfigurationError, OSError, ValueError) as error:
        sys.exit(f"forward_auth: {error}")
