"""Real fronts (nginx, Caddy, Traefik, Envoy) in front of an application, each with a `proxyagent run` beside it.

Rules of this file:

- The configuration is that of examples/, to the line; only addresses, ports and paths are put in their places, and each
  of those must be found there.
- Everybody's address is a loopback address: the front sees whose it is. Logins and logouts come from elsewhere, at
  another ProxyAgent of the same site.
"""

import contextlib
import functools
import html
import http.client
import json
import re
import secrets
import socket
import ssl
import sys
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import bcrypt
import trustme

from protocol.io.control_client import ask
from proxyagent import cookie_key
from tests.ports import free_port, free_ports
from tests.proxyagent.processes import until
from tests.system.processes import ROOT, Process

EXAMPLES = ROOT / "examples"
HOST = "app.example.org"
COOKIE = "__Host-login"
TIMEOUT_S = 20
PASSWORDS = {"bob": "a builder's pass-phrase"}
BROWSER = {"Accept": "text/html,*/*;q=0.8"}

_SITE = """\
site = "lan1"
[tls]
mode = "off"
[control]
folder = "{folder}"
[[authagent]]
id = 1
host = "127.0.0.1"
port = {port}
[[proxyagent]]
id = "proxy*"
"""

_NGINX = """\
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/one-login.conf;
}}
"""


_TLS = ssl.create_default_context()
_TLS.check_hostname, _TLS.verify_mode = False, ssl.CERT_NONE  # whose certificate it is, is not the matter here


_CADDY = """\
{
    admin off
    persist_config off
    auto_https disable_redirects
    local_certs
    skip_install_trust
}
"""


class Answer(NamedTuple):
    """What a client got. `seen` is what the application was sent, empty where it was not asked."""

    status: int
    headers: dict[str, str]
    seen: dict[str, str]
    cookies: tuple[str, ...]
    """What the client is to keep, each as it was set."""
    text: str

    @property
    def user(self) -> str | None:
        """Whom the application takes for its user."""
        return self.seen.get("remote-user")


@attrs.frozen
class Client:
    """Somebody at an address, with a cookie perhaps; each request comes on a connection of its own."""

    address: str
    cookie: str = ""

    def get(
        self,
        port: int,
        path: str = "/",
        method: str = "GET",
        headers: dict[str, str] | None = None,
        body: str | None = None,
    ) -> Answer:
        """Ask the front there. Raises OSError where it does not answer."""
        sent = {"Host": HOST, **({"Cookie": f"{COOKIE}={self.cookie}"} if self.cookie else {}), **(headers or BROWSER)}
        plain = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S, source_address=(self.address, 0))
        connection = http.client.HTTPConnection(HOST)
        with contextlib.closing(connection), plain:
            connection.sock = _TLS.wrap_socket(plain, server_hostname=HOST)
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            text = answer.read().decode()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        seen = json.loads(text) if "x-application" in headers else {}
        return Answer(answer.status, headers, seen, tuple(answer.headers.get_all("Set-Cookie", [])), text)


class Browser:
    """One with a jar: it keeps cookies, and forgets those that are taken away."""

    def __init__(self, address: str, port: int) -> None:
        self.jar: dict[str, str] = {}
        self._client = Client(address)
        self._port = port

    def ask(self, path: str, form: dict[str, str] | None = None) -> Answer:
        """GET, or POST of a form; a redirect is not followed."""
        headers = {**BROWSER, "Cookie": "; ".join(f"{name}={value}" for name, value in self.jar.items())}
        body = None
        if form is not None:
            headers |= {"Origin": f"https://{HOST}", "Content-Type": "application/x-www-form-urlencoded"}
            body = urllib.parse.urlencode(form)
        answer = self._client.get(self._port, path, "GET" if form is None else "POST", headers, body)
        for each in answer.cookies:
            name, _, value = each.partition(";")[0].partition("=")
            self.jar.pop(name, None)
            if "Max-Age=0" not in each:
                self.jar[name] = value
        return answer

    def fill_in(self, path: str, **fields: str) -> Answer:
        """Send the form of the page there to `path` below it, with these fields and what it has hidden."""
        page = self.ask(path)
        hidden = re.findall(r'<input[^>]* name="(\w+)"[^>]* value="([^"]*)"', page.text)
        assert page.status == 200 and "token" in dict(hidden), page
        action = re.findall(r'<form[^>]* action="(\w+)"', page.text)[0]
        values = {name: html.unescape(value) for name, value in hidden}
        return self.ask(urllib.parse.urljoin(path, action), {**values, **fields})


class _Application(BaseHTTPRequestHandler):
    """Tells what it was sent, names in lower case, a value that came twice joined."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        seen: dict[str, str] = {}
        for name, value in self.headers.items():
            seen[name.lower()] = f"{seen[name.lower()]}, {value}" if name.lower() in seen else value
        body = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("X-Application", "yes")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *arguments: object) -> None:
        """Nobody reads it."""


@contextlib.contextmanager
def application() -> Iterator[int]:
    """Its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Application) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def put(text: str, places: dict[str, str]) -> str:
    """The text of an example with each of these in the place of what stands there. Each must be found."""
    for old, new in places.items():
        assert old in text, f"{old} is not in the example"
        text = text.replace(old, new)
    return text


@attrs.define
class Site:
    """An agent, the ProxyAgent where users log in and out, and fronts with theirs."""

    folder: Path
    agent_port: int
    application_port: int
    agent: Process = attrs.field(init=False)
    processes: list[Process] = attrs.field(factory=list)

    def log_in(self, key: str, user: str, *proxies: str) -> None:
        """At a ProxyAgent that stands beside no front; known at these others when it returns."""
        attributes = {"groups": ["staff", "on, call"]}
        ask(self._control("proxy0"), "login", key=key, user=user, attributes=attributes)
        self._wait_known(key, True, proxies)

    def log_out(self, key: str, *proxies: str) -> None:
        """There too; known at these others when it returns."""
        ask(self._control("proxy0"), "logout", key=key)
        self._wait_known(key, False, proxies)

    def _wait_known(self, key: str, known: bool, proxies: tuple[str, ...]) -> None:
        for proxy in proxies:  # a look-up that is no activity
            until(lambda proxy=proxy: (ask(self._control(proxy), "lookup", key=key)["session"] is not None) is known)  # type: ignore[misc]

    def proxy(self, name: str, sections: str = "") -> Process:
        """A started `proxyagent run`, in step with the agent; `sections` are for its configuration."""
        config = self.config(name, sections)
        words = ["-m", "proxyagent", "run", "--id", name, "--config", str(config)]
        process = self.start(name, [sys.executable, *words])
        until(lambda: self._status(name).get("digest_equal"))
        assert not self._status(name)["problems"], self._status(name)["problems"]
        return process

    def config(self, name: str, sections: str = "") -> Path:
        """A configuration file of this site, beside the secret."""
        path = self.folder / f"{name}.toml"
        path.write_text(_SITE.format(folder=self.folder, port=self.agent_port) + sections)
        return path

    def start(self, name: str, command: list[str], **environment: str) -> Process:
        """A process of the site, ended with it."""
        process = Process(name, command, self.folder / f"{name}.log", environment=environment)
        process.start()
        self.processes.append(process)
        return process

    def _control(self, proxy: str) -> str:
        return str(self.folder / f"lan1-proxyagent-{proxy}.sock")

    def _status(self, proxy: str) -> dict[str, Any]:
        with contextlib.suppress(Exception):
            return ask(self._control(proxy), "status")
        return {}


@contextlib.contextmanager
def open_site(folder: Path) -> Iterator[Site]:
    """A running agent and proxy0; everything is ended on leaving."""
    secret = folder / "secret"
    secret.touch(mode=0o600)
    secret.write_text(secrets.token_urlsafe(32) + "\n")
    hashes = [f"{user}:{bcrypt.hashpw(word.encode(), bcrypt.gensalt(4)).decode()}" for user, word in PASSWORDS.items()]
    (folder / "users").write_text("\n".join(hashes) + "\n")
    cookie_key.make(str(folder / "cookie.key"))
    with application() as application_port:
        site = Site(folder, free_port(), application_port)
        try:
            words = ["-m", "authagent", "1", "--config", str(site.config("agent"))]
            site.agent = site.start("agent", [sys.executable, *words, "--state-dir", str(folder / "state")])
            site.proxy("proxy0")
            yield site
        finally:
            for process in reversed(site.processes):
                process.kill()


# -- the four -----------------------------------------------------------------------------------------------------


@attrs.frozen
class Front:
    """One front of a site, running, and the ProxyAgent beside it."""

    port: int
    name: str
    process: Process
    daemon: Process


@contextlib.contextmanager
def open_front(
    kind: str,
    site: Site,
    find: Callable[[str], str],
    name: str,
    *,
    known_by: str = "cookie",
    switched: bool = False,
    sections: str = "",
) -> Iterator[Front]:
    """A front of this kind with the ProxyAgent `name`, running; `find` gives the program's path.

    `known_by` is what a client is known by, `switched` is whether connections come through HAProxy, and `sections` are
    added to the ProxyAgent's configuration.
    """
    folder = site.folder / name
    folder.mkdir()
    port, page = free_ports(2)
    door = str(folder / "auth.sock") if kind != "traefik" else f"127.0.0.1:{free_port()}"
    command = _COMMANDS[kind](Files(kind, site, folder, port, door, page, switched), find(kind))
    count = len(site.processes)
    try:
        daemon = site.proxy(name, _sections(kind, door, page, known_by) + sections)
        process = site.start(f"{kind} of {name}", command, HOME=str(folder))
        until(lambda: _listens(door) and _listens(f"127.0.0.1:{page}"))
        ready = functools.partial(_listens, f"127.0.0.1:{port}") if switched else functools.partial(_serves, port)
        until(lambda: ready() or process.returncode is not None)
        assert process.running, process.log_end(20)
        yield Front(port, name, process, daemon)
    finally:
        for each in site.processes[count:]:
            each.kill()


@attrs.frozen
class Files:
    """What a front's files are made of: their folder, and what is put into the place of the examples' addresses."""

    kind: str
    site: Site
    folder: Path
    port: int
    door: str
    page: int
    switched: bool

    def write(self, name: str, places: dict[str, str], before: str = "") -> str:
        """A file of an example with these places; returns its path."""
        path = self.folder / name
        text = (EXAMPLES / self.kind / name).read_text()
        for short in ("500ms", "0.5s", "1s"):  # a machine that tests run on may stand still for a while
            text = re.sub(rf"(?<=[ ]){re.escape(short)}\b", f"{TIMEOUT_S}s", text)
        path.write_text(before + put(text, places))
        return str(path)

    @property
    def behind(self) -> dict[str, str]:
        """The addresses of the application, the log-in page and the endpoint."""
        application = f"127.0.0.1:{self.site.application_port}"
        page = f"127.0.0.1:{self.page}"
        door = "127.0.0.1:9082" if self.kind == "traefik" else "/run/authagent/forward-auth.sock"
        return {"127.0.0.1:8000": application, "127.0.0.1:9081": page, door: self.door}

    def certificate(self, certificate: str, key: str) -> dict[str, str]:
        """One for the host, in the place of these files."""
        made = trustme.CA().issue_cert(HOST)
        chain, private = self.folder / "certificate.pem", self.folder / "key.pem"
        made.private_key_and_cert_chain_pem.write_to_path(str(chain))
        made.private_key_pem.write_to_path(str(private))
        return {certificate: str(chain), key: str(private)}


def _sections(kind: str, door: str, page: int, known_by: str) -> str:
    """What the example adds to authagent.toml."""
    text = (EXAMPLES / kind / "authagent.toml").read_text()
    listen = "127.0.0.1:9082" if kind == "traefik" else "/run/authagent/forward-auth.sock"
    return put(text, {listen: door, "127.0.0.1:9081": f"127.0.0.1:{page}", '"cookie"': f'"{known_by}"'}) + "\n"


def _nginx(files: Files, program: str) -> list[str]:
    address, line = f"listen 127.0.0.1:{files.port} ssl", "listen 443 ssl"
    listen = {f"{line};": f"{address};"}
    if files.switched:
        text = (EXAMPLES / "nginx" / "switch.conf").read_text()
        listen = {f"{line};": put(text, {line: address, "10.1.0.5": "127.0.0.1"})}
    listen |= files.certificate("/etc/ssl/certs/app.example.org.pem", "/etc/ssl/private/app.example.org.key")
    files.write("one-login.conf", listen | files.behind)
    (files.folder / "nginx.conf").write_text(_NGINX.format(folder=files.folder))
    return [program, "-p", str(files.folder), "-c", "nginx.conf", "-e", "stderr", "-g", "daemon off;"]


def _caddy(files: Files, program: str) -> list[str]:
    listen = {"app.example.org {": f"https://{HOST}:{files.port} {{"}
    path = files.write("Caddyfile", listen | files.behind, _CADDY)
    return [program, "run", "--config", path, "--adapter", "caddyfile"]


def _traefik(files: Files, program: str) -> list[str]:
    dynamic = files.write("dynamic.yml", files.behind)
    listen = {'":443"': f'"127.0.0.1:{files.port}"', "/etc/traefik/dynamic.yml": dynamic}
    return [program, f"--configFile={files.write('traefik.yml', listen)}"]


def _envoy(files: Files, program: str) -> list[str]:
    listen = {"address: 0.0.0.0, port_value: 443}": f"address: 127.0.0.1, port_value: {files.port}}}"}
    for port, actual in ((8000, files.site.application_port), (9081, files.page)):
        listen[f"address: 127.0.0.1, port_value: {port}"] = f"address: 127.0.0.1, port_value: {actual}"
    listen["/run/authagent/forward-auth.sock"] = files.door
    listen |= files.certificate("/etc/envoy/app.example.org.pem", "/etc/envoy/app.example.org.key")
    path = files.write("envoy.yaml", listen)
    return [program, "-c", path, "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "error"]


_COMMANDS = {"nginx": _nginx, "caddy": _caddy, "traefik": _traefik, "envoy": _envoy}


def switch(site: Site, program: str, fronts: list[Front]) -> int:
    """HAProxy in front of three nginx; its port, where it listens already."""
    port = free_port()
    places = {f"10.1.0.2{number}:443": f"127.0.0.1:{front.port}" for number, front in enumerate(fronts, 1)}
    path = site.folder / "haproxy.cfg"
    text = (EXAMPLES / "nginx" / "haproxy.cfg").read_text()
    path.write_text(put(text, {"bind :443": f"bind 127.0.0.1:{port}", "300ms": "20s", "400ms": "20s", **places}))
    process = site.start("haproxy", [program, "-db", "-f", str(path)])
    until(lambda: _listens(f"127.0.0.1:{port}") or process.returncode is not None)
    assert process.running, process.log_end(20)
    return port


def _listens(door: str) -> bool:
    """Whether somebody takes connections at a Unix socket, or at HOST:PORT."""
    host, _, port = door.partition(":")
    try:
        with socket.socket(socket.AF_INET if port else socket.AF_UNIX) as probe:
            probe.connect((host, int(port)) if port else door)
    except OSError:
        return False
    return True


def _serves(port: int) -> bool:
    """Whether it answers, and knows its routes."""
    try:
        return Client("127.0.0.1").get(port).status not in (404, 503)
    except (TimeoutError, OSError, http.client.HTTPException):
        return False
