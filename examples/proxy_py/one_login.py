"""proxy.py with one login for many: a plugin that asks `proxyagent run`, for HTTP and CONNECT.

    export ONE_LOGIN_SOCKET=/run/authagent/lan1-proxyagent-pp-1.squid ONE_LOGIN_USERS=users.txt PYTHONPATH=.
    proxy --plugins one_login.OneLogin --hostname 127.0.0.1 --port 8899

proxy.py serves in processes of its own, in which an embedded ProxyAgent would be a copy of one: so each asks the daemon
at the socket of Squid's helpers ([squid] helpers = true), 0.1 ms a question. Nothing of one-login is imported. Every
request asks, and is activity; of a tunnel only its CONNECT.
"""

import base64
import hmac
import os
import socket
import threading
from pathlib import Path
from urllib.parse import quote

from proxy.http.exception import HttpRequestRejected, ProxyAuthenticationFailed
from proxy.http.parser import HttpParser
from proxy.http.proxy import HttpProxyBasePlugin

DEADLINE_S = 1.0


class Daemon:
    """`proxyagent run`, asked one question after another over one connection."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: socket.socket | None = None
        self._turn = threading.Lock()  # with --threaded several connections ask

    def ask(self, *words: str) -> bool:
        """Whether the answer is OK. Raises OSError where nobody answers in time."""
        question = " ".join(["1", *(quote(word, safe=":.") or "-" for word in words)]).encode() + b"\n"
        with self._turn:
            try:
                return self._answer(question)
            except ConnectionError:  # it was started anew since the last question
                return self._answer(question)

    def _answer(self, question: bytes) -> bool:
        if self._connection is None:
            self._connection = socket.socket(socket.AF_UNIX)
            self._connection.settimeout(DEADLINE_S)
            self._connection.connect(self._path)
        try:
            self._connection.sendall(question)
            answer = b""
            while not answer.endswith(b"\n"):
                part = self._connection.recv(4096)
                if not part:
                    raise ConnectionResetError(f"{self._path} was closed")
                answer += part
            return answer.startswith(b"1 OK")
        except OSError:
            self._connection = None  # a late answer must meet no other question
            raise


class OneLogin(HttpProxyBasePlugin):
    """Lets pass who is logged in anywhere, or has the right password."""

    daemon = Daemon(os.environ["ONE_LOGIN_SOCKET"])
    users = dict(line.split(":", 1) for line in Path(os.environ["ONE_LOGIN_USERS"]).read_text().splitlines())

    def before_upstream_connection(self, request: HttpParser) -> HttpParser:
        """The first request of a connection."""
        return self.handle_client_request(request)

    def handle_client_request(self, request: HttpParser) -> HttpParser:
        """Every request."""
        address = self.client.addr[0]
        try:
            known = self.daemon.ask("session", address) or self.log_in(request, address)
        except OSError:
            raise HttpRequestRejected(503, b"Service Unavailable", body=b"Nobody can be logged in now.\n") from None
        if not known:
            raise ProxyAuthenticationFailed
        if request.has_header(b"proxy-authorization"):
            request.del_header(b"proxy-authorization")
        return request

    def log_in(self, request: HttpParser, address: str) -> bool:
        """Whether the request brings the right password, and its user is logged in everywhere now."""
        given = request.header(b"proxy-authorization") if request.has_header(b"proxy-authorization") else b""
        scheme, _, encoded = given.partition(b" ")
        try:
            user, _, password = base64.b64decode(encoded).decode().partition(":")
        except ValueError:
            return False
        right = hmac.compare_digest(self.users.get(user, "").encode(), password.encode())
        return scheme.lower() == b"basic" and user in self.users and right and self.daemon.ask("login", user, address)
