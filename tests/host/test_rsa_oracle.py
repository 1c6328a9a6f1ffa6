"""The terminal's RSA verification, and the tests' own signer, against `cryptography`."""

import os

import pytest
import signer
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from kassette.codec.rsa import is_signed
from kassette_host.pki import modulus


@pytest.fixture(scope="module", params=range(3))
def key(request):
    return rsa.generate_private_key(65537, 2048)


def oracle(public, message, signature):
    try:
        public.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def test_what_cryptography_signs_is_taken(key):
    for length in (0, 1, 55, 56, 64, 3000):
        message = os.urandom(length)
        signature = key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        assert is_signed(message, signature, modulus(key.public_key()))


@pytest.mark.parametrize("scheme", ["pss", "sha384", "sha1"])
def test_other_schemes_of_the_same_key_are_not(key, scheme):
    message = b"have 1..4711"
    pads = {"pss": padding.PSS(padding.MGF1(hashes.SHA256()), 32)}
    digests = {"sha384": hashes.SHA384(), "sha1": hashes.SHA1()}
    signature = key.sign(message, pads.get(scheme, padding.PKCS1v15()), digests.get(scheme, hashes.SHA256()))
    assert not is_signed(message, signature, modulus(key.public_key()))


def test_both_agree_on_damaged_signatures(key):
    message = b"have 1..4711"
    signature = bytearray(key.sign(message, padding.PKCS1v15(), hashes.SHA256()))
    public = key.public_key()
    for bit in range(0, 2048, 7):
        signature[bit >> 3] ^= 1 << (bit & 7)
        assert is_signed(message, signature, modulus(public)) is oracle(public, message, bytes(signature)) is False
        signature[bit >> 3] ^= 1 << (bit & 7)
    assert is_signed(message, signature, modulus(public)) is oracle(public, message, bytes(signature)) is True


def test_the_tests_own_signer_signs_as_cryptography_does():
    numbers = rsa.RSAPublicNumbers(65537, signer.N)
    assert oracle(numbers.public_key(), b"text", signer.sign(b"text"))


def test_only_keys_that_a_terminal_can_use_are_handed_out():
    with pytest.raises(ValueError, match="RSA-2048"):
        modulus(rsa.generate_private_key(65537, 3072).public_key())
    with pytest.raises(ValueError, match="65537"):
        modulus(rsa.generate_private_key(3, 2048).public_key())
