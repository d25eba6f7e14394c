#!/usr/bin/env python3
"""Verifies a file of evidence, offline. Written from docs/protocols/evidence.md and log.md, and not from the Rust code.

    verify_evidence.py FILE [--policy FILE] [--document FILE]... [--json]

Exit code: 0 proven, 1 malformed (also: a file cannot be read), 2 contradiction, 3 insufficient. A number in a comment,
or in a call of `check` (C) or `need` (I), is a rule of evidence.md, section 3. Needs the package `cryptography`.
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
RECEIPT = "https://comity.dev/protocols/receipt/1.0/receipt"
VKey = namedtuple("VKey", "text name id kind public")
Signed = namedtuple("Signed", "alg kid payload claims signed signature")  # a JWS; the claims are the payload as JSON
Good = namedtuple("Good", "document kid key payload")  # a signature that verified, and by what

# --- Texts. What is not as it should be is a ValueError, by `refuse`.
def refuse(why): raise ValueError(why)
def sha256(*parts): return hashlib.sha256(b"".join(parts)).digest()
def canonical(value): return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
def unique(pairs): return dict(pairs) if len(dict(pairs)) == len(pairs) else refuse("a name occurs twice")
def parse(data):
    try: return json.loads(data.decode(), object_pairs_hook=unique, parse_constant=refuse)
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
        if isinstance(shape, list): return [read(item, shape[0], "item") for item in member({"": value}, "", list)]
        if not isinstance(shape, dict): return shape(value)
        names = {name.rstrip("?"): name for name in shape}
        if member({"": value}, "", dict).keys() - names or {*shape} & {*names} - {*value}: refuse("its members are others")
        return SimpleNamespace(**{n: read(value[n], shape[s], n) if n in value else None for n, s in names.items()})
    except ValueError as error: raise ValueError(f"{where}: {error}") from None
def text(value): return value if isinstance(value, str) else refuse("it is not a text")
def filled(value): return text(value) or refuse("it is empty")
def number(value): return value if type(value) is int and 0 <= value < 2**53 else refuse("it is not a number")
def one_of(*words): return lambda value: value if value in words and value is not True else refuse("it is not known")
def tag(value): return value if len(text(value)) == 16 else refuse("it is not a tag")
def did(value): return value if re.fullmatch(r"did:[a-z0-9]+:[\w.:%-]+", text(value), re.A) else refuse("it is no DID")
def blob(size): return lambda value: data if len(data := un64u(text(value))) == size else refuse("it has another length")
def vkey(kind):
    def reader(value):
        name, key_id, key = text(value).split("+", 2)
        found = VKey(value, name, sha256(name.encode(), b"\n", un64(key))[:4], un64(key)[:1], un64(key)[1:])
        good = re.fullmatch(r"\S+", name) and (found.kind, found.id.hex(), len(found.public)) == (kind, key_id, 32)
        return found if good else refuse("it is not a vkey of its type")
    return reader
LOG_KEY, WITNESS_KEY = vkey(b"\1"), vkey(b"\4")

class Checkpoint:
    def __init__(self, note):
        body, _, lines = text(note).rpartition("\n\n")
        found = re.findall(r"— ([^\s+]+) (\S+)\n", lines)
        self.signatures = [(name, un64(signature)) for name, signature in found if len(un64(signature)) > 4]
        if "".join(f"— {name} {signature}\n" for name, signature in found) != lines or re.search(r"[\0-\t\v-\x1f]", note) \
                or len(self.signatures) != len(found) or not 1 <= len(found) <= 64: refuse("it is no signed note")
        self.origin, size, root, *more = body.split("\n")
        self.size, self.root, self.body = number(int(size)), un64(root), (body + "\n").encode()
        if not self.origin or str(self.size) != size or len(self.root) != 32 or "" in more: refuse("it is no checkpoint")
    def times(self, key):
        """Of each signature with the name and id of the key: its time (of a log: 1), or None if it does not verify."""
        return [self.time(key, s[4:]) for name, s in self.signatures if (name, s[:4]) == (key.name, key.id)]
    def time(self, key, signature):
        if key.kind == b"\1": return 1 if verifies("EdDSA", key.public, signature, self.body) else None
        time, head = int.from_bytes(signature[:8], "big"), b"cosignature/v1\ntime %d\n"
        return time if time < 2**63 and verifies("EdDSA", key.public, signature[8:], head % time + self.body) else None

def signed(protected, payload, signature, other, typ=None):
    header = parse(un64u(protected))
    kid = member(header, "kid", str, None) or member(other, "kid")
    if "crit" in header or member(other, "kid", str, kid) != kid or typ not in (None, header.get("typ")): refuse("its header")
    return Signed(member(header, "alg"), kid, un64u(payload), member({"": parse(un64u(payload))}, "", dict),
                  f"{protected}.{payload}".encode(), un64u(signature))
def jws(typ): return lambda value: signed(*(value.split(".") if text(value).count(".") == 2 else refuse("no JWS")), {}, typ)
def signed_message(content):
    message = parse(content.encode())
    [one] = member(message, "signatures", list)
    return signed(member(one, "protected"), member(message, "payload"), member(one, "signature"), member(one, "header", dict, {}))
def statement(value):
    return read(parse(value.encode()), STATEMENT) if canonical(parse(text(value).encode())) == value.encode() else refuse("it")

STATEMENT = {"v": one_of(1), "agent": did, "peer": did, "id": text, "at": number, "digest": blob(32), "salt?": blob(16),
             "thid?": filled, "pthid?": filled, "type?": filled, "document?": blob(32), "code?": text,
             "act": one_of("sent", "received", "refused", "receipt", "decided", "granted", "revoked", "document",
                           "key-changed", "policy"),
             "ground?": one_of("allow-list", "approved", "grant", "known-for-long", "open-policy", "own-home", "thread",
                               "vouches")}
SHOWN = {"checkpoint": number, "index": number, "object?": {"salt": blob(16), "text": text}, "proof": [blob(32)],
         "seq": number, "text": text}
EXPORT = {"agent": did, "node": did, "at": number, "log": LOG_KEY, "witness": WITNESS_KEY, "witnesses": [WITNESS_KEY],
          "selection": {"thread?": text, "with?": did, "numbers?": {"from": number, "to": number}}, "since": number,
          "prev": blob(32), "links": [{"peer": tag, "statement": blob(32), "thread": tag}], "head": jws("comity-head+jwt"),
          "checkpoints": [{"consistency": [blob(32)], "note": Checkpoint}], "statements": [SHOWN], "witnessed": [Checkpoint]}
BUNDLE = {"format": one_of("comity-evidence/1"), "parts": [{"export": EXPORT, "signature": jws("comity-evidence+jwt")}]}
RECEIPTS = {"id": text, "from": text, "to": text, "at": number, "digest": text, "log_index?": number,
            "state": one_of("accepted", "received", "processed", "refused", "expired")}

# --- Keys and documents
def verifies(alg, public, signature, content):
    try:
        if alg == "EdDSA": ed25519.Ed25519PublicKey.from_public_bytes(public).verify(signature, content)
        else:
            pair = utils.encode_dss_signature(*(int.from_bytes(half, "big") for half in (signature[:32], signature[32:])))
            point = ec.EllipticCurvePublicKey.from_encoded_point(CURVES[alg], public)
            point.verify(pair, content, ec.ECDSA(SHA256()))
        return len(signature) == 64
    except (InvalidSignature, ValueError): return False
def multikey(value): return CODECS.get(un58(value)[:2]) or refuse("its kind is not known"), un58(value)[2:]
def jwk(key):
    alg, x = JWK_ALGS.get(member(key, "crv")) or refuse("its curve is not known"), un64u(member(key, "x"))
    if alg == "EdDSA": return alg, x
    point = ec.EllipticCurvePublicKey.from_encoded_point(CURVES[alg], b"\4" + x + un64u(member(key, "y")))
    return alg, bytes([2 + point.public_numbers().y % 2]) + x
def method_key(method):
    try: return jwk(method["publicKeyJwk"]) if "publicKeyJwk" in method else multikey(member(method, "publicKeyMultibase"))
    except ValueError: return None  # of a kind that is not known here
def short(name): return re.sub(r"^(did:peer:4z\w+):z\w+", r"\1", name, flags=re.A)

class Document:
    def __init__(self, content, of=None):
        doc, self.text = parse(content), content
        self.names = [of or did(member(doc, "id")), *member(doc, "alsoKnownAs", list, [])]
        self.id, self.controllers = short(self.names[0]), member(doc, "controller", (str, list), [])
        methods, self.keys = {}, {}  # the keys under `authentication`
        for method in member(doc, "verificationMethod", list, []):
            methods.setdefault(self.absolute(member(method, "id")), method_key(method))
        for entry in member(doc, "authentication", list, []):
            name = self.absolute(entry if isinstance(entry, str) else member(entry, "id"))
            self.keys.setdefault(name, methods.get(name) if isinstance(entry, str) else method_key(entry))
    def absolute(self, name): return self.id + name if name[:1] == "#" else short(name)
    def verify(self, jws):
        kid = short(jws.kid)
        key = self.keys.get(kid) if kid.startswith(self.id + "#") else None
        good = key and key[0] == jws.alg and verifies(*key, jws.signature, jws.signed)
        return Good(self, kid, key, jws.payload) if good else None

def own_keys(name, document):
    """28: the keys that a DID itself says. The long form of a did:peer:4 is to be found in its document."""
    _, method, value = name.split(":", 2)
    try:
        if method == "key": return [multikey(value)]
        if method == "jwk": return [jwk(parse(un64u(value)))]
        if method == "peer" and value[0] == "2": return [multikey(p[1:]) for p in value.split(".") if p[0] == "V"]
        for long in document.names if method == "peer" else []:
            content = text(long)[len(name) + 1:]
            if short(long) == name and un58(value[1:]) == b"\x12\x20" + sha256(content.encode()):
                return Document(un58(content, 100_000).removeprefix(b"\x80\x04"), of=long).keys.values()
    except (ValueError, IndexError): pass
    return []

# --- Merkle trees (RFC 6962, sections 2.1.1 and 2.1.2). The last hash of a proof is the one next to the root.
def half(size): return 1 << (size - 1).bit_length() - 1
def path(index, size, proof, leaf):
    """The root that an inclusion proof leads to."""
    if size == 1: return leaf
    left, last = half(size), proof.pop()
    if index < left: return sha256(b"\1", path(index, left, proof, leaf), last)
    return sha256(b"\1", last, path(index - left, size - left, proof, leaf))
def roots(old, new, proof, known):
    """Both roots that a consistency proof leads to. The old one is known as long as the old tree is a left part."""
    if old == new: return (known or proof.pop(),) * 2
    left, last = half(new), proof.pop()
    first, second = roots(old, left, proof, known) if old <= left else roots(old - left, new - left, proof, None)
    return (first, sha256(b"\1", second, last)) if old <= left else (sha256(b"\1", last, first), sha256(b"\1", last, second))
def follow(walk, start, end, proof, known):
    rest = list(proof)
    try: result = walk(start, end, rest, known)
    except IndexError: return None
    return None if rest else result
