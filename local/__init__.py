"""The local service: the template's functions behind a local HTTP gateway, with an AWS emulator. Never deployed."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
DATA: Final = ROOT / ".local"
ACCOUNT: Final = "123456789012"  # id of the emulator's account
REGION: Final = "us-east-1"
