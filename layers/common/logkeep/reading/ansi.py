"""Escape sequences in lines: left out, or only their colours kept."""

import re
from typing import Final, Literal

type Ansi = Literal["raw", "strip", "color"]

RESET: Final = b"\x1b[0m"
# ECMA-48 5.4 and 8.3: CSI sequences; OSC and other strings up to their terminator, or to the end of the line; other
# escapes; and controls, except for tab.
_CONTROLS: Final = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]?|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?|[\x00-\x08\x0b-\x1f\x7f]"
)
_COLOR: Final = re.compile(rb"\x1b\[[0-9;:]*m")
_ANY: Final = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_RESETS: Final = re.compile(rb"\x1b\[(?:0*;)*0*m")


class Shown:
    """Shows lines as a terminal would that knows colours (`color`), or knows nothing (`strip`).

    Of what a carriage return overwrote, what was written last is kept. `is_colored` says that a colour is in force.
    """

    def __init__(self, ansi: Ansi) -> None:
        self.is_colored = False
        self._ansi = ansi

    def text(self, text: bytes) -> bytes:
        """Whole lines."""
        if self._ansi == "raw" or not _ANY.search(text):
            return text
        return b"\n".join(map(self._line, text.split(b"\n")))

    def end(self) -> bytes:
        """What ends the text: colours do not reach what follows it."""
        return RESET if self.is_colored else b""

    def _line(self, line: bytes) -> bytes:
        parts = line.split(b"\r")
        last = max((place for place, part in enumerate(parts) if part), default=0)
        kept = _CONTROLS.sub(self._kept, parts[last])
        if self._ansi == "strip":
            return kept
        return b"".join(color for part in parts[:last] for color in _COLOR.findall(part)) + kept

    def _kept(self, found: re.Match[bytes]) -> bytes:
        if self._ansi == "strip" or not _COLOR.fullmatch(found[0]):
            return b""
        self.is_colored = not _RESETS.fullmatch(found[0])
        return found[0]
