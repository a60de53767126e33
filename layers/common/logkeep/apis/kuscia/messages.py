"""The messages in which Kuscia sends the text of a log (docs/apis.md#kuscia).

The `log` of a message joins up to 100 lines without a trailing newline, so a reader puts a newline between messages.
"""

import codecs
from collections.abc import Iterable, Iterator
from typing import Final

from logkeep import ndjson

MESSAGE_LINES: Final = 100
MESSAGE_BYTES: Final = 256 * 1024  # of one JSON message
_START: Final = b'{"status":{"message":"success"}'
# Bytes of text that are escaped at once. JSON needs at most six bytes for one, so a piece always fits into a message.
_PIECE: Final = 32 * 1024


def messages(texts: Iterable[bytes]) -> Iterator[bytes]:
    """A log as NDJSON: messages of at most MESSAGE_LINES lines and MESSAGE_BYTES bytes.

    A line that is longer than a message continues in the next one. Bytes that are not UTF-8 become U+FFFD. b"" in
    `texts` means that there is no more text for now: whole lines are sent then, and b"" is passed on. A line without a
    newline waits for the newline or for the end of the text; if it were sent earlier, its rest would look like a line
    of its own.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    message = _Message()
    at_start = True  # whether the next text begins a line of the log
    for text in _pieces(texts, decoder):
        if text is None:
            if message.lines > (not at_start):
                yield message.flush(line_ended=at_start)
            yield b""
            continue
        lines = text.split("\n")
        for number, line in enumerate(lines):
            ends = number < len(lines) - 1
            if not line and not ends:
                continue
            escaped = ndjson.dumps(line)[1:-1].encode()
            while not message.takes(escaped, new_line=at_start):
                yield message.flush(line_ended=at_start)
            message.add(escaped, new_line=at_start)
            at_start = ends
    if message.lines:
        yield message.flush(line_ended=True)


def _pieces(texts: Iterable[bytes], decoder: codecs.IncrementalDecoder) -> Iterator[str | None]:
    """The text in decoded pieces; None if there is no more text for now."""
    for text in texts:
        if not text:
            yield None
        for start in range(0, len(text), _PIECE):
            yield decoder.decode(text[start : start + _PIECE])
    yield decoder.decode(b"", final=True)


class _Message:
    """A message that is being filled."""

    def __init__(self) -> None:
        self.lines = 0
        self._parts: list[bytes] = []
        self._size = 0
        self._last = 0  # index of the part with which the last line begins

    def takes(self, escaped: bytes, *, new_line: bool) -> bool:
        room = MESSAGE_BYTES - len(_START) - len(b',"log":""}\n') - self._size
        return len(escaped) + 2 <= room and (self.lines < MESSAGE_LINES or not new_line)

    def add(self, escaped: bytes, *, new_line: bool) -> None:
        joined = b"\\n" + escaped if new_line and self.lines else escaped
        if new_line:
            self._last = len(self._parts)
        self.lines += new_line or not self.lines
        self._parts.append(joined)
        self._size += len(joined)

    def flush(self, *, line_ended: bool) -> bytes:
        """The message so far, which then starts anew. It has no `log` if it is one empty line: Kuscia omits defaults.

        A last line that continues is kept for the next message, unless it is the only one.
        """
        kept: list[bytes] = []
        if not line_ended and self.lines > 1:
            first, *more = self._parts[self._last :]
            kept = [first.removeprefix(b"\\n"), *more]
            del self._parts[self._last :]
        log = b"".join(self._parts)
        self.lines, self._parts, self._size, self._last = len(kept[:1]), kept, sum(map(len, kept)), 0
        return _START + (b',"log":"' + log + b'"' if log else b"") + b"}\n"
