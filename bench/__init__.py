"""`python -m bench`: what Logkeep takes in time, memory, requests and money, compared with named alternatives."""

from typing import Final

PROJECT: Final = "0f5f3d6c1b6a4d5a8f4e1a2b3c4d5e6f"
