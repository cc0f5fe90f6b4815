"""Signed JSON web tokens (RFC 7519) with RS256, checked against a public key in PEM; nothing but the standard library."""

import base64
import binascii
import hashlib
import hmac
import json

# DigestInfo of SHA-256, RFC 8017, 9.2, note 1.
_SHA256_PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")


class TokenError(ValueError):
    """The text is no token of this kind, or its signature is not the key's."""


def read_token(text: str) -> tuple[dict, dict, bytes, bytes]:
    """Header, claims, what was signed, and the signature. TokenError when it is no signed token."""
    parts = text.split(".")
    if len(parts) != 3:
        raise TokenError("a token has three parts")
    try:
        header, claims = (json.loads(_decode(part)) for part in parts[:2])
        signature = _decode(parts[2])
    except (ValueError, binascii.Error) as error:
        raise TokenError("header and claims are JSON in base64url") from error
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise TokenError("header and claims are objects")
    return header, claims, f"{parts[0]}.{parts[1]}".encode("ascii", "replace"), signature


def check_signature(public_key: str, signed: bytes, signature: bytes) -> None:
    """RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, 8.2.2). TokenError when the signature is not good."""
    modulus, exponent = read_public_key(public_key)
    size = (modulus.bit_length() + 7) // 8
    number = int.from_bytes(signature, "big")
    if len(signature) != size or number >= modulus:
        raise TokenError("the signature has the wrong length")
    digest = _SHA256_PREFIX + hashlib.sha256(signed).digest()
    expected = b"\x00\x01" + b"\xff" * (size - len(digest) - 3) + b"\x00" + digest
    if not hmac.compare_digest(pow(number, exponent, modulus).to_bytes(size, "big"), expected):
        raise TokenError("the signature is another key's")


def read_public_key(pem: str) -> tuple[int, int]:
    """Modulus and exponent of an RSA key, `BEGIN PUBLIC KEY` (RFC 5280, 4.1.2.7). ValueError when it is something else."""
    lines = [line.strip() for line in pem.strip().splitlines()]
    if lines[:1] != ["-----BEGIN PUBLIC KEY-----"] or lines[-1:] != ["-----END PUBLIC KEY-----"]:
        raise ValueError("a public key in PEM is wanted (BEGIN PUBLIC KEY)")
    info = _element(base64.b64decode("".join(lines[1:-1]), validate=True), 0x30)[0]
    bits = _element(_element(info, 0x30)[1], 0x03)[0]
    modulus, rest = _element(_element(bits[1:], 0x30)[0], 0x02)
    return int.from_bytes(modulus, "big"), int.from_bytes(_element(rest, 0x02)[0], "big")


def _element(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """Content of the DER element that `data` starts with, and what follows it."""
    if len(data) < 2 or data[0] != tag:
        raise ValueError("no RSA public key")
    length, start = data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    if len(data) < start + length:
        raise ValueError("the public key is cut short")
    return data[start:start + length], data[start + length:]


def _decode(part: str) -> bytes:
    return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
