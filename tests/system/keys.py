"""Keys made for a test, by openssl's command."""

import subprocess
from dataclasses import dataclass


def _openssl(*arguments: str, given: str | None = None) -> str:
    return subprocess.run(["openssl", *arguments], input=given, capture_output=True, text=True, check=True, timeout=60).stdout


@dataclass
class KeyPair:
    """X25519, in PEM: worker.escrow_key and vault.escrow_private_key."""
    public: str
    private: str

    @classmethod
    def make(cls) -> "KeyPair":
        private = _openssl("genpkey", "-algorithm", "X25519")
        return cls(_openssl("pkey", "-pubout", given=private), private)
