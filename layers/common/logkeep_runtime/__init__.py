"""A Lambda runtime for Python that sends an answer as it is made, out of the standard library alone."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple


class Streamed(NamedTuple):
    """What a handler returns to have it streamed.

    The chunks are closed once nobody takes them. An empty one sends nothing, but lets the runtime look whether anybody
    still does: yield one before waiting.
    """

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes]
