"""A real directory: Debian's slapd on free ports of loopback, in a temporary folder.

Below dc=example,dc=org there are people, some of them in groups, and a reader with whose name users are searched.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
import trustme

from tests.ports import free_ports

START_S = 30.0
READER = "cn=reader,dc=example,dc=org"
READER_PASSWORD = "only to search with"

_FOLDERS = "/usr/sbin:/usr/bin:/usr/lib/openldap"

_CONFIGURATION = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCACertificateFile {folder}/authority.pem
TLSCertificateFile {folder}/server.pem
TLSCertificateKeyFile {folder}/server.key
database mdb
maxsize 16777216
suffix "dc=example,dc=org"
directory {folder}/db
access to attrs=userPassword by anonymous auth by * none
access to * by dn="{reader}" read by anonymous auth by * none
"""

_ENTRIES = f"""\
dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: {READER}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: {READER_PASSWORD}

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=example,dc=org
objectClass: organizationalUnit
ou: groups
"""

_PERSON = """
dn: uid={uid},ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: {uid}
cn: {uid}
sn: {uid}
userPassword: {password}
"""

_GROUPS = """
dn: cn=staff,ou=groups,dc=example,dc=org
objectClass: groupOfNames
cn: staff
member: uid=Alice,ou=people,dc=example,dc=org
member: uid=bob,ou=people,dc=example,dc=org

dn: cn=web (all),ou=groups,dc=example,dc=org
objectClass: groupOfNames
cn: web (all)
member: uid=Alice,ou=people,dc=example,dc=org

dn: cn=printers,ou=groups,dc=example,dc=org
objectClass: posixGroup
cn: printers
gidNumber: 1001
memberUid: Alice
"""

PEOPLE = {"Alice": "wonderland", "bob": "builder of bridges", "star*": "not everybody"}


@attrs.define
class Slapd:
    """A server that can be stopped, ended and started again."""

    folder: Path
    port: int
    tls_port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        return f"ldaps://127.0.0.1:{self.tls_port}"

    @property
    def authority(self) -> str:
        return (self.folder / "authority.pem").read_text()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        configuration = str(self.folder / "slapd.conf")
        command = [_program("slapd"), "-d", "0", "-f", configuration, "-h", f"{self.url} {self.tls_url}"]
        log = self.folder / "log"
        with log.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output)
        deadline = time.monotonic() + START_S
        while not all(map(_listens, (self.port, self.tls_port))):
            assert self.process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)

    def end(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def running_slapd(folder: Path) -> Iterator[Slapd]:
    """A directory with PEOPLE until the end of the body; skips the test where slapd is missing, but with CI=true."""
    if shutil.which("slapd", path=f"{os.environ.get('PATH', '')}:{_FOLDERS}") is None:
        assert os.environ.get("CI") != "true", "slapd is not installed"
        pytest.skip("slapd is not installed: apt-get install slapd")
    made = Slapd(folder, *free_ports(2))
    _write(folder)
    command = [_program("slapadd"), "-f", str(folder / "slapd.conf"), "-l", str(folder / "entries.ldif")]
    loaded = subprocess.run(command, capture_output=True, text=True)
    assert loaded.returncode == 0, loaded.stderr
    made.start()
    try:
        yield made
    finally:
        made.end()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _program(name: str) -> str:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_FOLDERS}") or name


def _write(folder: Path) -> None:
    (folder / "db").mkdir()
    people = "".join(_PERSON.format(uid=uid, password=password) for uid, password in PEOPLE.items())
    (folder / "entries.ldif").write_text(_ENTRIES + people + _GROUPS)
    (folder / "slapd.conf").write_text(_CONFIGURATION.format(folder=folder, reader=READER))
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    certificate.private_key_pem.write_to_path(str(folder / "server.key"))
    certificate.cert_chain_pems[0].write_to_path(str(folder / "server.pem"))
