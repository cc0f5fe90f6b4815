"""A Samba domain controller: a real Active Directory by LDAP, on a loopback address of its own, in a folder of its own. It
needs root, as its ports are fixed."""

import base64
import os
import random
import shutil
import socket
import subprocess

from mail_server import Authority
from process import Process, wait_until

REALM = "CORP.EXAMPLE.COM"
BASE = "DC=corp,DC=example,DC=com"
PASSWORD = "Of-the-tests-4711"
ADMIN = f"CN=Administrator,CN=Users,{BASE}"

# Exchange's attributes, as far as its schema tells of them.
_EXCHANGE = f"""\
dn: CN=ms-Exch-Hide-From-Address-Lists,CN=Schema,CN=Configuration,{BASE}
changetype: add
objectClass: attributeSchema
attributeID: 1.2.840.113556.1.4.7000.102.73
attributeSyntax: 2.5.5.8
oMSyntax: 1
isSingleValued: TRUE
lDAPDisplayName: msExchHideFromAddressLists
schemaIDGUID:: {base64.b64encode(bytes.fromhex("c6bea25b1cb7d411a2ef00c04f8eedd8")).decode()}

dn: CN=ms-Exch-Mail-Nickname,CN=Schema,CN=Configuration,{BASE}
changetype: add
objectClass: attributeSchema
attributeID: 1.2.840.113556.1.2.447
attributeSyntax: 2.5.5.12
oMSyntax: 64
isSingleValued: TRUE
lDAPDisplayName: mailNickname
schemaIDGUID:: {base64.b64encode(bytes.fromhex("e36279bfa80dd011a9d200aa0054f1a3")).decode()}

dn: CN=User,CN=Schema,CN=Configuration,{BASE}
changetype: modify
add: mayContain
mayContain: msExchHideFromAddressLists
mayContain: mailNickname
"""


def free_address() -> str:
    while True:
        address = f"127.{random.randint(64, 126)}.{random.randint(1, 254)}.{random.randint(1, 254)}"
        with socket.socket() as probe:
            try:
                probe.bind((address, 636))
            except OSError:
                continue
            return address


class SambaDc:
    """Running from construction."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.address = free_address()
        self.url = f"ldaps://{self.address}"
        os.makedirs(directory)
        self.authority = Authority(directory, f"IP:{self.address}")
        places = {name: os.path.join(directory, name.split()[0]) for name in ("pid directory", "ncalrpc dir")}
        options = {"interfaces": f"{self.address}/8", "bind interfaces only": "yes", "server services": "ldap",
                   "log file": os.path.join(directory, "samba.log"), "panic action": "",
                   "tls cafile": self.authority.ca_file, "tls certfile": os.path.join(directory, "server.pem"),
                   "tls keyfile": os.path.join(directory, "server.key"), "dsdb:schema update allowed": "yes",
                   "old password allowed period": "0", **places}  # as in Windows, an old one is good for another hour otherwise
        for path in places.values():
            os.makedirs(path, mode=0o755)
        os.chmod(os.path.join(directory, "server.key"), 0o600)  # Samba insists
        self._provision(options)
        self._configuration = os.path.join(directory, "dc", "etc", "smb.conf")
        self._process = Process("samba", ["samba", "-i", "-M", "single", f"--configfile={self._configuration}",
                                          *(f"--option={key}={value}" for key, value in options.items())],
                                os.path.join(directory, "output.log"))
        wait_until(self._answers, 60, "Samba answers")
        self.modify(_EXCHANGE)

    def _provision(self, options: dict[str, str]) -> None:
        done = subprocess.run(
            ["samba-tool", "domain", "provision", f"--realm={REALM}", "--domain=CORP", "--server-role=dc", "--dns-backend=NONE",
             f"--adminpass={PASSWORD}", f"--host-ip={self.address}", "--host-name=dc1",
             f"--targetdir={os.path.join(self.directory, 'dc')}", *(f"--option={key}={value}" for key, value in options.items())],
            capture_output=True, text=True, timeout=180)
        if done.returncode != 0:
            raise RuntimeError(f"provisioning failed: {done.stdout}{done.stderr}")

    def _answers(self) -> bool:
        assert self._process.running, self._process.log()
        return self.run("ldapsearch", "-s", "base").returncode == 0

    def stop(self) -> None:
        self._process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    # A client of its own (Debian's ldap-utils).

    def run(self, program: str, *arguments: str, user: str = ADMIN, password: str = PASSWORD,
            input: str | None = None) -> subprocess.CompletedProcess:
        return subprocess.run([program, "-H", self.url, "-x", "-D", user, "-w", password, *arguments], input=input, timeout=30,
                              capture_output=True, text=True, env={**os.environ, "LDAPTLS_CACERT": self.authority.ca_file})

    def modify(self, ldif: str) -> None:
        done = self.run("ldapmodify", input=ldif)
        assert done.returncode == 0, f"{done.stderr}\n{ldif}"

    def can_bind(self, user: str, password: str = PASSWORD) -> bool:
        done = self.run("ldapsearch", "-s", "base", user=user, password=password)
        assert done.returncode in (0, 49), done
        return done.returncode == 0

    def add_ou(self, name: str) -> str:
        dn = f"OU={name},{BASE}"
        self.modify(f"dn: {dn}\nchangetype: add\nobjectClass: organizationalUnit\n")
        return dn

    def add_user(self, name: str, ou: str, **attributes: str) -> str:
        """The DN; its userPrincipalName is NAME@example.com, unless told otherwise."""
        quoted = base64.b64encode(f'"{PASSWORD}"'.encode("utf-16-le")).decode()
        known = {"userPrincipalName": f"{name}@example.com", "sAMAccountName": name[:20], "userAccountControl": "66048",
                 **attributes}
        dn = f"CN={name},{ou}"
        self.modify(f"dn: {dn}\nchangetype: add\nobjectClass: user\nunicodePwd:: {quoted}\n"
                    + "".join(f"{key}: {value}\n" for key, value in known.items() if value))
        return dn

    def add_group(self, name: str, ou: str, *members: str) -> str:
        dn = f"CN={name},{ou}"
        short = "".join(letter for letter in name if letter.isalnum() or letter == "-")
        self.modify(f"dn: {dn}\nchangetype: add\nobjectClass: group\nsAMAccountName: {short}\n"
                    + "".join(f"member: {member}\n" for member in members))
        return dn

    def join(self, group: str, *members: str) -> None:
        for member in members:
            self.modify(f"dn: {group}\nchangetype: modify\nadd: member\nmember: {member}\n")

    def set(self, dn: str, **attributes: str) -> None:
        for name, value in attributes.items():
            self.modify(f"dn: {dn}\nchangetype: modify\nreplace: {name}\n{name}: {value}\n")

    def find(self, upn: str) -> dict[str, list[str]]:
        """Attributes, the DN as `dn`; binary ones in hex digits."""
        done = self.run("ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-b", BASE, f"(userPrincipalName={upn})")
        assert done.returncode == 0, done
        found: dict[str, list[str]] = {}
        for line in done.stdout.split("\n\n")[0].splitlines():
            name, _, value = line.partition(": ")
            text = base64.b64decode(value).hex() if name.endswith(":") else value
            found.setdefault(name.rstrip(":"), []).append(text)
        return found

    def id(self, upn: str) -> str:
        return self.find(upn)["objectGUID"][0]

    def hide(self, dn: str, attribute: str, upn: str) -> None:
        """From now on the user of that name may not read the attribute (the GUID of its schema) of the entry."""
        sid = bytes.fromhex(self.find(upn)["objectSid"][0])
        parts = [int.from_bytes(sid[2:8], "big"), *(int.from_bytes(sid[at:at + 4], "little") for at in range(8, len(sid), 4))]
        ace = f"(OD;;RP;{attribute};;S-1-{'-'.join(map(str, parts))})"
        done = subprocess.run(["samba-tool", "dsacl", "set", "-H", os.path.join(self.directory, "dc", "private", "sam.ldb"),
                               f"--configfile={self._configuration}", f"--objectdn={dn}", f"--sddl={ace}"],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done
