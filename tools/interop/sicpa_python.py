"""Drives the Python library `didcomm` over the line protocol of `comity didcomm lines`.

One JSON object per line in, one per line out, in order. It is not a test and judges nothing: it maps a request
onto the library's own calls, and the library's answer onto the members that docs/protocols/didcomm-lines.md names.
"""

import asyncio
import base64
import json
import sys
import warnings
from importlib.metadata import version
from types import SimpleNamespace

# Its first import switches its own warnings on, so ours to be quiet comes after it.
import authlib.deprecate

warnings.simplefilter("ignore")

import base58
from didcomm.common.algorithms import AnonCryptAlg
from didcomm.common.resolvers import ResolversConfig
from didcomm.common.types import VerificationMaterial, VerificationMaterialFormat, VerificationMethodType
from didcomm.did_doc.did_doc import VerificationMethod
from didcomm.did_doc.did_resolver import DIDResolver
from didcomm.message import Message
from didcomm.pack_encrypted import PackEncryptedConfig, pack_encrypted
from didcomm.pack_plaintext import pack_plaintext
from didcomm.pack_signed import pack_signed
from didcomm.secrets.secrets_resolver import Secret, SecretsResolver
from didcomm.unpack import UnpackConfig, unpack

# The library compares this name by identity.
JWK_METHOD = VerificationMethodType.JSON_WEB_KEY_2020

ENC_ANON = {
    "XC20P": AnonCryptAlg.XC20P_ECDH_ES_A256KW,
    "A256GCM": AnonCryptAlg.A256GCM_ECDH_ES_A256KW,
    "A256CBC-HS512": AnonCryptAlg.A256CBC_HS512_ECDH_ES_A256KW,
}


class Document:
    """What the library reads of a DID document, which its own parser does not take in the v2.1 form."""

    def __init__(self, document):
        self.methods = {}
        for method in document.get("verificationMethod", []):
            self._add(method)
        self.authentication = self._related(document, "authentication")
        self.key_agreement = self._related(document, "keyAgreement")
        self.service = [self._service(service) for service in document.get("service", [])]

    def _related(self, document, relationship):
        entries = document.get(relationship, [])
        return [entry if isinstance(entry, str) else self._add(entry) for entry in entries]

    def _add(self, method):
        described = VerificationMethod.deserialize(
            {
                "id": method["id"],
                "type": JWK_METHOD,
                "controller": method["controller"],
                "publicKeyJwk": method.get("publicKeyJwk") or jwk_of(method["publicKeyMultibase"]),
            }
        )
        object.__setattr__(described, "type", JWK_METHOD)
        self.methods[method["id"]] = described
        return method["id"]

    @staticmethod
    def _service(service):
        endpoint = service["serviceEndpoint"]
        endpoint = endpoint[0] if isinstance(endpoint, list) else endpoint
        return SimpleNamespace(
            id=service["id"],
            service_endpoint=endpoint["uri"],
            accept=endpoint.get("accept", ["didcomm/v2"]),
            routing_keys=endpoint.get("routingKeys", []),
        )

    def get_verification_method(self, kid):
        return self.methods.get(kid)

    def get_didcomm_service(self, service_id):
        return next((service for service in self.service if service.id == service_id), None)


def jwk_of(multibase):
    """Reads a Multikey of curve 25519, which the library takes under older names only."""
    raw = base58.b58decode(multibase[1:])
    curve = {b"\xed\x01": "Ed25519", b"\xec\x01": "X25519"}[raw[:2]]
    return {"kty": "OKP", "crv": curve, "x": base64url(raw[2:])}


def base64url(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Documents(DIDResolver):
    def __init__(self, documents):
        self.documents = {document["id"]: document for document in documents}

    async def resolve(self, did):
        document = self.documents.get(did)
        return document and Document(document)


class Secrets(SecretsResolver):
    def __init__(self, jwks):
        self.jwks = {jwk["kid"]: jwk for jwk in jwks}

    async def get_key(self, kid):
        jwk = self.jwks.get(kid)
        if jwk is None:
            return None
        # Returned with the key's own members only: the library adds `kid` where it wants one.
        value = json.dumps({name: value for name, value in jwk.items() if name != "kid"})
        return Secret(kid, JWK_METHOD, VerificationMaterial(VerificationMaterialFormat.JWK, value))

    async def get_keys(self, kids):
        return [kid for kid in kids if kid in self.jwks]


def resolvers(request):
    return ResolversConfig(Secrets(request.get("secrets", [])), Documents(request.get("dids", [])))


async def info(_request):
    return {
        "name": "didcomm (Python)",
        "version": version("didcomm"),
        "curves": ["X25519", "P-256", "P-384", "P-521"],
        "algorithms": ["EdDSA", "ES256", "ES256K", *ENC_ANON],
        "modes": list(PACKERS),
    }


async def pack(request):
    message = Message.from_dict(json.loads(json.dumps(request["message"])))
    return await PACKERS[request["mode"]](request, message)


async def plaintext(request, message):
    return {"packed": (await pack_plaintext(resolvers(request), message)).packed_msg}


async def signed(request, message):
    packed = await pack_signed(resolvers(request), message, request["sign_by"])
    return {"packed": packed.packed_msg, "sign_kid": packed.sign_from_kid}


def encrypted(frm, sign, protect):
    async def run(request, message):
        packed = await pack_encrypted(
            resolvers(request),
            message,
            to=request["to"],
            frm=request["from"] if frm else None,
            sign_frm=request["sign_by"] if sign else None,
            pack_config=PackEncryptedConfig(
                enc_alg_anon=ENC_ANON[request.get("enc_anon") or "XC20P"],
                protect_sender_id=protect,
                forward=request.get("forward", False),
            ),
        )
        return {
            "packed": packed.packed_msg,
            "to_kids": packed.to_kids,
            "from_kid": packed.from_kid,
            "sign_kid": packed.sign_from_kid,
        }

    return run


PACKERS = {
    "plaintext": plaintext,
    "signed": signed,
    "anoncrypt": encrypted(frm=False, sign=False, protect=False),
    "authcrypt": encrypted(frm=True, sign=False, protect=False),
    "anoncrypt+sign": encrypted(frm=False, sign=True, protect=False),
    "authcrypt+sign": encrypted(frm=True, sign=True, protect=False),
    "anoncrypt+authcrypt": encrypted(frm=True, sign=False, protect=True),
}


async def open_packed(request):
    config = UnpackConfig(unwrap_re_wrapping_forward=request.get("unwrap_forward", False))
    opened = await unpack(resolvers(request), request["packed"], config)
    meta = opened.metadata
    message = opened.message.as_dict()
    if meta.from_prior_jwt:
        message["from_prior"] = meta.from_prior_jwt
    return {
        "message": message,
        "meta": {
            "encrypted": meta.encrypted,
            "authenticated": meta.authenticated,
            "non_repudiation": meta.non_repudiation,
            "anonymous_sender": meta.anonymous_sender,
            "from_kid": meta.encrypted_from,
            "to_kids": meta.encrypted_to,
            "sign_kid": meta.sign_from,
            "from_prior_kid": meta.from_prior_issuer_kid,
            "re_wrapped": meta.re_wrapped_in_forward,
        },
    }


OPERATIONS = {"info": info, "pack": pack, "unpack": open_packed}


def present(answer):
    return {name: value for name, value in answer.items() if value is not None}


def answer(line):
    rid = None
    try:
        request = json.loads(line)
        rid = request.get("rid")
        result = asyncio.run(OPERATIONS[request["op"]](request))
        if "meta" in result:
            result["meta"] = present(result["meta"])
        return {"rid": rid, "ok": True, **present(result)}
    except Exception as error:  # whatever the library raises is its answer
        return {"rid": rid, "ok": False, "error": str(error) or repr(error), "code": type(error).__name__}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(line)), flush=True)
