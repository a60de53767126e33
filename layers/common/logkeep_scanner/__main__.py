"""Builds the scanner: python -m logkeep_scanner LIBRARY [TARGET]

TARGET is zig's name of a platform, such as aarch64-linux-gnu.2.34; without it, the library is for this machine. The
compiler is that of the package `ziglang`, because it compiles for every platform without anything else installed.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from logkeep_scanner.source import source

_FLAGS = [
    "-O2",
    "-std=c11",
    "-shared",
    "-fPIC",
    "-nostdlib",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unused-label",
    "-g0",
    "-s",
]


def build(library: Path, target: str | None = None, *flags: str) -> None:
    """Compile the scanner to a shared library. Raises CalledProcessError if the compiler refuses."""
    with tempfile.TemporaryDirectory() as folder:
        generated = Path(folder, "formats.h")
        generated.write_text(source())
        made = Path(folder, "scanner.so")
        scanner = Path(__file__).with_name("scanner.c")
        command = [sys.executable, "-m", "ziglang", "cc", *_FLAGS, *flags, f"-I{folder}", "-o", str(made), str(scanner)]
        subprocess.run([*command, *(["-target", target] if target else [])], check=True)  # noqa: S603 - our own
        # A reader never sees half of a library.
        part = library.with_suffix(".part")
        part.write_bytes(made.read_bytes())
        part.replace(library)


if __name__ == "__main__":
    build(Path(sys.argv[1]), *sys.argv[2:])
