"""A web server whose users log in once for all servers of all data centres, in one file, on threads.

    python server.py --id svr1 --config authagent.toml --listen 127.0.0.1:8080

`POST /login?user=alice` logs in and gives a cookie; `GET /session` tells whose session it is and where it was made, or
401; `GET /alive` is for switches and for clients that look which site is there. Whichever server is asked answers from
the copy of all sessions that it holds: nobody has to find the server where the session was made.

Left out on purpose: passwords (whoever asks is let in as anybody), TLS, which a switch in front would end.
"""

import argparse
import functools
import http.cookies
import json
import secrets
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import proxyagent

COOKIE = "session"
ACKNOWLEDGED_WITHIN_S = 5.0


class Handler(BaseHTTPRequestHandler):
    """One request on each connection; all that they share is the agent, whose look-ups never block."""

    timeout = 30

    def __init__(self, agent: proxyagent.BlockingProxyAgent, id: str, *rest: object) -> None:
        self.agent, self.id = agent, id
        super().__init__(*rest)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Who is there, or that this server is."""
        path = urlsplit(self.path).path
        if path == "/alive":  # a server that has just started knows nobody yet: it is sent nobody
            self.answer(200 if self.agent.ever_synchronised else 503, {})
        elif path != "/session":
            self.answer(404, {"error": "there are /login, /session and /alive"})
        elif (session := self.agent.lookup(self.key())) is None:
            self.answer(401, {"error": "log in"})
        else:
            self.answer(200, {"user": session.user, "made_at": session.proxy, "login": str(session.login_id)})

    def do_POST(self) -> None:
        """Log a user in, and wait until the login would survive this server."""
        url = urlsplit(self.path)
        user = parse_qs(url.query).get("user", [""])[0]
        if url.path != "/login" or not user:
            self.answer(404, {"error": "POST /login?user=NAME"})
            return
        token = secrets.token_urlsafe(32)
        session = self.agent.login(proxyagent.key(cookie=token), user=user)
        try:
            self.agent.wait_acknowledged(session, level="site", timeout=ACKNOWLEDGED_WITHIN_S)
            reached = "site"
        except proxyagent.NotAcknowledged as error:  # known here now, and elsewhere when an agent is in reach
            reached = error.reached
        cookie = f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax"
        told = {"user": user, "made_at": session.proxy, "login": str(session.login_id), "acknowledged": reached}
        self.answer(200, told, cookie)

    def key(self) -> str:
        """What the browser is recognised by: the hash of its cookie; nobody is under that of an empty one."""
        jar = http.cookies.SimpleCookie(self.headers.get("Cookie", ""))
        return proxyagent.key(cookie=jar[COOKIE].value if COOKIE in jar else "none")

    def answer(self, status: int, told: dict[str, str], cookie: str = "") -> None:
        """A line of JSON, which names this server."""
        body = json.dumps({"server": self.id, **told}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if cookie:
            self.send_header("Set-Cookie", cookie)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """The switch has a log."""


def main(options: argparse.Namespace) -> None:
    """Serve until SIGTERM; leaving the agent's block gives what is not yet acknowledged to an AuthAgent."""
    host, _, port = options.listen.rpartition(":")
    with (
        proxyagent.BlockingProxyAgent(options.config, id=options.id) as agent,
        ThreadingHTTPServer((host, int(port)), functools.partial(Handler, agent, options.id)) as server,
    ):
        server.daemon_threads = True
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
        print(f"{options.id} listens on {host}:{server.server_port}", flush=True)
        server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A web server with one login for all data centres.")
    parser.add_argument("--id", required=True, help="this server's id in the configuration")
    parser.add_argument("--config", help="authagent.toml; without it the ordinary places, else loopback")
    parser.add_argument("--listen", default="127.0.0.1:8080", help="HOST:PORT; port 0 takes a free one")
    try:
        main(parser.parse_args())
    except (proxyagent.ConfigurationError, OSError, ValueError) as error:
        sys.exit(f"server: {error}")
