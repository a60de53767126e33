"""What `sam build` makes, once for all processes of a run of the tests."""

import fcntl
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from local import ROOT

ARCHITECTURES: Final = {"arm64": "aarch64", "x86_64": "x86_64"}
OURS: Final = {machine: name for name, machine in ARCHITECTURES.items()}[platform.machine()]

type Build = Callable[[str], Path]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Build]:
    """Builds for an architecture, unless another process has. The last process removes what was built."""
    # The folder of a process under pytest-xdist is in one that all of them share.
    own = tmp_path_factory.getbasetemp()
    shared = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "built"
    shared.mkdir(exist_ok=True)

    def build(architecture: str) -> Path:
        target = shared / architecture
        with (shared / f"{architecture}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.exists():
                sam(
                    ROOT, {"ARCH": ARCHITECTURES[architecture], "AWS_DEFAULT_REGION": "us-east-1"},
                    "build", "--no-cached", "--build-dir", str(shared / f"{architecture}.new"),
                    "--parameter-overrides", f"Architecture={architecture}",
                )  # fmt: skip
                (shared / f"{architecture}.new").rename(target)
        return target

    with (shared / "users.lock").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        yield build
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # others use it
        shutil.rmtree(shared)


def sam(folder: Path, environment: dict[str, str], *arguments: str) -> str:
    """What sam prints, with our interpreter first in PATH, no AWS but the environment's, and the real time.

    On another day the certificates of the registry that it fetches from are not valid.
    """
    left_out = ("AWS_", "FAKETIME", "LD_PRELOAD")
    done = subprocess.run(  # noqa: S603 - our own tool
        [ROOT / ".venv-sam" / "bin" / "sam", *arguments],
        cwd=folder,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith(left_out)},
            **environment,
            "PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}",
            "SAM_CLI_TELEMETRY": "0",
        },
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout
