//! What a recipient keeps of a signed message convinces a third party, offline: the exact text that
//! was signed, and the sender's document as it was.
//!
//! Run it with `cargo run -p comity-didcomm --example evidence`.
#![allow(clippy::print_stdout, reason = "an example shows something")]

use std::error::Error;
use std::sync::Arc;

use comity_didcomm::{
    AgreementKey, ContentEncryption, Curve, Did, DidDocument, Message, MessageId, OpenPolicy,
    Protection, SigningKey, UnixTime, VerificationMethod, open, seal, verify_jws,
};

/// Makes a document as a web server would serve it.
fn document(did: &Did, signing: &SigningKey, agreement: &AgreementKey) -> DidDocument {
    let mut document = DidDocument::new(did.clone());
    let id = document.add_key(VerificationMethod::new(did.url("sign"), signing.public()));
    document.authentication.push(id);
    let id = document.add_key(VerificationMethod::new(did.url("seal"), agreement.public()));
    document.key_agreement.push(id);
    document
}

/// Plays the dispute.
///
/// # Errors
/// When anything is refused, which would be a fault of the library.
pub fn main() -> Result<(), Box<dyn Error>> {
    let mut rng: rand::rngs::StdRng = rand::make_rng();
    let now = UnixTime(1_800_000_000);
    let (aria, bruno) = (Did::parse("did:web:aria.example")?, Did::parse("did:web:bruno.example")?);
    let (aria_sign, aria_seal) = (SigningKey::generate(&mut rng), AgreementKey::generate(&mut rng));
    let (bruno_sign, bruno_seal) =
        (SigningKey::generate(&mut rng), AgreementKey::generate(&mut rng));
    let aria_document = Arc::new(document(&aria, &aria_sign, &aria_seal));
    let bruno_document = document(&bruno, &bruno_sign, &bruno_seal);

    let order =
        Message::new(MessageId::random(&mut rng), "https://aria.example/order/1.0/order".parse()?)
            .with_from(aria.clone())
            .with_to([bruno.clone()])
            .with_times(Some(now), None)
            .with_body_member("barrels", 40);
    let kid = aria.url("sign");
    let protection =
        Protection::Accountable { kid: &kid, key: &aria_sign, enc: ContentEncryption::default() };
    let recipients = bruno_document.choose_recipients(&Curve::AGREEMENT);
    let sealed = seal(&order, protection, &recipients, &mut rng)?;

    // Bruno opens it, and keeps two things.
    let opened = open(
        sealed.envelope.as_bytes(),
        &OpenPolicy::default(),
        now,
        &|kid| (*kid == bruno.url("seal")).then(|| bruno_seal.clone()),
        &|did| (*did == aria).then(|| Arc::clone(&aria_document)),
    )?;
    let evidence = opened.signed().ok_or("it was signed")?.to_owned();
    let their_document = opened.sender_document().ok_or("it has a sender")?.to_json().to_string();

    // A year later, somewhere else: no network, no secret, not even Bruno's key.
    let judged_by = DidDocument::parse(their_document.as_bytes(), &aria)?;
    let verified = verify_jws(evidence.as_bytes(), &judged_by)?;
    let said = Message::parse(&verified.payload)?;
    println!("{} signed, with {}: {:?}", said.from.ok_or("checked")?, verified.kid, said.body);

    // One character less, and it is nothing.
    let tampered = evidence.replace("payload\":\"e", "payload\":\"f");
    assert!(verify_jws(tampered.as_bytes(), &judged_by).is_err());
    // Nor does it speak for somebody else.
    assert!(verify_jws(evidence.as_bytes(), &bruno_document).is_err());
    Ok(())
}
