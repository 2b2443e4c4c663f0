"""Keys, and values sealed with them. Imports nothing of ours; opens files only in two of its own.

Reading order:

    sealed     the sealed value, format version 1: DataKey opens, ColumnKeys seals (the hot path)
    order      order terms: bytes that sort as the values do
    long       the same for values of many megabytes, in steps
    terms      further search terms: what stands between header and nonce
    grams      terms of n-grams
    order      terms that sort as values do
    keyset     all columns' keys in one frozen value
    key        one key: its purpose, version and state
    keystore   [io] the keystore file: create, load, add_columns, add_version
    document   what is in that file, and why it can be trusted
    source     where the root key is
    rootkey    [io] the root key, from there
    _files     [io] writing whole files, owner-only, locked
    _raw       key bytes; nothing outside this package imports it
    errors     KeystoreError (the operator's), TamperedValue (a stored value's)

A data key belongs to one column; a sealed value names its data key. To open one:

    if looks_sealed(value):
        key = keyset.data_keys.get(key_id(value))   # None: no key of ours sealed it
        plaintext = key.open(value)                 # or TamperedValue
"""

from keystore.errors import KeystoreError, TamperedKeystore, TamperedValue, WrongRootKey
from keystore.key import KeyState
from keystore.keyset import Keyset, generate
from keystore.keystore import add_columns, add_version, create, load
from keystore.rootkey import RootKey, create_root_key, load_root_key
from keystore.sealed import ColumnKeys, DataKey, cell_id, key_id, looks_sealed
from keystore.source import RootKeySource

__all__ = [
    "ColumnKeys",
    "DataKey",
    "KeyState",
    "Keyset",
    "KeystoreError",
    "RootKey",
    "RootKeySource",
    "TamperedKeystore",
    "TamperedValue",
    "WrongRootKey",
    "add_columns",
    "add_version",
    "cell_id",
    "create",
    "create_root_key",
    "generate",
    "key_id",
    "load",
    "load_root_key",
    "looks_sealed",
]
