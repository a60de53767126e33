"""`python -m local.ingest FILE LOG`: sends a file as a log and seals it; run again, it goes on where it was."""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

import httpx
from isal import igzip, isal_zlib
from tqdm import tqdm

from local import DATA
from logkeep.errors import Invalid
from logkeep.logid import LogId

# A body of the append may have 4 MB; gzip makes text that cannot be compressed a little longer.
PIECE: Final = 4_000_000
_ATTEMPTS: Final = 8
_WAIT_MAX: Final = 15.0  # seconds between two tries


class IngestFailed(Exception):
    """The message is for the person at the terminal."""


@dataclass(frozen=True, slots=True)
class Target:
    """A log on a server, and who writes it."""

    endpoint: str
    token: str
    project: str
    log_id: LogId

    @classmethod
    def of(cls, log_id: str) -> Self:
        """The local service's, unless LOGKEEP_ENDPOINT, LOGKEEP_TOKEN and LOGKEEP_PROJECT say otherwise."""
        try:
            parsed = LogId.parse(log_id)
        except Invalid as error:
            raise IngestFailed(f"{log_id} is no log id; {error}") from error
        told: dict[str, Any] = {}
        with suppress(FileNotFoundError):
            told = json.loads((Path(os.environ.get("LOGKEEP_DATA", DATA)) / "demo.json").read_text())
        names = (("LOGKEEP_ENDPOINT", "endpoint"), ("LOGKEEP_TOKEN", "token"), ("LOGKEEP_PROJECT", "project_id"))
        endpoint, token, project = (os.environ.get(variable) or told.get(name, "") for variable, name in names)
        if not (endpoint and token and project):
            raise IngestFailed(
                "where to? Start the local service (make run; with a LOGKEEP_DATA, set it here too), or set "
                + ", ".join(v for v, _ in names)
            )
        return cls(endpoint.rstrip("/"), token, project, parsed)

    @property
    def url(self) -> str:
        return f"{self.endpoint}/v1/{self.project}/logs/{self.log_id}"


def ingest(file: BinaryIO, size: int, target: Target) -> dict[str, Any]:
    """Make the log hold the first `size` bytes of a file, and seal it; return its certificate."""
    with httpx.Client(headers={"X-Auth-Token": target.token}, timeout=60) as client:
        # Nothing at the start of the log changes nothing, and says where it ends.
        held = _send(client, "PATCH", target.url, params={"offset": 0}, attempts=3)
        offset, crc32 = held["bytes"], 0
        with tqdm(total=size, unit="B", unit_scale=True, unit_divisor=1024, desc=str(target.log_id)) as progress:
            for piece in _pieces(file, min(offset, size)):
                crc32 = isal_zlib.crc32(piece, crc32)
                progress.update(len(piece))
            if offset > size or f"{crc32:08x}" != held["crc32"]:
                raise IngestFailed(f"{target.log_id} holds {offset} bytes already, and this file begins otherwise")
            for piece in _pieces(file, size - offset):
                _append(client, target, offset, piece)
                crc32 = isal_zlib.crc32(piece, crc32)
                offset += len(piece)
                progress.update(len(piece))
        if offset < size:
            raise IngestFailed(f"the file shrank to {offset} bytes while it was read")
        return _send(client, "PUT", target.url, json={"bytes": size, "crc32": f"{crc32:08x}"})


def _append(client: httpx.Client, target: Target, offset: int, piece: bytes) -> None:
    headers = {"Content-Type": "application/octet-stream", "Content-Encoding": "gzip"}
    packed = igzip.compress(piece, 1)
    _send(client, "PATCH", target.url, params={"offset": offset}, content=packed, headers=headers)


def _send(client: httpx.Client, method: str, url: str, *, attempts: int = _ATTEMPTS, **request: Any) -> dict[str, Any]:
    """The JSON of a request that is tried again while that can help, for with its offset it is idempotent."""
    wait = 0.5
    for attempt in range(1, attempts + 1):
        try:
            answer = client.request(method, url, **request)
        except httpx.TransportError as error:
            if attempt == attempts:
                raise IngestFailed(
                    f"no service answers at {url.partition('/v1/')[0]}: {error}; is it running?"
                ) from error
        else:
            if answer.is_success:
                return dict(answer.json())
            if attempt == attempts or not (answer.status_code == 429 or answer.is_server_error):
                raise IngestFailed(f"the service refused with {answer.status_code}: {_reason(answer)}")
            wait = max(wait, float(answer.headers.get("retry-after", 0)))
        time.sleep(min(wait, _WAIT_MAX))
        wait *= 2
    raise AssertionError("the last attempt returns or raises")


def _reason(answer: httpx.Response) -> str:
    try:
        told = answer.json()
        return str(told.get("error_msg") or told.get("message"))
    except (ValueError, AttributeError):
        return answer.text[:200]


def _pieces(file: BinaryIO, size: int) -> Iterator[bytes]:
    """The next `size` bytes of a file, or fewer if it ends."""
    while size > 0 and (piece := file.read(min(PIECE, size))):
        yield piece
        size -= len(piece)


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: python -m local.ingest FILE LOG")
    name, log_id = sys.argv[1:]
    try:
        target = Target.of(log_id)
        with Path(name).open("rb") as file:
            certificate = ingest(file, os.fstat(file.fileno()).st_size, target)
    except OSError as error:
        sys.exit(f"{name}: {error.strerror}")
    except IngestFailed as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("\nInterrupted; the same command goes on from here")
    print(json.dumps(certificate, indent=2))
    print(f"\nRead it back:\n  curl -sSL --compressed -H 'X-Auth-Token: {target.token}' '{target.url}'")


if __name__ == "__main__":
    main()
