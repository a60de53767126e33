"""Keeps web pages away from the local service and from the emulator, which believes everyone.

A page in a browser can send requests to 127.0.0.1. It cannot choose what its browser says of them: the Origin, the site
that they are from, and, if the page's own name leads to 127.0.0.1 ("DNS rebinding"), the name in Host.
"""

import ipaddress
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs

type Scope = Mapping[str, Any]
type Receive = Callable[[], Awaitable[Any]]
type Send = Callable[[Any], Awaitable[None]]
type App = Callable[[Scope, Receive, Send], Awaitable[None]]

_NAMES: Final = {"localhost", "host.docker.internal"}  # the second is this machine's in the containers of sam local
_OWN_SITE: Final = {"", "same-origin", "none"}  # what Sec-Fetch-Site may be; "none" is a person who enters an address
_READS: Final = {"GET", "HEAD"}
_ASKED_BY_US: Final = {"/_ministack/ready", "/_ministack/health"}


def refusal(scope: Scope) -> str | None:
    """Why a request to this machine is not answered, None if it is. `scope` is ASGI's."""
    headers = _headers(scope)
    host = headers.get("host", "")
    if not _is_ours(host):
        return f"This is no name of the local service: {host}"
    if headers.get("origin", f"{scope['scheme']}://{host}") != f"{scope['scheme']}://{host}":
        return "The local service answers no other web page"
    if headers.get("sec-fetch-site", "") not in _OWN_SITE:
        return "The local service answers no other site"
    return None


def emulator_refusal(scope: Scope) -> str | None:
    """The same for a request to the emulator.

    It takes orders only with a signature, which it does not check. No page can send one without asking first. And it is
    not reset from outside.
    """
    path, method = str(scope["path"]), scope["method"]
    if path.startswith(("/_ministack/", "/_localstack/")):
        return refusal(scope) if method in _READS and path in _ASKED_BY_US else "The emulator is not open to this"
    is_read = method in _READS and "Action" not in parse_qs(scope["query_string"].decode("latin-1"))
    if not is_read and "authorization" not in _headers(scope):
        return "The emulator takes orders with a signature"
    return refusal(scope)


def guarded(app: App) -> App:
    """The emulator's app, with the guard in front."""

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
        elif reason := emulator_refusal(scope):
            await refuse(send, reason)
        else:
            await app(scope, receive, send)

    return guard


async def refuse(send: Send, reason: str) -> None:
    body = json.dumps({"message": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _headers(scope: Scope) -> dict[str, str]:
    """By lower-case name. Of one that is repeated, all values, which make it equal to none that is allowed."""
    found: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def _is_ours(host: str) -> bool:
    """Whether a Host is an address, which nobody can redirect here, or a name of this machine."""
    name = host.rpartition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    name = name.lower().removesuffix(".")
    if name in _NAMES or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    from ministack import app as ministack

    ministack.app = guarded(ministack.app)
    ministack.main()
