"""A Lambda runtime for Python that sends an answer as it is made, out of the standard library alone."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple


class Streamed(NamedTuple):
    """What a handler returns to have it streamed; the chunks are closed when nobody takes them any more."""

    status: int
    headers: Mapping[str, str]  # without Content-Length and Transfer-Encoding
    chunks: Iterator[bytes]
