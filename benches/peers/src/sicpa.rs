//! SICPA's `didcomm`, with the same DIDs, keys and message as ours.

use comity_didcomm::Message as Ours;
use didcomm::algorithms::AnonCryptAlg;
use didcomm::did::DIDDoc;
use didcomm::did::resolvers::ExampleDIDResolver;
use didcomm::secrets::Secret;
use didcomm::secrets::resolvers::ExampleSecretsResolver;
use didcomm::{Message, PackEncryptedOptions, UnpackOptions};
use futures::executor::block_on;
use serde_json::{Value, json};

use crate::party::Pair;

pub(crate) struct Peer {
    documents: ExampleDIDResolver,
    secrets: ExampleSecretsResolver,
    message: Message,
    from: String,
    to: String,
    sign_by: String,
}

impl Peer {
    pub(crate) fn new(pair: &Pair, message: &Ours) -> Self {
        let (from, to) = (pair.aria_sign_kid.did().to_string(), message.to[0].to_string());
        let (sign_kid, seal_kid) =
            (pair.aria_sign_kid.to_string(), pair.aria_agree_kid.to_string());
        let (bruno_kid, bruno_key) = &pair.recipients[0];
        let method = |id: &str, key: Value| json!({ "id": id, "type": "JsonWebKey2020", "controller": id, "publicKeyJwk": key });
        let document =
            |id: &str, signing: Vec<&str>, agreement: &str, methods: Vec<Value>| -> DIDDoc {
                serde_json::from_value(json!({
                    "id": id, "authentication": signing, "keyAgreement": [agreement],
                    "verificationMethod": methods, "service": [],
                }))
                .unwrap()
            };
        let aria_methods = vec![
            method(&sign_kid, json!(pair.aria_sign.public().to_jwk())),
            method(&seal_kid, json!(pair.aria_agree.public().to_jwk())),
        ];
        let bruno_methods = vec![method(bruno_kid.as_str(), json!(bruno_key.to_jwk()))];
        let secret = |id: &str, jwk: &str| -> Secret {
            let jwk: Value = serde_json::from_str(jwk).unwrap();
            let secret = json!({ "id": id, "type": "JsonWebKey2020", "privateKeyJwk": jwk });
            serde_json::from_value(secret).unwrap()
        };
        let secrets = vec![
            secret(&sign_kid, &pair.aria_sign.to_jwk()),
            secret(&seal_kid, &pair.aria_agree.to_jwk()),
            secret(bruno_kid.as_str(), &pair.bruno.to_jwk()),
        ];
        Self {
            documents: ExampleDIDResolver::new(vec![
                document(&from, vec![&sign_kid], &seal_kid, aria_methods),
                document(&to, vec![], bruno_kid.as_str(), bruno_methods),
            ]),
            secrets: ExampleSecretsResolver::new(secrets),
            message: serde_json::from_slice(&message.to_json()).unwrap(),
            from,
            to,
            sign_by: sign_kid,
        }
    }

    pub(crate) fn authcrypt(&self) -> String {
        self.pack(Some(&self.from), None)
    }

    pub(crate) fn anoncrypt_sign(&self) -> String {
        self.pack(None, Some(&self.sign_by))
    }

    fn pack(&self, from: Option<&str>, sign_by: Option<&str>) -> String {
        let enc_alg_anon = AnonCryptAlg::A256cbcHs512EcdhEsA256kw;
        let options = PackEncryptedOptions { forward: false, enc_alg_anon, ..Default::default() };
        let packed = self.message.pack_encrypted(
            &self.to,
            from,
            sign_by,
            &self.documents,
            &self.secrets,
            &options,
        );
        block_on(packed).unwrap().0
    }

    pub(crate) fn open(&self, envelope: &str) {
        let options = UnpackOptions::default();
        let opened = Message::unpack(envelope, &self.documents, &self.secrets, &options);
        assert!(std::hint::black_box(block_on(opened).unwrap()).1.encrypted);
    }
}
