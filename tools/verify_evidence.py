#!/usr/bin/env python3
"""Verifies a file of evidence, offline. Written from docs/protocols/evidence.md and log.md, and not from the Rust code.

    verify_evidence.py FILE [--policy FILE] [--document FILE]... [--json]

Exit code: 0 proven, 1 malformed (also: a file cannot be read), 2 contradiction, 3 insufficient. Numbers in comments and
in calls of `C` and `I` are the rules of evidence.md, section 3: what breaks one is a contradiction, or insufficient."""
import argparse, base64, functools, hashlib, itertools, json, pathlib, re, sys  # noqa: E401
from collections import defaultdict, namedtuple
from types import SimpleNamespace
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.hashes import SHA256

RECEIPT = "https://comity.dev/protocols/receipt/1.0/receipt"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
CODECS = {b"\xed\x01": "EdDSA", b"\x80\x24": "ES256", b"\xe7\x01": "ES256K"}
JWK_ALGS = {("OKP", "Ed25519"): "EdDSA", ("EC", "P-256"): "ES256", ("EC", "secp256k1"): "ES256K"}
CURVES = {"ES256": ec.SECP256R1(), "ES256K": ec.SECP256K1()}
VKey = namedtuple("VKey", "text name id kind public")
Signed = namedtuple("Signed", "alg kid payload claims signed signature")  # a JWS; its claims are its payload as JSON
Good = namedtuple("Good", "document kid key payload")  # a signature that verified, and by what
CONTRADICTIONS, MISSING, VERIFIED = {}, {}, []
def C(holds, rule, what): return bool(holds) or CONTRADICTIONS.setdefault((rule, what), False)
def I(holds, rule, what): return bool(holds) or MISSING.setdefault((rule, what), False)  # noqa: E743
def refuse(why): raise ValueError(why)  # malformed, unless somebody catches it

# --- Texts
def sha256(*parts): return hashlib.sha256(b"".join(parts)).digest()
def canonical(value): return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
def unique(pairs): return dict(pairs) if len(dict(pairs)) == len(pairs) else refuse("a name occurs twice")
def parse(data):
    try: return json.loads(data.decode(), object_pairs_hook=unique, parse_constant=refuse)
    except RecursionError: raise ValueError("it is nested too deeply") from None
def member(value, name, kind=str, default=...):  # of an object that may have others; null counts as absent
    found = value.get(name) if isinstance(value, dict) else refuse("it is not an object")
    if found is None and default is not ...: return default
    return found if isinstance(found, kind) else refuse(f"{name} is missing or of another type")
def b64u(data): return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
def un64(value, url=True):
    data = base64.b64decode(value + "=" * (-len(value) % 4 * url), b"-_" if url else None)
    return data if value == (b64u(data) if url else base64.b64encode(data).decode()) else refuse("it is not base64")
def un58(value, limit=200):
    if len(value) > limit or not re.fullmatch(f"z[{BASE58}]+", value): refuse("it is not base58btc")
    number = functools.reduce(lambda number, letter: number * 58 + BASE58.index(letter), value[1:], 0)
    return bytes(len(re.match("z1*", value)[0]) - 1) + number.to_bytes((number.bit_length() + 7) // 8, "big")

# --- Form (2). A shape is a dict of members ("name_" is optional), a list of one shape, or a function that reads.
def read(shape, value, where="file"):
    try:
        if isinstance(shape, list): return [read(shape[0], item, "item") for item in typed(value, list)]
        if not isinstance(shape, dict): return shape(value)
        names = {name.rstrip("_"): name for name in shape}
        if typed(value, dict).keys() - names or {*shape} & {*names} - {*value}: refuse("its members are others")
        return SimpleNamespace(**{n: read(shape[s], value[n], n) if n in value else None for n, s in names.items()})
    except ValueError as error: raise ValueError(f"{where}: {error}") from None
def read_known(shape, value):  # of an object that may have other members as well
    return read(shape, {n: v for n, v in typed(value, dict).items() if n in shape or n + "_" in shape})
def typed(value, kind): return value if isinstance(value, kind) else refuse("it is of another type")
def text(value, pattern="(?s:.*)"):
    return value if re.fullmatch(pattern, typed(value, str), re.A) else refuse("it is another text")
def like(pattern): return lambda value: text(value, pattern)
def number(value): return value if type(value) is int and 0 <= value < 2**53 else refuse("it is not a number")
def one(value): return value if number(value) == 1 else refuse("it is not 1")
def blob(size): return lambda value: data if len(data := un64(text(value))) == size else refuse("it has another length")
def vkey(kind, value):
    name, key_id, raw = text(value).split("+", 2)
    raw = un64(raw, url=False)
    key = VKey(value, name, sha256(name.encode(), b"\n", raw)[:4], raw[:1], raw[1:])
    good = re.fullmatch(r"\S+", name) and (key.kind, key.id.hex(), len(raw)) == (kind, key_id, 33)
    return key if good else refuse("it is not a vkey of its type")
def signed(protected, payload, signature, other={}, typ=None):
    header, claims = parse(un64(protected)), typed(parse(un64(payload)), dict)
    kid = member(header, "kid", str, None) or member(other, "kid")
    if member(other, "kid", str, kid) != kid or "crit" in header or typ not in (None, header.get("typ")):
        refuse("its header is another")
    if typ: claims["iss"] = did(member(claims, "iss"))
    return Signed(member(header, "alg"), kid, un64(payload), claims, f"{protected}.{payload}".encode(), un64(signature))
def jws(typ): return lambda value: signed(*text(value, r"[\w-]+\.[\w-]+\.[\w-]+").split("."), typ=typ)
def signed_message(content):  # 14
    [one], payload = member(parse(content), "signatures", list), member(parse(content), "payload")
    return signed(member(one, "protected"), payload, member(one, "signature"), member(one, "header", dict, {}))
class Checkpoint:
    NOTE = r"((L\n)(0|[1-9][0-9]*)\n(L)\n(?:L\n)*)\n((?:— [^\s+\0-\x1f]+ \S+\n){1,64})".replace("L", r"[^\0-\x1f]+")
    def __init__(self, note):
        found = re.fullmatch(self.NOTE, text(note)) or refuse("it is not a checkpoint")
        body, origin, size, root, lines = found.groups()
        self.origin, self.size, self.root, self.body = origin[:-1], int(size), un64(root, url=False), body.encode()
        self.signatures = [(line.split(" ")[1], un64(line.split(" ")[2], url=False)) for line in lines[:-1].split("\n")]
        if len(self.root) != 32 or self.size >= 2**64 or any(len(s) < 5 for _, s in self.signatures): refuse("a length")
    def times(self, key):
        """Of each signature with the name and id of the key: its time (of a log: 1), or None if it does not verify."""
        return [self.time(key, s[4:]) for name, s in self.signatures if (name, s[:4]) == (key.name, key.id)]
    def time(self, key, signature):
        if key.kind == b"\1": return 1 if verifies("EdDSA", key.public, signature, self.body) else None
        time, head = int.from_bytes(signature[:8], "big"), b"cosignature/v1\ntime %d\n"
        return time if time < 2**63 and verifies("EdDSA", key.public, signature[8:], head % time + self.body) else None
def did(value): return short(text(value, r"did:[a-z0-9]+:[\w.:%-]+"))
TAG, NAME, HASH, SALT = like(".{16}"), like("(?s:.+)"), blob(32), blob(16)
LOG, WITNESS = functools.partial(vkey, b"\1"), functools.partial(vkey, b"\4")
STATEMENT = dict(
    v=one, agent=did, peer=did, id=text, at=number, digest=HASH, salt_=SALT, thid_=NAME, pthid_=NAME, type_=NAME,
    act=like("sent|received|refused|receipt|decided|granted|revoked|document|key-changed|policy"),
    ground_=like("allow-list|approved|grant|known-for-long|open-policy|own-home|thread|vouches"),
    document_=HASH, code_=text)
SHOWN = dict(checkpoint=number, index=number, object_=dict(salt=SALT, text=text), proof=[HASH], seq=number, text=text)
EXPORT = dict(
    agent=did, node=did, at=number, log=LOG, witness=WITNESS, witnesses=[WITNESS], since=number, prev=HASH,
    selection=dict(thread_=text, with_=did, numbers_={"from": number, "to": number}), head=jws("comity-head+jwt"),
    links=[dict(peer=TAG, statement=HASH, thread=TAG)], checkpoints=[dict(consistency=[HASH], note=Checkpoint)],
    statements=[SHOWN], witnessed=[Checkpoint])
BUNDLE = dict(format=like("comity-evidence/1"), parts=[dict(export=EXPORT, signature=jws("comity-evidence+jwt"))])
SAYS_OF_LOG = dict(checkpoint=Checkpoint, key=LOG, witness_=WITNESS, seen_=Checkpoint, url_=text)
ENTRY = {"id": text, "from": text, "to": text, "at": number, "digest": text, "log_index_": number,
         "state": like("accepted|received|processed|refused|expired")}

# --- Keys and documents
def verifies(alg, public, signature, content):
    try:
        if alg == "EdDSA": ed25519.Ed25519PublicKey.from_public_bytes(public).verify(signature, content)
        else:
            pair = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
            point = ec.EllipticCurvePublicKey.from_encoded_point(CURVES[alg], public)
            point.verify(utils.encode_dss_signature(*pair), content, ec.ECDSA(SHA256()))
        return len(signature) == 64
    except (InvalidSignature, ValueError): return False
def multikey(value): return CODECS.get(un58(value)[:2]) or refuse("its kind is not known"), un58(value)[2:]
def jwk(key):
    alg = JWK_ALGS.get((member(key, "kty"), member(key, "crv"))) or refuse("its kind is not known")
    x, y = un64(member(key, "x")), b"" if alg == "EdDSA" else un64(member(key, "y"))
    if y: ec.EllipticCurvePublicKey.from_encoded_point(CURVES[alg], b"\4" + x + y)
    return alg, (bytes([2 + y[-1] % 2]) if y else b"") + x
def method_key(method):
    try:
        if "publicKeyJwk" in method: return jwk(method["publicKeyJwk"])
        return multikey(member(method, "publicKeyMultibase"))
    except ValueError: return None  # of a kind that is not known here
def short(name): return re.sub(r"^(did:peer:4z\w+):z\w+", r"\1", name, flags=re.A)
class Document:
    def __init__(self, content, of=None):
        doc, self.text = parse(content), content
        self.names = [of or member(doc, "id"), *member(doc, "alsoKnownAs", list, [])]
        self.id, controller = did(self.names[0]), member(doc, "controller", (str, list), [])
        self.controllers = [short(text(c)) for c in ([controller] if isinstance(controller, str) else controller)]
        listed = member(doc, "authentication", list, [])
        embedded = [entry for entry in listed if not isinstance(entry, str)]
        methods = member(doc, "verificationMethod", list, []) + embedded
        keys = {self.absolute(member(method, "id")): method_key(method) for method in reversed(methods)}
        listed = [self.absolute(entry if isinstance(entry, str) else entry["id"]) for entry in listed]
        self.keys = {name: keys[name] for name in listed if keys.get(name)}
    def absolute(self, name): return self.id + name if name[:1] == "#" else short(name)
    def verify(self, jws):
        kid = short(jws.kid)
        key = self.keys.get(kid) if kid.startswith(self.id + "#") else None
        good = key and key[0] == jws.alg and verifies(*key, jws.signature, jws.signed)
        return Good(self, kid, key, jws.payload) if good else None
def own_keys(name, document):  # 28; the long form of a did:peer:4 is to be found in its document
    try:
        if name.startswith("did:jwk:"): return [jwk(parse(un64(name[8:])))]
        if re.match("did:(key:|peer:2)", name):
            return [multikey(key) for key in re.findall(r"(?:^did:key:|\.V)(z\w+)", name)]
        for long in document.names if name.startswith("did:peer:4") else []:
            content = text(long)[len(name) + 1:]
            if short(long) == name and un58(name[10:]) == b"\x12\x20" + sha256(content.encode()):
                return Document(un58(content, 100_000).removeprefix(b"\x80\x04"), of=long).keys.values()
    except ValueError: pass
    return []

# --- Merkle trees (RFC 9162, sections 2.1.3.2 and 2.1.4.2)
def climb(position, last, proof, old, new):  # to the roots of the old and of the new tree, from a node that both have
    if not proof or last == 0: return (old, new) if not proof and last == 0 else (None, None)
    if not position & 1 and position != last:
        return climb(position >> 1, last >> 1, proof[1:], old, sha256(b"\1", new, proof[0]))
    while position and not position & 1: position, last = position >> 1, last >> 1
    return climb(position >> 1, last >> 1, proof[1:], sha256(b"\1", proof[0], old), sha256(b"\1", proof[0], new))
def consistent(old, new, proof):
    if old.size == 0 or not proof: return old.size == 0 and not proof
    shift = (old.size & -old.size).bit_length() - 1  # the last complete subtree of the old tree has 2^shift leaves
    start, *rest = proof if old.size >> shift > 1 else [old.root, *proof]
    return climb((old.size - 1) >> shift, (new.size - 1) >> shift, rest, start, start) == (old.root, new.root)

# --- What one export says
def export(part, content):
    e, sizes = part.export, [point.note.size for point in part.export.checkpoints]
    vars(e).update(digest=sha256(content), signature=part.signature, signed=False, last=e.since + len(e.links) - 1)
    [(e.kind, e.value)] = [item for item in vars(e.selection).items() if item[1] is not None]
    if any(a >= b for row in (sizes, [s.seq for s in e.statements]) for a, b in zip(row, row[1:])) or e.since < 1 \
            or e.since == 1 and any(e.prev) or any(point.consistency for point in e.checkpoints[:1]) \
            or any(not e.since <= s.seq <= e.last or s.checkpoint >= len(sizes) for s in e.statements):
        refuse(f"the numbers of the export of {e.agent!r} cannot be")
    for s in e.statements:
        content, of = s.text.encode(), f"statement {s.seq} of {e.agent!r}"
        if canonical(parse(content)) != content: refuse(f"{of} is not in the form of RFC 8785")
        vars(s).update(vars(read(STATEMENT, parse(content), of)), link=e.links[s.seq - e.since], of=of)
        vars(s).update(hash=sha256(content), good=None, entries=[], log=None)
        s.parties = (e.agent, s.peer) if s.act == "sent" else (s.peer, e.agent)
        s.shown = Document(s.object.text.encode()) if s.act in ("document", "key-changed") and s.object else None  # 8
    return e if document(e, e.agent, e.last) else refuse(f"the document of {e.agent!r} is not shown")  # 10
def documents(e, peer): return [s for s in e.statements if s.shown and s.peer == peer]
def document(e, peer, seq, digest=None):  # 9
    found = [s.shown for s in documents(e, peer) if (sha256(s.shown.text) == digest if digest else s.seq <= seq)]
    return found[-1] if found else None
def check_log(e):
    for old, point in zip([None, *e.checkpoints], e.checkpoints):
        note, of = point.note, f"checkpoint {point.note.size} of {e.log.name!r}"
        times = [time for key in (e.log, *e.witnesses) for time in note.times(key)]
        C(note.times(e.log) and note.origin == e.log.name and all(times), 3, of)
        C(not old or consistent(old.note, note, point.consistency), 4, of)
    e.entry, index, entries = e.prev, -1, {}
    for seq, link in enumerate(e.links, e.since):  # 5, and log.md, section 2
        link = {"agent": e.agent, "prev": b64u(e.entry), "seq": seq, "v": 1, "peer": link.peer, "thread": link.thread,
                "statement": b64u(link.statement)}
        entries[seq] = e.entry = sha256(canonical(link))
    for s in e.statements:
        note, leaf, salt = e.checkpoints[s.checkpoint].note, sha256(b"\0", entries[s.seq]), s.object and s.object.salt
        there = s.index < note.size and climb(s.index, note.size - 1, s.proof, leaf, leaf)[1] == note.root
        C(s.hash == s.link.statement and s.agent == e.agent, 5, s.of)
        C(there and index < s.index, 6, s.of)
        C(not salt or s.salt in (None, salt) and sha256(salt, s.object.text.encode()) == s.digest, 7, s.of)
        C(not s.shown or s.shown.id == s.peer, 8, s.of)
        index = s.index
def check_signatures(e):
    end, of = document(e, e.agent, e.last), f"export of {e.agent!r}"
    signature, head, claims = end.verify(e.signature), end.verify(e.head), {"iss": e.agent, "sha256": b64u(e.digest)}
    e.signed = C(signature and claims.items() <= e.signature.claims.items(), 10, of)
    claims = {"iss": e.agent, "seq": e.last, "entry": b64u(e.entry), "log": e.log.text}
    C(head and claims.items() <= e.head.claims.items(), 11, of)
    VERIFIED.extend(good for good in (signature, head) if good)
def check_omissions(e):
    for pairs in {(s.peer, s.link.peer) for s in e.statements}, {(s.thid, s.link.thread) for s in e.statements}:
        C(all(len({*side}) == len(pairs) for side in zip(*pairs)), 12, f"tags of {e.agent!r}")
    peers = {s.link.peer for s in e.statements if s.peer == e.agent or e.kind == "with" and s.peer == e.value}
    threads = {s.link.thread for s in e.statements if e.kind == "thread" and (s.thid or "") == e.value}
    first, last = (getattr(e.value, "from"), e.value.to) if e.kind == "numbers" else (1, 0)
    C(first > last or e.since <= first and last <= e.last, 13, f"numbers of {e.agent!r}")
    for seq in {*range(e.since, e.last + 1)} - {s.seq for s in e.statements}:
        link = e.links[seq - e.since]
        wanted = link.peer in peers or link.thread in threads or first <= seq <= last
        C(not wanted, 13, f"statement {seq} of {e.agent!r}, which is left out")
def check_message(e, s):
    rule, known = (16, s.document) if s.act == "receipt" else (14, True)
    signer = known and document(e, s.parties[0], s.seq, s.document)
    if not I(s.object, max(rule, 15), s.of) or not I(signer, rule, s.of): return
    try:
        jws = signed_message(s.object.text.encode())
        s.good = signer.verify(jws) or refuse("its signature does not verify")
        VERIFIED.append(s.good)
        (read_receipts if rule == 16 else compare)(s, jws.claims)
    except ValueError as error: C(False, rule, f"{s.of}: {error}")
def compare(s, message):  # 14
    sender, mid, kind = (member(message, name) for name in ("from", "id", "type"))
    says = short(sender), mid.lower(), member(message, "thid", str, "") or mid, member(message, "pthid", str, ""), kind
    to = [short(text(name)) for name in member(message, "to", list)]
    if s.parties[1] not in to or says != (s.parties[0], s.id.lower(), s.thid or "", s.pthid or "", s.type or ""):
        refuse("the message says something else")
def read_receipts(s, message):  # 16, and log.md, section 6
    if (short(member(message, "from")), member(message, "type")) != (s.peer, RECEIPT): refuse("it is no receipt")
    s.entries = [read_known(ENTRY, entry) for entry in member(member(message, "body", dict), "receipts", list)]
    try: s.log = read_known(SAYS_OF_LOG, message["body"].get("log"))
    except ValueError: pass

# --- What all exports say together
def believed(e, exports, policy):  # 17
    if policy: return [rule for rule in policy.rules.values() if isinstance(rule, VKey)]
    keys = [s.log.witness for x in exports for s in x.statements if s.log and s.log.witness and s.peer != e.node]
    keys += [x.witness for x in exports if x.signed and x.node != e.node]
    return {key for key in keys if key.public != e.witness.public}
def check_times(e, keys, policy):  # 18
    times = [(p.note.size, key, time) for p in e.checkpoints for key in keys for time in p.note.times(key) if time]
    for s in e.statements:
        s.after = max((time for size, _, time in times if size <= s.index), default=None)
        s.before = min((time for size, _, time in times if size > s.index), default=None)
        C((s.after or 0) - 300 <= s.at and (s.before is None or s.at <= s.before + 300), 19, s.of)
        enough = policy.met({key for size, key, _ in times if size > s.index}) if policy else s.before is not None
        I(enough or s.act not in ("sent", "received", "refused"), 20, s.of)
def check_logs(exports):
    logs, roots = [s.log for e in exports for s in e.statements if s.log], defaultdict(set)
    notes = [note for e in exports for note in (*(point.note for point in e.checkpoints), *e.witnessed)]
    notes += [note for log in logs for note in (log.checkpoint, log.seen) if note]
    for key, note in itertools.product({e.log for e in exports} | {log.key for log in logs}, notes):
        if note.origin == key.name and any(note.times(key)): roots[key, note.size].add(note.root)
    for (key, size), found in roots.items(): C(len(found) == 1, 21, f"size {size} of {key.name!r}")
    for a, b in itertools.combinations(exports, 2):
        C(a.log == b.log or a.log.name != b.log.name, 22, f"the key of {a.log.name!r}")
        both = zip(a.links[max(0, b.since - a.since):], b.links[max(0, a.since - b.since):])
        other = (a.agent, a.log) != (b.agent, b.log)
        C(other or all(x.statement == y.statement for x, y in both), 22, f"the chain of {a.agent!r}")
def check_receipt(e, s, messages):  # 24; yields what is accepted
    for entry in s.entries:
        name = short(getattr(entry, "from")), short(entry.to), entry.id.lower()
        if s.peer != name[1] and not any(s.peer in d.shown.controllers for d in documents(e, name[1])): continue
        for _, m in messages.get(name, []):
            if m.act == "sent": C(not m.good or entry.digest == b64u(sha256(m.good.payload)), 24, s.of)
            elif entry.state == "accepted": C(m.act == "received" and entry.log_index in (None, m.index), 24, s.of)
        if entry.state == "accepted": yield name
def check_cover(name, found, accepted, exports):  # 25
    (sender, recipient, _), threads = name, {m.thid or "" for _, m in found}
    received = any(m.act == "received" and m.good for _, m in found)
    sides = (sender, recipient, received, ["sent"]), (recipient, sender, accepted, ["received", "refused"])
    for e, (agent, other, due, acts) in itertools.product(exports, sides):
        covers = e.kind == "with" and e.value == other or e.kind == "thread" and e.value in threads
        shown = any(x is e and m.act in acts for x, m in found)
        C(shown or not (due and covers and e.agent == agent), 25, f"{agent!r} leaves out {name!r}")
def check_key(good, found, exports):  # 26
    for e in exports:
        known = documents(e, good.document.id)
        has = [d.shown.keys.get(good.kid) == good.key for d in known]
        end = next((d for i, d in enumerate(known) if any(has[:i]) and not has[i]), None)
        I(not end or any(m.index < end.index if x is e else None not in (m.before, end.after) and m.before <= end.after
                         for x, m in found), 26, good.kid)
def established(good, exports, policy, given):  # 28
    name, said = good.document.id, good.document.text
    same = [e for e in exports if any(d.shown.text == said for d in documents(e, name))]
    own = [e for e in same if e.signed and name in (e.agent, e.node)]
    return any(d.id == name and d.keys.get(good.kid) == good.key for d in given) \
        or good.key in own_keys(name, good.document) \
        or any(e.log in policy.logs if policy else any(x.node != e.node for x in same) for e in own)
def verify(exports, policy, given):
    for found in CONTRADICTIONS, MISSING, VERIFIED: found.clear()
    messages, accepted = defaultdict(list), set()
    for e in exports:
        for check in check_log, check_signatures, check_omissions: check(e)
        for s in e.statements:
            if s.act in ("sent", "received", "receipt"): check_message(e, s)
            if s.act in ("sent", "received", "refused"): messages[(*s.parties, s.id.lower())].append((e, s))
    for e in exports:
        check_times(e, believed(e, exports, policy), policy)
        accepted.update(name for s in e.statements for name in check_receipt(e, s, messages))
        I(not policy or e.log in policy.logs, 27, e.log.name)
    check_logs(exports)
    for name, found in [*messages.items(), *((name, []) for name in accepted - messages.keys())]:
        goods = {m.good for _, m in found if m.good}
        C(len({good.payload for good in goods}) < 2, 23, f"{name!r}")
        check_cover(name, found, name in accepted, exports)
        for good in goods: check_key(good, found, exports)
    for good in VERIFIED: I(established(good, exports, policy, given), 28, good.kid)
    return messages

class Policy:  # C2SP tlog-policy. A rule is the key of a witness, or how many of which names a group wants
    def __init__(self, data):
        self.logs, self.rules, self.quorum, free = set(), {"none": (0, [])}, None, set()
        for line in data.decode().split("\n"):
            match re.findall(r"[^ \t]+", line) if line.strip(" \t")[:1] != "#" else []:
                case []: continue
                case ["log", key] | ["log", key, _] if LOG(key) not in self.logs: self.logs.add(LOG(key))
                case ["witness", name, key] | ["witness", name, key, _] \
                        if name not in self.rules and WITNESS(key) not in self.rules.values():
                    self.rules[name], free = WITNESS(key), free | {name}
                case ["group", name, least, *names] if name not in self.rules and len({*names} & free) == len(names):
                    least, free = {"any": 1, "all": len(names)}.get(least) or int(least), free - {*names} | {name}
                    self.rules[name] = (least, names) if 1 <= least <= len(names) else refuse("a group cannot be met")
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
    return [export(part, canonical(raw["export"])) for part, raw in zip(parts, value["parts"])]
def row(name, found):
    times = {m.act: {"after": m.after, "before": m.before} for _, m in reversed(found)}
    return {"id": found[0][1].id, "from": name[0], "to": name[1], "thid": found[0][1].thid or "",
            "sent": times.get("sent"), "received": times.get("received")}
def main(arguments=None, out=sys.stdout):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.error = lambda why: parser.exit(1, f"{why}\n")
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--policy", type=pathlib.Path)
    parser.add_argument("--document", type=pathlib.Path, action="append", default=[])
    parser.add_argument("--json", action="store_true")
    given, malformed, messages = parser.parse_args(arguments), None, {}
    try:
        policy = given.policy and Policy(given.policy.read_bytes())
        known = [Document(path.read_bytes()) for path in given.document]
        messages = verify(bundle(given.file.read_bytes()), policy, known)
    except (OSError, ValueError) as error: malformed, messages = str(error), verify([], None, [])
    wrong, missing = ([{"rule": rule, "what": what} for rule, what in found] for found in (CONTRADICTIONS, MISSING))
    code = 1 if malformed is not None else 2 if wrong else 3 if missing else 0
    outcome = ["proven", "malformed", "contradiction", "insufficient"][code]
    if given.json:
        rows = [row(*item) for item in sorted(messages.items()) if any(m.act != "refused" for _, m in item[1])]
        print(json.dumps({"outcome": outcome, "contradictions": wrong, "missing": missing, "malformed": malformed,
                          "messages": rows}), file=out)
    else:
        print(outcome, ascii(malformed) if malformed else "", file=out)
        for kind, found in ("contradiction", wrong), ("missing", missing):
            for finding in found: print(f"{kind}: rule {finding['rule']}: {ascii(finding['what'])}", file=out)
    return code
if __name__ == "__main__": sys.exit(main())
