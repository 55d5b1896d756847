"""One of two log-in appliances that share what their users were shown: images, SMS codes, provisioning codes.

    python appliance.py --id appliance-1 --config authagent.toml --users users.txt

It reads commands from standard input, one a line, and answers each with one line:

    image USER               makes a single-channel image; tells what the picture shows, ten digits
    sms USER                 sends a code on demand; the line is what the user gets
    login USER CODE          with the digits of the image at the places of one's PIN, or with the code of the SMS
    provision USER           makes a provision code for a mobile client
    activate USER CODE DEV   redeems it for a device

Whatever was made at one appliance is good at the other, and good once. An image is read before it is consumed, since
only this program knows what a right answer is; an SMS code is compared by the agents, in five tries; a provision code
is strict: in a split it is refused, and not used up. `users.txt` holds `name:PIN` lines and is a toy.
"""

import argparse
import hmac
import secrets
import sys
from pathlib import Path

import trio

import proxyagent

IMAGE, SMS = "image", "sms"
IMAGE_VALID_S, SMS_VALID_S = 120.0, 300.0
DIGITS = "1234567890"


class Appliance:
    """What one appliance does with its users."""

    def __init__(self, agent: proxyagent.ProxyAgent, pins: dict[str, str]) -> None:
        self.agent = agent
        self.pins = pins

    async def image(self, user: str) -> str:
        """A single-channel session: the security string that the picture shows, shared with the partner."""
        digits = "".join(secrets.SystemRandom().sample(DIGITS, 10))
        made = await self.agent.challenges.create(IMAGE, user, blob=digits.encode(), validity=IMAGE_VALID_S)
        return digits if made.shared else f"{digits} (the partner does not know it yet)"

    async def sms(self, user: str) -> str:
        """A code on demand: kept nowhere, only a lock on it."""
        code = f"{secrets.randbelow(1_000_000):06}"
        await self.agent.challenges.create(SMS, user, secret=code, validity=SMS_VALID_S)
        return f"to {user}: {code}"

    async def login(self, user: str, code: str) -> str:
        """Whichever the user was given last decides what the code must be."""
        for image in self.agent.challenges.list(IMAGE, user)[:1]:
            if hmac.compare_digest(one_time_code(image.blob.decode(), self.pins.get(user, "")), code):
                return await self._let_in(user, IMAGE, image.id, None)
        for sms in self.agent.challenges.list(SMS, user)[:1]:
            return await self._let_in(user, SMS, sms.id, code)
        return "no"

    async def _let_in(self, user: str, kind: str, id: str, secret: str | None) -> str:
        try:
            await self.agent.challenges.consume(kind, id, secret=secret)
        except proxyagent.Refused:
            return "no"
        except proxyagent.Undecided as later:
            return f"later: {later}"
        self.agent.login(f"user:{user}", user=user, attributes={"by": kind})
        return "yes"

    async def provision(self, user: str) -> str:
        """A code for a mobile client; every earlier one is void."""
        return (await self.agent.codes.create(user)).code

    async def activate(self, user: str, code: str, device: str) -> str:
        """One device has it from then on."""
        try:
            state = await self.agent.codes.redeem(user, code, device)
        except proxyagent.Refused as no:
            return str(no)
        except proxyagent.Undecided as later:
            return f"later: {later}"
        return f'User "{state.user}" provisioned successfully'

    async def answer(self, line: str) -> str:
        """One command."""
        verb, *words = line.split()
        verbs = {"image": 1, "sms": 1, "login": 2, "provision": 1, "activate": 3}
        if verbs.get(verb) != len(words):
            return f"commands: {', '.join(verbs)}"
        told: str = await getattr(self, verb)(*words)
        return told


def one_time_code(digits: str, pin: str) -> str:
    """The digits of the security string at the places that a PIN names: 0 is the tenth. Empty without a PIN."""
    return "".join(digits[(int(place) - 1) % 10] for place in pin)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--id", required=True)
    parser.add_argument("--config", required=True)
    parser.add_argument("--users", required=True)
    return parser.parse_args()


def pins_in(path: str) -> dict[str, str]:
    """The PIN of each user of a file of `name:PIN` lines."""
    return dict(line.split(":", 1) for line in Path(path).read_text(encoding="utf-8").split())


async def main(given: argparse.Namespace, pins: dict[str, str]) -> None:
    async with proxyagent.open_proxy_agent(given.config, id=given.id) as agent:
        appliance = Appliance(agent, pins)
        while line := await trio.to_thread.run_sync(sys.stdin.readline):
            if line.strip():
                print(await appliance.answer(line), flush=True)


if __name__ == "__main__":
    asked = arguments()
    trio.run(main, asked, pins_in(asked.users))
