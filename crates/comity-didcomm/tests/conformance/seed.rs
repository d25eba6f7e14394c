//! A source of bytes that anybody can rebuild: SHA-256 over a label and a counter. For test keys and test envelopes
//! only; `docs/conformance/README.md` states the rule.

use aws_lc_rs::digest;

/// What all labels begin with; another number is another corpus.
pub(crate) const CORPUS: &str = "comity conformance 1/";

/// Gives the bytes that belong to a label.
#[derive(Clone)]
pub(crate) struct Seed {
    label: String,
    block: u32,
    rest: Vec<u8>,
}

impl Seed {
    pub(crate) fn new(label: &str) -> Self {
        Self { label: format!("{CORPUS}{label}"), block: 0, rest: Vec::new() }
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.rest.len() < count {
            let mut text = self.label.clone().into_bytes();
            text.extend_from_slice(&self.block.to_be_bytes());
            self.rest.extend_from_slice(digest::digest(&digest::SHA256, &text).as_ref());
            self.block += 1;
        }
        let rest = self.rest.split_off(count);
        std::mem::replace(&mut self.rest, rest)
    }

    /// A number below `end`, by the remainder of eight bytes.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let bytes: [u8; 8] = self.bytes(8).try_into().unwrap();
        usize::try_from(u64::from_be_bytes(bytes) % end as u64).unwrap()
    }
}
