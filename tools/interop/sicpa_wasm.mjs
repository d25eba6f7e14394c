// Drives the npm package `didcomm-node` over the line protocol of `comity didcomm lines`.
//
// One JSON object per line in, one per line out, in order. It is not a test and judges nothing: it maps a request
// onto the library's own calls, and the library's answer onto the members that docs/protocols/didcomm-lines.md names.
// The package is found from the current folder, into which `cargo xtask interop` installs it.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(`${process.cwd()}/`);
const { FromPrior, Message } = require("didcomm-node");

const ENC_ANON = {
  XC20P: "Xc20pEcdhEsA256kw",
  A256GCM: "A256gcmEcdhEsA256kw",
  "A256CBC-HS512": "A256cbcHs512EcdhEsA256kw",
};

// The library reads methods by reference only, and its endpoint in its own spelling.
function document(source) {
  const methods = [...(source.verificationMethod ?? [])];
  const related = (entries) =>
    (entries ?? []).map((entry) => {
      if (typeof entry === "string") return entry;
      methods.push(entry);
      return entry.id;
    });
  const [authentication, keyAgreement] = [related(source.authentication), related(source.keyAgreement)];
  const service = (source.service ?? []).map((entry) => {
    const endpoint = [entry.serviceEndpoint].flat()[0];
    const { uri, accept, routingKeys } = endpoint;
    return { ...entry, serviceEndpoint: { uri, accept, routing_keys: routingKeys ?? [], routingKeys: routingKeys ?? [] } };
  });
  return { id: source.id, authentication, keyAgreement, verificationMethod: methods, service };
}

function didResolver(request) {
  const documents = new Map((request.dids ?? []).map((source) => [source.id, document(source)]));
  return { resolve: async (did) => documents.get(did) ?? null };
}

function secretsResolver(request) {
  const secrets = new Map(
    (request.secrets ?? []).map(({ kid, ...privateKeyJwk }) => [
      kid,
      { id: kid, type: "JsonWebKey2020", privateKeyJwk },
    ]),
  );
  return {
    get_secret: async (kid) => secrets.get(kid) ?? null,
    find_secrets: async (kids) => kids.filter((kid) => secrets.has(kid)),
  };
}

async function pack(request) {
  const resolver = didResolver(request);
  const secrets = secretsResolver(request);
  const value = { typ: "application/didcomm-plain+json", ...request.message };
  if (value.from_prior && typeof value.from_prior === "object") {
    [value.from_prior] = await new FromPrior(value.from_prior).pack(null, resolver, secrets);
  }
  const message = new Message(value);
  if (request.mode === "plaintext") return { packed: await message.pack_plaintext(resolver) };
  if (request.mode === "signed") {
    const [packed, meta] = await message.pack_signed(request.sign_by, resolver, secrets);
    return { packed, sign_kid: meta.sign_by_kid };
  }
  const [outer, inner] = request.mode.split("+");
  const authenticated = outer === "authcrypt" || inner === "authcrypt";
  const [packed, meta] = await message.pack_encrypted(
    request.to,
    authenticated ? request.from : null,
    inner === "sign" ? request.sign_by : null,
    resolver,
    secrets,
    {
      protect_sender: inner === "authcrypt",
      forward: request.forward ?? false,
      enc_alg_anon: ENC_ANON[request.enc_anon ?? "XC20P"],
    },
  );
  return { packed, to_kids: meta.to_kids, from_kid: meta.from_kid, sign_kid: meta.sign_by_kid };
}

async function unpack(request) {
  const options = { unwrap_re_wrapping_forward: request.unwrap_forward ?? false };
  const [message, meta] = await Message.unpack(
    request.packed,
    didResolver(request),
    secretsResolver(request),
    options,
  );
  return {
    message: message.as_value(),
    meta: {
      encrypted: meta.encrypted,
      authenticated: meta.authenticated,
      non_repudiation: meta.non_repudiation,
      anonymous_sender: meta.anonymous_sender,
      from_kid: meta.encrypted_from_kid ?? undefined,
      to_kids: meta.encrypted_to_kids ?? undefined,
      sign_kid: meta.sign_from ?? undefined,
      from_prior_kid: meta.from_prior_issuer_kid ?? undefined,
      re_wrapped: meta.re_wrapped_in_forward,
    },
  };
}

async function info() {
  return {
    name: "didcomm-node (WASM)",
    version: require("didcomm-node/package.json").version,
    curves: ["X25519", "P-256"],
    algorithms: ["EdDSA", "ES256", "ES256K", ...Object.keys(ENC_ANON)],
    modes: [
      "plaintext",
      "signed",
      "anoncrypt",
      "authcrypt",
      "anoncrypt+sign",
      "authcrypt+sign",
      "anoncrypt+authcrypt",
    ],
  };
}

const OPERATIONS = { info, pack, unpack };

// JavaScript keeps a whole number above 2^53 in a BigInt, which JSON cannot write.
const plain = (_name, value) => (typeof value === "bigint" ? Number(value) : value instanceof Map ? Object.fromEntries(value) : value);

async function answer(line) {
  let rid;
  try {
    const request = JSON.parse(line);
    rid = request.rid;
    return { rid, ok: true, ...(await OPERATIONS[request.op](request)) };
  } catch (error) {
    return { rid, ok: false, error: error?.message ?? String(error), code: error?.name ?? "Error" };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(line), plain)}\n`);
}
