//! The examples in `docs/protocols` are what the code makes, and verify as a stranger would verify
//! them: with nothing but what stands in the document. `COMITY_BLESS` rewrites them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "the documents are files")]

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use comity_core::trust::{
    CredentialError, Ending, Grant, GrantChain, GrantError, GrantInput, GrantOutput, GrantTerms,
    Granted, Level, Limits, OutcomeError, SignedCredential, SignedOutcome, Vouch, VouchError,
    VouchTerms, Work,
};
use comity_didcomm::{Did, DidDocument, DidUrl, SigningKey, UnixTime, did};

const NOW: UnixTime = UnixTime(1_795_333_288);
const PROPOSAL: &str = "https://example.org/proposal/1.0";
const TASK: &str = "https://example.org/task/1.0";

/// A did:key, whose document is in its name.
struct Party {
    did: Did,
    kid: DidUrl,
    key: SigningKey,
}

impl Party {
    fn new(seed: u8) -> Self {
        let key = SigningKey::from_seed([seed; 32].into());
        let did = did::key::create(&key.public());
        let kid = document(&did).authentication[0].clone();
        Self { did, kid, key }
    }

    fn signing(&self) -> (&DidUrl, &SigningKey) {
        (&self.kid, &self.key)
    }
}

fn document(did: &Did) -> Arc<DidDocument> {
    Arc::new(did::key::resolve(did).unwrap())
}

/// One page, and the examples in it by the names in the comments above them.
struct Page {
    path: PathBuf,
    text: String,
}

impl Page {
    fn read(name: &str) -> Self {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let path = root.join("../../docs/protocols").join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        Self { path, text }
    }

    /// Returns where an example begins and ends.
    fn place(&self, name: &str) -> (usize, usize) {
        let marker = format!("<!-- example: {name} -->\n```");
        let at = self.text.find(&marker).expect("the page has the example") + marker.len();
        let begin = at + self.text[at..].find('\n').unwrap() + 1;
        let end = begin + self.text[begin..].find("```").unwrap();
        (begin, end)
    }

    fn example(&self, name: &str) -> String {
        let (begin, end) = self.place(name);
        self.text[begin..end].trim().to_owned()
    }

    /// Compares an example with what the code makes.
    fn check(&mut self, name: &str, made: &str) {
        if std::env::var_os("COMITY_BLESS").is_some() {
            let (begin, end) = self.place(name);
            self.text.replace_range(begin..end, &format!("{made}\n"));
            std::fs::write(&self.path, &self.text).unwrap();
        }
        assert!(
            self.example(name) == made,
            "{name} is not what the code makes: run `cargo xtask generate`"
        );
    }

    fn mentions_all(&self, codes: impl IntoIterator<Item = &'static str>) {
        for code in codes {
            assert!(self.text.contains(&format!("`{code}`")), "{code} is not on the page");
        }
    }
}

/// Returns what a token says, for people.
fn claims(token: &str) -> String {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    serde_json::to_string_pretty(&claims).unwrap()
}

fn verify(chain: &[String], audience: &Did, sender: &Did) -> Result<Arc<Granted>, GrantError> {
    let mut chain = GrantChain::new(chain, audience, sender, NOW)?;
    loop {
        let input = match chain.poll_output() {
            GrantOutput::Done(result) => return result,
            GrantOutput::Resolve(did) => GrantInput::Document(document(&did)),
            GrantOutput::Revocations(_) => GrantInput::Revoked(Vec::new()),
        };
        chain.handle_input(input);
    }
}

#[test]
fn the_example_of_a_grant_is_current() {
    let (bruno, aria, carol) = (Party::new(1), Party::new(2), Party::new(3));
    let terms = GrantTerms {
        grantee: aria.did.clone(),
        scope: vec![PROPOSAL.parse().unwrap(), TASK.parse().unwrap()],
        level: Level::Task,
        limits: Limits { messages_per_day: Some(50), tasks_open: Some(2), ..Limits::UNLIMITED },
        from: NOW,
        until: NOW.saturating_add(30 * 86_400),
        depth: 1,
        name: "01a20233-f386-74d3-b532-7e6c68a590f7".to_owned(),
    };
    let first = Grant::issue(&terms, bruno.signing()).unwrap();
    let granted = verify(std::slice::from_ref(&first), &bruno.did, &aria.did).unwrap();
    let narrower = GrantTerms {
        grantee: carol.did.clone(),
        scope: vec![PROPOSAL.parse().unwrap()],
        level: Level::Message,
        limits: Limits { messages_per_day: Some(5), ..terms.limits },
        until: NOW.saturating_add(7 * 86_400),
        depth: 0,
        name: "01a20234-0c1e-7b66-9f0a-2b8c1d6e4a55".to_owned(),
        ..terms
    };
    let second = granted.narrow(&narrower, aria.signing()).unwrap();
    let mut page = Page::read("grant.md");
    page.check("first", &first);
    page.check("first-claims", &claims(&first));
    page.check("second", &second);
    page.check("second-claims", &claims(&second));
    page.mentions_all(GrantError::ALL.map(GrantError::code));

    let chain = [page.example("first"), page.example("second")];
    let granted = verify(&chain, &bruno.did, &carol.did).unwrap();
    assert_eq!(granted.path(), [bruno.did, aria.did, carol.did]);
    assert_eq!((granted.level(), granted.until()), (Level::Message, narrower.until));
}

#[test]
fn the_example_of_a_vouch_is_current() {
    let (vera, aria) = (Party::new(4), Party::new(2));
    let terms = VouchTerms {
        subject: aria.did,
        scope: vec![PROPOSAL.parse().unwrap()],
        level: Level::Message,
        depth: 1,
        from: NOW,
        until: NOW.saturating_add(90 * 86_400),
        urn: "urn:uuid:01a20235-6d2c-7f1b-8e44-5a9b3c7d1e60".to_owned(),
    };
    let token = terms.sign(vera.signing()).unwrap();
    let mut page = Page::read("vouch.md");
    page.check("vouch", &token);
    page.check("vouch-claims", &claims(&token));
    page.mentions_all(CredentialError::ALL.map(CredentialError::code));
    page.mentions_all(VouchError::ALL.map(VouchError::code));

    let signed = SignedCredential::parse(&page.example("vouch")).unwrap();
    let credential = signed.verify(&document(signed.issuer()), NOW).unwrap();
    let vouch = Vouch::from_credential(&credential).unwrap();
    assert_eq!((vouch.issuer(), vouch.terms()), (&vera.did, &terms));
}

#[test]
fn the_example_of_an_outcome_is_current() {
    let (aria, bruno) = (Party::new(2), Party::new(1));
    let work = Work {
        worker: aria.did.clone(),
        client: bruno.did.clone(),
        thid: "01a20236-1a7e-7c02-b3d9-64f0c2e8a771".to_owned(),
        protocol: TASK.parse().unwrap(),
        outcome: Ending::Accepted,
        at: NOW,
    };
    let by_worker = work.sign(aria.signing()).unwrap();
    let read = |token: &str| {
        let signed = SignedOutcome::parse(token).unwrap();
        signed.verify(&document(signed.signer()), NOW).unwrap()
    };
    let by_client = read(&by_worker).agree(bruno.signing()).unwrap();
    let mut page = Page::read("outcome.md");
    page.check("worker", &by_worker);
    page.check("client", &by_client);
    page.check("claims", &claims(&by_worker));
    page.mentions_all(OutcomeError::ALL.map(OutcomeError::code));

    let outcome = read(&page.example("worker")).with(&read(&page.example("client"))).unwrap();
    assert_eq!(outcome.work(), &work);
}
