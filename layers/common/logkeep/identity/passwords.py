"""Passwords as scrypt hashes of their SHA-256: `scrypt:{N}:{r}:{p}:{salt}:{hash}`, the last two in hex."""

import hashlib
import hmac
import secrets
from typing import Final

_COST: Final = (1 << 15, 8, 3)  # N, r, p: OWASP's recommendation for 32 MB
_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32


def hash_password(password: str) -> str:
    """A new hash, with a random salt, in the form that is stored."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return ":".join(("scrypt", *map(str, _COST), salt.hex(), _scrypt(password, salt, *_COST).hex()))


def matches(password: str, stored: str) -> bool:
    """Whether `stored` is a hash of the password. Takes some tenths of a second of CPU."""
    _, *cost, salt, expected = stored.split(":")
    n, r, p = map(int, cost)
    return hmac.compare_digest(_scrypt(password, bytes.fromhex(salt), n, r, p), bytes.fromhex(expected))


def match_nobody(password: str) -> None:
    """Take as long as matches() does, so that the time of an answer does not show which users exist."""
    _scrypt(password, bytes(_SALT_BYTES), *_COST)


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    # Hashed first, because scrypt's HMAC pads its key with zeros: "x" and "x\0" would have the same hash.
    data = hashlib.sha256(password.encode(errors="surrogatepass")).digest()
    return hashlib.scrypt(data, salt=salt, n=n, r=r, p=p, dklen=_HASH_BYTES, maxmem=2 * 128 * n * r)
