"""One purse sale through libfreefare: freefare_sale.py PORT KEY AMOUNT RECORD (a process of its own, it may crash).

Prints the balance before and after and the newest record, as libfreefare read them with its own cryptography.
"""

import ctypes
import json
import sys

PLAIN, MACED, ENCIPHERED = 0, 1, 3
_AID = 0x54534B  # 4B 53 54 on the wire
_VALUE_FILE, _RECORD_FILE, _DEBIT_KEY = 2, 3, 1

nfc = ctypes.CDLL("libnfc.so.6")
freefare = ctypes.CDLL("libfreefare.so.0")
Pointer = ctypes.c_void_p
for library, name, result, arguments in (
    (nfc, "nfc_init", None, [ctypes.POINTER(Pointer)]),
    (nfc, "nfc_open", Pointer, [Pointer, ctypes.c_char_p]),
    (nfc, "nfc_close", None, [Pointer]),
    (nfc, "nfc_exit", None, [Pointer]),
    (freefare, "freefare_get_tags", ctypes.POINTER(Pointer), [Pointer]),
    (freefare, "freefare_strerror", ctypes.c_char_p, [Pointer]),
    (freefare, "mifare_desfire_connect", ctypes.c_int, [Pointer]),
    (freefare, "mifare_desfire_disconnect", ctypes.c_int, [Pointer]),
    (freefare, "mifare_desfire_aid_new", Pointer, [ctypes.c_uint32]),
    (freefare, "mifare_desfire_select_application", ctypes.c_int, [Pointer, Pointer]),
    (freefare, "mifare_desfire_aes_key_new_with_version", Pointer, [ctypes.c_char_p, ctypes.c_uint8]),
    (freefare, "mifare_desfire_authenticate_aes", ctypes.c_int, [Pointer, ctypes.c_uint8, Pointer]),
    (freefare, "mifare_desfire_get_value", ctypes.c_int, [Pointer, ctypes.c_uint8, ctypes.POINTER(ctypes.c_int32)]),
    (freefare, "mifare_desfire_debit_ex", ctypes.c_int, [Pointer, ctypes.c_uint8, ctypes.c_int32, ctypes.c_int]),
    (
        freefare,
        "mifare_desfire_write_record",
        ctypes.c_ssize_t,
        [Pointer, ctypes.c_uint8, ctypes.c_long, ctypes.c_size_t, ctypes.c_char_p],
    ),
    (
        freefare,
        "mifare_desfire_read_records",
        ctypes.c_ssize_t,
        [Pointer, ctypes.c_uint8, ctypes.c_long, ctypes.c_size_t, ctypes.c_char_p],
    ),
    (freefare, "mifare_desfire_commit_transaction", ctypes.c_int, [Pointer]),
):
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments


def done(tag, name, *arguments):
    """Call a libfreefare function; its result. Raises SystemExit with libfreefare's words when it is negative."""
    result = getattr(freefare, name)(tag, *arguments)
    if result < 0:
        sys.exit("%s: %s" % (name, freefare.freefare_strerror(tag).decode()))
    return result


def balance(tag):
    value = ctypes.c_int32()
    done(tag, "mifare_desfire_get_value", _VALUE_FILE, ctypes.byref(value))
    return value.value


def sale(tag, key, amount, record):
    done(tag, "mifare_desfire_connect")
    done(tag, "mifare_desfire_select_application", freefare.mifare_desfire_aid_new(_AID))
    aes_key = freefare.mifare_desfire_aes_key_new_with_version(key, 0)
    done(tag, "mifare_desfire_authenticate_aes", _DEBIT_KEY, aes_key)
    before = balance(tag)
    done(tag, "mifare_desfire_debit_ex", _VALUE_FILE, amount, MACED)
    done(tag, "mifare_desfire_write_record", _RECORD_FILE, 0, len(record), record)
    done(tag, "mifare_desfire_commit_transaction")
    newest = ctypes.create_string_buffer(64)
    done(tag, "mifare_desfire_read_records", _RECORD_FILE, 0, 1, newest)
    after = balance(tag)
    done(tag, "mifare_desfire_disconnect")
    return {"before": before, "after": after, "newest": newest.raw[:32].hex()}


def main():
    port, key, amount, record = sys.argv[1:]
    context = Pointer()
    nfc.nfc_init(ctypes.byref(context))
    device = nfc.nfc_open(context, b"pn532_uart:" + port.encode()) or sys.exit("nfc_open failed")
    tag = freefare.freefare_get_tags(device)[0] or sys.exit("no card")
    print(json.dumps(sale(tag, bytes.fromhex(key), int(amount), bytes.fromhex(record))))
    nfc.nfc_close(device)
    nfc.nfc_exit(context)


if __name__ == "__main__":
    main()
