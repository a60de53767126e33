"""The emulator that tests share: in memory, and quick to return to how it was made."""

from pathlib import Path

import httpx

from local.emulator import Emulator


class Rewinding(Emulator):
    """Its state can be marked and be returned to, which costs less than making it anew."""

    program = "tests.marking"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._client = httpx.Client(base_url=self.endpoint, trust_env=False, timeout=60)

    def stop(self) -> None:
        self._client.close()
        super().stop()

    def settings(self) -> dict[str, str]:
        return super().settings() | {"PERSIST_STATE": "0", "S3_PERSIST": "0"}

    def mark(self, name: str = "") -> None:
        self._post("mark", name)

    def rewind(self, name: str = "") -> None:
        self._post("rewind", name)

    def reset(self) -> None:
        """Leave nothing in it; the marks stay."""
        self._post("reset")

    def _post(self, what: str, name: str = "") -> None:
        self._client.post(f"/_ministack/{what}", params={"name": name} if name else {}).raise_for_status()
