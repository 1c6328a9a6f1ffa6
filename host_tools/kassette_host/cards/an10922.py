"""AES-128 key diversification by NXP AN10922, section 2.2, and the purse's input to it (design: 01, UID, AID, ...)."""

from kassette_host.cards.ev1_crypto import AES, BlockCipher, shift_left, xor, zero_pad

PURSE_AID = bytes.fromhex("4B5354")  # as on the wire


def diversify(master: bytes, message: bytes) -> bytes:
    """The card's key for up to 31 bytes of `message`.

    `01 | message` is always padded to two blocks, and the last block is masked with K2 when padding was added, else
    with K1: for a short message that differs from a plain CMAC.
    """
    if not 1 <= len(message) <= 31:
        raise ValueError("a message of 1 to 31 bytes")
    cipher = BlockCipher(AES, master)
    data = b"\x01" + message
    mask = shift_left(cipher.encrypt(bytes(16), bytes(16)), 0x87)
    if len(data) < 32:
        mask, data = shift_left(mask, 0x87), zero_pad(data + b"\x80", 32)
    data = data[:16] + xor(data[16:], mask)
    return cipher.encrypt(bytes(16), data)[16:]


def purse_key(master: bytes, uid: bytes, key_no: int, key_version: int) -> bytes:
    """Key `key_no` of the purse on the card with this 7-byte UID."""
    return diversify(master, uid + PURSE_AID + b"KASSETTE" + bytes([key_no, key_version]))
