//! Explains an envelope to a person: what it is, whom it names, which checks it passes and which
//! not, and, as far as keys are at hand, what is inside.

use std::fmt::Write as _;

use comity_didcomm::{
    Layer, Message, Opened, SenderProof, UnixTime,
    inspect::{Inspection, inspect},
};
use serde_json::{Map, Value, json};

use super::{
    keyring::Keyring,
    lines::unpacked_members,
    refused::Refused,
    unpack::{Unpack, Unpacked, unpack},
};
use crate::output::{Output, Style, columns, escape};

/// What was found out about one envelope.
pub(super) struct Explained {
    shown: Inspection,
    opened: Result<Unpacked, Refused>,
    now: UnixTime,
}

/// Looks at an envelope, and opens it if the keys are known. Whether it is still in time is said,
/// and not judged.
pub(super) fn explain(packed: String, ring: &Keyring, now: UnixTime) -> Explained {
    let shown = inspect(packed.as_bytes());
    let opened = unpack(&Unpack { packed, unwrap_forward: None, now: None }, ring);
    Explained { shown, opened, now }
}

impl Explained {
    /// Writes it for programs.
    pub(super) fn to_json(&self) -> Value {
        let facts: Map<String, Value> = self
            .shown
            .facts
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::String(value.clone())))
            .collect();
        let checks: Vec<_> = self
            .shown
            .checks
            .iter()
            .map(|check| json!({ "check": check.what, "passes": check.fails.is_none(), "why": check.fails }))
            .collect();
        let opened = match &self.opened {
            Ok(unpacked) => {
                let layers: Vec<_> =
                    unpacked.opened.layers().iter().map(|layer| layer_name(*layer)).collect();
                let mut opened = unpacked_members(unpacked).unwrap_or_default();
                opened.insert("ok".to_owned(), json!(true));
                opened.insert("layers".to_owned(), json!(layers));
                Value::Object(opened)
            }
            Err(refused) => json!({ "ok": false, "error": refused.text, "code": refused.code }),
        };
        json!({
            "bytes": self.shown.bytes,
            "layer": self.shown.layer.map(layer_name),
            "facts": facts,
            "recipients": self.shown.recipients,
            "checks": checks,
            "opened": opened,
        })
    }

    /// Writes it for people.
    pub(super) fn to_text(&self, output: &Output) -> String {
        let heading = |text: &str| output.paint(Style::Bold, text);
        let mut text = format!("{}\n", heading(self.title()));
        let mut rows = vec![vec!["size".to_owned(), format!("{} bytes", self.shown.bytes)]];
        for (name, value) in &self.shown.facts {
            rows.push(vec![(*name).to_owned(), escape(value)]);
        }
        for kid in &self.shown.recipients {
            rows.push(vec!["to".to_owned(), escape(kid.as_str())]);
        }
        indent(&mut text, &columns(&rows));
        if let (Some(message), Err(_)) = (&self.shown.message, &self.opened) {
            let _ = writeln!(text, "{}", heading("The message, unproven"));
            indent(&mut text, &columns(&self.summary(message)));
        }
        let _ = writeln!(text, "{}", heading("Checks that need no key"));
        for check in &self.shown.checks {
            let line = match &check.fails {
                None => format!("{} {}", output.paint(Style::Good, "pass"), check.what),
                Some(why) => {
                    let fail = output.paint(Style::Bad, "FAIL");
                    format!("{fail} {}: {}", check.what, escape(why))
                }
            };
            indent(&mut text, &line);
        }
        let _ = writeln!(text, "{}", heading("Opening it with what is known"));
        self.opening(&mut text, output);
        text.trim_end().to_owned()
    }

    fn opening(&self, text: &mut String, output: &Output) {
        match &self.opened {
            Ok(unpacked) => {
                let layers = unpacked.opened.layers();
                let mut names: Vec<_> = layers.iter().map(|layer| layer_name(*layer)).collect();
                names.push("plaintext");
                let opens = output.paint(Style::Good, "opens");
                indent(text, &format!("{opens}: {}", names.join(" around ")));
                let sender = unpacked.opened.sender().map_or_else(
                    || "nothing proves who sent it".to_owned(),
                    |sender| format!("it was sent by {}, proven by {}", sender.did(), sender.kid()),
                );
                indent(text, &escape(&sender));
                for check in passed(&unpacked.opened) {
                    let line = format!("{} {}", output.paint(Style::Good, "pass"), escape(&check));
                    indent(text, &line);
                }
                indent(text, &columns(&self.summary(&unpacked.opened.message)));
            }
            Err(refused) => {
                let line = format!("{}: {refused}", output.paint(Style::Bad, "refused"));
                indent(text, &line);
                indent(text, refused.advice());
            }
        }
    }

    fn summary(&self, message: &Message) -> Vec<Vec<String>> {
        let to: Vec<_> = message.to.iter().map(ToString::to_string).collect();
        let from = message.from.as_ref().map_or_else(|| "nobody".to_owned(), ToString::to_string);
        let time = |time: UnixTime| {
            let when = if time <= self.now { "passed" } else { "to come" };
            format!("{time} ({when})")
        };
        let rows = [
            ("id", Some(message.id.to_string())),
            ("type", Some(message.type_.to_string())),
            ("from", Some(from)),
            ("to", Some(to.join(", "))),
            ("thid", message.thid.clone()),
            ("pthid", message.pthid.clone()),
            ("created", message.created_time.map(time)),
            ("expires", message.expires_time.map(time)),
            ("attachments", Some(message.attachments.len().to_string())),
        ];
        let row =
            |(name, value): (&str, Option<String>)| Some(vec![name.to_owned(), escape(&value?)]);
        rows.into_iter().filter_map(row).collect()
    }

    const fn title(&self) -> &'static str {
        match (self.shown.layer, self.shown.message.is_some()) {
            (Some(Layer::Anoncrypt), _) => {
                "An encrypted message whose sender is hidden or inside (anoncrypt)"
            }
            (Some(Layer::Authcrypt), _) => "An encrypted message whose sender seals it (authcrypt)",
            (Some(_), _) => "A signed message that everybody can read",
            (None, true) => "A message without protection",
            (None, false) => "Not an envelope that DIDComm v2 knows",
        }
    }
}

/// The checks that opening has passed, in words.
fn passed(opened: &Opened) -> Vec<String> {
    let mut checks = vec!["the layers are a combination that the specification allows".to_owned()];
    if let Some(kid) = opened.recipient_kid() {
        checks.push(format!("it decrypts with {kid}, which its document lists for keyAgreement"));
        if !opened.message.to.is_empty() {
            checks.push("the holder of that key is in `to`".to_owned());
        }
    }
    if let Some(kid) = opened.sealer_kid() {
        checks.push(format!(
            "it is sealed with {kid}, which the document of `from` lists for keyAgreement"
        ));
    }
    if let Some(sender) = opened.sender().filter(|sender| sender.proof() == SenderProof::Signature)
    {
        let kid = sender.kid();
        checks.push(format!(
            "it is signed with {kid}, which the document of `from` lists for authentication"
        ));
    }
    if let Some(rotation) = opened.rotation() {
        let (prior, kid) = (rotation.prior(), rotation.kid());
        checks.push(format!("from_prior is signed by {prior}, with {kid}"));
    }
    checks
}

const fn layer_name(layer: Layer) -> &'static str {
    match layer {
        Layer::Anoncrypt => "anoncrypt",
        Layer::Authcrypt => "authcrypt",
        Layer::Signed => "signed",
        _ => "unknown",
    }
}

fn indent(text: &mut String, block: &str) {
    for line in block.lines() {
        let _ = writeln!(text, "  {line}");
    }
}
