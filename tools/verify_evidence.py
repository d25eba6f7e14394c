#!/usr/bin/env python3
"""Verifies a file of evidence offline. Written from docs/protocols/evidence.md and log.md alone, not from the Rust code.

    verify_evidence.py FILE [--policy FILE] [--document FILE]... [--json]

Exit code: 0 proven, 1 malformed (or the arguments are), 2 contradiction, 3 insufficient. A number in a comment is a rule
of evidence.md, section 3. Needs the package `cryptography`.
"""
import argparse, base64, hashlib, json, re, sys  # noqa: E401
from collections import defaultdict, namedtuple
from itertools import combinations
from types import SimpleNamespace

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.hashes import SHA256

CODECS = {b"\xed\x01": "EdDSA", b"\x80\x24": "ES256", b"\xe7\x01": "ES256K"}
CURVES = {"ES256": ec.SECP256R1(), "ES256K": ec.SECP256K1()}
JWK_ALGS = {"Ed25519": "EdDSA", "P-256": "ES256", "secp256k1": "ES256K"}
RECEIPT = "https://comity.dev/protocols/receipt/1.0/receipt"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
Signed = namedtuple("Signed", "alg kid payload signed signature")  # a JWS
Good = namedtuple("Good", "document kid key payload")  # a signature that verified, and by what

# --- Texts. Whatever is not as expected is a ValueError, by `refuse`.
def refuse(why): raise ValueError(why)
def sha256(*parts): return hashlib.sha256(b"".join(parts)).digest()
def canonical(value): return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
def unique(pairs): return dict(pairs) if len(dict(pairs)) == len(pairs) else refuse("a name occurs twice")

def parse(data):
    try: return json.loads(data if isinstance(data, str) else data.decode(), object_pairs_hook=unique, parse_constant=refuse)
    except RecursionError: raise ValueError("it is nested too deeply") from None

def member(value, name, kind, default=...):
    """A member of an object that may have others; null counts as absent."""
    found = value.get(name) if isinstance(value, dict) else refuse("it is not an object")
    if found is None and default is not ...: return default
    return found if isinstance(found, kind) else refuse(f"{name} is missing or of another type")

def b64u(data): return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
def un64(text, url=True):
    data = base64.b64decode(text + "=" * (-len(text) % 4 if url else 0), b"-_" if url else None)
    return data if (b64u(data) if url else base64.b64encode(data).decode()) == text else refuse("it is not base64")

def base58(text, limit=200):
    if len(text) > limit or not re.fullmatch(f"z[{BASE58}]+", text): refuse("it is not base58btc")
    number, zeros = 0, len(text) - len(text[1:].lstrip("1")) - 1
    for letter in text[1:]: number = number * 58 + BASE58.index(letter)
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")

# --- 2. A shape is a dict of members ("name?": optional), a list of one shape, or a function that reads.
def read(value, shape, where="the file"):
    if isinstance(shape, list):
        return [read(v, shape[0], f"{where}[{i}]") for i, v in enumerate(member({where: value}, where, list))]
    if not isinstance(shape, dict):
        try: return shape(value)
        except ValueError as error: raise ValueError(f"{where}: {error}") from None
    if not isinstance(value, dict) or not value.keys() <= {n.rstrip("?") for n in shape} \
            or not {n for n in shape if n[-1] != "?"} <= value.keys(): refuse(f"{where} has not the right members")
    found = {n.rstrip("?"): shape[n] for n in shape if n.rstrip("?") in value}
    absent = {n[:-1]: None for n in shape if n[-1] == "?"}
    return SimpleNamespace(**absent | {n: read(value[n], found[n], f"{where}.{n}") for n in found})

def text(value): return value if isinstance(value, str) else refuse("it is not a text")
def filled(value): return text(value) or refuse("it is empty")
def number(value): return value if type(value) is int and 0 <= value < 2**53 else refuse("it is not a number")
def one(value): return value if value == 1 == number(value) else refuse("it is not 1")
def word(*words): return lambda value: value if text(value) in words else refuse("it is none of the known words")
def tag(value): return value if len(text(value)) == 16 else refuse("it is not a tag")
def did(value): return value if re.fullmatch(r"did:[a-z0-9]+:[\w.:%-]+", text(value), re.A) else refuse("it is not a DID")
def blob(size): return lambda value: data if len(data := un64(text(value))) == size else refuse("it has another length")

class VKey:
    def __init__(self, value, kind):
        self.name, key_id, key = text(value).split("+", 2)
        self.text, raw = value, un64(key, url=False)
        self.id, self.kind, self.public = sha256(self.name.encode(), b"\n", raw)[:4], raw[:1], raw[1:]
        if not re.fullmatch(r"\S+", self.name) or len(raw) != 33 or self.kind != kind or self.id.hex() != key_id:
            refuse("it is not a vkey of that type")

def log_key(value): return VKey(value, b"\x01")
def witness_key(value): return VKey(value, b"\x04")

class Checkpoint:
    def __init__(self, note):
        body, _, lines = text(note).rpartition("\n\n")
        self.origin, size, root, *more = body.split("\n")
        found = re.findall(r"— ([^\s+]+) (\S+)\n", lines)
        self.signatures = [(name, un64(signature, url=False)) for name, signature in found]
        self.size, self.root, self.body = int(size), un64(root, url=False), (body + "\n").encode()
        if re.search(r"[\0-\x09\x0b-\x1f]", note) or "".join(f"— {n} {s}\n" for n, s in found) != lines \
                or not 0 < len(found) <= 64 or any(len(s) < 5 for _, s in self.signatures): refuse("it is not a signed note")
        if not self.origin or str(number(self.size)) != size or len(self.root) != 32 or "" in more: refuse("no checkpoint")

    def times(self, key):
        """Of each signature with the name and id of the key: its time (1 if it is by a log), or None if it is false."""
        return [self.time(key, s[4:]) for name, s in self.signatures if name == key.name and s[:4] == key.id]

    def time(self, key, signature):
        time, signed = 1, self.body
        if key.kind == b"\x04":
            time, signature = int.from_bytes(signature[:8], "big"), signature[8:]
            signed = b"cosignature/v1\ntime %d\n" % time + signed
        return time if time < 2**63 and verifies(("EdDSA", key.public), signature, signed) else None

def jws(typ, claims):
    def reader(value):
        head, body, signature = text(value).split(".")
        header = parse(un64(head))
        if member(header, "typ", str) != typ or "crit" in header: refuse("it has another typ")
        return Signed(member(header, "alg", str), member(header, "kid", str), read(parse(un64(body)), claims, "payload"),
                      f"{head}.{body}".encode(), un64(signature))
    return reader

def selection(value):
    shapes = {"thread": text, "with": did, "numbers": {"from": number, "to": number}}
    name = next((n for n in shapes if isinstance(value, dict) and n in value), "thread")
    return read(value, {name: shapes[name]}, "selection")

def statement(value):
    if canonical(parse(text(value))) != value.encode(): refuse("it is not in the form of RFC 8785")
    act = member(parse(value), "act", str)
    salt = {} if act in ("sent", "received", "receipt") else {"salt": blob(16)}
    absent = dict.fromkeys(["thid", "pthid", "type", "document", "ground", "code", "salt"])
    return SimpleNamespace(**absent | vars(read(parse(value), STATEMENT | salt | ACTS.get(act, {}), "statement")), text=value)

MESSAGE = {"thid?": filled, "pthid?": filled, "type?": filled}
DOCUMENT = {"document?": blob(32)}
GROUND = word("allow-list", "approved", "grant", "known-for-long", "open-policy", "own-home", "thread", "vouches")
ACTS = {"sent": MESSAGE, "received": MESSAGE | DOCUMENT | {"ground?": GROUND}, "receipt": MESSAGE | DOCUMENT,
        "refused": MESSAGE | DOCUMENT | {"code?": text}, "document": DOCUMENT, "key-changed": DOCUMENT}
STATEMENT = {"v": one, "act": word(*ACTS, "decided", "granted", "revoked", "policy"), "agent": did, "peer": did, "id": text,
             "at": number, "digest": blob(32)}
HEAD = {"entry": blob(32), "iat": number, "iss": did, "log": log_key, "seq": number}
SHOWN = {"checkpoint": number, "index": number, "object?": {"salt": blob(16), "text": text}, "proof": [blob(32)],
         "seq": number, "text": statement}
EXPORT = {"agent": did, "node": did, "at": number, "log": log_key, "witness": witness_key, "witnesses": [witness_key],
          "selection": selection, "since": number, "prev": blob(32), "witnessed": [Checkpoint], "statements": [SHOWN],
          "links": [{"peer": tag, "statement": blob(32), "thread": tag}], "head": jws("comity-head+jwt", HEAD),
          "checkpoints": [{"consistency": [blob(32)], "note": Checkpoint}]}
SIGNATURE = jws("comity-evidence+jwt", {"iat": number, "iss": did, "sha256": blob(32)})
BUNDLE = {"format": word("comity-evidence/1"), "parts": [{"export": EXPORT, "signature": SIGNATURE}]}
ENTRY = {"id": text, "from": did, "to": did, "at": number, "digest": text,
         "state": word("accepted", "received", "processed", "refused", "expired")}

def bundle(data):
    value = parse(data) if len(data) <= 512 << 20 else refuse("the file is too large")
    if data not in (canonical(value), canonical(value) + b"\n"): refuse("the file is not in the form of RFC 8785")  # 1
    parts = read(value, BUNDLE).parts
    if not 1 <= len(parts) <= 64: refuse("the file has no parts, or too many")
    return [Export(part, canonical(raw["export"])) for part, raw in zip(parts, value["parts"])]

# --- Keys, documents, signed messages
def verifies(key, signature, signed):
    alg, public = key
    try:
        if alg == "EdDSA": ed25519.Ed25519PublicKey.from_public_bytes(public).verify(signature, signed)
        else:
            pair = utils.encode_dss_signature(*(int.from_bytes(half, "big") for half in (signature[:32], signature[32:])))
            point = ec.EllipticCurvePublicKey.from_encoded_point(CURVES[alg], public)
            point.verify(pair, signed, ec.ECDSA(SHA256()))
        return len(signature) == 64
    except (InvalidSignature, ValueError): return False

def multikey(value): return CODECS.get(base58(value)[:2]) or refuse("unknown kind of key"), base58(value)[2:]

def jwk(key):
    alg, x = JWK_ALGS.get(member(key, "crv", str)) or refuse("unknown kind of key"), un64(member(key, "x", str))
    return (alg, x) if alg == "EdDSA" else (alg, bytes([2 + un64(member(key, "y", str))[-1] % 2]) + x)

def method_key(method):
    try: return multikey(method["publicKeyMultibase"]) if member(method, "publicKeyMultibase", str, "") else \
        jwk(member(method, "publicKeyJwk", dict))
    except (ValueError, IndexError): return None  # a kind of key that is not known here

def short(name): return re.sub(r"^(did:peer:4z\w+):z\w+", r"\1", name, flags=re.A)

class Document:
    def __init__(self, content, of=None):
        doc, self.text = parse(content), content
        self.names = [of or did(member(doc, "id", str)), *member(doc, "alsoKnownAs", list, [])]
        self.id, controller = short(self.names[0]), member(doc, "controller", (str, list), [])
        self.controllers = [controller] if isinstance(controller, str) else controller
        methods, self.keys = {}, {}
        for method in member(doc, "verificationMethod", list, []):
            methods.setdefault(self.absolute(member(method, "id", str)), method_key(method))
        for entry in member(doc, "authentication", list, []):
            name = self.absolute(entry if isinstance(entry, str) else member(entry, "id", str))
            self.keys.setdefault(name, methods.get(name) if isinstance(entry, str) else method_key(entry))

    def absolute(self, name): return self.id + name if name[:1] == "#" else short(name)

    def verify(self, jws, payload=None):
        """What is to be known of the signature, if a key of this document made it."""
        kid = short(jws.kid)
        key = self.keys.get(kid) if kid.startswith(self.id + "#") else None
        return Good(self, kid, key, payload) if key and key[0] == jws.alg and verifies(key, jws.signature, jws.signed) else None

def own_keys(name, document):
    """28: the keys that a DID itself says. The long form of a did:peer:4 is among the names in its document."""
    kind, _, value = name.removeprefix("did:").partition(":")
    try:
        if kind == "key" or name.startswith("did:peer:0"): return [multikey(value[value.index("z"):])]
        if kind == "jwk": return [jwk(parse(un64(value)))]
        if name.startswith("did:peer:2"): return [multikey(part[1:]) for part in value.split(".") if part[:1] == "V"]
        for long in document.names if name.startswith("did:peer:4") else []:
            content = text(long)[len(name) + 1:]
            if short(long) == name != long and base58(value[1:]) == b"\x12\x20" + sha256(content.encode()):
                return Document(base58(content, 100_000).removeprefix(b"\x80\x04"), of=long).keys.values()
    except (ValueError, IndexError): pass
    return []

def signed_message(content):
    """A DIDComm signed message in the JSON serialisation with one signature, and the JSON in it."""
    [one_signature], payload = member(parse(content), "signatures", list), member(parse(content), "payload", str)
    protected, other = member(one_signature, "protected", str), member(one_signature, "header", dict, {})
    header = parse(un64(protected))
    kid = member(header, "kid", str, None) or member(other, "kid", str)
    if member(other, "kid", str, kid) != kid or "crit" in header: refuse("its headers cannot be followed")
    signature = un64(member(one_signature, "signature", str))
    return Signed(member(header, "alg", str), kid, un64(payload), f"{protected}.{payload}".encode(), signature), parse(un64(payload))

# --- Merkle trees (RFC 6962, sections 2.1.1 and 2.1.2); proofs are read from their ends
def split(size): return 1 << (size - 1).bit_length() - 1

def root(leaf, index, size, proof):
    """The root that an inclusion proof leads to, or None."""
    if size == 1: return leaf if not proof else None
    if not proof: return None
    right = index >= split(size)
    below = root(leaf, index - split(size), size - split(size), proof[:-1]) if right else \
        root(leaf, index, split(size), proof[:-1])
    return below and (sha256(b"\1", proof[-1], below) if right else sha256(b"\1", below, proof[-1]))

def roots(old, new, proof, known):
    """Both roots that a consistency proof leads to; `known` is the old one while the old tree is complete in this one."""
    if old == new: return (known, known) if known else (proof.pop(), ) * 2
    last = proof.pop()
    if old <= split(new):
        first, second = roots(old, split(new), proof, known)
        return first, sha256(b"\1", second, last)
    first, second = roots(old - split(new), new - split(new), proof, None)
    return sha256(b"\1", last, first), sha256(b"\1", last, second)

def consistent(old, new, proof):
    try: return not proof if old.size == 0 else roots(old.size, new.size, rest := list(proof), old.root) == (old.root, new.root) and not rest
    except IndexError: return False
