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
Signed = namedtuple("Signed", "alg kid payload claims signed signature")  # a JWS; its claims are its payload as JSON
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
def un64(value, url=True):
    data = base64.b64decode(value + "=" * (-len(value) % 4 * url), b"-_" if url else None)
    return data if value == (b64u(data) if url else base64.b64encode(data).decode()) else refuse("it is not base64")
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
def one(value): return value if number(value) == 1 else refuse("it is not 1")
def word(words): return lambda value: value if value in words.split() else refuse("it is none of the words that can be")
def tag(value): return value if len(text(value)) == 16 else refuse("it is not a tag")
def did(value): return value if re.fullmatch(r"did:[a-z0-9]+:[\w.:%-]+", text(value), re.A) else refuse("it is no DID")
def blob(size): return lambda value: data if len(data := un64(text(value))) == size else refuse("it has another length")
def vkey(kind):
    def reader(value):
        name, key_id, key = text(value).split("+", 2)
        raw = un64(key, url=False)
        found = VKey(value, name, sha256(name.encode(), b"\n", raw)[:4], raw[:1], raw[1:])
        good = re.fullmatch(r"\S+", name) and (found.kind, found.id.hex(), len(raw)) == (kind, key_id, 33)
        return found if good else refuse("it is not a vkey of its type")
    return reader

class Checkpoint:
    def __init__(self, note):
        body, _, lines = text(note).rpartition("\n\n")
        found = re.findall(r"— ([^\s+]+) (\S+)\n", lines)
        self.signatures = [(name, un64(signature, url=False)) for name, signature in found]
        if "".join(f"— {name} {signature}\n" for name, signature in found) != lines or not 1 <= len(found) <= 64 \
                or re.search(r"[\0-\t\v-\x1f]", note) or any(len(s) < 5 for _, s in self.signatures): refuse("no signed note")
        self.origin, size, root, *more = body.split("\n")
        self.size, self.root, self.body = number(int(size)), un64(root, url=False), body.encode() + b"\n"
        if not self.origin or str(self.size) != size or len(self.root) != 32 or "" in more: refuse("it is no checkpoint")
    def times(self, key):
        """Of each signature with the name and id of the key: its time (of a log: 1), or None if it does not verify."""
        return [self.time(key, s[4:]) for name, s in self.signatures if (name, s[:4]) == (key.name, key.id)]
    def time(self, key, signature):
        if key.kind == b"\1": return 1 if verifies("EdDSA", key.public, signature, self.body) else None
        time, head = int.from_bytes(signature[:8], "big"), b"cosignature/v1\ntime %d\n"
        return time if time < 2**63 and verifies("EdDSA", key.public, signature[8:], head % time + self.body) else None

def signed(protected, payload, signature, other, typ=None):
    header, claims = parse(un64(protected)), parse(un64(payload))
    kid = member(header, "kid", str, None) or member(other, "kid")
    if member(other, "kid", str, kid) != kid or "crit" in header or typ not in (None, header.get("typ")) \
            or not isinstance(claims, dict): refuse("it is not a JWS of its typ")
    return Signed(member(header, "alg"), kid, un64(payload), claims, f"{protected}.{payload}".encode(), un64(signature))
def jws(typ): return lambda value: signed(*(value.split(".") if text(value).count(".") == 2 else refuse("no JWS")), {}, typ)
def signed_message(content):
    message = parse(content.encode())
    [one] = member(message, "signatures", list)  # 14: with one signature
    return signed(member(one, "protected"), member(message, "payload"), member(one, "signature"), member(one, "header", dict, {}))

STATEMENT = {"v": one, "agent": did, "peer": did, "id": text, "at": number, "digest": blob(32), "salt?": blob(16),
             "thid?": filled, "pthid?": filled, "type?": filled, "document?": blob(32), "code?": text,
             "act": word("sent received refused receipt decided granted revoked document key-changed policy"),
             "ground?": word("allow-list approved grant known-for-long open-policy own-home thread vouches")}
SHOWN = {"checkpoint": number, "index": number, "object?": {"salt": blob(16), "text": text}, "proof": [blob(32)],
         "seq": number, "text": text}
EXPORT = {"agent": did, "node": did, "at": number, "log": vkey(b"\1"), "witness": vkey(b"\4"), "witnesses": [vkey(b"\4")],
          "selection": {"thread?": text, "with?": did, "numbers?": {"from": number, "to": number}}, "since": number,
          "prev": blob(32), "links": [{"peer": tag, "statement": blob(32), "thread": tag}], "head": jws("comity-head+jwt"),
          "checkpoints": [{"consistency": [blob(32)], "note": Checkpoint}], "statements": [SHOWN], "witnessed": [Checkpoint]}
BUNDLE = {"format": word("comity-evidence/1"), "parts": [{"export": EXPORT, "signature": jws("comity-evidence+jwt")}]}
LOG = {"checkpoint": Checkpoint, "key": vkey(b"\1"), "witness?": vkey(b"\4"), "seen?": Checkpoint, "url?": text}

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
    alg, x = JWK_ALGS.get(member(key, "crv")) or refuse("its curve is not known"), un64(member(key, "x"))
    if alg == "EdDSA": return alg, x
    point = ec.EllipticCurvePublicKey.from_encoded_point(CURVES[alg], b"\4" + x + un64(member(key, "y")))
    return alg, bytes([2 + point.public_numbers().y % 2]) + x
def method_key(method):
    try: return jwk(method["publicKeyJwk"]) if "publicKeyJwk" in method else multikey(member(method, "publicKeyMultibase"))
    except ValueError: return None  # of a kind that is not known here
def short(name): return re.sub(r"^(did:peer:4z\w+):z\w+", r"\1", name, flags=re.A)

class Document:
    def __init__(self, content, of=None):
        doc, self.text = parse(content), content
        self.names = [of or did(member(doc, "id")), *member(doc, "alsoKnownAs", list, [])]
        controller = member(doc, "controller", (str, list), [])
        self.id, self.controllers = short(self.names[0]), [controller] if isinstance(controller, str) else controller
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
        if method == "jwk": return [jwk(parse(un64(value)))]
        if method == "peer" and value[0] == "2": return [multikey(p[1:]) for p in value.split(".") if p[0] == "V"]
        for long in document.names if method == "peer" else []:
            content = text(long)[len(name) + 1:]
            if short(long) == name and un58(value[1:]) == b"\x12\x20" + sha256(content.encode()):
                return Document(un58(content, 100_000).removeprefix(b"\x80\x04"), of=long).keys.values()
    except (ValueError, IndexError): pass
    return []

# --- Merkle trees (RFC 9162, sections 2.1.3.2 and 2.1.4.2)
def climb(position, last, proof, old, new):
    """The hashes of the old and of the new tree to which a proof leads from a node of both; None if it does not fit."""
    for sibling in proof:
        if last == 0: return None
        if position & 1 or position == last:
            old, new = sha256(b"\1", sibling, old), sha256(b"\1", sibling, new)
            while position and not position & 1: position, last = position >> 1, last >> 1
        else: new = sha256(b"\1", new, sibling)
        position, last = position >> 1, last >> 1
    return (old, new) if last == 0 else None
def included(index, size, proof, leaf, root): return index < size and (climb(index, size - 1, proof, leaf, leaf) or "?")[1] == root
def consistent(old, new, proof):
    if old.size == 0 or not proof: return old.size == 0 and not proof
    position, last = old.size - 1, new.size - 1
    while position & 1: position, last = position >> 1, last >> 1
    start, *rest = proof if position else [old.root, *proof]
    return climb(position, last, rest, start, start) == (old.root, new.root)

# --- What one export says
class Report:
    def __init__(self, exports=()): self.exports, self.contradictions, self.missing, self.verified = exports, {}, {}, []
    def check(self, holds, rule, what): return bool(holds) or self.contradictions.setdefault((rule, what), False)
    def need(self, holds, rule, what): return bool(holds) or self.missing.setdefault((rule, what), False)

class Export:
    def __init__(self, part, content):
        vars(self).update(vars(part.export), digest=sha256(content), signature=part.signature, signed=False)
        self.last = self.since + len(self.links) - 1
        [(self.kind, self.value)] = [item for item in vars(self.selection).items() if item[1] is not None]
        for numbers in ([c.note.size for c in self.checkpoints], [s.seq for s in self.statements]):
            if numbers != sorted({*numbers}): refuse("checkpoints or statements do not rise")
        if self.since < 1 or self.since == 1 and any(self.prev) or any(c.consistency for c in self.checkpoints[:1]) \
                or any(not self.since <= s.seq <= self.last or s.checkpoint >= len(self.checkpoints) for s in self.statements):
            refuse("a number, the first prev, or the first consistency is one that cannot be")
        for s in self.statements:
            if canonical(parse(s.text.encode())) != s.text.encode(): refuse("a statement is not in the form of RFC 8785")
            vars(s).update(vars(read(parse(s.text.encode()), STATEMENT, "statement")), link=self.links[s.seq - self.since],
                           of=f"statement {s.seq} of {self.agent!r}", good=None, entries=[], log=None)
            s.name = (self.agent, s.peer, s.id.lower()) if s.act == "sent" else (s.peer, self.agent, s.id.lower())
            s.shown = Document(s.object.text.encode()) if s.act in ("document", "key-changed") and s.object else None  # 8
    def documents(self, peer): return [s for s in self.statements if s.shown and s.peer == peer]
    def document(self, peer, seq, digest=None):  # 9
        found = [s.shown for s in self.documents(peer) if (sha256(s.shown.text) == digest if digest else s.seq <= seq)]
        return found[-1] if found else None
    def check_log(self, report):
        for before, point in zip([None, *self.checkpoints], self.checkpoints):
            note, of = point.note, f"checkpoint {point.note.size} of {self.log.name!r}"
            times = [time for key in (self.log, *self.witnesses) for time in note.times(key)]
            report.check(note.times(self.log) and note.origin == self.log.name and all(times), 3, f"{of}: its signatures")
            report.check(not before or consistent(before.note, note, point.consistency), 4, f"{of} is of another log")
        self.entry, index, entries = self.prev, -1, {}
        for seq, link in enumerate(self.links, self.since):  # log.md, section 2
            entries[seq] = self.entry = sha256(canonical({
                "agent": self.agent, "peer": link.peer, "prev": b64u(self.entry), "seq": seq,
                "statement": b64u(link.statement), "thread": link.thread, "v": 1}))
        for s in self.statements:
            note, leaf = self.checkpoints[s.checkpoint].note, sha256(b"\0", entries[s.seq])
            report.check(sha256(s.text.encode()) == s.link.statement and s.agent == self.agent, 5, f"{s.of} is another")
            report.check(index < s.index and included(s.index, note.size, s.proof, leaf, note.root), 6, f"{s.of}: its place")
            report.check(not s.object or sha256(s.object.salt, s.object.text.encode()) == s.digest
                         and s.salt in (None, s.object.salt), 7, f"{s.of} has another object")
            report.check(not s.shown or s.shown.id == s.peer, 8, f"{s.of} has the document of another")
            index = s.index
    def check_signatures(self, report):
        document = self.document(self.agent, self.last)
        if not report.need(document, 10, f"the document of {self.agent!r}"): return
        signature, head = document.verify(self.signature), document.verify(self.head)
        claims = {"iss": self.agent, "sha256": b64u(self.digest)}
        self.signed = report.check(signature and claims.items() <= self.signature.claims.items(), 10,
                                   f"the export of {self.agent!r} is not signed by it")
        claims = {"iss": self.agent, "seq": self.last, "entry": b64u(self.entry), "log": self.log.text}
        report.check(head and claims.items() <= self.head.claims.items(), 11, f"the head of {self.agent!r} is another")
        report.verified += [good for good in (signature, head) if good]
    def check_omissions(self, report):
        for pairs in {(s.peer, s.link.peer) for s in self.statements}, {(s.thid, s.link.thread) for s in self.statements}:
            report.check(all(len({*side}) == len(pairs) for side in zip(*pairs)), 12, f"the tags of {self.agent!r}")
        peers = {s.link.peer for s in self.statements if s.peer in (self.agent, self.value if self.kind == "with" else None)}
        threads = {s.link.thread for s in self.statements if self.kind == "thread" and (s.thid or "") == self.value}
        first, last = (getattr(self.value, "from"), self.value.to) if self.kind == "numbers" else (1, 0)
        report.check(first > last or self.since <= first and last <= self.last, 13, f"numbers of {self.agent!r}")
        seqs = {s.seq for s in self.statements}
        for seq, link in enumerate(self.links, self.since):
            wanted = link.peer in peers or link.thread in threads or first <= seq <= last
            report.check(seq in seqs or not wanted, 13, f"statement {seq} of {self.agent!r} is left out")
    def check_message(self, s, report):
        rule, signer = 16 if s.act == "receipt" else 14, s.name[0]
        document = self.document(signer, s.seq, s.document) if s.document or rule == 14 else None
        if not report.need(s.object, max(rule, 15), f"{s.of}: its object"): return
        if not report.need(document, rule, f"{s.of}: the document of {signer!r}"): return
        try:
            jws = signed_message(s.object.text)
            s.good = document.verify(jws)
            if rule == 14: compare(s, jws.claims)
            else: s.entries, s.log = receipts(signer, jws.claims)
            report.verified.append(s.good or refuse("the signature does not verify"))
        except ValueError as error: report.check(False, rule, f"{s.of}: {error}")

def compare(s, message):
    """14: does the message say what the statement says?"""
    names = {name: member(message, name, str, "") for name in ("from", "id", "thid", "pthid", "type")}
    to = [short(text(name)) for name in member(message, "to", list, [])]
    if s.name[1] not in to or s.name[::2] != (short(names["from"]), names["id"].lower()) \
            or [names["thid"] or names["id"], names["pthid"], names["type"]] != [s.thid or "", s.pthid or "", s.type or ""]:
        refuse("the message says something else")

def receipts(signer, message):
    """16: what a receipt says of messages; and of the log of its signer, as far as that can be read."""
    if (short(member(message, "from")), member(message, "type")) != (signer, RECEIPT): refuse("it is not its receipt")
    body, entries = member(message, "body", dict), []
    for entry in member(body, "receipts", list):
        name = short(member(entry, "from")), short(member(entry, "to")), member(entry, "id").lower()
        entries.append((name, member(entry, "state"), member(entry, "digest"), member(entry, "log_index", int, None)))
    try: return entries, read({n: v for n, v in member(body, "log", dict).items() if n in LOG or n + "?" in LOG}, LOG)
    except ValueError: return entries, None

# --- What all exports say together
def believed(export, exports, policy):  # 17
    if policy: return policy.witnesses.values()
    keys = [s.log.witness for e in exports for s in e.statements if s.good and s.log and s.peer != export.node]
    keys += [e.witness for e in exports if e.signed and e.node != export.node]
    return {key for key in keys if key and key.public != export.witness.public}

def check_times(export, keys, policy, report):  # 18
    times = [(point.note.size, key, time) for point in export.checkpoints for key in keys
             for time in point.note.times(key) if time]
    for s in export.statements:
        s.after = max((time for size, _, time in times if size <= s.index), default=None)
        s.before = min((time for size, _, time in times if size > s.index), default=None)
        late, early = s.after is not None and s.at + 300 < s.after, s.before is not None and s.at > s.before + 300
        report.check(not late and not early, 19, f"{s.of}: its time")
        quorum = policy is None or policy.met({key for size, key, _ in times if size > s.index})
        if s.act in ("sent", "received", "refused"): report.need(s.before is not None and quorum, 20, f"{s.of}: a witness")

def check_logs(exports, report):
    logs = [s.log for e in exports for s in e.statements if s.good and s.log]
    notes = [point.note for e in exports for point in e.checkpoints] + [note for e in exports for note in e.witnessed]
    notes += [note for log in logs for note in (log.checkpoint, log.seen) if note]
    found = defaultdict(set)
    for key in {e.log for e in exports} | {log.key for log in logs}:
        for note in notes:
            if note.origin == key.name and any(note.times(key)): found[key, note.size].add(note.root)
    for (key, size), hashes in found.items(): report.check(len(hashes) == 1, 21, f"{key.name!r} forked at {size}")
    for a, b in combinations(exports, 2):
        report.check(a.log == b.log or a.log.name != b.log.name, 22, f"the key of {a.log.name!r}")
        if (a.agent, a.log) == (b.agent, b.log):
            both = zip(a.links[max(0, b.since - a.since):], b.links[max(0, a.since - b.since):])
            report.check(all(x.statement == y.statement for x, y in both), 22, f"two chains of {a.agent!r}")

def check_receipt(export, s, found, report):
    """24: the names of the messages that it says are accepted."""
    for name, state, digest, index in s.entries if s.good else []:
        if s.peer != name[1] and not any(s.peer in d.shown.controllers for d in export.documents(name[1])): continue
        what = f"a receipt of {s.peer!r} for {name!r}"
        for _, m in found.get(name, []):
            if m.act == "sent" and m.good: report.check(digest == b64u(sha256(m.good.payload)), 24, what)
            elif m.act != "sent" and state == "accepted": report.check((m.act, m.index) == ("received", index), 24, what)
        if state == "accepted": yield name

def check_cover(name, found, accepted, exports, report):  # 25
    (sender, recipient, _), threads = name, {m.thid or "" for _, m in found}
    received = any(m.act == "received" and m.good for _, m in found)
    for e in exports:
        for owner, other, due, acts in (sender, recipient, received, ["sent"]), (recipient, sender, accepted, ["received", "refused"]):
            covers = e.kind == "with" and e.value == other or e.kind == "thread" and e.value in threads
            shown = any(x is e and m.act in acts for x, m in found)
            report.check(shown or not (due and covers and e.agent == owner), 25, f"{owner!r} leaves out {name!r}")

def check_key(good, found, exports, report):  # 26
    for e in exports:
        documents = e.documents(good.document.id)
        has = [d.shown.keys.get(good.kid) == good.key for d in documents]
        end = next((d for i, d in enumerate(documents) if any(has[:i]) and not has[i]), None)
        earlier = end and [m.index < end.index if x is e else m.before is not None and end.after is not None
                           and m.before <= end.after for x, m in found]
        report.need(not end or any(earlier), 26, f"{good.kid!r} was replaced")

def established(good, exports, policy, given):  # 28
    name = good.document.id
    if any(d.id == name and d.keys.get(good.kid) == good.key for d in given) or good.key in own_keys(name, good.document): return True
    same = [e for e in exports if any(d.shown.text == good.document.text for d in e.documents(name))]
    return any(e.signed and name in (e.agent, e.node) and (e.log in policy.logs if policy else any(o.node != e.node for o in same))
               for e in same)

def verify(exports, policy, given):
    report, messages, accepted = Report(), defaultdict(list), set()
    for e in exports:
        e.check_log(report), e.check_signatures(report), e.check_omissions(report)
        for s in e.statements:
            if s.act in ("sent", "received", "receipt"): e.check_message(s, report)
            if s.act in ("sent", "received", "refused"): messages[s.name].append((e, s))
    for e in exports:
        check_times(e, believed(e, exports, policy), policy, report)
        accepted.update(name for s in e.statements for name in check_receipt(e, s, messages, report))
        report.need(not policy or e.log in policy.logs, 27, f"{e.log.name!r} is not in the policy")
    check_logs(exports, report)
    for name in {*messages, *accepted}:
        found = messages.get(name, [])
        goods = {m.good for _, m in found if m.good}
        report.check(len({good.payload for good in goods}) < 2, 23, f"two texts of {name!r}")
        check_cover(name, found, name in accepted, exports, report)
        for good in goods: check_key(good, found, exports, report)
    keys = defaultdict(list)
    for good in report.verified: keys[good.document.id, good.kid, good.key].append(good)
    for (name, kid, _), goods in keys.items():
        report.need(any(established(good, exports, policy, given) for good in goods), 28, f"whose the key {kid!r} is")
    return report, messages

class Policy:
    """C2SP tlog-policy."""
    def __init__(self, data):
        self.logs, self.witnesses, self.groups, self.quorum, free = set(), {}, {}, None, set()
        for line in data.decode().split("\n"):
            match re.findall(r"[^ 	]+", line):
                case []: pass
                case [first, *_] if first[0] == "#": pass
                case ["log", key] | ["log", key, _]: self.logs.add(vkey(b"\1")(key))
                case ["witness", name, key] | ["witness", name, key, _] if name not in self.known():
                    self.witnesses[name] = vkey(b"\4")(key)
                    free.add(name)
                case ["group", name, count, *members] if name not in self.known() and len({*members} & free) == len(members) > 0:
                    least = {"any": 1, "all": len(members)}.get(count) or int(count)
                    if not 1 <= least <= len(members): refuse("a group cannot be met")
                    self.groups[name], free = (least, members), free - {*members} | {name}
                case ["quorum", name] if self.quorum is None and name in self.known(): self.quorum = name
                case _: refuse(f"the policy has a line that means nothing: {line!r}")
        if self.quorum is None: refuse("the policy has no quorum")
    def known(self): return {"none", *self.witnesses, *self.groups}
    def met(self, cosigners):
        done = {"none": True} | {name: key in cosigners for name, key in self.witnesses.items()}
        for name, (least, members) in self.groups.items(): done[name] = sum(done[m] for m in members) >= least
        return done[self.quorum]

def bundle(data):
    value = parse(data) if len(data) <= 512 << 20 else refuse("the file is too large")
    if data not in (canonical(value), canonical(value) + b"\n"): refuse("the file is not in the form of RFC 8785")  # 1
    parts = read(value, BUNDLE).parts
    if not 1 <= len(parts) <= 64: refuse("the file has no parts, or too many")
    return [Export(part, canonical(raw["export"])) for part, raw in zip(parts, value["parts"])]

def summary(name, found):
    def times(act):
        return next(({"after": m.after, "before": m.before} for _, m in found if m.act == act), None)
    first = found[0][1]
    return {"id": first.id, "from": name[0], "to": name[1], "thid": first.thid or "", "sent": times("sent"), "received": times("received")}

def run(file, policy, documents):
    """The object that --json prints."""
    policy = policy and Policy(policy.read_bytes())
    given = [Document(path.read_bytes()) for path in documents]
    report, messages = verify(bundle(file.read_bytes()), policy, given)
    findings = [[{"rule": rule, "what": what} for rule, what in found] for found in (report.contradictions, report.missing)]
    outcome = "contradiction" if findings[0] else "insufficient" if findings[1] else "proven"
    rows = [summary(name, found) for name, found in sorted(messages.items()) if any(m.act != "refused" for _, m in found)]
    return {"outcome": outcome, "contradictions": findings[0], "missing": findings[1], "malformed": None, "messages": rows}

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.error = lambda why: parser.exit(1, f"{why}\n")
    parser.add_argument("file", type=Path)
    parser.add_argument("--policy", type=Path)
    parser.add_argument("--document", type=Path, action="append", default=[])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    try: result = run(given.file, given.policy, given.document)
    except (OSError, ValueError) as error:
        result = {"outcome": "malformed", "contradictions": [], "missing": [], "malformed": str(error), "messages": []}
    if given.json: print(json.dumps(result))
    else:
        print(result["outcome"], result["malformed"] or "")
        for kind in ("contradictions", "missing"):
            for finding in result[kind]: print(f"{kind}: rule {finding['rule']}: {finding['what']}")
    sys.exit(["proven", "malformed", "contradiction", "insufficient"].index(result["outcome"]))

if __name__ == "__main__": main()
