"""The users: an HTTP client with an address of its own, and one that never stops asking.

Users sit behind one loopback interface but have an address each (127.0.0.0/8 is all ours), so that the proxies tell
them apart as they would on a LAN. The HTTP is the standard library's, in a thread: a real client, not a friend of the
proxies.
"""

import base64
import http.client
from typing import NamedTuple

import attrs
import trio

from authagent.demo import page

_TIMEOUT_S = 5.0


class Answer(NamedTuple):
    """How a request ended: an HTTP status (0 when the connection broke), the text, and how long it took."""

    status: int
    text: str
    seconds: float

    @property
    def let_through(self) -> bool:
        """The page arrived."""
        return self.status == 200 and self.text.encode() == page.TEXT

    @property
    def asked(self) -> bool:
        """The proxy asked for a name and a password, or sent to the page that does."""
        return self.status in (303, 407)


@attrs.frozen
class User:
    """Somebody at an address, with a password."""

    name: str
    address: str
    password: str = attrs.field(repr=False)

    async def ask(self, proxy_port: int, url: str, *, password: bool = False) -> Answer:
        """Fetch `url` through the proxy at `proxy_port`, showing the password or not."""
        began = trio.current_time()
        status, text = await trio.to_thread.run_sync(self._ask, proxy_port, url, password, abandon_on_cancel=True)
        return Answer(status, text, trio.current_time() - began)

    def _ask(self, proxy_port: int, url: str, password: bool) -> tuple[int, str]:
        connection = http.client.HTTPConnection(
            "127.0.0.1", proxy_port, timeout=_TIMEOUT_S, source_address=(self.address, 0)
        )
        headers = {"Connection": "close"}
        if password:
            credentials = base64.b64encode(f"{self.name}:{self.password}".encode()).decode()
            headers["Proxy-Authorization"] = f"Basic {credentials}"
        try:
            connection.request("GET", url, headers=headers)
            response = connection.getresponse()
            return response.status, response.read().decode("latin-1")
        except (OSError, http.client.HTTPException) as error:
            return 0, f"{type(error).__name__}: {error}"
        finally:
            connection.close()


@attrs.define
class Restless:
    """The client that never stops asking, and what became of its requests."""

    user: User
    requests: int = 0
    answered: int = 0
    asked_again: int = 0
    broken: int = 0
    longest_s: float = 0.0

    async def ask_for_ever(self, proxy_port: int, url: str, pause_s: float = 0.05) -> None:
        """Ask, pause, ask again, until cancelled. A broken connection is asked again at once, as browsers do."""
        while True:
            answer = await self.user.ask(proxy_port, url)
            self.requests += 1
            self.longest_s = max(self.longest_s, answer.seconds)
            if answer.asked:
                self.asked_again += 1
            elif answer.let_through:
                self.answered += 1
            else:
                self.broken += 1
            await trio.sleep(pause_s)
