"""Kuscia's task log query: which log a request means, and the messages that carry it (seed 000).

Texts and codes are those of Kuscia's Autonomy node. Its `log` joins up to 100 lines without a trailing newline, so a
reader puts a newline between messages.

A task's pods are {task}-{idx}, or {task}-{role}-{idx} where parties have roles. Their logs are
task/{task}/{idx}/{container}/{restart} and task/{task}/{idx}/{role}_{container}/{restart}: no name in Kubernetes has an
underscore.
"""

import codecs
from collections.abc import Iterable, Iterator
from typing import Final

from logkeep import ndjson

MESSAGE_LINES: Final = 100
MESSAGE_BYTES: Final = 256 * 1024  # of one JSON message
_START: Final = b'{"status":{"message":"success"}'
# What a line is split into before it is escaped: JSON needs at most six bytes for one.
_PIECE: Final = 32 * 1024


def messages(texts: Iterable[bytes]) -> Iterator[bytes]:
    """NDJSON of a log: messages of at most MESSAGE_LINES lines and MESSAGE_BYTES bytes, however long its lines are.

    A line that is longer than a message goes on in the next one. Bytes that are not UTF-8 become U+FFFD. Where there is
    nothing more for now (b""), the lines that are whole are sent, and b"" is handed on. A line without a newline waits
    for it, at most until the text ends: sent before, its rest would become a line of its own.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    message = _Message()
    at_start = True  # of a line of the log
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
    """Pieces of the text; None where there is nothing more for now."""
    for text in texts:
        if not text:
            yield None
        for start in range(0, len(text), _PIECE):
            yield decoder.decode(text[start : start + _PIECE])
    yield decoder.decode(b"", final=True)


class _Message:
    def __init__(self) -> None:
        self.lines = 0
        self._parts: list[bytes] = []
        self._size = 0
        self._last = 0  # the part with which the last line begins

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
        """The message so far; without `log` where it is one empty line, as Kuscia omits defaults.

        A line that goes on begins the next message, unless it fills this one alone.
        """
        kept: list[bytes] = []
        if not line_ended and self.lines > 1:
            first, *more = self._parts[self._last :]
            kept = [first.removeprefix(b"\\n"), *more]
            del self._parts[self._last :]
        log = b"".join(self._parts)
        self.lines, self._parts, self._size, self._last = len(kept[:1]), kept, sum(map(len, kept)), 0
        return _START + (b',"log":"' + log + b'"' if log else b"") + b"}\n"
