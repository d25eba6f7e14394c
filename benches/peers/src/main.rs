//! Opening and packing with comity-didcomm and with the other Rust libraries, measured in turns in
//! one run: `cargo xtask bench`. Each opens what itself has packed, with keys and documents at
//! hand.
//!
//! The ratio is the other library's time over ours. Not a judgement of what they check: ours makes
//! every check of the specification, they leave several to their callers. "Cached" is with what the
//! two long-lived keys agree on remembered (`AgreementCache`), as for a regular peer; the others
//! have nothing like it.

#[path = "../../../crates/comity-didcomm/benches/letter/party.rs"]
mod party;
#[path = "../../../crates/comity-didcomm/benches/letter/timing.rs"]
mod timing;

mod affinidi;
mod sicpa;

use comity_didcomm::{ContentEncryption, Curve, Protection, seal};
use party::{Pair, plaintext_message};
use timing::Table;

fn main() {
    let pair = Pair::on(Curve::Ed25519, Curve::X25519);
    let message = plaintext_message(&pair, 1024);
    let deniable = || Protection::Deniable { kid: &pair.aria_agree_kid, key: &pair.aria_agree };
    let accountable = || {
        let enc = ContentEncryption::A256CbcHs512;
        Protection::Accountable { kid: &pair.aria_sign_kid, key: &pair.aria_sign, enc }
    };
    let pack = |protection: Protection<'_>| {
        seal(&message, protection, &pair.recipients, &mut pair.rng()).unwrap().envelope
    };
    let (auth, anon) = (pack(deniable()), pack(accountable()));
    let cached = pair.with_cache();
    let sicpa = sicpa::Peer::new(&pair, &message);
    let (sicpa_auth, sicpa_anon) = (sicpa.authcrypt(), sicpa.anoncrypt_sign());
    let affinidi = affinidi::Peer::new(&message);
    let affinidi_auth = affinidi.authcrypt();

    let mut table = Table::default();
    table.limit("authcrypt open: comity", || || pair.open(&auth));
    table.row("  SICPA didcomm 0.4.1", 3.0, || sicpa.open(&sicpa_auth));
    table.row("  affinidi-messaging-didcomm 0.15", 2.5, || affinidi.open(&affinidi_auth));
    table.limit("authcrypt open: comity, cached", || || cached.open(&auth));
    table.row("  SICPA didcomm 0.4.1", 3.0, || sicpa.open(&sicpa_auth));
    table.row("  affinidi-messaging-didcomm 0.15", 2.5, || affinidi.open(&affinidi_auth));
    table.limit("authcrypt pack: comity", || || drop(pack(deniable())));
    table.row("  SICPA didcomm 0.4.1", 3.0, || drop(sicpa.authcrypt()));
    table.row("  affinidi-messaging-didcomm 0.15", 2.5, || drop(affinidi.authcrypt()));
    table.limit("anoncrypt(sign) open: comity", || || pair.open(&anon));
    table.row("  SICPA didcomm 0.4.1", 3.0, || sicpa.open(&sicpa_anon));
    table.limit("anoncrypt(sign) pack: comity", || || drop(pack(accountable())));
    table.row("  SICPA didcomm 0.4.1", 3.0, || drop(sicpa.anoncrypt_sign()));
    println!(
        "1 KiB body, X25519, A256CBC-HS512, EdDSA, one recipient key; ratio: theirs to ours\n"
    );
    table.run_and_print();
}
