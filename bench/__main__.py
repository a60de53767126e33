"""Runs all benchmarks in a few minutes, on loopback and in a temporary directory."""

import os
import platform
import tempfile
import time
from pathlib import Path

from bench import prices
from bench.appending import appending
from bench.backing_up import backing_up
from bench.compaction import compaction
from bench.eventing import eventing
from bench.following import following
from bench.identifying import identifying
from bench.memory import memory
from bench.packing import packing
from bench.reading import reading
from bench.scanning import scanning
from bench.searching import searching
from bench.splicing import splicing
from local.emulator import Emulator, leave_account, values_of
from local.template import Template


def main() -> None:
    started = time.monotonic()
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} CPUs")
    print("Compare ratios and counts. Seconds depend on the machine.")
    splicing()
    packing()
    scanning()
    reading()
    print(f"\n{prices.ASSUMED}")
    leave_account()
    with tempfile.TemporaryDirectory(prefix="logkeep-bench-") as directory, Emulator(Path(directory)) as emulator:
        template = Template.load()
        os.environ |= emulator.create(template)
        dynamodb = emulator.client("dynamodb")
        appending(dynamodb)
        compaction(dynamodb)
        eventing(dynamodb)
        searching(dynamodb)
        memory()
        backing_up()
        following(emulator)
        identifying(values_of(template, emulator.endpoint)["CredentialsKey"])
    print(f"\n{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
