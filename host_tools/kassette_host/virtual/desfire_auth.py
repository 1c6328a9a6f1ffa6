"""Authentication and keys of the virtual DESFire card. Source: tests/vectors/desfire_ev1_*.json, libfreefare."""

from kassette_host.cards.ev1_crypto import AES, DES, DES3, BlockCipher, rotate, session_key
from kassette_host.virtual.desfire_card import (
    INTEGRITY,
    LENGTH,
    MORE,
    NO_SUCH_KEY,
    OK,
    PICC,
    Answer,
    Application,
    DesfireCard,
    command,
)
from kassette_host.virtual.desfire_crypto import LegacySession, Session
from kassette_host.virtual.desfire_files import PERMISSION_DENIED, Refused

_LEGACY, _ISO, _AES = 0x0A, 0x1A, 0xAA
_KINDS = {_LEGACY: (DES,), _ISO: (DES, DES3), _AES: (AES,)}
_FROZEN, _ITSELF = 0xF, 0xE
_PROOF_US = 2030  # measured on a real card, as in desfire_card


def _authenticate(card: DesfireCard, code: int, key_no: int) -> bytes:
    card.session = None
    application = card.selected
    card.demand(key_no < len(application.keys), NO_SUCH_KEY)
    card.demand(application.kind in _KINDS[code])
    cipher = BlockCipher(application.kind, application.keys[key_no])
    nonce = card.random(cipher.nonce_len)
    sealed = cipher.encrypt(bytes(cipher.block), nonce)
    card.expect(lambda token: _prove(card, code, key_no, cipher, nonce, sealed, token))
    return bytes([MORE]) + sealed


def _prove(card, code: int, key_no: int, cipher: BlockCipher, nonce: bytes, sealed: bytes, token: bytes) -> bytes:
    """The second step: the reader has shown its nonce and, shifted, ours."""
    size, zero = cipher.nonce_len, bytes(cipher.block)
    card.takes_us = _PROOF_US
    card.demand(len(token) == 2 * size, LENGTH)
    if code == _LEGACY:
        plain, iv = cipher.undo_decipher(token), zero
    else:
        plain, iv = cipher.decrypt(sealed[-cipher.block :], token), token[-cipher.block :]
    card.demand(plain[size:] == rotate(nonce))
    made = session_key(cipher.kind, cipher.key, plain[:size], nonce)
    card.session = (LegacySession if code == _LEGACY else Session)(key_no, cipher.kind, made)
    return bytes([OK]) + cipher.encrypt(iv, rotate(plain[:size]))


@command(_LEGACY, 1)
def authenticate(card: DesfireCard, body: bytes) -> bytes:
    """`key number`: the first step of the legacy scheme, for DES keys."""
    return _authenticate(card, _LEGACY, body[0])


@command(_ISO, 1)
def authenticate_iso(card: DesfireCard, body: bytes) -> bytes:
    """`key number`: the first step for DES and three-key DES."""
    return _authenticate(card, _ISO, body[0])


@command(_AES, 1)
def authenticate_aes(card: DesfireCard, body: bytes) -> bytes:
    """`key number`: the first step for AES."""
    return _authenticate(card, _AES, body[0])


@command(0x64, 1)
def get_key_version(card: DesfireCard, body: bytes) -> Answer:
    """`key number`: its version byte."""
    application = card.selected
    card.demand(body[0] < len(application.keys), NO_SUCH_KEY)
    return Answer(bytes([application.versions[body[0]]]))


def _may_change(card: DesfireCard, application: Application, key_no: int) -> bool:
    """Whether the session may change key `key_no`, by the upper half of the key settings."""
    assert card.session
    own = card.session.key_no
    change_key = application.settings >> 4
    if key_no == 0:
        return own == 0 and bool(application.settings & 1)
    if change_key == _FROZEN:
        raise Refused(PERMISSION_DENIED)
    if change_key == _ITSELF:
        return own == key_no
    return own == (0 if key_no == change_key else change_key)


@command(0xC4, payload=lambda card, body: len(body))
def change_key(card: DesfireCard, body: bytes) -> Answer:
    """`key number | cryptogram of: key (exclusive or of old and new for another's), version if AES, checksums`."""
    card.demand(len(body) > 1, LENGTH)
    card.demand(card.session is not None)
    application, key_no = card.selected, body[0] & 0x3F
    kind = body[0] & 0xC0 if card.aid == PICC else application.kind
    card.demand(key_no < len(application.keys) and kind != 0xC0, NO_SUCH_KEY)
    card.demand(_may_change(card, application, key_no))
    new, version = _new_key(card, body, kind, key_no)
    application.keys[key_no], application.versions[key_no] = new, version
    if card.aid == PICC:
        application.kind = kind
    assert card.session
    if key_no != card.session.key_no:
        return Answer()
    card.session = None
    return Answer(is_bare=True)


def _new_key(card: DesfireCard, body: bytes, kind: int, key_no: int) -> tuple[bytes, int]:
    """Key and version from the cryptogram of ChangeKey. Raises Refused."""
    session = card.session
    assert session
    size = 24 if kind == DES3 else 16
    length = size + (kind == AES)
    plain = session.decipher(body[1:])
    sent, new = plain[:length], plain[:size]
    tail = session.checksum(b"\xc4" + body[:1], sent)
    if key_no != session.key_no:
        new = bytes(a ^ b for a, b in zip(new, card.selected.keys[key_no]))
        tail += session.checksum(b"", new)
    rest = plain[length:]
    card.demand(rest[: len(tail)] == tail and not any(rest[len(tail) :]), INTEGRITY)
    version = sent[-1] if kind == AES else sum((new[i] & 1) << (7 - i) for i in range(8))
    return new, version


@command(0x54, payload=lambda card, body: len(body))
def change_key_settings(card: DesfireCard, body: bytes) -> Answer:
    """The new settings byte, enciphered, under the master key."""
    card.demand(card.is_master())
    assert card.session
    card.demand(card.selected.settings & 8 != 0, PERMISSION_DENIED)
    plain = card.session.decipher(body)
    card.selected.settings = card.session.check_plain(b"\x54", plain, 1)[0]
    return Answer()


@command(0x45, 0)
def get_key_settings(card: DesfireCard, body: bytes) -> Answer:
    """Settings, and the number of keys with their kind."""
    card.demand(card.selected.settings & 2 != 0 or card.is_master())
    return Answer(bytes([card.selected.settings, len(card.selected.keys) | card.selected.kind]))
