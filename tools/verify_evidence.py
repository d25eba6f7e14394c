#!/usr/bin/env python3
"""Verifies a file of evidence, offline. Written from docs/protocols/evidence.md and log.md, and not from the Rust code.

    verify_evidence.py FILE [--policy FILE] [--document FILE]... [--json]

Exit code: 0 proven, 1 malformed (also: a file cannot be read), 2 contradiction, 3 insufficient. Numbers in comments, and
in calls of `check` (C) and `need` (I), are the rules of evidence.md, section 3. Needs the package `cryptography`."""
import argparse, base64, hashlib, itertools, json, pathlib, re, sys  # noqa: E401
from collections import defaultdict, namedtuple
from functools import partial
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
    found = value.get(name) if isinstance(value, dict) else refuse("it is not an object")
    if found is None and default is not ...: return default  # null counts as absent
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
def read(shape, value, where="file"):
    try:
        if isinstance(shape, list): return [read(shape[0], item, "item") for item in member({"": value}, "", list)]
        if not isinstance(shape, dict): return shape(value)
        names = {name.rstrip("?"): name for name in shape}
        if member({"": value}, "", dict).keys() - names or {*shape} & {*names} - {*value}: refuse("its members are others")
        return SimpleNamespace(**{n: read(shape[s], value[n], n) if n in value else None for n, s in names.items()})
    except ValueError as error: raise ValueError(f"{where}: {error}") from None
def text(value, pattern=r"(?s:.*)"):
    return value if isinstance(value, str) and re.fullmatch(pattern, value, re.A) else refuse("it is another text")
def number(value): return value if type(value) is int and 0 <= value < 2**53 else refuse("it is not a number")
def one(value): return value if number(value) == 1 else refuse("it is not 1")
def blob(size): return lambda value: data if len(data := un64(text(value))) == size else refuse("it has another length")
def vkey(kind, value):
    name, key_id, key = text(value).split("+", 2)
    found = VKey(value, name, sha256(name.encode(), b"\n", un64(key, False))[:4], un64(key, False)[:1], un64(key, False)[1:])
    good = re.fullmatch(r"\S+", name) and (found.kind, found.id.hex(), len(found.public)) == (kind, key_id, 32)
    return found if good else refuse("it is not a vkey of its type")
def signed(protected, payload, signature, other={}, typ=None):
    header, claims = parse(un64(protected)), parse(un64(payload))
    kid = member(header, "kid", str, None) or member(other, "kid")
    if member(other, "kid", str, kid) != kid or "crit" in header or typ not in (None, header.get("typ")) \
            or not isinstance(claims, dict): refuse("it is not a JWS of its typ")
    return Signed(member(header, "alg"), kid, un64(payload), claims, f"{protected}.{payload}".encode(), un64(signature))
def jws(typ): return lambda value: signed(*text(value, r"[\w-]+\.[\w-]+\.[\w-]+").split("."), typ=typ)
def signed_message(content):
    [one] = member(parse(content), "signatures", list)  # 14: with one signature
    payload, header = member(parse(content), "payload"), member(one, "header", dict, {})
    return signed(member(one, "protected"), payload, member(one, "signature"), header)

class Checkpoint:
    LINE, SIGNATURE = r"[^\0-\x1f]+", r"— [^\s+\0-\x1f]+ \S+\n"
    NOTE = rf"(({LINE})\n(0|[1-9][0-9]*)\n({LINE})\n(?:{LINE}\n)*)\n((?:{SIGNATURE}){{1,64}})"
    def __init__(self, note):
        body, self.origin, size, root, lines = (re.fullmatch(self.NOTE, text(note)) or refuse("it is no checkpoint")).groups()
        self.body, self.size, self.root = body.encode(), int(size), un64(root, False)
        self.signatures = [(line.split(" ")[1], un64(line.split(" ")[2], False)) for line in lines[:-1].split("\n")]
        if len(self.root) != 32 or self.size >= 2**64 or any(len(s) < 5 for _, s in self.signatures): refuse("a length")
    def times(self, key):
        """Of each signature with the name and id of the key: its time (of a log: 1), or None if it does not verify."""
        return [self.time(key, s[4:]) for name, s in self.signatures if (name, s[:4]) == (key.name, key.id)]
    def time(self, key, signature):
        if key.kind == b"\1": return 1 if verifies("EdDSA", key.public, signature, self.body) else None
        time, head = int.from_bytes(signature[:8], "big"), b"cosignature/v1\ntime %d\n"
        return time if time < 2**63 and verifies("EdDSA", key.public, signature[8:], head % time + self.body) else None

def like(pattern): return lambda value: text(value, pattern)
DID, TAG, NAME, HASH, SALT = like(r"did:[a-z0-9]+:[\w.:%-]+"), like(".{16}"), like("(?s:.+)"), blob(32), blob(16)
LOG, WITNESS = partial(vkey, b"\1"), partial(vkey, b"\4")
STATEMENT = {"v": one, "agent": DID, "peer": DID, "id": text, "at": number, "digest": HASH, "salt?": SALT,
             "thid?": NAME, "pthid?": NAME, "type?": NAME, "document?": HASH, "code?": text,
             "act": like("sent|received|refused|receipt|decided|granted|revoked|document|key-changed|policy"),
             "ground?": like("allow-list|approved|grant|known-for-long|open-policy|own-home|thread|vouches")}
SHOWN = {"checkpoint": number, "index": number, "object?": {"salt": SALT, "text": text}, "proof": [HASH], "seq": number,
         "text": text}
EXPORT = {"agent": DID, "node": DID, "at": number, "log": LOG, "witness": WITNESS, "witnesses": [WITNESS], "since": number,
          "selection": {"thread?": text, "with?": DID, "numbers?": {"from": number, "to": number}}, "prev": HASH,
          "links": [{"peer": TAG, "statement": HASH, "thread": TAG}], "head": jws("comity-head+jwt"), "statements": [SHOWN],
          "checkpoints": [{"consistency": [HASH], "note": Checkpoint}], "witnessed": [Checkpoint]}
BUNDLE = {"format": like("comity-evidence/1"), "parts": [{"export": EXPORT, "signature": jws("comity-evidence+jwt")}]}
LOG_OF_RECEIPT = {"checkpoint": Checkpoint, "key": LOG, "witness?": WITNESS, "seen?": Checkpoint, "url?": text}

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
        self.names = [of or DID(member(doc, "id")), *member(doc, "alsoKnownAs", list, [])]
        self.id, controller = short(self.names[0]), member(doc, "controller", (str, list), [])
        self.controllers = [controller] if isinstance(controller, str) else controller
        listed = member(doc, "authentication", list, [])
        methods = [*member(doc, "verificationMethod", list, []), *(entry for entry in listed if not isinstance(entry, str))]
        keys = {self.absolute(member(method, "id")): method_key(method) for method in reversed(methods)}
        listed = [self.absolute(entry if isinstance(entry, str) else entry["id"]) for entry in listed]
        self.keys = {name: keys[name] for name in listed if keys.get(name)}
    def absolute(self, name): return self.id + name if name[:1] == "#" else short(name)
    def verify(self, jws):
        kid = short(jws.kid)
        key = self.keys.get(kid) if kid.startswith(self.id + "#") else None
        good = key and key[0] == jws.alg and verifies(*key, jws.signature, jws.signed)
        return Good(self, kid, key, jws.payload) if good else None
def own_keys(name, document):
    """28: the keys that a DID itself says. The long form of a did:peer:4 is to be found in its document."""
    try:
        if name.startswith("did:jwk:"): return [jwk(parse(un64(name[8:])))]
        if re.match("did:(key:|peer:2)", name): return [multikey(key) for key in re.findall(r"(?:^did:key:|\.V)(z\w+)", name)]
        for long in document.names if name.startswith("did:peer:4") else []:
            content = text(long)[len(name) + 1:]
            if short(long) == name and un58(name[10:]) == b"\x12\x20" + sha256(content.encode()):
                return Document(un58(content, 100_000).removeprefix(b"\x80\x04"), of=long).keys.values()
    except ValueError: pass
    return []

# --- Merkle trees (RFC 9162, sections 2.1.3.2 and 2.1.4.2)
def climb(position, last, proof, old, new):
    """The hashes of the old and of the new tree to which a proof leads from a node of both."""
    for sibling in proof:
        if last == 0: return None, None
        if position & 1 or position == last:
            old, new = sha256(b"\1", sibling, old), sha256(b"\1", sibling, new)
            while position and not position & 1: position, last = position >> 1, last >> 1
        else: new = sha256(b"\1", new, sibling)
        position, last = position >> 1, last >> 1
    return (old, new) if last == 0 else (None, None)
def consistent(old, new, proof):
    if old.size == 0 or not proof: return old.size == 0 and not proof
    position, last = old.size - 1, new.size - 1
    while position & 1: position, last = position >> 1, last >> 1
    start, *rest = proof if position else [old.root, *proof]
    return climb(position, last, rest, start, start) == (old.root, new.root)

# --- What one export says. `C` and `I` note a contradiction, or what is missing, unless something holds.
class Report:
    def __init__(self): self.contradictions, self.missing, self.verified = {}, {}, []
    def C(self, holds, rule, what): return bool(holds) or self.contradictions.setdefault((rule, what), False)
    def I(self, holds, rule, what): return bool(holds) or self.missing.setdefault((rule, what), False)

class Export:
    def __init__(self, part, content):
        vars(self).update(vars(part.export), digest=sha256(content), signature=part.signature, signed=False)
        self.last, sizes, seqs = self.since + len(self.links) - 1, [c.note.size for c in self.checkpoints], [s.seq for s in self.statements]
        [(self.kind, self.value)] = [item for item in vars(self.selection).items() if item[1] is not None]
        if any(a >= b for row in ([0, *seqs], [-1, *sizes]) for a, b in zip(row, row[1:])) or self.since < 1 \
                or self.since == 1 and any(self.prev) or any(c.consistency for c in self.checkpoints[:1]) \
                or any(not self.since <= s.seq <= self.last or s.checkpoint >= len(sizes) for s in self.statements):
            refuse("the numbers of an export do not fit")
        for s in self.statements:
            content = s.text.encode()
            if canonical(parse(content)) != content: refuse("a statement is not in the form of RFC 8785")
            vars(s).update(vars(read(STATEMENT, parse(content), "statement")), link=self.links[s.seq - self.since], good=None,
                           hash=sha256(content), of=f"statement {s.seq} of {self.agent!r}", entries=[], log=None)
            s.name = (self.agent, s.peer, s.id.lower()) if s.act == "sent" else (s.peer, self.agent, s.id.lower())
            s.shown = Document(s.object.text.encode()) if s.act in ("document", "key-changed") and s.object else None  # 8
    def documents(self, peer): return [s for s in self.statements if s.shown and s.peer == peer]
    def document(self, peer, seq, digest=None):  # 9
        return next((s.shown for s in reversed(self.documents(peer))
                     if (sha256(s.shown.text) == digest if digest else s.seq <= seq)), None)
    def check_log(self, report):
        for before, point in zip([None, *self.checkpoints], self.checkpoints):
            note, of = point.note, f"checkpoint {point.note.size} of {self.log.name!r}"
            times = [time for key in (self.log, *self.witnesses) for time in note.times(key)]
            report.C(note.times(self.log) and note.origin == self.log.name and all(times), 3, of)
            report.C(not before or consistent(before.note, note, point.consistency), 4, of)
        self.entry, index, entries = self.prev, -1, {}
        for seq, link in enumerate(self.links, self.since):  # 5, and log.md, section 2
            fields = {"agent": self.agent, "peer": link.peer, "prev": b64u(self.entry), "seq": seq,
                      "statement": b64u(link.statement), "thread": link.thread, "v": 1}
            entries[seq] = self.entry = sha256(canonical(fields))
        for s in self.statements:
            note, leaf = self.checkpoints[s.checkpoint].note, sha256(b"\0", entries[s.seq])
            report.C(s.hash == s.link.statement and s.agent == self.agent, 5, s.of)
            there = s.index < note.size and climb(s.index, note.size - 1, s.proof, leaf, leaf)[1] == note.root
            report.C(there and index < s.index, 6, s.of)
            report.C(not s.object or sha256(s.object.salt, s.object.text.encode()) == s.digest
                     and s.salt in (None, s.object.salt), 7, s.of)
            report.C(not s.shown or s.shown.id == s.peer, 8, s.of)
            index = s.index
    def check_signatures(self, report):
        document, of = self.document(self.agent, self.last), f"export of {self.agent!r}"
        if not report.I(document, 10, of): return
        signature, head = document.verify(self.signature), document.verify(self.head)
        claims = {"iss": self.agent, "sha256": b64u(self.digest)}
        self.signed = report.C(signature and claims.items() <= self.signature.claims.items(), 10, of)
        claims = {"iss": self.agent, "seq": self.last, "entry": b64u(self.entry), "log": self.log.text}
        report.C(head and claims.items() <= self.head.claims.items(), 11, of)
        report.verified += [good for good in (signature, head) if good]
    def check_omissions(self, report):
        for pairs in {(s.peer, s.link.peer) for s in self.statements}, {(s.thid, s.link.thread) for s in self.statements}:
            report.C(all(len({*side}) == len(pairs) for side in zip(*pairs)), 12, f"tags of {self.agent!r}")
        peers = {s.link.peer for s in self.statements if s.peer in (self.agent, self.value if self.kind == "with" else None)}
        threads = {s.link.thread for s in self.statements if self.kind == "thread" and (s.thid or "") == self.value}
        first, last = (getattr(self.value, "from"), self.value.to) if self.kind == "numbers" else (1, 0)
        report.C(first > last or self.since <= first and last <= self.last, 13, f"numbers of {self.agent!r}")
        seqs = {s.seq for s in self.statements}
        for seq, link in enumerate(self.links, self.since):
            wanted = link.peer in peers or link.thread in threads or first <= seq <= last
            report.C(seq in seqs or not wanted, 13, f"statement {seq} of {self.agent!r} is left out")
    def check_message(self, s, report):
        rule, signer = 16 if s.act == "receipt" else 14, s.name[0]
        document = self.document(signer, s.seq, s.document) if s.document or rule == 14 else None
        if not report.I(s.object, max(rule, 15), s.of) or not report.I(document, rule, s.of): return
        try:
            jws = signed_message(s.object.text.encode())
            s.good = document.verify(jws) or refuse("its signature does not verify")
            report.verified.append(s.good)
            (read_receipts if rule == 16 else compare)(s, jws.claims)
        except ValueError as error: report.C(False, rule, f"{s.of}: {error}")
def compare(s, message):  # 14
    says = SimpleNamespace(**{n: member(message, n, str, "") for n in ("from", "id", "thid", "pthid", "type")})
    to = [short(text(name)) for name in member(message, "to", list, [])]
    if s.name[1] not in to or s.name[::2] != (short(getattr(says, "from")), says.id.lower()) \
            or (says.thid or says.id, says.pthid, says.type) != (s.thid or "", s.pthid or "", s.type or ""): refuse("it differs")
def read_receipts(s, message):
    """16: what a receipt says of messages; and of the log of its signer, as far as that can be read."""
    if (short(member(message, "from")), member(message, "type")) != (s.peer, RECEIPT): refuse("it is no receipt of the peer")
    body = member(message, "body", dict)
    for entry in member(body, "receipts", list):
        name = short(member(entry, "from")), short(member(entry, "to")), member(entry, "id").lower()
        s.entries.append((name, member(entry, "state"), member(entry, "digest"), member(entry, "log_index", int, None)))
    try: s.log = read(LOG_OF_RECEIPT, {n: v for n, v in member(body, "log", dict).items() if {n, n + "?"} & {*LOG_OF_RECEIPT}})
    except ValueError: pass

# --- What all exports say together
def believed(export, exports, policy):  # 17
    if policy: return [rule for rule in policy.rules.values() if isinstance(rule, VKey)]
    keys = [s.log.witness for e in exports for s in e.statements if s.log and s.log.witness and s.peer != export.node]
    keys += [e.witness for e in exports if e.signed and e.node != export.node]
    return {key for key in keys if key.public != export.witness.public}
def check_times(export, keys, policy, report):  # 18
    times = [(p.note.size, key, time) for p in export.checkpoints for key in keys for time in p.note.times(key) if time]
    for s in export.statements:
        s.after = max((time for size, _, time in times if size <= s.index), default=None)
        s.before = min((time for size, _, time in times if size > s.index), default=None)
        report.C((s.after or 0) - 300 <= s.at and (s.before is None or s.at <= s.before + 300), 19, s.of)
        quorum = not policy or policy.met({key for size, key, _ in times if size > s.index})
        if s.act in ("sent", "received", "refused"): report.I(s.before is not None and quorum, 20, s.of)
def check_logs(exports, report):
    logs, roots = [s.log for e in exports for s in e.statements if s.log], defaultdict(set)
    notes = [note for e in exports for note in (*(point.note for point in e.checkpoints), *e.witnessed)]
    notes += [note for log in logs for note in (log.checkpoint, log.seen) if note]
    for key, note in itertools.product({e.log for e in exports} | {log.key for log in logs}, notes):
        if note.origin == key.name and any(note.times(key)): roots[key, note.size].add(note.root)
    for (key, size), hashes in roots.items(): report.C(len(hashes) == 1, 21, f"size {size} of {key.name!r}")
    for a, b in itertools.combinations(exports, 2):
        report.C(a.log == b.log or a.log.name != b.log.name, 22, f"the key of {a.log.name!r}")
        both = zip(a.links[max(0, b.since - a.since):], b.links[max(0, a.since - b.since):])
        same = (a.agent, a.log) != (b.agent, b.log) or all(x.statement == y.statement for x, y in both)
        report.C(same, 22, f"the chain of {a.agent!r}")
def check_receipt(export, s, messages, report):
    """24: the names of the messages that are accepted by it."""
    for name, state, digest, index in s.entries:
        if s.peer != name[1] and not any(s.peer in d.shown.controllers for d in export.documents(name[1])): continue
        for _, m in messages.get(name, []):
            if m.act == "sent": report.C(not m.good or digest == b64u(sha256(m.good.payload)), 24, s.of)
            elif state == "accepted": report.C((m.act, m.index) == ("received", index), 24, s.of)
        if state == "accepted": yield name
def check_cover(name, found, accepted, exports, report):  # 25
    (sender, recipient, _), threads = name, {m.thid or "" for _, m in found}
    received = any(m.act == "received" and m.good for _, m in found)
    sides = (sender, recipient, received, ["sent"]), (recipient, sender, accepted, ["received", "refused"])
    for e, (agent, other, due, acts) in itertools.product(exports, sides):
        covers = e.agent == agent and (e.kind == "with" and e.value == other or e.kind == "thread" and e.value in threads)
        report.C(not due or not covers or any(x is e and m.act in acts for x, m in found), 25, f"{agent!r} leaves out {name!r}")
def check_key(good, found, exports, report):  # 26
    for e in exports:
        documents = e.documents(good.document.id)
        has = [d.shown.keys.get(good.kid) == good.key for d in documents]
        end = next((d for i, d in enumerate(documents) if any(has[:i]) and not has[i]), None)
        earlier = (m.index < end.index if x is e else None not in (m.before, end.after) and m.before <= end.after for x, m in found)
        report.I(not end or any(earlier), 26, good.kid)
def established(good, exports, policy, given):  # 28
    name, text = good.document.id, good.document.text
    if any(d.id == name and d.keys.get(good.kid) == good.key for d in given) or good.key in own_keys(name, good.document): return True
    same = [e for e in exports if any(d.shown.text == text for d in e.documents(name))]
    return any(e.signed and name in (e.agent, e.node) and (e.log in policy.logs if policy else any(o.node != e.node for o in same))
               for e in same)
def verify(exports, policy, given):
    report, messages, accepted, keys = Report(), defaultdict(list), set(), defaultdict(list)
    for e in exports:
        e.check_log(report), e.check_signatures(report), e.check_omissions(report)
        for s in e.statements:
            if s.act in ("sent", "received", "receipt"): e.check_message(s, report)
            if s.act in ("sent", "received", "refused"): messages[s.name].append((e, s))
    for e in exports:
        check_times(e, believed(e, exports, policy), policy, report)
        accepted.update(name for s in e.statements for name in check_receipt(e, s, messages, report))
        report.I(not policy or e.log in policy.logs, 27, e.log.name)
    check_logs(exports, report)
    for name in sorted({*messages, *accepted}):
        found = messages.get(name, [])
        goods = {m.good for _, m in found if m.good}
        report.C(len({good.payload for good in goods}) < 2, 23, f"{name!r}")
        check_cover(name, found, name in accepted, exports, report)
        for good in goods: check_key(good, found, exports, report)
    for good in report.verified: keys[good.document.id, good.kid, good.key].append(good)
    for (_, kid, _), goods in keys.items():
        report.I(any(established(good, exports, policy, given) for good in goods), 28, kid)
    return report, messages

class Policy:
    """C2SP tlog-policy. A rule is the key of a witness, or how many of which names a group wants."""
    def __init__(self, data):
        self.logs, self.rules, self.quorum = set(), {"none": (0, [])}, None
        for line in data.decode().split("\n"):
            match re.findall(r"[^ \t]+", line) if line.strip(" \t")[:1] != "#" else []:
                case []: pass
                case ["log", key] | ["log", key, _]: self.logs.add(LOG(key))
                case ["witness", name, key] | ["witness", name, key, _] if name not in self.rules: self.rules[name] = WITNESS(key)
                case ["group", name, least, *names] if name not in self.rules and {*names} <= self.rules.keys() - {"none"}:
                    least = {"any": 1, "all": len(names)}.get(least) or int(least)
                    self.rules[name] = (least, names) if 1 <= least <= len({*names}) else refuse("a group cannot be met")
                case ["quorum", name] if name in self.rules and not self.quorum: self.quorum = name
                case _: refuse(f"the policy has a line without meaning: {line!r}")
        if not self.quorum: refuse("the policy has no quorum")
    def met(self, cosigners):
        met = {}
        for name, rule in self.rules.items():
            met[name] = rule in cosigners if isinstance(rule, VKey) else sum(met[n] for n in rule[1]) >= rule[0]
        return met[self.quorum]

def bundle(data):
    value = parse(data) if len(data) <= 512 << 20 else refuse("the file is too large")
    if canonical(value) != data.removesuffix(b"\n"): refuse("the file is not in the form of RFC 8785")  # 1
    parts = read(BUNDLE, value).parts
    if not 1 <= len(parts) <= 64: refuse("the file has no parts, or too many")
    return [Export(part, canonical(raw["export"])) for part, raw in zip(parts, value["parts"])]
def row(name, found):
    times = {m.act: {"after": m.after, "before": m.before} for _, m in reversed(found)}
    return {"id": found[0][1].id, "from": name[0], "to": name[1], "thid": found[0][1].thid or "",
            "sent": times.get("sent"), "received": times.get("received")}
def result(given):
    policy = given.policy and Policy(given.policy.read_bytes())
    report, messages = verify(bundle(given.file.read_bytes()), policy, [Document(path.read_bytes()) for path in given.document])
    wrong, missing = ([{"rule": rule, "what": what} for rule, what in found] for found in (report.contradictions, report.missing))
    rows = [row(name, found) for name, found in sorted(messages.items()) if any(m.act != "refused" for _, m in found)]
    return {"outcome": "contradiction" if wrong else "insufficient" if missing else "proven", "contradictions": wrong,
            "missing": missing, "malformed": None, "messages": rows}
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.error = lambda why: parser.exit(1, f"{why}\n")
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--policy", type=pathlib.Path)
    parser.add_argument("--document", type=pathlib.Path, action="append", default=[])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    try: found = result(given)
    except (OSError, ValueError) as error:
        found = {"outcome": "malformed", "contradictions": [], "missing": [], "malformed": f"{error}", "messages": []}
    if given.json: print(json.dumps(found))
    else:
        print(found["outcome"], ascii(found["malformed"]) if found["malformed"] else "")
        for kind in ("contradictions", "missing"):
            for finding in found[kind]: print(f"{kind}: rule {finding['rule']}: {ascii(finding['what'])}")
    sys.exit(["proven", "malformed", "contradiction", "insufficient"].index(found["outcome"]))

if __name__ == "__main__": main()
