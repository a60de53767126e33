"""Streams of JSON lines: an iterator of bytes in which b"" says that there is nothing more for now.

So a stream can be turned into messages, watched and ended step by step, without threads.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

from logkeep.clock import Clock

HEARTBEAT: Final = 15.0  # seconds without content after which a blank line shows that the stream lives


def dumps(value: Any) -> str:
    """JSON in one line for every reader: some, str.splitlines is one, also split at U+0085, U+2028 and U+2029."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("\x85", "\\u0085").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def line(**values: Any) -> bytes:
    return f"{dumps(values)}\n".encode()


def with_heartbeats(chunks: Iterator[bytes], clock: Clock) -> Iterator[bytes]:
    """The chunks; where none has had content for HEARTBEAT, a blank line, which is white space in JSON."""
    sent = clock.now()
    for chunk in chunks:
        if not chunk and clock.now() - sent >= HEARTBEAT:
            chunk = b"\n"
        if chunk:
            sent = clock.now()
        yield chunk


def within(chunks: Iterator[bytes], room: int, last: bytes) -> Iterator[bytes]:
    """As many of the chunks as fit into `room` bytes; where more come, `last` ends them, and fits too."""
    left = room - len(last)
    for chunk in chunks:
        if len(chunk) > left:
            yield last
            return
        left -= len(chunk)
        yield chunk
