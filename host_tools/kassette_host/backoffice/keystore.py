"""The back office's keys in one file that a passphrase opens.

    {"format": 1, "scrypt": {"salt": base64, "n": .., "r": .., "p": ..}, "nonce": base64, "sealed": base64}

`sealed` is AES-256-GCM under scrypt(passphrase) over a JSON object of keys; everything else in the file is its
associated data, so that nobody can weaken the parameters. The device CA's own key lies in the directory of
`kassette_host.pki`, under the passphrase `ca_secret` that is kept here.
"""

import base64
import json
import os
import pathlib
import secrets
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from kassette_host.pki import modulus
from kassette_host.provision import kcv

FORMAT = 2
_BEFORE_ACCOUNTS = 1  # a store without the last three keys: it is given them when it is opened
KEY_VERSION = 1
_PURSE_KEYS = (0, 1, 2, 3)
_COST = {"n": 2**15, "r": 8, "p": 1}  # 32 MiB and 0.1 s
_COST_MAX = 2**20
_ACCOUNT_KEYS = {"pin_bdk": 16, "token_master": 16, "account_key": 32}
_PEM = serialization.Encoding.PEM


class KeyStoreError(Exception):
    """The file is no key store, or the passphrase is wrong; never names a key."""


@dataclass(frozen=True)
class KeyStore:
    """`purse_masters`: 16 bytes each for keys 0 (issuer), 1 (debit), 2 (credit), 3 (void). Its repr shows no key.

    `pin_bdk`: base derivation key of the terminals' PIN keys, 16 bytes. `token_master`: of the keys under which terminals
    name account numbers, 16. `account_key`: what account numbers and PINs are kept under here, 32.
    """

    purse_masters: dict[int, bytes] = field(repr=False)
    journal_master: bytes = field(repr=False)
    signing_key: rsa.RSAPrivateKey = field(repr=False)
    ca_secret: bytes = field(repr=False)
    pin_bdk: bytes = field(repr=False)
    token_master: bytes = field(repr=False)
    account_key: bytes = field(repr=False)

    @property
    def signer_modulus(self) -> bytes:
        """The public half of the signing key as terminals hold it: 256 bytes."""
        return modulus(self.signing_key.public_key())

    def sign(self, message: bytes) -> bytes:
        """The RSA-2048 signature (PKCS#1 v1.5, SHA-256) of `message`: 256 bytes."""
        return self.signing_key.sign(message, padding.PKCS1v15(), hashes.SHA256())

    def check_values(self) -> dict[str, str]:
        """The check value of each symmetric key, to compare by eye with a terminal's or a card's."""
        values = {"purse master K%d" % number: kcv(key) for number, key in sorted(self.purse_masters.items())}
        values |= {"journal master": kcv(self.journal_master), "PIN base derivation key": kcv(self.pin_bdk)}
        return values | {"token master": kcv(self.token_master), "account key": kcv(self.account_key)}


def generate() -> KeyStore:
    """New keys for a new issuer."""
    masters = {number: secrets.token_bytes(16) for number in _PURSE_KEYS}
    signing_key = rsa.generate_private_key(65537, 2048)
    ca_secret = secrets.token_hex(16).encode()
    return KeyStore(masters, secrets.token_bytes(16), signing_key, ca_secret, **_account_keys())


def _account_keys() -> dict[str, bytes]:
    return {name: secrets.token_bytes(length) for name, length in _ACCOUNT_KEYS.items()}


def save(keys: KeyStore, path: pathlib.Path, passphrase: str) -> None:
    """Write the store, whole or not at all, readable by its owner only."""
    head = {"format": FORMAT, "scrypt": {"salt": _text(secrets.token_bytes(16)), **_COST}}
    head["nonce"] = _text(secrets.token_bytes(12))
    sealed = AESGCM(_key(head, passphrase)).encrypt(_bytes(head["nonce"]), _pack(keys), _associated(head))
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(head | {"sealed": _text(sealed)}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def load(path: pathlib.Path, passphrase: str) -> KeyStore:
    """Open the store. Raises KeyStoreError."""
    try:
        head = json.loads(path.read_text())
        sealed = _bytes(head.pop("sealed"))
        if head["format"] not in (_BEFORE_ACCOUNTS, FORMAT):
            raise KeyStoreError("a key store of format %s, this program reads %d" % (head["format"], FORMAT))
        opened = AESGCM(_key(head, passphrase)).decrypt(_bytes(head["nonce"]), sealed, _associated(head))
        return _unpack(opened)
    except InvalidTag:
        raise KeyStoreError("wrong passphrase, or %s was changed" % path.name)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise KeyStoreError("%s is no key store" % path.name)


def open_or_create(path: pathlib.Path, passphrase: str) -> KeyStore:
    """The store at `path`, made with new keys when there is none, given what it lacks. Raises KeyStoreError."""
    if path.exists():
        keys = load(path, passphrase)
        if json.loads(path.read_text())["format"] != FORMAT:
            save(keys, path, passphrase)
        return keys
    path.parent.mkdir(parents=True, exist_ok=True)
    keys = generate()
    save(keys, path, passphrase)
    return keys


def _key(head: dict, passphrase: str) -> bytes:
    cost = head["scrypt"]
    if cost["n"] * cost["r"] * cost["p"] > _COST_MAX:
        raise ValueError("scrypt parameters out of range")
    scrypt = Scrypt(salt=_bytes(cost["salt"]), length=32, n=cost["n"], r=cost["r"], p=cost["p"])
    return scrypt.derive(passphrase.encode())


def _associated(head: dict) -> bytes:
    return json.dumps(head, sort_keys=True).encode()


def _pack(keys: KeyStore) -> bytes:
    signing = keys.signing_key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    opened = {
        "purse_masters": {str(number): key.hex() for number, key in keys.purse_masters.items()},
        "journal_master": keys.journal_master.hex(),
        "signing_key": signing.decode(),
        "ca_secret": keys.ca_secret.decode(),
        **{name: getattr(keys, name).hex() for name in _ACCOUNT_KEYS},
    }
    return json.dumps(opened).encode()


def _unpack(opened: bytes) -> KeyStore:
    values = json.loads(opened)
    signing_key = serialization.load_pem_private_key(values["signing_key"].encode(), None)
    if not isinstance(signing_key, rsa.RSAPrivateKey):
        raise ValueError("the signing key is RSA")
    masters = {int(number): bytes.fromhex(key) for number, key in values["purse_masters"].items()}
    accounts = {name: bytes.fromhex(values[name]) for name in _ACCOUNT_KEYS if name in values} or _account_keys()
    return KeyStore(
        masters, bytes.fromhex(values["journal_master"]), signing_key, values["ca_secret"].encode(), **accounts
    )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
