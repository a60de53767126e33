"""The local service: the template's functions behind a local HTTP gateway, with an AWS emulator. Never deployed."""

import os
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
ACCOUNT: Final = "123456789012"  # id of the emulator's account
REGION: Final = "us-east-1"


def data_directory() -> Path:
    """Where the local service keeps its data: LOGKEEP_DATA, or .local."""
    return Path(os.environ.get("LOGKEEP_DATA", ROOT / ".local"))
