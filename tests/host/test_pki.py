"""The shop's certificates: what is in them, that they stay, and who gets at the keys."""

import datetime
import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from kassette_host.pki import SERVER_NAMES, Pki, terminal_name

DER = serialization.Encoding.DER


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pki")


@pytest.fixture(scope="module")
def pki(folder):
    return Pki(folder)


def policy(pki, year=2026):
    store = Store([x509.load_der_x509_certificate(pki.ca_der)])
    return PolicyBuilder().store(store).time(datetime.datetime(year, 6, 1, tzinfo=datetime.UTC))


def server_certificate(pki):
    return x509.load_pem_x509_certificate(pki.server_pem.read_bytes())


def terminal_certificate(pki, number=0x2A):
    return x509.load_der_x509_certificate(pki.terminal(number)[0])


@pytest.mark.parametrize("name", SERVER_NAMES)
@pytest.mark.parametrize("year", [2020, 2026, 2049])
def test_the_server_is_who_it_says_from_2020_on(pki, name, year):
    chain = policy(pki, year).build_server_verifier(x509.DNSName(name)).verify(server_certificate(pki), [])
    assert len(chain) == 2


def test_it_is_nobody_else_and_was_nobody_before_2020(pki):
    with pytest.raises(VerificationError):
        policy(pki).build_server_verifier(x509.DNSName("example.org")).verify(server_certificate(pki), [])
    with pytest.raises(VerificationError):
        policy(pki, 2019).build_server_verifier(x509.DNSName("localhost")).verify(server_certificate(pki), [])


def test_a_terminal_is_a_client_and_no_server(pki):
    certificate = terminal_certificate(pki)
    [name] = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert name.value == terminal_name(0x2A) == "0000002a"
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate.verify_directly_issued_by(x509.load_der_x509_certificate(pki.ca_der))
    with pytest.raises(VerificationError):
        policy(pki).build_server_verifier(x509.DNSName("0000002a")).verify(certificate, [])


def test_a_terminal_can_not_issue_certificates(pki):
    limits = terminal_certificate(pki).extensions.get_extension_for_class(x509.BasicConstraints).value
    assert not limits.ca
    ca = x509.load_der_x509_certificate(pki.ca_der).extensions
    assert ca.get_extension_for_class(x509.BasicConstraints).value.path_length == 0


def test_the_keys_are_of_the_kind_that_costs_the_chip_least(pki):
    certificate, key = pki.terminal(0x2A)
    opened = serialization.load_der_private_key(key, None)
    assert isinstance(opened, ec.EllipticCurvePrivateKey) and isinstance(opened.curve, ec.SECP256R1)
    assert opened.public_key() == x509.load_der_x509_certificate(certificate).public_key()
    for public in (server_certificate(pki).public_key(), x509.load_der_x509_certificate(pki.ca_der).public_key()):
        assert isinstance(public, rsa.RSAPublicKey) and public.key_size == 2048
    assert len(certificate) + len(key) + len(pki.ca_der) < 2048  # they share one sector with the rest


def test_what_is_there_stays(pki, folder):
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert pki.terminal(0x2A) == Pki(folder).terminal(0x2A) != pki.terminal(0x2B)
    assert Pki(folder).ca_der == pki.ca_der
    assert names == [
        "ca.der", "ca.key.pem", "ca.pem", "server.key.pem", "server.pem",
        "terminals/0000002a.der", "terminals/0000002a.key.der",
    ]  # fmt: skip


def test_only_the_owner_reads_the_files(folder, pki):
    pki.terminal(0x2A)
    for path in folder.rglob("*.*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_directory_that_was_left_half_made_is_finished(tmp_path):
    (tmp_path / "ca.key.pem").write_bytes(b"the key of a CA that was never made")
    (tmp_path / "ca.der.part").write_bytes(b"torn")
    first = Pki(tmp_path)
    (tmp_path / "ca.pem").unlink()
    (tmp_path / "server.pem").unlink()
    (tmp_path / "terminals/00000002.key.der").write_bytes(b"a key without its certificate")
    second = Pki(tmp_path)
    assert x509.load_pem_x509_certificate(second.ca_pem.read_bytes()).public_bytes(DER) == first.ca_der
    policy(second).build_server_verifier(x509.DNSName("localhost")).verify(server_certificate(second), [])
    certificate, key = second.terminal(2)
    opened = serialization.load_der_private_key(key, None)
    assert opened.public_key() == x509.load_der_x509_certificate(certificate).public_key()


def test_a_lost_ca_is_not_replaced_behind_the_terminals_backs(tmp_path):
    Pki(tmp_path)
    (tmp_path / "ca.der").unlink()
    with pytest.raises(ValueError, match=r"ca\.der"):
        Pki(tmp_path)


def test_the_cas_key_opens_with_its_passphrase_only(tmp_path):
    Pki(tmp_path, b"correct horse").terminal(1)
    assert b"ENCRYPTED" in (tmp_path / "ca.key.pem").read_bytes()
    Pki(tmp_path).terminal(1)  # nothing has to be signed
    for passphrase in (None, b"wrong"):
        with pytest.raises((TypeError, ValueError)):
            Pki(tmp_path, passphrase).terminal(2)
    Pki(tmp_path, b"correct horse").terminal(2)
