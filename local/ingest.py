"""`python -m local.ingest FILE LOG`: sends a file as a log and seals it. Run again, it continues where it stopped."""

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

from local import data_directory
from logkeep.errors import Invalid
from logkeep.logid import LogId

# Bytes of text per request. A body may have 4 MiB, and gzip makes text that cannot be compressed a little longer.
PIECE: Final = 4_000_000
_ATTEMPTS: Final = 8
_WAIT_MAX: Final = 15.0  # seconds between two tries


class IngestFailed(Exception):
    """The file cannot be sent; the message is for the person at the terminal."""


@dataclass(frozen=True, slots=True)
class Target:
    """A log on a server, and the credential to write it with."""

    endpoint: str
    token: str
    project: str
    log_id: LogId

    @classmethod
    def of(cls, log_id: str) -> Self:
        """A log of the local service, unless LOGKEEP_ENDPOINT, LOGKEEP_TOKEN and LOGKEEP_PROJECT are set.

        Raises IngestFailed for a malformed id, or if none of them is known.
        """
        try:
            parsed = LogId.parse(log_id)
        except Invalid as error:
            raise IngestFailed(f"{log_id} is not a log id: {error}") from error
        demo: dict[str, Any] = {}
        with suppress(FileNotFoundError):
            demo = json.loads((data_directory() / "demo.json").read_text())
        names = (("LOGKEEP_ENDPOINT", "endpoint"), ("LOGKEEP_TOKEN", "token"), ("LOGKEEP_PROJECT", "project_id"))
        endpoint, token, project = (os.environ.get(variable) or demo.get(name, "") for variable, name in names)
        if not (endpoint and token and project):
            raise IngestFailed(
                "no service is known. Start the local one (make run; if it runs with LOGKEEP_DATA, set that here too), "
                f"or set {', '.join(variable for variable, _ in names)}"
            )
        return cls(endpoint.rstrip("/"), token, project, parsed)

    @property
    def url(self) -> str:
        return f"{self.endpoint}/v1/{self.project}/logs/{self.log_id}"


def ingest(file: BinaryIO, size: int, target: Target) -> dict[str, Any]:
    """Make the log hold the first `size` bytes of a file, and seal it. Returns its certificate; raises IngestFailed."""
    with httpx.Client(headers={"X-Auth-Token": target.token}, timeout=60) as client:
        # An append of nothing at offset 0 changes nothing, and is answered with the log's certificate.
        held = _send(client, "PATCH", target.url, params={"offset": 0}, attempts=3)
        offset, crc32 = held["bytes"], 0
        with tqdm(total=size, unit="B", unit_scale=True, unit_divisor=1024, desc=str(target.log_id)) as progress:
            for piece in _pieces(file, min(offset, size)):
                crc32 = isal_zlib.crc32(piece, crc32)
                progress.update(len(piece))
            if offset > size or f"{crc32:08x}" != held["crc32"]:
                raise IngestFailed(
                    f"{target.log_id} already holds {offset} bytes, and this file does not begin with them"
                )
            for piece in _pieces(file, size - offset):
                _append(client, target, offset, piece)
                crc32 = isal_zlib.crc32(piece, crc32)
                offset += len(piece)
                progress.update(len(piece))
        if offset < size:
            raise IngestFailed(f"the file shrank to {offset} bytes while it was being read")
        return _send(client, "PUT", target.url, json={"bytes": size, "crc32": f"{crc32:08x}"})


def _append(client: httpx.Client, target: Target, offset: int, piece: bytes) -> None:
    headers = {"Content-Type": "application/octet-stream", "Content-Encoding": "gzip"}
    packed = igzip.compress(piece, 1)
    _send(client, "PATCH", target.url, params={"offset": offset}, content=packed, headers=headers)


def _send(client: httpx.Client, method: str, url: str, *, attempts: int = _ATTEMPTS, **request: Any) -> dict[str, Any]:
    """The JSON answer to a request. It is repeated as long as that can help, which is safe because of its offset."""
    wait = 0.5
    for attempt in range(1, attempts + 1):
        try:
            answer = client.request(method, url, **request)
        except httpx.TransportError as error:
            if attempt == attempts:
                raise IngestFailed(
                    f"no service answers at {url.partition('/v1/')[0]}: {error}. Is it running?"
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
        document = answer.json()
        return str(document.get("error_msg") or document.get("message"))
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
        sys.exit("\nInterrupted. The same command continues from here")
    print(json.dumps(certificate, indent=2))
    print(f"\nRead it back:\n  curl -sSL --compressed -H 'X-Auth-Token: {target.token}' '{target.url}'")


if __name__ == "__main__":
    main()
