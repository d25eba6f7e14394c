#!/usr/bin/env python3
"""A harness for `run.py` around the Python library `didcomm` (pip install didcomm==0.3.2), as an example of one.

    python3 run.py python3 harness_didcomm_python.py
"""

import asyncio
import json
import sys

from didcomm.common.resolvers import ResolversConfig
from didcomm.common.types import (
    VerificationMaterial,
    VerificationMaterialFormat,
    VerificationMethodType,
)
from didcomm.did_doc.did_doc import DIDDoc
from didcomm.did_doc.did_resolver import DIDResolver
from didcomm.secrets.secrets_resolver import Secret
from didcomm.secrets.secrets_resolver_in_memory import SecretsResolverInMemory
from didcomm.unpack import unpack


class Documents(DIDResolver):
    known = {}

    def __init__(self, documents):
        for document in documents:
            if document["id"] not in self.known:
                self.known[document["id"]] = DIDDoc.deserialize(document)

    async def resolve(self, did):
        return self.known.get(did)


def secret(jwk):
    material = VerificationMaterial(VerificationMaterialFormat.JWK, json.dumps(jwk))
    return Secret(jwk["kid"], VerificationMethodType.JSON_WEB_KEY_2020, material)


async def answer(request):
    secrets = SecretsResolverInMemory([secret(jwk) for jwk in request["secrets"]])
    found = await unpack(ResolversConfig(secrets, Documents(request["dids"])), request["packed"])
    meta = found.metadata
    return {
        "message": found.message.as_dict(),
        "meta": {
            "authenticated": meta.authenticated,
            "non_repudiation": meta.non_repudiation,
            "from_kid": meta.encrypted_from,
            "sign_kid": meta.sign_from,
        },
    }


def main():
    loop = asyncio.new_event_loop()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            result = {"ok": True, **loop.run_until_complete(answer(request))}
            text = json.dumps({"rid": request["rid"], **result})
        except Exception as error:  # whatever it raises is a refusal
            refusal = {"ok": False, "error": f"{type(error).__name__}: {error}", "code": None}
            text = json.dumps({"rid": request["rid"], **refusal})
        print(text, flush=True)


if __name__ == "__main__":
    main()
