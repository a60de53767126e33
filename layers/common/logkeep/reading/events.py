"""JSON lines as Server-Sent Events (WHATWG HTML 9.2)."""

import json
from collections.abc import Iterator
from typing import Final

EVENT_STREAM: Final = "text/event-stream"
RETRY: Final = b"retry: 2000\n\n"  # milliseconds


def events(lines: Iterator[bytes]) -> Iterator[bytes]:
    """An event for each line, whose id is its cursor; a comment for a blank line. The last one is an `end`."""
    yield RETRY
    for line in lines:
        if not line.strip():
            yield b":\n\n" if line else b""
            continue
        told = json.loads(line)
        name = "end" if told.get("end") else "log"
        head = f"id: {told['cursor']}\n" if "cursor" in told else ""
        yield f"{head}event: {name}\ndata: ".encode() + line + b"\n"
