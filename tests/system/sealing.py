"""The sealed form of records, as lib/seal.h describes it, made and opened with Python's cryptography: independent of lib/seal.c."""

import base64
import hashlib
import hmac
import json
import os

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

MAGIC = b"OBS1"
CONTENT_TYPE = b"application/vnd.offboard.sealed"


def derived(key, use):
    return hmac.digest(key, use, hashlib.sha256)


def seal(key, subject, text, iv=None):
    iv = iv or os.urandom(16)
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(derived(key, b"offboard seal")), modes.CBC(iv)).encryptor()
    inner = encryptor.update(padder.update(text) + padder.finalize()) + encryptor.finalize()
    sealed = MAGIC + iv + inner
    return sealed + hmac.digest(derived(key, b"offboard sign"), subject.lower().encode() + sealed, hashlib.sha256)


class Wrong(Exception):
    """It does not open with this key."""


def unseal(key, subject, sealed):
    signature = hmac.digest(derived(key, b"offboard sign"), subject.lower().encode() + sealed[:-32], hashlib.sha256)
    if not hmac.compare_digest(signature, sealed[-32:]):
        raise Wrong(subject)
    decryptor = Cipher(algorithms.AES(derived(key, b"offboard seal")), modes.CBC(sealed[4:20])).decryptor()
    unpadder = padding.PKCS7(128).unpadder()
    return unpadder.update(decryptor.update(sealed[20:-32]) + decryptor.finalize()) + unpadder.finalize()


def is_sealed(value):
    return value is not None and value.startswith(MAGIC)


def key_of(value):
    """The key in a record of the topic of keys."""
    return base64.b64decode(json.loads(value)["key"])


def key_record(key):
    return json.dumps({"version": 1, "key": base64.b64encode(key).decode()}).encode()
