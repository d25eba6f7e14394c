#!/usr/bin/env python3
"""Verifies a file of evidence, offline. Written from docs/protocols/evidence.md and log.md, and not from the Rust code.

    verify_evidence.py FILE [--policy FILE] [--document FILE]... [--json]

Exit code: 0 proven, 1 malformed (also: a file cannot be read), 2 contradiction, 3 insufficient. A number in a comment,
and in a call of `check` (C) and `need` (I), is a rule of evidence.md, section 3. Needs the package `cryptography`.
"""
import argparse, base64, hashlib, json, re, sys  # noqa: E401
from collections import defaultdict, namedtuple
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.hashes import SHA256

CODECS = {b"\xed\x01": "EdDSA", b"\x80\x24": "ES256", b"\xe7\x01": "ES256K"}
CURVES = {"ES256": ec.SECP256R1(), "ES256K": ec.SECP256K1()}
JWK_ALGS = {"Ed25519": "EdDSA", "P-256": "ES256", "secp256k1": "ES256K"}
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
Signed = namedtuple("Signed", "alg kid payload signed signature")  # a JWS; payload: what it says
Good = namedtuple("Good", "document kid key payload")  # a signature that verified, and by what

# --- Texts (1). What is not as it should be is a ValueError, by `refuse`.
def refuse(why): raise ValueError(why)
def sha256(*parts): return hashlib.sha256(b"".join(parts)).digest()
def canonical(value): return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
def unique(pairs): return dict(pairs) if len(dict(pairs)) == len(pairs) else refuse("a name occurs twice")
def parse(data):
    try: return json.loads(bytes(data).decode(), object_pairs_hook=unique, parse_constant=refuse)
    except RecursionError: raise ValueError("it is nested too deeply") from None

def member(value, name, kind=str, default=...):
    """A member of an object that may have others as well; null counts as absent."""
    found = value.get(name) if isinstance(value, dict) else refuse("it is not an object")
    if found is None and default is not ...: return default
    return found if isinstance(found, kind) else refuse(f"{name} is missing or of another type")

def b64u(data): return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
def un64u(value):
    data = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    return data if b64u(data) == value else refuse("it is not base64url")

def un64(value):
    data = base64.b64decode(value)
    return data if base64.b64encode(data).decode() == value else refuse("it is not base64")

def un58(value, limit=200):
    if len(value) > limit or not re.fullmatch(f"z[{BASE58}]+", value): refuse("it is not base58btc")
    number, zeros = 0, len(value) - len(value[1:].lstrip("1")) - 1
    for letter in value[1:]: number = number * 58 + BASE58.index(letter)
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")

# --- Form (2). A shape is a dict of members ("name?" is optional), a list of one shape, or a function that reads.
def read(value, shape, where="file"):
    try:
        if isinstance(shape, list): return [read(item, shape[0]) for item in member({"list": value}, "list", list)]
        if not isinstance(shape, dict): return shape(value)
        names = {name.rstrip("?"): name for name in shape}
        if not isinstance(value, dict) or value.keys() - names or names.keys() - value & {*shape}: refuse("other members")
        return SimpleNamespace(**{n: read(value[n], shape[s], n) if n in value else None for n, s in names.items()})
    except ValueError as error: raise ValueError(f"{where}: {error}") from None

def text(value): return value if isinstance(value, str) else refuse("it is not a text")
def filled(value): return text(value) or refuse("it is empty")
def number(value): return value if type(value) is int and 0 <= value < 2**53 else refuse("it is not a number")
def one_of(*words): return lambda value: value if value in words else refuse("it is nothing that is known")
def tag(value): return value if len(text(value)) == 16 else refuse("it is not a tag")
def did(value): return value if re.fullmatch(r"did:[a-z0-9]+:[\w.:%-]+", text(value), re.A) else refuse("it is not a DID")
def blob(size): return lambda value: data if len(data := un64u(text(value))) == size else refuse("it has another length")

VKey = namedtuple("VKey", "text name id kind public")
def vkey(kind):
    def reader(value):
        name, key_id, raw = text(value).split("+", 2)
        key = VKey(value, name, sha256(name.encode(), b"\n", un64(raw))[:4], un64(raw)[0], un64(raw)[1:])
        good = re.fullmatch(r"\S+", name) and key.kind == kind and len(key.public) == 32 and key.id.hex() == key_id
        return key if good else refuse("it is not a vkey of its type")
    return reader

class Checkpoint:
    def __init__(self, note):
        body, _, lines = text(note).rpartition("\n\n")
        found = re.findall(r"— ([^\s+]+) (\S+)\n", lines)
        self.origin, size, root, *more = (body + "\n\n").split("\n")[:-2]
