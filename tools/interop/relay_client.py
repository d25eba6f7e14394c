"""Uses a node as its relay, over HTTP and WebSocket, with the Python library `didcomm` and nothing of ours.

Given is the URL of a relay that anybody may register with, the name of an agent whose home the node is too, and the
command that speaks for the agent's operator. It plays a recipient, a third party who sends to it, and a stranger; what
it expects is in the specifications of Coordinate Mediation, Routing, Message Pickup, Discover Features
and Trust Ping, and in docs/protocols/mediation-proof.md. One JSON line a step: {"step", "ok", "why"}. The exit code
says whether every step went well.
"""

import asyncio
import json
import sys
import time
import uuid
from types import SimpleNamespace

from sicpa_python import Documents, Secrets, base64url

import base58
import httpx
import websockets
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from didcomm.common.resolvers import ResolversConfig
from didcomm.message import Message
from didcomm.pack_encrypted import PackEncryptedConfig, pack_encrypted
from didcomm.pack_signed import pack_signed
from didcomm.protocols.routing.forward import wrap_in_forward
from didcomm.unpack import unpack

MEDIATION = "https://didcomm.org/coordinate-mediation/3.0"
MEDIATION_2 = "https://didcomm.org/coordinate-mediation/2.0"
PICKUP = "https://didcomm.org/messagepickup/3.0"
PICKUP_4 = "https://didcomm.org/message-pickup/4.0"
PROBLEM = "https://didcomm.org/report-problem/2.0/problem-report"
PROOF = "https://comity.dev/protocols/mediation-proof/1.0/proof"
LETTER = "https://didcomm.org/basicmessage/2.0/message"
ENCRYPTED = {"content-type": "application/didcomm-encrypted+json"}
SECONDS = 20


class Party:
    """A party with a did:peer:2 of its own and the documents of all others."""

    def __init__(self, world, endpoint=None):
        signing, agreement = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
        public = [key.public_key().public_bytes_raw() for key in (signing, agreement)]
        multibase = [
            "z" + base58.b58encode(codec + raw).decode() for codec, raw in zip((b"\xed\x01", b"\xec\x01"), public)
        ]
        self.did = f"did:peer:2.V{multibase[0]}.E{multibase[1]}"
        services = []
        if endpoint:
            service = {"t": "dm", "s": {"uri": endpoint, "a": ["didcomm/v2"]}}
            self.did += ".S" + base64url(json.dumps(service, separators=(",", ":")).encode())
            services = [
                {
                    "id": f"{self.did}#service",
                    "type": "DIDCommMessaging",
                    "serviceEndpoint": {"uri": endpoint, "accept": ["didcomm/v2"]},
                }
            ]
        self.kids = [f"{self.did}#key-1", f"{self.did}#key-2"]
        world.documents.append(
            {
                "id": self.did,
                "verificationMethod": [
                    {"id": kid, "type": "Multikey", "controller": self.did, "publicKeyMultibase": key}
                    for kid, key in zip(self.kids, multibase)
                ],
                "authentication": self.kids[:1],
                "keyAgreement": self.kids[1:],
                "service": services,
            }
        )
        self.secrets = [
            {"kid": kid, "kty": "OKP", "crv": curve, "x": base64url(raw), "d": base64url(key.private_bytes_raw())}
            for kid, curve, raw, key in zip(self.kids, ("Ed25519", "X25519"), public, (signing, agreement))
        ]
        self.world = world

    @property
    def resolvers(self):
        return ResolversConfig(Secrets(self.secrets), Documents(self.world.documents))

    def message(self, kind, body=None, to=None, **headers):
        return Message.from_dict(
            {
                "id": str(uuid.uuid4()),
                "type": kind,
                "from": self.did,
                "to": [to or self.world.relay],
                "created_time": int(time.time()),
                "body": body or {},
                **headers,
            }
        )

    async def seal(self, message, to=None):
        config = PackEncryptedConfig(forward=False)
        to = to or self.world.relay
        return (await pack_encrypted(self.resolvers, message, to=to, frm=self.did, pack_config=config)).packed_msg

    async def open(self, packed):
        opened = await unpack(self.resolvers, packed)
        return opened.message

    async def post(self, packed):
        return await self.world.http.post(self.world.endpoint, content=packed, headers=ENCRYPTED)

    async def ask(self, kind, body=None, **headers):
        """Sends to the relay and opens the reply that comes back on the same request."""
        message = self.message(kind, body, return_route="all", **headers)
        response = await self.post(await self.seal(message))
        if not response.content:
            return SimpleNamespace(type=None, body={}, attachments=[], status=response.status_code)
        check(response.is_success, f"HTTP {response.status_code}: {response.text[:200]}")
        reply = await self.open(response.text)
        check(reply.frm == self.world.relay, f"the reply is from {reply.frm}")
        check_thread(reply, message.id)
        return reply

    async def letter(self, to, content):
        """Writes to somebody whose endpoint is the relay's DID.

        That DID is the routing key. The library is told so, since it wraps by itself only where a document lists
        routing keys besides.
        """
        packed = await self.seal(self.message(LETTER, {"content": content}, to=to), to=to)
        forward = await wrap_in_forward(self.resolvers, json.loads(packed), to, [self.world.relay])
        return await self.post(json.dumps(forward.msg_encrypted.msg))


class World:
    """What the parties share: the relay, and everybody's documents."""

    def __init__(self, url, http):
        self.url, self.http = url, http
        self.documents = []

    async def meet_relay(self):
        response = await self.http.get(f"{self.url}/.well-known/did.json")
        document = response.json()
        self.relay = document["id"]
        endpoints = []
        for service in document.get("service", []):
            listed = service["serviceEndpoint"]
            endpoints += listed if isinstance(listed, list) else [listed]
        uris = [endpoint["uri"] for endpoint in endpoints]
        self.endpoint = next(uri for uri in uris if uri.startswith("http"))
        self.socket = next((uri for uri in uris if uri.startswith("ws")), None)
        # The library keeps one endpoint a service, and cannot post to a socket.
        document["service"] = [
            {
                "id": f"{self.relay}#service",
                "type": "DIDCommMessaging",
                "serviceEndpoint": {"uri": self.endpoint, "accept": ["didcomm/v2"]},
            }
        ]
        self.documents.append(document)

    async def meet_agent(self, name):
        document = (await self.http.get(f"{self.url}/agents/{name}/did.json")).json()
        document["service"] = []
        self.documents.append(document)
        return document["id"]


class Socket:
    """A connection on which the relay may send by itself."""

    def __init__(self, party, socket):
        self.party, self.socket = party, socket

    async def ask(self, kind, body=None):
        message = self.party.message(kind, body, return_route="all")
        await self.socket.send(await self.party.seal(message))
        return await self.next(message.id)

    async def next(self, thid=None):
        packed = await asyncio.wait_for(self.socket.recv(), SECONDS)
        message = await self.party.open(packed if isinstance(packed, str) else packed.decode())
        if thid:
            check_thread(message, thid)
        return message


class Unexpected(Exception):
    pass


def check(holds, why):
    if not holds:
        raise Unexpected(why)


def check_thread(reply, asked):
    """A reply is in the thread of what was asked; a problem report begins a thread of its own below it."""
    found = reply.pthid if reply.type == PROBLEM else reply.thid
    check(found == asked, f"the reply is in thread {found}, not {asked}")


def expect(message, kind):
    check(message.type == kind, f"expected {kind}, got {message.type} {json.dumps(message.body)[:200]}")
    return message.body


async def contents(party, delivery):
    """Opens what was delivered; returns its texts and the ids under which it waits."""
    texts, ids = [], []
    for attachment in delivery.attachments or []:
        texts.append((await party.open(packed_of(attachment))).body["content"])
        ids.append(attachment.id)
    return texts, ids


def packed_of(attachment):
    data = attachment.data
    return json.dumps(data.json) if hasattr(data, "json") else decode(data.base64)


def decode(text):
    import base64

    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()


async def proof(of, registrant):
    """The statement that `registrant` may register `of`: a signed message of the recipient."""
    now = int(time.time())
    message = of.message(PROOF, {"registrant": registrant.did}, expires_time=now + 300)
    signed = await pack_signed(of.resolvers, message, of.did)
    return json.loads(signed.packed_msg)


def count(body):
    return body["message_count"]


async def operator(play, *words):
    """Does something on the agent's side, as its operator would on the command line."""
    command = [*play.command, "--json", *words, "--as", play.agent.name]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    answer, _ = await process.communicate()
    check(process.returncode == 0, f"{words[0]} ends with {process.returncode}")
    return [json.loads(line) for line in answer.decode().splitlines()]


# ---- the steps, in order ------------------------------------------------------------------------


async def answers_a_ping(play):
    reply = await play.bob.ask("https://didcomm.org/trust-ping/2.0/ping", {"response_requested": True})
    expect(reply, "https://didcomm.org/trust-ping/2.0/ping-response")


async def says_what_it_can(play):
    queries = [{"feature-type": "protocol", "match": "https://didcomm.org/*"}]
    reply = await play.bob.ask("https://didcomm.org/discover-features/2.0/queries", {"queries": queries})
    body = expect(reply, "https://didcomm.org/discover-features/2.0/disclose")
    ids = {item["id"] for item in body["disclosures"]}
    missing = [uri for uri in (MEDIATION, MEDIATION_2, PICKUP, PICKUP_4) if uri not in ids]
    check(not missing, f"not disclosed: {missing}")


async def refuses_updates_before_a_grant(play):
    update = {"updates": [{"recipient_did": play.bob.did, "action": "add"}]}
    reply = await play.bob.ask(f"{MEDIATION}/recipient-update", update)
    if reply.type == f"{MEDIATION}/recipient-update-response":
        check(reply.body["updated"][0]["result"] == "client_error", json.dumps(reply.body))
    else:
        expect(reply, PROBLEM)


async def grants_mediation(play):
    body = expect(await play.bob.ask(f"{MEDIATION}/mediate-request"), f"{MEDIATION}/mediate-grant")
    check(body["routing_did"] == [play.world.relay], f"routing_did is {body['routing_did']}")


async def grants_it_again(play):
    expect(await play.bob.ask(f"{MEDIATION}/mediate-request"), f"{MEDIATION}/mediate-grant")


async def update(party, did, action, result, base=MEDIATION, **members):
    names = ("recipient-update", "recipient-update-response")
    item = {"recipient_did": did, "action": action, **members}
    body = expect(await party.ask(f"{base}/{names[0]}", {"updates": [item]}), f"{base}/{names[1]}")
    found = body["updated"][0]
    check(found["recipient_did"] == did and found["action"] == action, json.dumps(found))
    check(found["result"] == result, f"expected {result}, got {json.dumps(found)}")


async def registers_the_sender_itself(play):
    await update(play.bob, play.bob.did, "add", "success")


async def registers_nothing_twice(play):
    await update(play.bob, play.bob.did, "add", "no_change")


async def refuses_a_did_without_proof(play):
    await update(play.bob, play.other.did, "add", "client_error")


async def refuses_a_proof_for_somebody_else(play):
    stolen = await proof(play.other, play.stranger)
    await update(play.bob, play.other.did, "add", "client_error", proof=stolen)


async def registers_a_did_with_proof(play):
    await update(play.bob, play.other.did, "add", "success", proof=await proof(play.other, play.bob))


async def lists_what_is_registered(play):
    reply = await play.bob.ask(f"{MEDIATION}/recipient-query", {"paginate": {"limit": 10, "offset": 0}})
    body = expect(reply, f"{MEDIATION}/recipient")
    dids = {entry if isinstance(entry, str) else entry["recipient_did"] for entry in body["dids"]}
    check(dids == {play.bob.did, play.other.did}, f"listed are {dids}")


async def tells_of_an_empty_queue(play):
    check(count(expect(await play.bob.ask(f"{PICKUP}/status-request"), f"{PICKUP}/status")) == 0, "not empty")
    reply = await play.bob.ask(f"{PICKUP}/delivery-request", {"limit": 5})
    check(count(expect(reply, f"{PICKUP}/status")) == 0, "3.0 answers an empty queue with status")
    reply = await play.bob.ask(f"{PICKUP_4}/delivery-request", {"message_count_limit": 5})
    expect(reply, f"{PICKUP_4}/delivery")
    check(not reply.attachments, "4.0 answers an empty queue with an empty delivery")


async def takes_forwards_of_a_third_party(play):
    for content in ("one", "two", "three"):
        response = await play.carol.letter(play.bob.did, content)
        check(response.is_success, f"HTTP {response.status_code}: {response.text[:200]}")
        check(not response.content, "a forward has no reply")


async def is_no_open_relay(play):
    response = await play.carol.letter(play.stranger.did, "to nobody here")
    check(400 <= response.status_code < 500, f"HTTP {response.status_code}")


async def says_what_waits(play):
    body = expect(await play.bob.ask(f"{PICKUP}/status-request"), f"{PICKUP}/status")
    check(count(body) == 3, f"{count(body)} messages")
    check(body.get("live_delivery") is False, "live delivery is off by default")
    check(0 < body.get("total_bytes", 1), "no bytes")
    body = expect(await play.bob.ask(f"{PICKUP_4}/status-request"), f"{PICKUP_4}/status")
    check(count(body) == 3, f"{count(body)} messages")
    oldest = body.get("oldest_received_time")
    check(oldest is None or 10**12 < oldest, f"4.0 has milliseconds, not {oldest}")


async def keeps_queues_apart(play):
    body = {"recipient_did": play.other.did}
    check(count(expect(await play.bob.ask(f"{PICKUP}/status-request", body), f"{PICKUP}/status")) == 0, "mixed")
    body = {"recipient_did": play.bob.did}
    check(count(expect(await play.bob.ask(f"{PICKUP}/status-request", body), f"{PICKUP}/status")) == 3, "mixed")


async def lets_nobody_else_look(play):
    body = {"recipient_did": play.bob.did, "limit": 10}
    reply = await play.stranger.ask(f"{PICKUP}/delivery-request", body)
    check(reply.type != f"{PICKUP}/delivery", "a stranger gets messages of others")


async def delivers_in_order_and_bounded(play):
    reply = await play.bob.ask(f"{PICKUP}/delivery-request", {"limit": 2})
    expect(reply, f"{PICKUP}/delivery")
    texts, play.ids = await contents(play.bob, reply)
    check(texts == ["one", "two"], f"delivered {texts}")


async def holds_what_is_not_acknowledged(play):
    reply = await play.bob.ask(f"{PICKUP}/delivery-request", {"limit": 10})
    texts, ids = await contents(play.bob, reply)
    check(texts == ["one", "two", "three"], f"delivered {texts}")
    check(ids[:2] == play.ids, "a message has another id the second time")
    play.ids = ids


async def lets_go_what_is_acknowledged(play):
    received = f"{PICKUP}/messages-received"
    reply = await play.bob.ask(received, {"message_id_list": play.ids[:2]})
    check(count(expect(reply, f"{PICKUP}/status")) == 1, json.dumps(reply.body))
    reply = await play.bob.ask(received, {"message_id_list": play.ids[:2]})
    check(count(expect(reply, f"{PICKUP}/status")) == 1, "acknowledging twice is harmless")
    # 4.0 names no answer to it.
    await play.bob.ask(f"{PICKUP_4}/messages-received", {"message_id_list": play.ids[2:]})
    reply = await play.bob.ask(f"{PICKUP_4}/status-request")
    check(count(expect(reply, f"{PICKUP_4}/status")) == 0, json.dumps(reply.body))


async def has_no_live_mode_on_http(play):
    reply = await play.bob.ask(f"{PICKUP}/live-delivery-change", {"live_delivery": True})
    code = expect(reply, PROBLEM)["code"]
    check(code == "e.m.live-mode-not-supported", code)


async def lists_a_socket(play):
    check(play.world.socket is not None, "its document lists no WebSocket endpoint")


def on_socket(step):
    async def run(play):
        async with websockets.connect(play.world.socket, open_timeout=SECONDS) as socket:
            await step(play, Socket(play.bob, socket))

    run.__name__ = step.__name__
    return run


@on_socket
async def answers_on_a_socket(play, socket):
    expect(await socket.ask("https://didcomm.org/trust-ping/2.0/ping"), "https://didcomm.org/trust-ping/2.0/ping-response")
    check(count(expect(await socket.ask(f"{PICKUP}/status-request"), f"{PICKUP}/status")) == 0, "not empty")


@on_socket
async def delivers_live(play, socket):
    body = expect(await socket.ask(f"{PICKUP}/live-delivery-change", {"live_delivery": True}), f"{PICKUP}/status")
    check(body["live_delivery"] is True, json.dumps(body))
    check((await play.carol.letter(play.bob.did, "live")).is_success, "the forward is refused")
    delivery = await socket.next()
    expect(delivery, f"{PICKUP}/delivery")
    texts, play.ids = await contents(play.bob, delivery)
    check(texts == ["live"], f"delivered {texts}")
    check(count(expect(await socket.ask(f"{PICKUP}/status-request"), f"{PICKUP}/status")) == 1, "it left the queue")


@on_socket
async def starts_anew_after_a_reconnect(play, socket):
    body = expect(await socket.ask(f"{PICKUP}/status-request"), f"{PICKUP}/status")
    check(body["live_delivery"] is False, "live delivery is off after a reconnect")
    check(count(body) == 1, "what was not acknowledged is still there")
    delivery = await socket.ask(f"{PICKUP}/delivery-request", {"limit": 10})
    texts, ids = await contents(play.bob, delivery)
    check((texts, ids) == (["live"], play.ids), f"delivered {texts}")
    reply = await socket.ask(f"{PICKUP}/messages-received", {"message_id_list": ids})
    check(count(expect(reply, f"{PICKUP}/status")) == 0, json.dumps(reply.body))


@on_socket
async def speaks_version_four_live(play, socket):
    await socket.ask(f"{PICKUP_4}/live-delivery-change", {"live_delivery": True})
    check((await play.carol.letter(play.bob.did, "four")).is_success, "the forward is refused")
    delivery = await socket.next()
    texts, ids = await contents(play.bob, delivery)
    check(texts == ["four"], f"delivered {texts}")
    reply = await socket.ask(f"{PICKUP_4}/messages-received", {"message_id_list": ids})
    check(count(expect(reply, f"{PICKUP_4}/status")) == 0, json.dumps(reply.body))


async def serves_a_recipient_with_proof(play):
    check((await play.carol.letter(play.other.did, "to the other name")).is_success, "the forward is refused")
    reply = await play.bob.ask(f"{PICKUP}/delivery-request", {"recipient_did": play.other.did, "limit": 1})
    expect(reply, f"{PICKUP}/delivery")
    texts, ids = await contents(play.other, reply)
    check(texts == ["to the other name"], f"delivered {texts}")
    await play.bob.ask(f"{PICKUP}/messages-received", {"message_id_list": ids})


async def speaks_mediation_two(play):
    body = expect(await play.second.ask(f"{MEDIATION_2}/mediate-request"), f"{MEDIATION_2}/mediate-grant")
    check(play.world.relay in body["routing_did"], json.dumps(body))
    item = {"recipient_did": play.second.did, "action": "add"}
    reply = await play.second.ask(f"{MEDIATION_2}/keylist-update", {"updates": [item]})
    body = expect(reply, f"{MEDIATION_2}/keylist-update-response")
    check(body["updated"][0]["result"] == "success", json.dumps(body))
    body = expect(await play.second.ask(f"{MEDIATION_2}/keylist-query"), f"{MEDIATION_2}/keylist")
    check(play.second.did in json.dumps(body), json.dumps(body))


async def takes_a_letter_to_its_agent(play):
    """A stranger's message waits for the operator; once allowed, it is in the agent's inbox."""
    packed = await play.bob.seal(play.bob.message(LETTER, {"content": "to your agent"}, to=play.agent.did), play.agent.did)
    check((await play.bob.post(packed)).is_success, "the letter is refused")
    await operator(play, "allow", play.bob.did)
    bodies = [message["body"] for message in await operator(play, "inbox", "--ack")]
    check(bodies == [{"content": "to your agent"}], json.dumps(bodies))


async def takes_a_signed_letter_to_its_agent(play):
    message = play.bob.message(LETTER, {"content": "signed"}, to=play.agent.did)
    config = PackEncryptedConfig(forward=False)
    packed = await pack_encrypted(
        play.bob.resolvers, message, to=play.agent.did, sign_frm=play.bob.did, pack_config=config
    )
    check((await play.bob.post(packed.packed_msg)).is_success, "the letter is refused")
    bodies = [message["body"] for message in await operator(play, "inbox", "--ack")]
    check(bodies == [{"content": "signed"}], json.dumps(bodies))


async def brings_the_letter_of_its_agent(play):
    """The agent writes through the relay that the library's DID names as its endpoint."""
    await operator(play, "send", play.bob.did, '{"content":"from your agent"}')
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        delivery = await play.bob.ask(f"{PICKUP}/delivery-request", {"limit": 10})
        for attachment in delivery.attachments or []:
            opened = await unpack(play.bob.resolvers, packed_of(attachment))
            if opened.message.type == LETTER:
                check(opened.message.body == {"content": "from your agent"}, json.dumps(opened.message.body))
                check(opened.metadata.non_repudiation, "it is not signed")
                check(opened.message.frm == play.agent.did, f"it is from {opened.message.frm}")
                return
        await asyncio.sleep(0.1)
    raise Unexpected("nothing came")


async def takes_nothing_after_a_removal(play):
    await update(play.bob, play.bob.did, "remove", "success")
    await update(play.bob, play.bob.did, "remove", "no_change")
    response = await play.carol.letter(play.bob.did, "too late")
    check(400 <= response.status_code < 500, f"HTTP {response.status_code}")


STEPS = [
    answers_a_ping,
    says_what_it_can,
    refuses_updates_before_a_grant,
    grants_mediation,
    grants_it_again,
    registers_the_sender_itself,
    registers_nothing_twice,
    refuses_a_did_without_proof,
    refuses_a_proof_for_somebody_else,
    registers_a_did_with_proof,
    lists_what_is_registered,
    tells_of_an_empty_queue,
    takes_forwards_of_a_third_party,
    is_no_open_relay,
    says_what_waits,
    keeps_queues_apart,
    lets_nobody_else_look,
    delivers_in_order_and_bounded,
    holds_what_is_not_acknowledged,
    lets_go_what_is_acknowledged,
    has_no_live_mode_on_http,
    lists_a_socket,
    answers_on_a_socket,
    delivers_live,
    starts_anew_after_a_reconnect,
    speaks_version_four_live,
    serves_a_recipient_with_proof,
    speaks_mediation_two,
    takes_a_letter_to_its_agent,
    takes_a_signed_letter_to_its_agent,
    brings_the_letter_of_its_agent,
    takes_nothing_after_a_removal,
]


async def main(url, agent, command):
    async with httpx.AsyncClient(timeout=SECONDS, trust_env=False) as http:
        world = World(url, http)
        await world.meet_relay()
        play = SimpleNamespace(world=world, ids=[], command=command)
        play.agent = SimpleNamespace(name=agent, did=await world.meet_agent(agent))
        for name in ("bob", "other", "second", "stranger"):
            setattr(play, name, Party(world, endpoint=world.relay))
        play.carol = Party(world)
        failed = 0
        for step in STEPS:
            why = None
            try:
                await asyncio.wait_for(step(play), 3 * SECONDS)
            except Exception as error:  # a step may fail in any way; the next ones still run
                why = f"{type(error).__name__}: {error}"
                failed += 1
            line = {"step": step.__name__.replace("_", " "), "ok": why is None}
            print(json.dumps(line if why is None else {**line, "why": why}), flush=True)
        return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1].rstrip("/"), sys.argv[2], sys.argv[3:])))
