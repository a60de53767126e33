"""Streams of JSON lines, as iterators of bytes. An empty chunk means that there is nothing to send now.

The empty chunks let each step of a stream check the time, or end the stream, without threads.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

from logkeep.clock import Clock

HEARTBEAT: Final = 15.0  # seconds without content after which a blank line shows that the stream is alive


def dumps(value: Any) -> str:
    """JSON in one line. U+0085, U+2028 and U+2029 are escaped, since some readers (str.splitlines) split there."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("\x85", "\\u0085").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def line(**values: Any) -> bytes:
    """One JSON object and its newline."""
    return f"{dumps(values)}\n".encode()


def with_heartbeats(chunks: Iterator[bytes], clock: Clock) -> Iterator[bytes]:
    """The chunks, with a blank line (white space in JSON) whenever none had content for HEARTBEAT seconds.

    A stream that waited and ends without content has one, too: a client may wait for the first byte of an open answer.
    """
    sent, begun, has_content = clock.now(), False, False
    for chunk in chunks:
        if not chunk and clock.now() - sent >= HEARTBEAT:
            chunk = b"\n"
        if chunk:
            sent = clock.now()
        begun, has_content = True, has_content or bool(chunk)
        yield chunk
    if begun and not has_content:
        yield b"\n"


def within(chunks: Iterator[bytes], room: int, last: bytes) -> Iterator[bytes]:
    """The chunks that fit into `room` bytes. If some do not, `last` takes their place and fits too."""
    left = room - len(last)
    for chunk in chunks:
        if len(chunk) > left:
            yield last
            return
        left -= len(chunk)
        yield chunk
