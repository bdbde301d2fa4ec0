"""Certificates for tests, made by openssl: an authority, and what it signs."""

import pathlib
import subprocess


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, timeout=30)


class Authority:
    def __init__(self, folder, name="test authority"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file, self.key = self.folder / "ca.pem", self.folder / "ca.key"
        self._new_key(self.key)
        openssl("req", "-x509", "-new", "-key", self.key, "-days", 30, "-subj", f"/CN={name}", "-out", self.file)
        (self.folder / "index").write_text("")
        (self.folder / "ca.conf").write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndatabase={self.folder}/index\ndefault_md=sha256\ndefault_crl_days=30\n"
        )

    @staticmethod
    def _new_key(path):
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path)

    def sign(self, name, alternatives="DNS:localhost,IP:127.0.0.1", days=30):
        """A certificate and its key, as paths."""
        certificate, key, request = (self.folder / f"{name}.{kind}" for kind in ("pem", "key", "csr"))
        extensions = self.folder / f"{name}.ext"
        self._new_key(key)
        extensions.write_text(f"subjectAltName={alternatives}\n")
        openssl("req", "-new", "-key", key, "-subj", f"/O=petrel/CN={name}", "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self.key, "-CAcreateserial", "-days", days,
                "-extfile", extensions, "-out", certificate)
        return certificate, key

    def revoke(self, *certificates):
        """A list of revoked certificates, as a path."""
        config = ["-config", self.folder / "ca.conf", "-keyfile", self.key, "-cert", self.file]
        for certificate in certificates:
            openssl("ca", *config, "-revoke", certificate)
        openssl("ca", *config, "-gencrl", "-out", self.folder / "crl.pem")
        return self.folder / "crl.pem"
