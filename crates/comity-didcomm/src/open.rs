//! [`Opening`]: the machine that opens one envelope (DIDComm v2.1, sections "Encryption",
//! "Signing", "Combinations", "Addressing Consistency" and "DID Rotation").
//!
//! It does no I/O: it says which keys and documents it needs and is given them. It cannot be told
//! to skip a check of authenticity, and it asks for expensive things only after the cheap checks.
//! The comments number the checks as the crate's documentation does. De-duplication (14) needs
//! memory and belongs to the caller.

mod error;
mod opened;
mod policy;
mod rotation;

use std::borrow::Cow;
use std::sync::Arc;

pub use self::error::OpenError;
pub use self::opened::{Opened, Sender, SenderProof};
pub use self::policy::{Choice, OpenPolicy};
use self::rotation::FromPrior;
pub use self::rotation::{Rotation, from_prior, verify_from_prior};
use crate::did::{Did, DidUrl};
use crate::document::DidDocument;
use crate::envelope::jwe::Jwe;
use crate::envelope::jws::Jws;
use crate::envelope::{Layer, Layers};
use crate::json::{Object, Tree};
use crate::key::{AgreementKey, PublicKey};
use crate::limits::{ENVELOPE_BYTES_MAX, RECIPIENTS_MAX};
use crate::message::Message;
use crate::time::UnixTime;

/// Says what an [`Opening`] needs next, or hands over the result.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Every check is passed.
    Done(Box<Opened>),
    /// Which of these keys are ours? Answer with [`Input::Keys`].
    Keys(Vec<DidUrl>),
    /// The document of this DID, please. Answer with [`Input::Document`] or
    /// [`Input::Unresolvable`].
    Resolve(Did),
}

/// Answers an [`Output`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Input {
    /// The document that was asked for.
    Document(Arc<DidDocument>),
    /// Those of the asked-for keys that are ours and in our own document's `keyAgreement`; others
    /// are ignored.
    Keys(Vec<(DidUrl, AgreementKey)>),
    /// The document that was asked for cannot be had.
    Unresolvable(Did),
}

/// Tells what can be known of an envelope without any key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outline {
    /// The outermost layer; `None`: a bare plaintext.
    pub layer: Option<Layer>,
    /// The recipients' key ids, if it is encrypted.
    pub recipients: Vec<DidUrl>,
}

/// Opens one envelope.
///
/// The contract: call [`poll_output`](Self::poll_output); answer what it asks for with
/// [`handle_input`](Self::handle_input); repeat until it returns `Done` or an error. Asking again
/// without an answer repeats the question, an answer to another question is ignored, an error
/// stays.
///
/// Which DIDs it asks for: the one of the key that sealed an authcrypt layer (there is no
/// decrypting without it, but only after one of our keys is found among the recipients), the `from`
/// of a signed payload, and the issuer of a `from_prior`. Never the one that only a signature's
/// header names.
pub struct Opening {
    policy: OpenPolicy,
    now: UnixTime,
    state: State,
    answer: Option<Input>,
    found: Found,
}

/// What has been established so far.
#[derive(Default)]
struct Found {
    layers: Layers,
    /// Our key that decrypted the innermost layer so far, and the one of the layer around it.
    recipient: Option<DidUrl>,
    outer_recipient: Option<DidUrl>,
    /// The key that sealed, after it has decrypted.
    sealer: Option<(DidUrl, PublicKey)>,
    /// The document of the sealer or signer.
    document: Option<Arc<DidDocument>>,
}

enum State {
    /// Waits for our keys.
    Encrypted(Jwe),
    /// Has keys of ours, waits for the document of the sealer.
    Authcrypted {
        jwe: Jwe,
        own: Vec<(DidUrl, AgreementKey)>,
    },
    /// Waits for the document of the payload's `from`.
    Signed {
        jws: Jws,
        text: String,
        message: Message,
    },
    /// Everything but the rotation is verified; waits for the document of the prior DID.
    Rotating {
        token: FromPrior,
        opened: Box<Opened>,
    },
    /// A plaintext that needs nothing more.
    Plain {
        plain: Plain,
        sender: Option<Sender>,
        signed: Option<String>,
    },
    Finished,
    Failed(OpenError),
}

struct Plain {
    message: Message,
    text: Vec<u8>,
}

impl Opening {
    /// Reads the outermost layer. Does no cryptography.
    ///
    /// # Errors
    /// When the bytes are not an envelope, or one that is refused without looking inside.
    pub fn new(envelope: &[u8], policy: &OpenPolicy, now: UnixTime) -> Result<Self, OpenError> {
        let bytes_max = policy.envelope_bytes_max.min(ENVELOPE_BYTES_MAX);
        let mut opening = Self {
            policy: policy.clone(),
            now,
            state: State::Finished,
            answer: None,
            found: Found::default(),
        };
        opening.state = opening.enter(Cow::Borrowed(envelope), bytes_max)?;
        Ok(opening)
    }

    /// Tells what can be known without any key. Meaningful before the first answer.
    #[must_use]
    pub fn outline(&self) -> Outline {
        let recipients = match &self.state {
            State::Encrypted(jwe) => kids(jwe),
            _ => Vec::new(),
        };
        Outline { layer: self.found.layers.as_slice().first().copied(), recipients }
    }

    /// Takes the answer to the last question.
    pub fn handle_input(&mut self, input: Input) {
        self.answer = Some(input);
    }

    /// Works until something is needed, or to the end.
    ///
    /// # Errors
    /// When the envelope is refused. The same error is returned from then on.
    pub fn poll_output(&mut self) -> Result<Output, OpenError> {
        loop {
            let state = std::mem::replace(&mut self.state, State::Finished);
            match self.step(state) {
                Ok(Step::Next(state)) => self.state = state,
                Ok(Step::Ask(state, output)) => {
                    self.state = state;
                    return Ok(output);
                }
                Ok(Step::Done(opened)) => return Ok(Output::Done(opened)),
                Err(error) => {
                    self.state = State::Failed(error);
                    return Err(error);
                }
            }
        }
    }

    fn step(&mut self, state: State) -> Result<Step, OpenError> {
        match state {
            State::Encrypted(jwe) => {
                let Some(Input::Keys(keys)) = self.answer.take() else {
                    let question = Output::Keys(kids(&jwe));
                    return Ok(Step::Ask(State::Encrypted(jwe), question));
                };
                // Unknown keys are skipped before any agreement is computed.
                let own = own_keys(&jwe, keys)?;
                if jwe.skid.is_some() {
                    return Ok(Step::Next(State::Authcrypted { jwe, own }));
                }
                self.decrypted(jwe, &own, None).map(Step::Next)
            }
            State::Authcrypted { jwe, own } => {
                let Some(skid) = jwe.skid.clone() else { return Err(OpenError::Malformed) };
                let Some(document) = self.document(skid.did())? else {
                    let question = Output::Resolve(skid.did().clone());
                    return Ok(Step::Ask(State::Authcrypted { jwe, own }, question));
                };
                // Check 5: the key is in `keyAgreement` of the sender (whom check 1 binds to `from`
                // below).
                let key = *document.agreement_key(&skid).ok_or(OpenError::SenderMismatch)?;
                // Check 9, second half: one curve for all keys that agree.
                if key.curve() != jwe.curve() {
                    return Err(OpenError::Key);
                }
                self.found.document = Some(document);
                self.decrypted(jwe, &own, Some((skid, key))).map(Step::Next)
            }
            State::Signed { jws, text, message } => {
                let Some(from) = message.from.clone() else {
                    return Err(OpenError::SenderMismatch);
                };
                let known = self.found.document.take().filter(|known| known.id.same_subject(&from));
                let document = match known {
                    Some(document) => document,
                    None => match self.document(&from)? {
                        Some(document) => document,
                        None => {
                            let state = State::Signed { jws, text, message };
                            return Ok(Step::Ask(state, Output::Resolve(from)));
                        }
                    },
                };
                let key = jws.verify(&document)?;
                self.found.document = Some(document);
                let (kid, payload) = jws.into_parts();
                let plain = Plain { message, text: payload };
                let sender = Some(Sender::new(from, kid, key, SenderProof::Signature));
                Ok(Step::Next(State::Plain { plain, sender, signed: Some(text) }))
            }
            State::Plain { plain, sender, signed } => self.finish(plain, sender, signed),
            State::Rotating { token, mut opened } => {
                let Some(document) = self.document(token.prior())? else {
                    let question = Output::Resolve(token.prior().clone());
                    return Ok(Step::Ask(State::Rotating { token, opened }, question));
                };
                opened.rotation = Some(token.verify(&document)?);
                Ok(Step::Done(opened))
            }
            State::Finished => Err(OpenError::AlreadyOpened),
            State::Failed(error) => Err(error),
        }
    }

    /// Takes the answer to a `Resolve`; `None` when there is none yet.
    fn document(&mut self, asked: &Did) -> Result<Option<Arc<DidDocument>>, OpenError> {
        match self.answer.take() {
            Some(Input::Document(document)) if document.id.same_subject(asked) => {
                Ok(Some(document))
            }
            Some(Input::Unresolvable(did)) if did == *asked => Err(OpenError::DidUnresolvable),
            _ => Ok(None),
        }
    }

    fn decrypted(
        &mut self,
        jwe: Jwe,
        own: &[(DidUrl, AgreementKey)],
        sealer: Option<(DidUrl, PublicKey)>,
    ) -> Result<State, OpenError> {
        let (kid, content) = jwe.decrypt(own, sealer.as_ref().map(|(_, key)| key))?;
        self.found.outer_recipient = self.found.recipient.replace(kid);
        if sealer.is_some() {
            self.found.sealer = sealer;
        }
        self.enter(Cow::Owned(content), ENVELOPE_BYTES_MAX)
    }

    /// Looks at what stands inside the layers so far: another layer, or the plaintext.
    fn enter(&mut self, text: Cow<'_, [u8]>, bytes_max: usize) -> Result<State, OpenError> {
        let tree = Tree::read_object(&text, bytes_max)?;
        let object = tree.object();
        if object.contains("ciphertext") {
            let recipients_max = self.policy.recipients_max.min(RECIPIENTS_MAX);
            let jwe = Jwe::from_object(object, recipients_max)?;
            self.push(jwe.alg.layer())?;
            return Ok(State::Encrypted(jwe));
        }
        if object.contains("payload") {
            self.push(Layer::Signed)?;
            let jws = Jws::from_object(object)?;
            let inner = Tree::read_object(jws.payload(), ENVELOPE_BYTES_MAX)?;
            let inner = inner.object();
            if inner.contains("ciphertext") || inner.contains("payload") {
                return Err(OpenError::Envelope);
            }
            let message = self.message(inner, Some(&jws.kid))?;
            self.check_signed(&message, &jws)?;
            self.check_addressing(&message)?;
            let text = String::from_utf8(text.into_owned()).map_err(|_| OpenError::Malformed)?;
            return Ok(State::Signed { jws, text, message });
        }
        if self.found.layers.as_slice().is_empty() && self.policy.unprotected == Choice::Refuse {
            // What looks like nothing at all is malformed rather than unprotected.
            let known = object.contains("id") && object.contains("type");
            return Err(if known { OpenError::Unprotected } else { OpenError::Malformed });
        }
        let message = self.message(object, None)?;
        let sender = self.check_sealed(&message)?;
        self.check_addressing(&message)?;
        let plain = Plain { message, text: text.into_owned() };
        Ok(State::Plain { plain, sender, signed: None })
    }

    /// Reads the plaintext. Its DIDs are mostly those of the keys, and share their text then.
    fn message(&self, object: Object<'_>, signer: Option<&DidUrl>) -> Result<Message, OpenError> {
        let sealer = self.found.sealer.as_ref().map(|(kid, _)| kid);
        let known = [signer, sealer, self.found.recipient.as_ref()].map(|kid| kid.map(DidUrl::did));
        Ok(Message::from_object(object, &known)?)
    }

    /// Check 7: the nesting.
    fn push(&mut self, layer: Layer) -> Result<(), OpenError> {
        self.found.layers = self.found.layers.around(layer).ok_or(OpenError::Envelope)?;
        Ok(())
    }

    /// Check 1: under authcrypt, `from` is there and is the holder of the key that sealed.
    fn check_sealed(&self, message: &Message) -> Result<Option<Sender>, OpenError> {
        let Some((skid, key)) = &self.found.sealer else { return Ok(None) };
        match &message.from {
            Some(from) if from.same_subject(skid.did()) => {
                Ok(Some(Sender::new(from.clone(), skid.clone(), *key, SenderProof::Authcrypt)))
            }
            _ => Err(OpenError::SenderMismatch),
        }
    }

    /// Check 4, first half: `from` is there and is the signer; and for authcrypt(sign), the sealer
    /// too.
    fn check_signed(&self, message: &Message, jws: &Jws) -> Result<(), OpenError> {
        self.check_sealed(message)?;
        match &message.from {
            Some(from) if from.same_subject(jws.kid.did()) => Ok(()),
            _ => Err(OpenError::SenderMismatch),
        }
    }

    /// Checks 3 and 8, and the times: whom the message is for, and whether it still or already is.
    fn check_addressing(&self, message: &Message) -> Result<(), OpenError> {
        let signed = self.found.layers.as_slice().contains(&Layer::Signed);
        // Check 8: a signature inside encryption without `to` could be passed on to anybody.
        if signed && self.found.recipient.is_some() && message.to.is_empty() {
            return Err(OpenError::NotAddressed);
        }
        // Check 3: the recipient is in `to`. Without `to`, an unsigned message is for whoever could
        // decrypt it.
        let mut ours = self.found.recipient.iter().chain(&self.found.outer_recipient);
        let listed = |kid: &DidUrl| message.to.iter().any(|to| to.same_subject(kid.did()));
        let addressed = message.to.is_empty() || ours.all(listed);
        if !addressed && (signed || self.policy.to_without_us == Choice::Refuse) {
            return Err(OpenError::NotAddressed);
        }
        if message.expires_time.is_some_and(|expires| expires <= self.now) {
            return Err(OpenError::Expired);
        }
        let latest = self.now.saturating_add(self.policy.clock_skew_secs_max);
        if message.created_time.is_some_and(|created| latest < created) {
            return Err(OpenError::NotYet);
        }
        Ok(())
    }

    fn finish(
        &mut self,
        plain: Plain,
        sender: Option<Sender>,
        signed: Option<String>,
    ) -> Result<Step, OpenError> {
        let found = std::mem::take(&mut self.found);
        let token = match &plain.message.from_prior {
            None => None,
            // Check 13: a rotation must be encrypted, and be announced by the successor itself, or
            // by nobody when the relation ends. An unproven `from` could claim somebody else's
            // token.
            Some(_) if found.recipient.is_none() => return Err(OpenError::FromPrior),
            Some(_) if sender.is_none() && plain.message.from.is_some() => {
                return Err(OpenError::FromPrior);
            }
            Some(token) => Some(FromPrior::parse(token, plain.message.from.as_ref())?),
        };
        let opened = Box::new(Opened {
            message: plain.message,
            sender_document: found.document.filter(|_| sender.is_some()),
            sender,
            layers: found.layers,
            recipient_kid: found.recipient,
            sealer_kid: found.sealer.map(|(kid, _)| kid),
            signed,
            plaintext: plain.text,
            rotation: None,
        });
        Ok(match token {
            None => Step::Done(opened),
            Some(token) => Step::Next(State::Rotating { token, opened }),
        })
    }
}

enum Step {
    Ask(State, Output),
    Done(Box<Opened>),
    Next(State),
}

fn kids(jwe: &Jwe) -> Vec<DidUrl> {
    jwe.recipients.iter().map(|recipient| recipient.kid.clone()).collect()
}

/// Keeps those of our keys that the envelope is for and that are on the curve of its ephemeral key.
fn own_keys(
    jwe: &Jwe,
    mut keys: Vec<(DidUrl, AgreementKey)>,
) -> Result<Vec<(DidUrl, AgreementKey)>, OpenError> {
    keys.retain(|(kid, _)| jwe.recipients.iter().any(|recipient| recipient.kid == *kid));
    if jwe.skid.is_some() {
        // To a key that others have, they can seal in anybody's name.
        keys.retain(|(_, key)| key.proves_sender());
    }
    if keys.is_empty() {
        return Err(OpenError::UnknownRecipient);
    }
    keys.retain(|(_, key)| key.public().curve() == jwe.curve());
    if keys.is_empty() { Err(OpenError::Key) } else { Ok(keys) }
}

/// Opens an envelope for a caller that has all keys and documents at hand.
///
/// # Errors
/// When the envelope is refused.
pub fn open(
    envelope: &[u8],
    policy: &OpenPolicy,
    now: UnixTime,
    keys: &dyn Fn(&DidUrl) -> Option<AgreementKey>,
    documents: &dyn Fn(&Did) -> Option<Arc<DidDocument>>,
) -> Result<Opened, OpenError> {
    let mut opening = Opening::new(envelope, policy, now)?;
    loop {
        let input = match opening.poll_output()? {
            Output::Done(opened) => return Ok(*opened),
            Output::Keys(kids) => Input::Keys(
                kids.into_iter().filter_map(|kid| keys(&kid).map(|key| (kid, key))).collect(),
            ),
            Output::Resolve(did) => {
                match documents(&did).filter(|found| found.id.same_subject(&did)) {
                    Some(document) => Input::Document(document),
                    None => Input::Unresolvable(did),
                }
            }
        };
        opening.handle_input(input);
    }
}
