"""A service account for tests: its key file, what the sandbox has to know of it, and tokens signed with it.

    account = ServiceAccount.make()
    with Sandbox("google", {"google": {"service_accounts": [account.known], "users": [...]}}) as sandbox:
        ... key file: account.key_file(sandbox.url("google") + "/token") ...

Keys are made and used with openssl's command, so that tests and worker do not check each other with the same library.
"""

import base64
import json
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass

SCOPE_PREFIX = "https://www.googleapis.com/auth/"
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass
class ServiceAccount:
    """An account with one key. Keys in PEM."""

    email: str
    key_id: str
    private_key: str
    public_key: str

    @classmethod
    def make(cls, email: str = "offboard@sandbox.iam.gserviceaccount.com", key_id: str = "sandbox-key-1") -> "ServiceAccount":
        """An account with a new key of 2048 bits, PKCS#8 as in Google's files."""
        private = _openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
        public = _openssl("pkey", "-pubout", given=private)
        return cls(email, key_id, private.decode(), public.decode())

    @property
    def known(self) -> dict:
        """An element of the sandbox's setting `service_accounts`."""
        return {"client_email": self.email, "private_key_id": self.key_id, "public_key": self.public_key}

    def key_file(self, token_uri: str = "https://oauth2.googleapis.com/token") -> str:
        """The text of the key file that Google would hand out."""
        return json.dumps({
            "type": "service_account", "project_id": "sandbox", "private_key_id": self.key_id,
            "private_key": self.private_key, "client_email": self.email, "client_id": "104857600123456789012",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth", "token_uri": token_uri,
            "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
            "universe_domain": "googleapis.com"})

    def assertion(self, subject: str | None, scopes: list[str], *, header: dict | None = None, **claims) -> str:
        """A signed assertion; `header` and `claims` go over what is right. A claim that is None is left out."""
        now = int(time.time())
        full = [scope if ":" in scope else SCOPE_PREFIX + scope for scope in scopes]
        claims = {"iss": self.email, "sub": subject, "scope": " ".join(full), "iat": now, "exp": now + 3600,
                  "aud": "https://oauth2.googleapis.com/token", **claims}
        head = {"alg": "RS256", "typ": "JWT", "kid": self.key_id, **(header or {})}
        signed = _encode(head) + b"." + _encode({key: value for key, value in claims.items() if value is not None})
        return (signed + b"." + _base64url(self.sign(signed))).decode()

    def sign(self, data: bytes) -> bytes:
        """RSASSA-PKCS1-v1_5 with SHA-256."""
        with tempfile.NamedTemporaryFile() as key:
            key.write(self.private_key.encode())
            key.flush()
            return _openssl("dgst", "-sha256", "-sign", key.name, given=data)

    def token(self, url: str, subject: str | None, scopes: list[str]) -> str:
        """An access token from the token endpoint at `url`."""
        form = urllib.parse.urlencode({"grant_type": GRANT_TYPE, "assertion": self.assertion(subject, scopes)})
        with urllib.request.urlopen(url, data=form.encode(), timeout=20) as answer:
            return json.load(answer)["access_token"]


def _openssl(*arguments: str, given: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *arguments], input=given, capture_output=True, check=True).stdout


def _encode(value: dict) -> bytes:
    return _base64url(json.dumps(value).encode())


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
