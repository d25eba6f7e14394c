//! A party moves to a new DID and takes its relations along; later it ends one.
//!
//! Run it with `cargo run -p comity-didcomm --example rotation`.
#![allow(clippy::print_stdout, reason = "an example shows something")]

use std::error::Error;
use std::sync::Arc;

use comity_didcomm::{
    AgreementKey, ContentEncryption, CryptoRng, Curve, Did, DidUrl, Message, MessageId, OpenPolicy,
    Opened, Protection, SigningKey, UnixTime, did, from_prior, open, resolve_self_contained, seal,
};

struct Identity {
    did: Did,
    sign_kid: DidUrl,
    signing: SigningKey,
    seal_kid: DidUrl,
    agreement: AgreementKey,
}

impl Identity {
    fn new(rng: &mut dyn CryptoRng) -> Result<Self, Box<dyn Error>> {
        let (signing, agreement) = (SigningKey::generate(rng), AgreementKey::generate(rng));
        let did = did::peer::create_4(&[signing.public(), agreement.public()], &[])?.long;
        let (sign_kid, seal_kid) = (did.url("key-1"), did.url("key-2"));
        Ok(Self { did, sign_kid, signing, seal_kid, agreement })
    }

    fn open(&self, envelope: &str, now: UnixTime) -> Result<Opened, Box<dyn Error>> {
        let keys = |kid: &DidUrl| (*kid == self.seal_kid).then(|| self.agreement.clone());
        let documents = |did: &Did| resolve_self_contained(did).ok().flatten().map(Arc::new);
        Ok(open(envelope.as_bytes(), &OpenPolicy::default(), now, &keys, &documents)?)
    }
}

/// Plays the move, and the end.
///
/// # Errors
/// When anything is refused, which would be a fault of the library.
pub fn main() -> Result<(), Box<dyn Error>> {
    let mut rng: rand::rngs::StdRng = rand::make_rng();
    let now = UnixTime(1_800_000_000);
    let (old, new) = (Identity::new(&mut rng)?, Identity::new(&mut rng)?);
    let bruno = Identity::new(&mut rng)?;
    let to_bruno =
        resolve_self_contained(&bruno.did)?.ok_or("carried")?.choose_recipients(&Curve::AGREEMENT);
    let empty = "https://didcomm.org/empty/1.0/empty";

    // The old DID says which one succeeds it; the new one carries that along, until Bruno writes to
    // it.
    let mut moved = Message::new(MessageId::random(&mut rng), empty.parse()?)
        .with_from(new.did.clone())
        .with_to([bruno.did.clone()]);
    moved.from_prior = Some(from_prior(&old.sign_kid, &old.signing, Some(&new.did), now));
    let protection = Protection::Deniable { kid: &new.seal_kid, key: &new.agreement };
    let envelope = seal(&moved, protection, &to_bruno, &mut rng)?.envelope;
    let opened = bruno.open(&envelope, now)?;
    let rotation = opened.rotation().ok_or("it announces a rotation")?;
    assert_eq!((rotation.prior(), rotation.successor()), (&old.did, Some(&new.did)));
    println!("The peer moved at {}; later messages from the old DID are ignored", rotation.at());

    // Somebody who copies the announcement cannot use it: it names its own bearer.
    let thief = Identity::new(&mut rng)?;
    let stolen = moved.clone().with_from(thief.did.clone());
    let protection = Protection::Deniable { kid: &thief.seal_kid, key: &thief.agreement };
    let envelope = seal(&stolen, protection, &to_bruno, &mut rng)?.envelope;
    assert!(bruno.open(&envelope, now).is_err());

    // The end of a relation names no successor, and the message no sender.
    let mut ended =
        Message::new(MessageId::random(&mut rng), empty.parse()?).with_to([bruno.did.clone()]);
    ended.from_prior = Some(from_prior(&new.sign_kid, &new.signing, None, now));
    let protection = Protection::Anonymous { enc: ContentEncryption::default() };
    let envelope = seal(&ended, protection, &to_bruno, &mut rng)?.envelope;
    let opened = bruno.open(&envelope, now)?;
    let rotation = opened.rotation().ok_or("it announces an end")?;
    assert_eq!((rotation.prior(), rotation.successor()), (&new.did, None));
    println!("The relation has ended, says {}", rotation.kid().fragment().unwrap_or_default());
    Ok(())
}
