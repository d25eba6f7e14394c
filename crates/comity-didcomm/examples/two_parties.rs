//! Two parties write to each other: a message that is signed and encrypted, and an answer in its
//! thread.
//!
//! Run it with `cargo run -p comity-didcomm --example two_parties`. Delivery is left out: an
//! envelope is a text, sent with the media type `application/didcomm-encrypted+json` by whatever
//! carries it.
#![allow(clippy::print_stdout, reason = "an example shows something")]

use std::error::Error;
use std::sync::Arc;

use comity_didcomm::{
    AgreementKey, ContentEncryption, CryptoRng, Curve, Did, DidUrl, Endpoint, Message, MessageId,
    OpenPolicy, Opened, Protection, SigningKey, UnixTime, did, open, resolve_self_contained, seal,
};

/// Everything that a party is: two keys, and a DID that carries its document.
struct Party {
    did: Did,
    sign_kid: DidUrl,
    signing: SigningKey,
    seal_kid: DidUrl,
    agreement: AgreementKey,
}

impl Party {
    fn new(uri: &str, rng: &mut dyn CryptoRng) -> Result<Self, Box<dyn Error>> {
        let (signing, agreement) = (SigningKey::generate(rng), AgreementKey::generate(rng));
        let keys = [signing.public(), agreement.public()];
        let did = did::peer::create_4(&keys, &[Endpoint::new(uri)])?.long;
        let (sign_kid, seal_kid) = (did.url("key-1"), did.url("key-2"));
        Ok(Self { did, sign_kid, signing, seal_kid, agreement })
    }

    fn send(&self, message: &Message, rng: &mut dyn CryptoRng) -> Result<String, Box<dyn Error>> {
        let to = message.to.first().ok_or("a message for nobody")?;
        let document = resolve_self_contained(to)?.ok_or("the DID does not carry its document")?;
        // All the recipient's keys on one curve, the cheapest that it offers.
        let recipients = document.choose_recipients(&Curve::AGREEMENT);
        let protection = Protection::Accountable {
            kid: &self.sign_kid,
            key: &self.signing,
            enc: ContentEncryption::default(),
        };
        Ok(seal(message, protection, &recipients, rng)?.envelope)
    }

    fn receive(&self, envelope: &str, now: UnixTime) -> Result<Opened, Box<dyn Error>> {
        let opened = open(
            envelope.as_bytes(),
            &OpenPolicy::default(),
            now,
            &|kid| (*kid == self.seal_kid).then(|| self.agreement.clone()),
            &|did| resolve_self_contained(did).ok().flatten().map(Arc::new),
        )?;
        Ok(opened)
    }
}

/// Plays the exchange.
///
/// # Errors
/// When anything is refused, which would be a fault of the library.
pub fn main() -> Result<(), Box<dyn Error>> {
    let mut rng: rand::rngs::StdRng = rand::make_rng();
    let now = UnixTime(1_800_000_000);
    let aria = Party::new("https://aria.example/didcomm", &mut rng)?;
    let bruno = Party::new("https://bruno.example/didcomm", &mut rng)?;

    let lunch = "https://didcomm.org/lets_do_lunch/1.0/proposal".parse()?;
    let question = Message::new(MessageId::random(&mut rng), lunch)
        .with_from(aria.did.clone())
        .with_to([bruno.did.clone()])
        .with_times(Some(now), Some(now.saturating_add(3600)))
        .with_body_member("when", "noon");
    let envelope = aria.send(&question, &mut rng)?;
    println!("Aria sends {} bytes", envelope.len());

    let opened = bruno.receive(&envelope, now)?;
    // `from` in a message is a claim; the sender is what was proven.
    let sender = opened.sender().ok_or("nothing proves the sender")?;
    assert_eq!(sender.did(), &aria.did);
    println!("Bruno reads {:?}, proven by {:?}", opened.message.body, sender.proof());

    let accept = "https://didcomm.org/lets_do_lunch/1.0/acceptance".parse()?;
    let answer = opened.message.answer(MessageId::random(&mut rng), accept, bruno.did.clone());
    let envelope = bruno.send(&answer, &mut rng)?;
    let opened = aria.receive(&envelope, now)?;
    assert!(opened.message.same_thread(&question));
    println!("Aria has an answer in the thread {}", opened.message.thread_id());
    Ok(())
}
