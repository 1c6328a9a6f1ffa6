"""The device CA and the certificates of one shop: who may open the back office's terminal port, and who answers there.

    DIR/ca.key.pem       RSA-2048, signs certificates only; encrypted when a passphrase is given
    DIR/ca.der ca.pem    its certificate: every terminal holds it, and so does the server
    DIR/server.key.pem server.pem           RSA-2048, for uvicorn's ssl_keyfile and ssl_certfile
    DIR/terminals/0000002a.der .key.der     P-256: the client certificate of terminal 42, CN = "0000002a"

A terminal without a clock checks the server's dates too: all certificates are valid from 2020 on. An RSA server
chain and a P-256 client key are the pair that costs the ESP32 the shortest handshake (0.22 s at 125 MIPS; P-256 on
both sides takes 0.51 s). Key files are readable by their owner only and appear whole or not at all.
"""

import datetime
import ipaddress
import os
import pathlib
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_NAME = "Kassette device CA"
SERVER_NAME = "kassette-backoffice"
SERVER_NAMES = (SERVER_NAME, "localhost")
SERVER_ADDRESSES = ("127.0.0.1",)
VALID_FROM = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
VALID_TO = datetime.datetime(2049, 12, 31, tzinfo=datetime.UTC)  # the last year of ASN.1's two-digit dates

_RSA_BITS = 2048
_PEM = serialization.Encoding.PEM
_DER = serialization.Encoding.DER


def terminal_name(terminal: int) -> str:
    """The common name in a terminal's certificate: its number as eight hex digits."""
    return "%08x" % terminal


class Pki:
    """The certificates in `directory`; what is missing is made, what is there is used. See the module for the files.

    Raises ValueError when the CA is gone and certificates of it are still there.
    """

    def __init__(self, directory: str | os.PathLike, passphrase: bytes | None = None):
        self.directory = pathlib.Path(directory)
        self._passphrase = passphrase
        (self.directory / "terminals").mkdir(parents=True, exist_ok=True)
        self.ca_pem = self.directory / "ca.pem"
        self.server_key_pem = self.directory / "server.key.pem"
        self.server_pem = self.directory / "server.pem"
        if not (self.directory / "ca.der").exists():
            self._make_ca()
        if not self.ca_pem.exists():
            _put(self.ca_pem, self._ca.public_bytes(_PEM))
        if not self.server_pem.exists():
            self._make_server()

    @cached_property
    def ca_der(self) -> bytes:
        """The CA's certificate as the terminals' settings hold it."""
        return (self.directory / "ca.der").read_bytes()

    @cached_property
    def _ca_key(self) -> rsa.RSAPrivateKey:
        pem = (self.directory / "ca.key.pem").read_bytes()
        key = serialization.load_pem_private_key(pem, self._passphrase)
        assert isinstance(key, rsa.RSAPrivateKey)
        return key

    @cached_property
    def _ca(self) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.ca_der)

    def terminal(self, terminal: int) -> tuple[bytes, bytes]:
        """(certificate, key) of `terminal`, both DER, the key in SEC 1 form; made on the first call."""
        stem = self.directory / "terminals" / terminal_name(terminal)
        certificate_file, key_file = stem.with_suffix(".der"), stem.with_suffix(".key.der")
        if not certificate_file.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            name = terminal_name(terminal)
            made = self._issue(name, key.public_key(), _leaf(ExtendedKeyUsageOID.CLIENT_AUTH))
            form = serialization.PrivateFormat.TraditionalOpenSSL
            _put(key_file, key.private_bytes(_DER, form, serialization.NoEncryption()))
            _put(certificate_file, made.public_bytes(_DER))
        return certificate_file.read_bytes(), key_file.read_bytes()

    def _make_ca(self) -> None:
        if self.server_pem.exists():
            raise ValueError("%s has lost its ca.der" % self.directory)
        key = rsa.generate_private_key(65537, _RSA_BITS)
        uses = _uses(key_cert_sign=True, crl_sign=True)
        extensions = [(x509.BasicConstraints(ca=True, path_length=0), True), (uses, True)]
        made = _certificate(CA_NAME, CA_NAME, key.public_key(), key, extensions)
        _put(self.directory / "ca.key.pem", _key_pem(key, self._passphrase))
        _put(self.directory / "ca.der", made.public_bytes(_DER))

    def _make_server(self) -> None:
        key = rsa.generate_private_key(65537, _RSA_BITS)
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in SERVER_NAMES]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in SERVER_ADDRESSES]
        extensions = [*_leaf(ExtendedKeyUsageOID.SERVER_AUTH), (x509.SubjectAlternativeName(names), False)]
        made = self._issue(SERVER_NAME, key.public_key(), extensions)
        _put(self.server_key_pem, _key_pem(key, None))
        _put(self.server_pem, made.public_bytes(_PEM))

    def _issue(self, name: str, public_key, extensions) -> x509.Certificate:
        return _certificate(name, CA_NAME, public_key, self._ca_key, extensions)


def modulus(public_key: rsa.RSAPublicKey) -> bytes:
    """The modulus of an RSA-2048 key with e = 65537 as the terminals' settings hold it: 256 bytes, big-endian."""
    numbers = public_key.public_numbers()
    if numbers.e != 65537 or public_key.key_size != _RSA_BITS:
        raise ValueError("terminals verify RSA-2048 with e = 65537 only")
    return numbers.n.to_bytes(_RSA_BITS // 8, "big")


def _certificate(name: str, issuer: str, public_key, issuer_key, extensions) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(VALID_FROM)
        .not_valid_after(VALID_TO)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _leaf(purpose):
    return [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_uses(digital_signature=True), True),
        (x509.ExtendedKeyUsage([purpose]), False),
    ]


def _uses(**given: bool) -> x509.KeyUsage:
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    names += ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: given.get(name, False) for name in names})


def _key_pem(key, passphrase: bytes | None) -> bytes:
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, encryption)


def _put(path: pathlib.Path, data: bytes) -> None:
    """Write a file whole or not at all, readable by its owner only."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
