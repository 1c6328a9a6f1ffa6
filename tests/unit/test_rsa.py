import hashlib

import signer

from kassette.codec.rsa import is_signed

TEXT = b"have 1..4711"
DIGEST = hashlib.sha256(TEXT).digest()
INFO = signer.DIGEST_INFO


def is_taken(block):
    """Whether a block, run through the private key, counts as a signature of TEXT."""
    assert len(block) == 256
    return is_signed(TEXT, signer.raw(block), signer.MODULUS)


def test_a_signature_holds_for_its_message_and_key_only():
    signature = signer.sign(TEXT)
    assert is_signed(TEXT, signature, signer.MODULUS)
    assert is_signed(memoryview(TEXT), memoryview(signature), bytearray(signer.MODULUS))
    assert is_signed(b"", signer.sign(b""), signer.MODULUS)
    assert not is_signed(TEXT + b"0", signature, signer.MODULUS)
    assert not is_signed(TEXT, signature, (signer.N - 2).to_bytes(256, "big"))


def test_the_control_of_the_forgeries_below_is_taken():
    assert is_taken(signer.block(INFO, DIGEST))


def test_each_flipped_bit_spoils_it():
    signature = bytearray(signer.sign(TEXT))
    for bit in range(0, 2048, 5):
        signature[bit >> 3] ^= 1 << (bit & 7)
        assert not is_signed(TEXT, signature, signer.MODULUS)
        signature[bit >> 3] ^= 1 << (bit & 7)
    assert is_signed(TEXT, signature, signer.MODULUS)


def test_only_256_bytes_are_a_signature():
    signature = signer.sign(TEXT)
    for wrong in (b"", signature[1:], signature[:-1], b"\0" + signature, signature + b"\0"):
        assert not is_signed(TEXT, wrong, signer.MODULUS)


def test_a_signature_plus_the_modulus_is_another_one():
    tried = 0
    for i in range(40):
        message = TEXT + bytes((i,))
        signature = int.from_bytes(signer.sign(message), "big")
        if signature + signer.N < 1 << 2048:
            tried += 1
            assert not is_signed(message, (signature + signer.N).to_bytes(256, "big"), signer.MODULUS)
    assert tried


def test_numbers_at_the_edges():
    for number in (0, 1, signer.N - 1, signer.N, (1 << 2048) - 1):
        assert not is_signed(TEXT, number.to_bytes(256, "big"), signer.MODULUS)


def test_bleichenbachers_short_padding_with_garbage_behind():
    for fill in (8, 100, 200, 201):
        front = signer.block(INFO, DIGEST, fill)
        assert not is_taken(front + b"\xa5" * (256 - len(front)))
        assert not is_taken(front + bytes(256 - len(front)))


def test_garbage_inside_the_digest_info():
    long_null = b"\x30\x35\x30\x11\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x04\xde\xad\xbe\xef\x04\x20"
    no_null = b"\x30\x2f\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x04\x20"
    long_form = b"\x30\x81\x31" + INFO[2:]
    for info in (long_null, no_null, long_form):
        assert not is_taken(signer.block(info, DIGEST))


def test_other_paddings_and_hashes():
    assert not is_taken(signer.block(INFO, DIGEST, kind=2))
    assert not is_taken(signer.block(INFO, DIGEST, kind=0))
    assert not is_taken(b"\0\1" + b"\xff" * 201 + b"\xfe\0" + INFO + DIGEST)
    assert not is_taken(b"\0\1" + b"\xff" * 100 + b"\0" + b"\xff" * 101 + b"\0" + INFO + DIGEST)
    assert not is_taken(b"\1" + b"\xff" * 203 + b"\0" + INFO + DIGEST)
    sha1 = b"\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14"
    assert not is_taken(signer.block(sha1, hashlib.sha1(TEXT).digest()))
    assert not is_taken(signer.block(b"", DIGEST))
