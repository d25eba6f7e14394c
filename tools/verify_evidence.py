#!/usr/bin/env python3
"""Verifies a file of evidence, offline. Written from docs/protocols/evidence.md and log.md, and not from the Rust code.
Exit code: 0 proven, 1 malformed (also: a file cannot be read), 2 contradiction, 3 insufficient. Numbers in comments and
in calls of `C` and `I` are the rules of evidence.md, section 3: what breaks one is a contradiction, or insufficient."""
import argparse, base64, hashlib, itertools, json, pathlib, re, sys  # noqa: E401
from collections import defaultdict, namedtuple
from functools import partial, reduce
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.hashes import SHA256

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
CODECS = {b"\xed\x01": "EdDSA", b"\x80\x24": "ES256", b"\xe7\x01": "ES256K"}
JWK_ALGS = {("OKP", "Ed25519"): "EdDSA", ("EC", "P-256"): "ES256", ("EC", "secp256k1"): "ES256K"}
CURVES = {"ES256": ec.SECP256R1(), "ES256K": ec.SECP256K1()}
DID = r"did:[a-z0-9]+:[\w.:%-]+"
VKey = namedtuple("VKey", "name id kind public")
Good = namedtuple("Good", "document kid key payload")  # a signature that verified, and by what
FOUND, VERIFIED = {}, {}
class Record(dict): __getattr__, __setattr__ = dict.get, dict.__setitem__  # what is absent is None
def C(holds, rule, what): return bool(holds) or FOUND.setdefault(("contradictions", rule, what), False)
def I(holds, rule, what): return bool(holds) or FOUND.setdefault(("missing", rule, what), False)  # noqa: E743
def refuse(why): raise ValueError(why)  # malformed, unless somebody catches it
# --- Texts
def sha256(*parts): return hashlib.sha256(b"".join(parts)).digest()
def canonical(value): return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
def unique(pairs): return dict(pairs) if len(dict(pairs)) == len(pairs) else refuse("a name occurs twice")
def parse(data): return json.loads(data.decode(), object_pairs_hook=unique, parse_constant=refuse)
def b64u(data): return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
def un64(value, url=True):
    data = base64.b64decode(text(value) + "=" * (-len(value) % 4 * url), b"-_" if url else None)
    return data if value == (b64u(data) if url else base64.b64encode(data).decode()) else refuse("it is not base64")
def un58(value, limit=200):
    digits = text(value, f"z[{BASE58}]{{1,{limit}}}")[1:]
    number = reduce(lambda number, digit: number * 58 + BASE58.index(digit), digits, 0)
    return bytes(len(digits) - len(digits.lstrip("1"))) + number.to_bytes((number.bit_length() + 7) // 8, "big")
# --- Form (2). A shape is a dict of members ("name_" is optional), a list of one shape, or a function that reads.
def read(shape, value, where="file"):
    try:
        if isinstance(shape, list): return [read(shape[0], item, "item") for item in typed(value, list)]
        if not isinstance(shape, dict): return shape(value)
        names = {name.rstrip("_"): name for name in shape}
        if typed(value, dict).keys() - names or {*shape} & {*names} - {*value}: refuse("its members are others")
        return Record((name, read(shape[names[name]], value[name], name)) for name in value)
    except ValueError as error: raise ValueError(f"{where}: {error}") from None
def some(shape):  # of an object that may have other members as well; null counts as absent
    return lambda value: read(shape, {name: found for name, found in typed(value, dict).items()
                                      if found is not None and {name, name + "_"} & {*shape}}, "object")
def typed(value, kind): return value if isinstance(value, kind) else refuse("it is of another type")
def text(value, pattern="(?s:.*)"):
    return value if re.fullmatch(pattern, typed(value, str), re.A) else refuse("it is another text")
def at_most(size, shape):
    return lambda value: [read(shape, item, "item") for item in value] \
        if len(typed(value, list)) <= size else refuse("it has too many items")
def any_(value): return value
def like(pattern): return lambda value: text(value, pattern)
def number(value): return value if type(value) is int and 0 <= value < 2**53 else refuse("it is not a number")
def blob(size): return lambda value: data if len(data := un64(value)) == size else refuse("it has another length")
def short(name):  # of a did:peer:4 whose hash is that of its long form
    found = re.match(f"(did:peer:4(z[{BASE58}]+)):(z\\w+)", text(name), re.A)
    good = found and un58(found[2], 10_000) == b"\x12\x20" + sha256(found[3].encode())
    return found[1] + name[found.end():] if good else name
def did(value): return short(text(value, DID))
def vkey(kind, value):
    name, key_id, raw = text(value).split("+", 2)
    raw = un64(raw, url=False)
    key = VKey(name, sha256(name.encode(), b"\n", raw)[:4], raw[:1], raw[1:])
    good = re.fullmatch(r"\S+", name) and (key.kind, key.id.hex(), len(raw)) == (kind, key_id, 33)
    return key if good else refuse("it is not a vkey of its type")
def signed(protected, payload, signature, header=None):
    jws = HEADER(parse(un64(protected)))
    [kid] = {jws.kid, header.kid if header else None} - {None}
    return Record(jws, kid=short(text(kid, DID + "([/?][^#]*)?#.+")), signed=f"{protected}.{payload}".encode(),
                  payload=un64(payload), signature=un64(signature), claims=typed(parse(un64(payload)), dict))
def jws(typ, shape, value):
    token = signed(*text(value, r"[\w-]+\.[\w-]+\.[\w-]+").split("."))
    token.raw, token.claims = token.claims, read(shape, token.claims, "payload")
    good = token.typ == typ and token.claims.iss == re.match(DID, token.kid)[0]
    return token if good else refuse("its typ or iss is another")
class Checkpoint:
    NOTE = r"((L\n)(0|[1-9][0-9]*)\n(L)\n(?:L\n)*)\n((?:— [^\s+\0-\x1f]+ \S+\n){1,64})".replace("L", r"[^\0-\x1f]+")
    def __init__(self, note):
        found = re.fullmatch(self.NOTE, text(note)) or refuse("it is not a checkpoint")
        body, origin, size, root, lines = found.groups()
        self.origin, self.size, self.root, self.body = origin[:-1], int(size), un64(root, url=False), body.encode()
        self.signatures = [(line.split(" ")[1], un64(line.split(" ")[2], url=False)) for line in lines[:-1].split("\n")]
        if len(self.root) != 32 or self.size >= 2**64 or any(len(s) < 5 for _, s in self.signatures): refuse("a length")
    def times(self, key):  # of each signature with its name and id (of a log: True); False if it does not verify
        good = partial(verifies, "EdDSA", key.public)
        found = [s[4:] for name, s in self.signatures if (name, s[:4]) == (key.name, key.id)]
        if key.kind == b"\1": return [good(s, self.body) for s in found]
        times = [(int.from_bytes(s[:8], "big"), s[8:]) for s in found]
        return [good(s, b"cosignature/v1\ntime %d\n" % time + self.body) and time % 2**63 for time, s in times]
def says_of_log(value):  # log.md, section 6
    try: return some(dict(checkpoint=Checkpoint, key=LOG, witness_=WITNESS, seen_=Checkpoint, url_=text))(value)
    except ValueError: return None
OTHER = some(dict(kid_=text))
HEADER = some(dict(alg=like("EdDSA|ES256K?"), kid_=text, typ_=any_, crit_=refuse))
TAG, NAME, HASH, SALT = like(r"[\w-]{16}"), like("(?s:.+)"), blob(32), blob(16)
LOG, WITNESS = partial(vkey, b"\1"), partial(vkey, b"\4")
STATEMENT = dict(
    v=lambda value: number(value) == 1 or refuse("it is not 1"), agent=did, peer=did, id=text, at=number,
    digest=HASH, salt_=SALT, thid_=NAME, pthid_=NAME, type_=NAME, document_=HASH, code_=text,
    act=like("sent|received|refused|receipt|decided|granted|revoked|document|key-changed|policy"),
    ground_=like("allow-list|approved|grant|known-for-long|open-policy|own-home|thread|vouches"))
SHOWN = dict(checkpoint=number, index=number, object_=dict(salt=SALT, text=text), proof=[HASH], seq=number, text=text)
HEAD = dict(entry=HASH, iat=number, iss=did, log=LOG, seq=number)
EXPORT = dict(
    agent=did, node=did, at=number, log=LOG, witness=WITNESS, witnesses=[WITNESS], since=number, prev=HASH,
    selection=dict(thread_=text, with_=did, numbers_={"from": number, "to": number}),
    head=partial(jws, "comity-head+jwt", some(dict(iss=did))),
    links=[dict(peer=TAG, statement=HASH, thread=TAG)], checkpoints=[dict(consistency=[HASH], note=Checkpoint)],
    statements=[SHOWN], witnessed=[Checkpoint])
SIGNATURE = partial(jws, "comity-evidence+jwt", some(dict(iss=did, sha256_=any_)))
BUNDLE = dict(format=like("comity-evidence/1"), parts=at_most(64, dict(export=EXPORT, signature=SIGNATURE)))
SIGNED = some(dict(payload=text, signatures=[some(dict(protected=text, signature=text, header_=OTHER))]))
MESSAGE = some({"from": short, "to": [short], "id": text, "type": text, "thid_": text, "pthid_": text})
ENTRY = some({"id": text, "from": did, "to": did, "at": number, "digest": text, "log_index_": number,
              "state": like("accepted|received|processed|refused|expired")})
RECEIPT = some({"from": short, "to": [short], "type": like("https://comity.dev/protocols/receipt/1.0/receipt"),
                "body": some(dict(receipts=at_most(256, ENTRY), log_=says_of_log))})
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
def jwk(value):
    key = some(dict(kty=text, crv=text, x=un64, y_=un64))(value)
    alg = JWK_ALGS.get((key.kty, key.crv)) or refuse("its kind is not known")
    if alg == "EdDSA": return alg, key.x
    ec.EllipticCurvePublicKey.from_encoded_point(CURVES[alg], b"\4" + key.x + (key.y or b""))
    return alg, bytes([2 + key.y[-1] % 2]) + key.x
def method(value):
    found = some(dict(id=text, publicKeyJwk_=any_, publicKeyMultibase_=any_))(value)
    try: return found.id, jwk(found.publicKeyJwk) if found.publicKeyJwk else multikey(found.publicKeyMultibase)
    except ValueError: return found.id, None  # of a kind that is not known here
def listed(value): return (value, None) if isinstance(value, str) else method(value)
def names(value): return [short(name) for name in (value if isinstance(value, list) else [value])]
DOCUMENT = some(dict(id=text, controller_=names, authentication_=[listed], verificationMethod_=[method]))
class Document:
    def __init__(self, content, **more):
        doc, self.text = DOCUMENT(typed(parse(content), dict) | more), content
        self.name, self.id, self.controllers = doc.id, did(doc.id), doc.controller or []
        used = doc.authentication or []
        keys = {self.absolute(name): key for name, key in reversed((doc.verificationMethod or []) + used) if key}
        self.keys = {name: keys[name] for name in (self.absolute(name) for name, _ in used) if name in keys}
    def absolute(self, name): return self.id + name if name[:1] == "#" else short(name)
    def verify(self, jws):
        key = self.keys.get(jws.kid) if jws.kid.startswith(self.id + "#") else None
        good = key and key[0] == jws.alg and verifies(*key, jws.signature, jws.signed)
        return Good(self, jws.kid, key, jws.payload) if good else None
    def says_itself(self):  # 17
        try:
            keys, controllers, fourth = [], [], re.fullmatch(r"did:peer:4(z\w+):(z\w+)", self.name)
            if self.id.startswith("did:jwk:"): keys = [jwk(parse(un64(self.id[8:])))]
            elif re.match("did:(key:|peer:2)", self.id):
                keys = [multikey(key) for key in re.findall(r"(?:^did:key:|\.V)(z\w+)", self.id)]
            elif fourth and un58(fourth[1]) == b"\x12\x20" + sha256(fourth[2].encode()):
                inner = Document(un58(fourth[2], 100_000).removeprefix(b"\x80\x04"), id=self.name)
                keys, controllers = inner.keys.values(), inner.controllers
            else: return False
            return {*self.keys.values()} <= {*keys} and self.controllers == controllers
        except ValueError: return False
    def shown_by(self, exports, policy, signer=False):  # 17, and of a receipt's signer 28
        same = [e for e in exports if e.signed and any(d.shown.text == self.text for d in e.documents)]
        own = [e for e in same if self.id == e.agent or signer and self.id in e.end.controllers]
        return any(e.log in policy.logs if policy else any(x.node != e.node and x.log != e.log for x in same)
                   for e in own)
def document(e, name, last, digest=None):  # 9
    found = [d.shown for d in e.documents if d.peer == name
             and (sha256(d.shown.text) == digest if digest else d.seq <= last)]
    return found[0 if digest else -1] if found else None
def speaks(node, agents, e):  # 17, for one of them
    return node in agents or any(d.peer in agents and d.shown.established and node in d.shown.controllers
                                 for d in e.documents)
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
    e.update(digest=sha256(content), signature=part.signature, last=e.since + len(e.links) - 1)
    [(e.kind, e.value)] = e.selection.items()
    if any(a >= b for row in (sizes, [s.seq for s in e.statements]) for a, b in zip(row, row[1:])) or e.since < 1 \
            or e.last + 1 >= 2**53 or e.since == 1 and any(e.prev) or any(p.consistency for p in e.checkpoints[:1]) \
            or any(not e.since <= s.seq <= e.last or s.checkpoint >= len(sizes) for s in e.statements):
        refuse(f"the numbers of the export of {e.agent!r} cannot be")
    for s in e.statements:
        content, s.of = s.text.encode(), f"statement {s.seq} of {e.agent!r}"
        if canonical(parse(content)) != content: refuse(f"{s.of} is not in the form of RFC 8785")
        s.update(read(STATEMENT, parse(content), s.of), hash=sha256(content), link=e.links[s.seq - e.since], export=e)
        s.parties = (e.agent, s.peer) if s.act == "sent" else (s.peer, e.agent)
        s.right = s.object and sha256(s.object.salt, s.object.text.encode()) == s.digest
        s.shown = Document(s.object.text.encode()) if s.act in ("document", "key-changed") and s.right else None  # 8
    e.documents = [s for s in e.statements if s.shown]
    e.end = document(e, e.agent, e.last) or refuse(f"the document of {e.agent!r} is not shown")  # 10
    return e
def check_log(e, policy):
    keys = {e.log, *e.witnesses, *(policy.witnesses if policy else [])}
    for old, point in zip([None, *e.checkpoints], e.checkpoints):
        note, of = point.note, f"checkpoint {point.note.size} of {e.log.name!r}"
        good = all(time for key in keys for time in note.times(key))
        C(good and note.times(e.log) and note.origin == e.log.name, 3, of)
        C(not old or consistent(old.note, note, point.consistency), 4, of)
    e.entry, index, entries = e.prev, -1, {}
    for seq, link in enumerate(e.links, e.since):  # 5, and log.md, section 2
        more = {"agent": e.agent, "prev": b64u(e.entry), "seq": seq, "v": 1, "statement": b64u(link.statement)}
        entries[seq] = e.entry = sha256(canonical(link | more))
    for s in e.statements:
        note, leaf = e.checkpoints[s.checkpoint].note, sha256(b"\0", entries[s.seq])
        there = s.index < note.size and climb(s.index, note.size - 1, s.proof, leaf, leaf)[1] == note.root
        C(s.hash == s.link.statement and s.agent == e.agent, 5, s.of)
        C(there and index < s.index, 6, s.of)
        C(not s.object or s.right and s.salt in (None, s.object.salt), 7, s.of)
        C(not s.shown or s.shown.id == s.peer, 8, s.of)
        index = s.index
def check_signatures(e):
    signature, head, of = e.end.verify(e.signature), e.end.verify(e.head), f"export of {e.agent!r}"
    try: says = read(HEAD, e.head.raw, "head")
    except ValueError: says = Record(iat=0)
    e.ended, wanted = says.iat, dict(iss=e.agent, seq=e.last, entry=e.entry, log=e.log, iat=says.iat)
    e.signed = C(signature and e.signature.claims == dict(iss=e.agent, sha256=b64u(e.digest)), 10, of)
    C(head and says == wanted, 11, of)
    I(e.ended + 300 >= e.at, 11, of)
    VERIFIED.update({(good, False): None for good in (signature, head) if good})
def check_omissions(e):
    for pairs in {(s.peer, s.link.peer) for s in e.statements}, {(s.thid, s.link.thread) for s in e.statements}:
        C(all(len({*side}) == len(pairs) for side in zip(*pairs)), 12, f"tags of {e.agent!r}")
    own = {s.link.peer for s in e.statements if s.peer == e.agent}
    peers = {s.link.peer for s in e.statements if e.kind == "with" and s.peer == e.value}
    threads = {s.link.thread for s in e.statements if e.kind == "thread" and (s.thid or "") == e.value}
    first, last = (e.value["from"], e.value.to) if e.kind == "numbers" else (e.since, e.since - 1)
    C(e.kind != "numbers" or e.since <= min(first, last) and max(first, last) <= e.last, 13, f"numbers of {e.agent!r}")
    I(e.kind == "numbers" or peers or threads, 13, f"what the export of {e.agent!r} is about")
    I(e.since == 1, 13, f"the beginning of the chain of {e.agent!r}")
    for seq in {*range(e.since, e.last + 1)} - {s.seq for s in e.statements}:
        link = e.links[seq - e.since]
        wanted = link.peer in own | peers or link.thread in threads or first <= seq <= last
        C(not wanted, 13, f"statement {seq} of {e.agent!r}, which is left out")
def check_message(e, s):
    rule = 16 if s.act == "receipt" else 14
    signer = document(e, s.parties[0], s.seq, s.document) if rule == 14 or s.document else None
    I(s.object or s.act == "refused", max(rule, 15), s.of)
    if not s.object or not I(signer, rule, s.of): return
    try:
        message = SIGNED(parse(s.object.text.encode()))
        [one] = message.signatures
        jws = signed(payload=message.payload, **one)
        s.good = signer.verify(jws) or refuse("its signature does not verify")
        VERIFIED[s.good, rule == 16] = None
        m = (RECEIPT if rule == 16 else MESSAGE)(jws.claims)
        if rule == 16: s.entries, s.log = m.body.receipts, m.body.log
        says = [m["from"], *([m.id.lower(), m.thid or m.id, m.pthid or "", m.type] if rule == 14 else [])]
        wanted = [s.parties[0], s.id.lower(), s.thid or "", s.pthid or "", s.type or ""]
        if says != wanted[:len(says)] or rule == 14 and s.parties[1] not in m.to: refuse("it says something else")
    except (ValueError, RecursionError) as error: C(False, rule, f"{s.of}: {error}")
# --- What all exports say together
def believed(e, exports, policy):  # 18
    if policy: return policy.witnesses
    parties = {name for x in exports for s in x.statements if s.act in MESSAGES for name in s.parties}
    pairs = [(s.log.witness, s.log.key) for x in exports for s in x.statements
             if s.log and s.log.witness and s.peer != e.node and speaks(s.peer, parties, x)]
    pairs += [(x.witness, x.log) for x in exports if x.signed and x.node != e.node and x.log != e.log]
    return {key for key, log in pairs if key.name == log.name and key.public != e.witness.public} & {*e.witnesses}
def check_times(e, keys, policy):
    times = [(p.note.size, key, time) for p in e.checkpoints for key in keys for time in p.note.times(key) if time]
    for s in e.statements:
        s.after = max((time for size, _, time in times if size <= s.index), default=None)
        s.before = min((time for size, _, time in times if size > s.index), default=None)
        C((s.after or 0) - 300 <= s.at and (s.before is None or s.at <= s.before + 300), 19, s.of)
        enough = policy.met({key for size, key, _ in times if size > s.index}) if policy else s.before is not None
        I(enough or s.act not in MESSAGES, 20, s.of)
def check_logs(exports):
    receipts, roots = [(e, s) for e in exports for s in e.statements if s.log], defaultdict(set)
    notes = [note for e in exports for note in (*(point.note for point in e.checkpoints), *e.witnessed)]
    notes += [note for _, s in receipts for note in (s.log.checkpoint, s.log.seen) if note]
    for key, note in itertools.product({e.log for e in exports} | {s.log.key for _, s in receipts}, notes):
        if any(note.times(key)): roots[key, note.origin, note.size].add(note.root)
    for (_, origin, size), found in roots.items(): C(len(found) == 1, 21, f"size {size} of {origin!r}")
    for a, b in itertools.combinations(exports, 2):
        both = zip(a.links[max(0, b.since - a.since):], b.links[max(0, a.since - b.since):])
        if a.agent != b.agent: continue
        I(a.log.name == b.log.name, 22, f"the one log of {a.agent!r}")
        C(a.log == b.log or a.log.name != b.log.name, 22, f"the key of {a.log.name!r}")
        C(a.log != b.log or all(x.statement == y.statement for x, y in both), 22, f"the chain of {a.agent!r}")
    for e, (shows, s) in itertools.product(exports, receipts):
        I(s.log.key == e.log or not speaks(s.peer, {e.agent}, shows), 22, f"{s.of}: the log of {e.agent!r}")
def check_receipt(e, s, messages):  # 24; yields what is accepted
    for entry in s.entries or []:
        name, key = (entry["from"], entry.to, entry.id.lower()), s.log and s.log.key
        found = messages.get(name, [])
        same = all(entry.digest == b64u(sha256(m.good.payload)) for m in found if m.good)
        if not speaks(s.peer, {entry.to}, e) or not I(same, 24, s.of) or entry.state != "accepted": continue
        for m in found:
            C(m.act != "refused", 24, s.of)
            C(m.act == "sent" or key != m.export.log or entry.log_index in (None, m.index), 24, s.of)
            C(m.act != "received" or entry.at + 300 >= (m.after or 0), 24, s.of)
        yield name, (entry.log_index, key)
def check_cover(name, found, accepted, exports):  # 25
    (sender, recipient, _), threads, acts = name, {m.thid or "" for m in found}, {m.act for m in found}
    for e in exports:
        of = f"{name!r}, which {e.agent!r} leaves out"
        def covers(agent, other):
            return e.agent == agent and e.value in {"with": [other], "thread": threads}.get(e.kind, [])
        for m in found if "sent" not in acts and e.since == 1 and covers(sender, recipient) else []:
            due = m.act == "received" and m.good and m.before is not None and m.at >= e.statements[0].at + 300
            C(not due or e.ended < m.before + 300, 25, of)
        for index, key in accepted if acts <= {"sent"} and covers(recipient, sender) else []:
            C(index is None or key != e.log or index >= e.checkpoints[-1].note.size, 25, of)
def check_key(good, found, exports):  # 26
    for e in exports:
        known = [d for d in e.documents if d.peer == good.document.id]
        has = [d.shown.keys.get(good.kid) == good.key for d in known]
        end = next((d for i, d in enumerate(known) if any(has[:i]) and not has[i]), None)
        I(not end or any(m.index < end.index if m.export is e else None not in (m.before, end.after)
                         and m.before <= end.after for m in found), 26, good.kid)
MESSAGES = "sent", "received", "refused"
def verify(exports, policy, given):
    messages, accepted = defaultdict(list), defaultdict(list)
    for e in exports:
        if len({*e.witnesses, *(policy.witnesses if policy else ())}) > 4096: refuse("too many witnesses")  # 2
        check_log(e, policy)
        check_signatures(e)
        check_omissions(e)
        for s in e.statements:
            if s.act in (*MESSAGES, "receipt"): check_message(e, s)
            if s.act in MESSAGES: messages[(*s.parties, s.id.lower())].append(s)
    if any(len(found) > 1000 for found in messages.values()): refuse("too many statements about one message")  # 23
    for doc in [d.shown for e in exports for d in e.documents]:  # 17
        same = [g.controllers == doc.controllers for g in given if g.id == doc.id]
        doc.established = any(same) if same else doc.says_itself() or doc.shown_by(exports, policy)
    for e in exports: check_times(e, believed(e, exports, policy), policy)
    for e in exports:
        for s in e.statements:
            for name, said in check_receipt(e, s, messages): accepted[name].append(said)
        I(not policy or e.log in policy.logs, 27, e.log.name)
    check_logs(exports)
    for name in {**messages, **accepted}:
        found, goods = messages.get(name, []), {m.good for m in messages.get(name, []) if m.good}
        C(len({good.payload for good in goods}) < 2, 23, f"{name!r}")
        check_cover(name, found, accepted.get(name, []), exports)
        for good in goods: check_key(good, found, exports)
    for good, signer in VERIFIED:
        known = [d.keys.get(good.kid) == good.key for d in given if d.id == good.document.id]
        own = any(known) if known else good.document.established or good.document.shown_by(exports, policy, signer)
        I(own, 28, good.kid)
class Policy:  # C2SP tlog-policy. A rule is the key of a witness, or how many of which names a group wants
    def __init__(self, data):
        self.logs, self.rules, self.quorum, free = set(), {"none": (0, ())}, None, set()
        for line in data.decode().split("\n"):
            taken = {*self.rules, *self.rules.values(), *self.logs}
            match line.split() if line.strip()[:1] != "#" else []:
                case []: pass
                case ["log", key, *url] if len(url) < 2 and LOG(key) not in taken: self.logs.add(LOG(key))
                case ["witness", name, key, *url] if len(url) < 2 and not {name, WITNESS(key)} & taken:
                    self.rules[name], free = WITNESS(key), free | {name}
                case ["group", name, least, *names] if name not in taken and len({*names} & free) == len(names):
                    least, free = {"any": 1, "all": len(names)}.get(least) or int(least), free - {*names} | {name}
                    self.rules[name] = (least, tuple(names)) if 1 <= least <= len(names) else refuse("it cannot be met")
                case ["quorum", name] if name in self.rules and not self.quorum: self.quorum = name
                case _: refuse(f"the policy has a line without meaning: {line!r}")
        self.witnesses = [rule for rule in self.rules.values() if isinstance(rule, VKey)]
        if not self.quorum: refuse("the policy has no quorum")
    def met(self, cosigners, name=None):
        rule = self.rules[name or self.quorum]
        if isinstance(rule, VKey): return rule in cosigners
        return sum(self.met(cosigners, member) for member in rule[1]) >= rule[0]
def bundle(data):
    value = parse(data)
    if canonical(value) != data.removesuffix(b"\n") or len(data) > 512 << 20: refuse("it is too large, or not RFC 8785")
    parts = read(BUNDLE, value).parts or refuse("it has no parts")
    return [export(part, canonical(raw["export"])) for part, raw in zip(parts, value["parts"])]
def main(arguments=None, out=sys.stdout):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.error = lambda why: parser.exit(1, f"{why}\n")
    many, flag = dict(action="append", default=[]), dict(action="store_true", help="on one line")
    for name, more in ("file", {}), ("--policy", {}), ("--document", many), ("--json", flag):
        parser.add_argument(name, **more)
    given, malformed, found = parser.parse_args(arguments), None, {"contradictions": [], "missing": []}
    for findings in FOUND, VERIFIED: findings.clear()
    try:
        policy = given.policy and Policy(pathlib.Path(given.policy).read_bytes())
        known = [Document(pathlib.Path(path).read_bytes()) for path in given.document]
        verify(bundle(pathlib.Path(given.file).read_bytes()), policy, known)
        for kind, rule, what in FOUND: found[kind].append({"rule": rule, "what": what})
    except (OSError, ValueError, RecursionError) as error: malformed = str(error)
    code = 1 if malformed is not None else 2 if found["contradictions"] else 3 if found["missing"] else 0
    outcome = ["proven", "malformed", "contradiction", "insufficient"][code]
    print(json.dumps(dict(outcome=outcome, malformed=malformed, **found), indent=None if given.json else 2), file=out)
    return code
if __name__ == "__main__": sys.exit(main())
