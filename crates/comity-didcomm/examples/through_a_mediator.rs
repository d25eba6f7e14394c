//! An anonymous message reaches somebody who is behind a mediator: the sender wraps it, the
//! mediator takes off the wrapping and learns nothing but whom it is for, the recipient opens it.
//!
//! Run it with `cargo run -p comity-didcomm --example through_a_mediator`.
#![allow(clippy::print_stdout, reason = "an example shows something")]

use std::error::Error;
use std::sync::Arc;

use comity_didcomm::routing::{Forward, Next, Route, open_forwarded, wrap};
use comity_didcomm::{
    AgreementKey, ContentEncryption, CryptoRng, Curve, Did, DidDocument, DidUrl, Endpoint, Message,
    MessageId, OpenPolicy, Protection, SigningKey, UnixTime, did, resolve_self_contained, seal,
};

fn party(
    uri: &str,
    agreement: &AgreementKey,
    rng: &mut dyn CryptoRng,
) -> Result<(Did, DidUrl), Box<dyn Error>> {
    let keys = [SigningKey::generate(rng).public(), agreement.public()];
    let did = did::peer::create_4(&keys, &[Endpoint::new(uri)])?.long;
    let kid = did.url("key-2");
    Ok((did, kid))
}

fn document(did: &Did) -> Option<Arc<DidDocument>> {
    resolve_self_contained(did).ok().flatten().map(Arc::new)
}

/// Plays the journey.
///
/// # Errors
/// When anything is refused, which would be a fault of the library.
pub fn main() -> Result<(), Box<dyn Error>> {
    let mut rng: rand::rngs::StdRng = rand::make_rng();
    let now = UnixTime(1_800_000_000);
    let mediator_key = AgreementKey::generate(&mut rng);
    let (mediator, mediator_kid) =
        party("https://mediator.example/didcomm", &mediator_key, &mut rng)?;
    // Bruno's document says: reach me at my mediator.
    let bruno_key = AgreementKey::generate(&mut rng);
    let (bruno, bruno_kid) = party(mediator.as_str(), &bruno_key, &mut rng)?;

    // The sender packs for Bruno, then for the way to him.
    let type_ = "https://didcomm.org/basicmessage/2.0/message".parse()?;
    let message = Message::new(MessageId::random(&mut rng), type_)
        .with_to([bruno.clone()])
        .with_body_member("content", "The gate at the river is open");
    let theirs = document(&bruno).ok_or("the DID carries its document")?;
    let recipients = theirs.choose_recipients(&Curve::AGREEMENT);
    let anonymous = Protection::Anonymous { enc: ContentEncryption::A256Gcm };
    let sealed = seal(&message, anonymous, &recipients, &mut rng)?;
    let endpoint = theirs.didcomm_endpoints().into_iter().next().ok_or("no endpoint")?;
    let https = |uri: &str| uri.starts_with("https://");
    // Documents that cannot be read off the DID would be fetched: `Route::new` says which.
    let route = Route::new(&bruno, &endpoint, &https, &document)?;
    let wrapped = wrap(sealed.envelope, &route, Some(now.saturating_add(3600)), &mut rng)?;
    println!("Post {} bytes to {}, {} hop", wrapped.envelope.len(), wrapped.uri, wrapped.hops);

    // The mediator reads the forward, and only that.
    let at_mediator = comity_didcomm::open(
        wrapped.envelope.as_bytes(),
        &OpenPolicy::default(),
        now,
        &|kid| (*kid == mediator_kid).then(|| mediator_key.clone()),
        &document,
    )?;
    let forward = Forward::from_message(&at_mediator.message)?;
    assert_eq!(forward.next, Next::Did(bruno));
    let payload = forward.payloads.into_iter().next().ok_or("a forward has a payload")?;
    println!("The mediator passes {} bytes on", payload.len());

    // Bruno's side also takes off what a mediator may have wrapped around it for him.
    let keys = |kid: &DidUrl| (*kid == bruno_kid).then(|| bruno_key.clone());
    let received = open_forwarded(&payload, &OpenPolicy::default(), now, &keys, &document)?;
    assert!(received.opened.sender().is_none(), "nobody signed it");
    println!("Bruno reads {:?}", received.opened.message.body);
    Ok(())
}
