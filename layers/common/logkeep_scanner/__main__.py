"""Builds the scanner: python -m logkeep_scanner LIBRARY [TARGET]

TARGET is zig's name of a platform, such as aarch64-linux-gnu.2.34; without it, the library is for this machine. The
compiler is that of the package `ziglang`, because it compiles for every platform without anything else installed.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from logkeep_scanner.source import source

# Without the C library, which would have to be there for every platform: what is used of it, the process has loaded.
_FLAGS: Final = "-O2 -std=c11 -shared -fPIC -nostdlib -Wall -Wextra -Werror -Wno-unused-label -g0 -s"


def build(library: Path, *flags: str) -> None:
    """Compile the scanner to a shared library. Raises CalledProcessError if the compiler refuses."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "formats.h").write_text(source())
        compile_c(Path(__file__).with_name("scanner.c"), library, f"-I{folder}", *flags)


def compile_c(file: Path, library: Path, *flags: str) -> None:
    """Compile a file to a shared library. A reader of an earlier one never sees half of it."""
    part = library.with_suffix(".part")
    command = [sys.executable, "-m", "ziglang", "cc", *_FLAGS.split(), *flags, "-o", str(part), str(file)]
    subprocess.run(command, check=True)  # noqa: S603 - our own
    part.replace(library)


if __name__ == "__main__":
    build(Path(sys.argv[1]), *(["-target", sys.argv[2]] if sys.argv[2:] else []))
