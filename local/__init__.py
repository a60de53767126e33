"""The local service: the template's functions behind an HTTP gateway, against an AWS emulator. Never deployed."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
DATA: Final = ROOT / ".local"
ACCOUNT: Final = "123456789012"  # the emulator's
REGION: Final = "us-east-1"
