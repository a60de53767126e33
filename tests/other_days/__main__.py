"""Run tests at other times than now: python -m tests.other_days [MOMENT ...] [-- ARGUMENTS OF PYTEST]."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
_ASK = "import time; print(time.time(), time.localtime().tm_gmtoff)"


@dataclass(frozen=True)
class Moment:
    """When and in which time zone tests run; a zone is given by its rule, so that it needs no time zone database."""

    begins: Callable[[datetime], datetime]
    zone: str = "UTC0"


MOMENTS = {
    "in-40-days": Moment(lambda now: now + timedelta(days=40), "IST-5:30"),  # Asia/Kolkata
    "in-460-days": Moment(lambda now: now + timedelta(days=460)),
    "leap-day": Moment(lambda _: datetime(2028, 2, 29, 12, tzinfo=UTC), "NST3:30NDT,M3.2.0,M11.1.0"),  # St. John's
    "new-year": Moment(lambda now: datetime(now.year, 12, 31, 23, 58, tzinfo=UTC)),
}


def main(arguments: list[str]) -> int:
    """The exit status: that of pytest at the first moment where it is not 0, after the other moments have run."""
    names, options = arguments, list[str]()
    if "--" in arguments:
        names, options = arguments[: arguments.index("--")], arguments[arguments.index("--") + 1 :]
    if unknown := [name for name in names if name not in MOMENTS]:
        print(f"{unknown[0]}: no such moment; there are {', '.join(MOMENTS)}", file=sys.stderr)
        return 2
    if not shutil.which("faketime"):
        print("faketime is missing. Install the Debian package: apt-get install faketime", file=sys.stderr)
        return 2
    statuses = [run(name, options) for name in names or MOMENTS]
    return next((status for status in statuses if status), 0)


def run(name: str, options: list[str]) -> int:
    """Run pytest at a moment; its exit status."""
    moment, now = MOMENTS[name], datetime.now(UTC)
    begins = moment.begins(now)
    # A distance, not a date: processes that start later continue from the same clock. pytest starts without the
    # semaphore that the wrapper shares: with it, loops that kill processes came to no end.
    faketime = ["faketime", "-m", "-f", f"{(begins - now).total_seconds():+.0f}s", "env", "-u", "FAKETIME_SHARED"]
    command = [*faketime, sys.executable]
    paths = [str(Path(__file__).parent / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # timeouts are waited for by the real clock
        "PYTHONPATH": os.pathsep.join(paths),
        "LOGKEEP_FEW_EXAMPLES": "1",
        "TZ": moment.zone,
    }
    asked = subprocess.run([*command, "-c", _ASK], env=environment, capture_output=True, text=True, check=True)  # noqa: S603 - our own interpreter
    seconds, offset = map(float, asked.stdout.split())
    if abs(seconds - begins.timestamp()) > 60 or (offset == 0) != (moment.zone == "UTC0"):
        print(
            f"{name}: faketime gives {asked.stdout.strip()}, where {begins} in {moment.zone} is meant", file=sys.stderr
        )
        return 2
    print(f"\n== {name}: from {begins:%Y-%m-%d %H:%M} UTC, TZ={moment.zone}", flush=True)
    started = time.monotonic()
    status = subprocess.run([*command, "-m", "pytest", *options], env=environment, cwd=ROOT, check=False).returncode  # noqa: S603 - our own interpreter
    print(f"== {name}: exit status {status} after {time.monotonic() - started:.0f} s", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
