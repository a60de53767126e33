"""A Lambda runtime for Python that sends an answer while it is made. It uses only the standard library."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple


class Streamed(NamedTuple):
    """A handler returns this to have its answer streamed.

    The chunks are closed when the client is gone. An empty chunk sends nothing, but lets the runtime check whether the
    client is still there: yield one before waiting.
    """

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes]
