"""Compressed files for tests, also in a format that not every machine can write or read."""

import bz2
import gzip
import lzma
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final


def zstd(text: bytes) -> bytes:
    """A frame of one raw block (RFC 8878), since not every machine has zstd; that may be too long for zstd itself."""
    head = ((len(text) << 3 | 1) & 0xFFFFFF).to_bytes(3, "little")
    return bytes.fromhex("28b52ffd 00 58") + head + text


PACKERS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "gz": lambda text: gzip.compress(text, 1),
    "xz": lambda text: lzma.compress(text, preset=0),
    "bz2": bz2.compress,
    "zst": zstd,
}


def pack(path: Path, kind: str) -> None:
    """As logrotate does it: under another name until it is complete, with the times of the file."""
    half = path.with_name(f"being-packed-{path.name}")
    half.write_bytes(PACKERS[kind](path.read_bytes()))
    shutil.copystat(path, half)
    half.rename(path.with_name(f"{path.name}.{kind}"))
    path.unlink()


def path_with_zstd(directory: Path) -> str:
    """A PATH with a program that unpacks what `zstd` above makes, as `zstd -dcq` does."""
    program = directory / "zstd"
    directory.mkdir(exist_ok=True)
    program.write_text('#!/bin/sh\n[ "$1" = -dcq ] && exec tail -c +10\n')
    program.chmod(0o755)
    return f"{directory}:/usr/bin:/bin"
