"""Certificates for the rows that need TLS on loopback, where links are plain unless own certificates are given."""

from pathlib import Path

import trustme


def write_certificates(folder: Path) -> str:
    """Write an authority and a certificate for 127.0.0.1; returns the [tls] part of a configuration."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    (folder / "key.pem").touch(mode=0o600)
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    with (folder / "certificate.pem").open("wb") as file:
        for pem in issued.cert_chain_pems:
            file.write(pem.bytes())
    return '[tls]\nmode = "files"\ncertificate = "certificate.pem"\nkey = "key.pem"\nauthority = "authority.pem"\n'
