//! What opening and packing cost against the sum of the primitives, measured in the same run; what
//! they allocate; and what each curve costs: `cargo bench -p comity-didcomm`.
//!
//! Times are the thread's CPU time, the best of many short batches, taken in turns, so that what
//! else the machine does falls out. Not a test: nothing fails for being slow.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark, for a terminal"
)]

mod party;
mod primitives;
mod timing;

use comity_didcomm::{ContentEncryption, Curve, Protection, PublicKey, Sealed, seal};
use primitives as p;
use timing::{Row, Table};

use self::party::{Pair, plaintext_message};

const ENC: ContentEncryption = ContentEncryption::A256CbcHs512;

fn main() {
    let pair = Pair::on(Curve::Ed25519, Curve::X25519);
    ratios(&pair);
    curves();
}

/// The two rows for which there are targets, both ways.
fn ratios(pair: &Pair) {
    let message = plaintext_message(pair, 1024);
    let deniable = || Protection::Deniable { kid: &pair.aria_agree_kid, key: &pair.aria_agree };
    let accountable =
        || Protection::Accountable { kid: &pair.aria_sign_kid, key: &pair.aria_sign, enc: ENC };
    let pack = |protection: Protection<'_>| {
        seal(&message, protection, &pair.recipients, &mut pair.rng()).unwrap()
    };
    let (auth, anon) = (pack(deniable()), pack(accountable()));
    let cached = pair.with_cache();
    let with_cache =
        || Protection::Deniable { kid: &cached.aria_agree_kid, key: &cached.aria_agree };
    let base = Base::new(Curve::X25519);
    let mut table = Table::default();
    table.limit("authcrypt open: primitives", || base.open(&auth, Agreements::Two));
    table.row("authcrypt open", 1.2, || pair.open(&auth.envelope));
    table.row("authcrypt open, agreement cached", 0.75, || cached.open(&auth.envelope));
    table.limit("authcrypt pack: primitives", || base.pack(&auth, Agreements::Two));
    table.row("authcrypt pack", 1.4, || drop(pack(deniable())));
    table.row("authcrypt pack, agreement cached", 0.75, || drop(pack(with_cache())));
    table.limit("anoncrypt(sign) open: primitives", || base.open(&anon, Agreements::One));
    table.row("anoncrypt(sign) open", 1.2, || pair.open(&anon.envelope));
    table.limit("anoncrypt(sign) pack: primitives", || base.pack(&anon, Agreements::One));
    table.row("anoncrypt(sign) pack", 1.4, || drop(pack(accountable())));
    println!("1 KiB body, X25519, A256CBC-HS512, EdDSA, one recipient key\n");
    table.run_and_print();
}

/// Cost by curve.
fn curves() {
    println!("\nBy curve, 1 KiB body, one recipient key\n");
    let mut table = Table::default();
    for curve in Curve::AGREEMENT {
        let pair: &'static Pair = Box::leak(Box::new(Pair::on(Curve::Ed25519, curve)));
        let message = plaintext_message(pair, 1024);
        let pack = move || {
            let deniable =
                Protection::Deniable { kid: &pair.aria_agree_kid, key: &pair.aria_agree };
            seal(&message, deniable, &pair.recipients, &mut pair.rng()).unwrap()
        };
        let sealed = pack();
        let multikey = pair.recipients[0].1.to_multibase();
        table.push(Row::new(format!("read a Multikey, {}", curve.name()), move || {
            PublicKey::from_multibase(&multikey).unwrap();
        }));
        table.push(Row::new(format!("authcrypt open, {}", curve.name()), move || {
            pair.open(&sealed.envelope);
        }));
        table.push(Row::new(format!("authcrypt pack, {}", curve.name()), move || drop(pack())));
    }
    for curve in [Curve::Ed25519, Curve::P256, Curve::Secp256k1] {
        let pair: &'static Pair = Box::leak(Box::new(Pair::on(curve, Curve::X25519)));
        let text = vec![b'a'; 2048];
        let signature = pair.aria_sign.sign(&text);
        let (to_sign, public) = (text.clone(), pair.aria_sign.public());
        table.push(Row::new(format!("sign, {}", curve.name()), move || {
            std::hint::black_box(pair.aria_sign.sign(&to_sign));
        }));
        table.push(Row::new(format!("verify, {}", curve.name()), move || {
            public.verify(&text, &signature).unwrap();
        }));
    }
    table.run_and_print();
}

#[derive(Clone, Copy)]
enum Agreements {
    One,
    Two,
}

/// What the sums of primitives work on.
struct Base {
    curve: Curve,
    own: aws_lc_rs::agreement::PrivateKey,
    peer: Vec<u8>,
    signer: p::Signer,
    wrapped: [u8; 72],
}

impl Base {
    fn new(curve: Curve) -> Self {
        let private = [9; 32];
        let own = aws_lc_rs::agreement::PrivateKey::from_private_key(p::algorithm(curve), &private);
        let peer = p::make_key(curve, &[8; 32]).as_ref().to_vec();
        let wrapped = p::wrap(&[4; 64]);
        Self { curve, own: own.unwrap(), peer, signer: p::Signer::new(), wrapped }
    }

    /// The parts of an envelope that have to be decoded and read.
    fn parts(sealed: &Sealed) -> (serde_json::Value, Vec<u8>, String) {
        let envelope: serde_json::Value = serde_json::from_str(&sealed.envelope).unwrap();
        let header = p::decode(envelope["protected"].as_str().unwrap());
        let inner = sealed.signed.as_ref().map(String::as_bytes).unwrap_or(&sealed.plaintext);
        let ciphertext = p::encode(&p::encrypt(inner));
        (envelope, header, ciphertext)
    }

    fn open<'a>(&'a self, sealed: &'a Sealed, agreements: Agreements) -> impl Fn() + 'a {
        let (envelope, header, ciphertext) = Self::parts(sealed);
        let protected = envelope["protected"].as_str().unwrap().to_owned();
        let signed = sealed.signed.as_ref().map(|signed| {
            let jws: serde_json::Value = serde_json::from_str(signed).unwrap();
            let payload = jws["payload"].as_str().unwrap().to_owned();
            let protected = jws["signatures"][0]["protected"].as_str().unwrap().to_owned();
            let input = format!("{protected}.{payload}");
            let signature = self.signer.sign(input.as_bytes());
            (signed.as_bytes(), p::decode(&protected), payload, input, signature)
        });
        move || {
            p::scan(sealed.envelope.as_bytes());
            p::decode(&protected);
            p::scan(&header);
            p::agree(&self.own, &self.peer);
            if let Agreements::Two = agreements {
                p::agree(&self.own, &self.peer);
            }
            p::derive();
            p::unwrap(&self.wrapped);
            p::decrypt(&p::decode(&ciphertext));
            if let Some((text, header, payload, input, signature)) = &signed {
                p::scan(text);
                p::scan(header);
                p::decode(payload);
                self.signer.verify(input.as_bytes(), signature);
            }
            p::scan(&sealed.plaintext);
        }
    }

    fn pack<'a>(&'a self, sealed: &'a Sealed, agreements: Agreements) -> impl Fn() + 'a {
        let (_, header, _) = Self::parts(sealed);
        move || {
            let mut random = [0_u8; 64 + 16 + 32];
            rand::Rng::fill_bytes(&mut rand::rng(), &mut random);
            p::make_key(self.curve, &random[80..]);
            p::agree(&self.own, &self.peer);
            if let Agreements::Two = agreements {
                p::agree(&self.own, &self.peer);
            }
            p::derive();
            p::wrap(random.first_chunk().unwrap());
            p::encode(&header);
            let signed = sealed.signed.as_ref().map(|signed| {
                let payload = p::encode(&sealed.plaintext);
                self.signer.sign(payload.as_bytes());
                signed.as_bytes()
            });
            p::encode(&p::encrypt(signed.unwrap_or(&sealed.plaintext)));
        }
    }
}
