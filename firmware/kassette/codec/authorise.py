"""The question whether an account pays for a sale, and the signed answer. All little-endian.

    request   magic "KA1" 00, terminal u32, journal id u16, serial of the intent u32, slip u32, amount i32, currency u16,
              time u32, nonce 16, the INTENT's 32 bytes of `kassette.codec.account`,
              and with a PIN: key serial number 12, PIN block 16 (else zero)
    answer    type u8 (2: an authorisation), version u8 (1), terminal u32, journal id u16, serial u32, amount i32, nonce 16,
              decision u16 (0: approved, else an error code), balance i32, PINs left u8, offline allowance u32, server time u32;
              then an RSA-2048 signature over all of that

Terminal, journal id and serial are the request's id: whatever is repeated or late, the journal's record under that
id is what counts in the end. `firmware/docs/account.md` has the protocol around them.
"""

from struct import unpack_from

from micropython import const

from kassette.codec import rsa
from kassette.errors import Fault

MAGIC = b"KA1\0"
REQUEST = "<4sIHIIiHI16s32s12s16s"
REQUEST_LEN = 104
ANSWER = "<BBIHIi16sHiBII"
AUTHORISATION = 2
VERSION = 1
_ANSWER_LEN = const(47)

APPROVED = 0
HOST_SILENT = 502  # other decisions: error codes
FROZEN = 301
EXPIRED = 302
SHORT = 303
OVER_LIMIT = 305
UNKNOWN = 308
REPLACED = 309
PIN_NEEDED = 310
PIN_WRONG = 311
PIN_LOCKED = 312
TOO_LATE = 313  # the journal has told already what became of the sale

_E_NONSENSE = const(504)
_E_SIGNATURE = const(505)
_E_MISMATCH = const(506)


def open_answer(answer, modulus, terminal: int, journal_id: int, serial: int, amount: int, nonce):
    """Check an answer's body and return (decision, balance, PINs left, offline allowance, server time).

    Raises Fault: 505 not signed by the owner of `modulus`, 504 of a shape unknown here, 506 for another sale or amount, or in
    answer to another request.
    """
    view = memoryview(answer)
    signed = len(view) - rsa.LENGTH
    if signed != _ANSWER_LEN:
        raise Fault(_E_NONSENSE, len(view))
    if not rsa.is_signed(view[:signed], view[signed:], modulus):
        raise Fault(_E_SIGNATURE)
    told = unpack_from(ANSWER, view, 0)
    if told[0] != AUTHORISATION or told[1] != VERSION:
        raise Fault(_E_NONSENSE, told[0])
    if told[2:7] != (terminal, journal_id, serial, amount, nonce):
        raise Fault(_E_MISMATCH, serial)
    return told[7:]
