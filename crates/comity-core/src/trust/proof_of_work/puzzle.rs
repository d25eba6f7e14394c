//! The puzzle: eight small ones, so that the time it takes varies little and progress can be shown.
//!
//! Part `i` is solved by a nonce `n` for which SHA-256 of the SHA-256 of the challenge's text, the
//! byte `i` and the eight bytes of `n` begins with three zero bits fewer than the price. A try is one
//! block of SHA-256. The solution is the eight nonces, 64 bytes in base64url.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Parts of a puzzle. With one, every hundredth solver would need over four times as long as the
/// average one; with eight, twice as long.
const PARTS: u8 = 8;

/// By how many bits a part is easier than the whole: the logarithm of [`PARTS`].
const PART_BITS: u8 = 3;

/// Length of the challenge's hash, with which each try begins.
const SEED_BYTES: usize = 32;

/// A puzzle that is being solved.
#[derive(Clone, Debug)]
pub struct Solving {
    challenge: String,
    zero_bits: u8,
    seed: [u8; SEED_BYTES],
    nonces: Vec<u8>,
    part: u8,
    nonce: u64,
}

impl Solving {
    /// Begins with a challenge of this many bits.
    #[must_use]
    pub fn new(challenge: &str, bits: u8) -> Self {
        Self {
            challenge: challenge.to_owned(),
            zero_bits: zero_bits(bits),
            seed: seed(challenge),
            nonces: Vec::with_capacity(usize::from(PARTS) * 8),
            part: 0,
            nonce: 0,
        }
    }

    /// Goes on for at most so many tries. Returns what is to be shown, the value of the header
    /// `Comity-Work`, when the puzzle is solved.
    pub fn step(&mut self, tries: u32) -> Option<String> {
        for _ in 0..tries {
            if self.part == PARTS {
                break;
            }
            if is_part_solved(&self.seed, self.part, self.nonce, self.zero_bits) {
                self.nonces.extend_from_slice(&self.nonce.to_be_bytes());
                self.part += 1;
                self.nonce = 0;
            } else {
                self.nonce = self.nonce.wrapping_add(1);
            }
        }
        let is_solved = self.part == PARTS;
        is_solved.then(|| format!("{}.{}", self.challenge, URL_SAFE_NO_PAD.encode(&self.nonces)))
    }

    /// Estimates how much is done, in per cent: a part takes as long as it takes, and counts for no
    /// more than its share.
    #[must_use]
    pub fn percent(&self) -> u8 {
        let share = 1_u64 << self.zero_bits.min(56);
        let done = u64::from(self.part) * share + self.nonce.min(share - 1);
        u8::try_from(done.saturating_mul(100) / (share * u64::from(PARTS))).unwrap_or(100)
    }
}

/// Whether a text is a solution of a challenge of this many bits.
pub(super) fn is_solution(challenge: &str, bits: u8, solution: &str) -> bool {
    let Ok(nonces) = URL_SAFE_NO_PAD.decode(solution) else { return false };
    let (nonces, rest) = nonces.as_chunks::<8>();
    if nonces.len() != usize::from(PARTS) || !rest.is_empty() {
        return false;
    }
    let (seed, zero_bits) = (seed(challenge), zero_bits(bits));
    let mut parts = (0..PARTS).zip(nonces);
    parts.all(|(part, nonce)| is_part_solved(&seed, part, u64::from_be_bytes(*nonce), zero_bits))
}

fn zero_bits(bits: u8) -> u8 {
    bits.saturating_sub(PART_BITS)
}

fn seed(challenge: &str) -> [u8; SEED_BYTES] {
    let mut seed = [0; SEED_BYTES];
    seed.copy_from_slice(digest(&SHA256, challenge.as_bytes()).as_ref());
    seed
}

fn is_part_solved(seed: &[u8; SEED_BYTES], part: u8, nonce: u64, zero_bits: u8) -> bool {
    let mut text = [0; SEED_BYTES + 9];
    let (head, tail) = text.split_at_mut(SEED_BYTES);
    head.copy_from_slice(seed);
    if let Some((first, rest)) = tail.split_first_mut() {
        *first = part;
        rest.copy_from_slice(&nonce.to_be_bytes());
    }
    let hash = digest(&SHA256, &text);
    // More zero bits than these eight bytes have, no price can demand.
    let beginning =
        hash.as_ref().first_chunk().map_or(u64::MAX, |first| u64::from_be_bytes(*first));
    u32::from(zero_bits) <= beginning.leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `docs/protocols/introduction.md` tells whoever implements it.
    const DOCUMENT: &str = include_str!("../../../../../docs/protocols/introduction.md");

    /// The algorithm of the document's ten lines, line by line.
    fn solve_as_the_document_does(challenge: &str, bits: u8) -> String {
        let seed = digest(&SHA256, challenge.as_bytes());
        let mut nonces = Vec::new();
        for part in 0..8_u8 {
            let mut nonce = 0_u64;
            loop {
                let text = [seed.as_ref(), &[part], &nonce.to_be_bytes()].concat();
                let hash = digest(&SHA256, &text);
                let bits_of_hash = hash.as_ref().iter().map(|byte| format!("{byte:08b}"));
                let zeros = bits_of_hash.collect::<String>().find('1').unwrap();
                if usize::from(bits) <= zeros + 3 {
                    break;
                }
                nonce += 1;
            }
            nonces.extend_from_slice(&nonce.to_be_bytes());
        }
        format!("{challenge}.{}", URL_SAFE_NO_PAD.encode(nonces))
    }

    fn solve(challenge: &str, bits: u8) -> String {
        let mut solving = Solving::new(challenge, bits);
        std::iter::repeat_with(|| solving.step(1_000)).flatten().next().unwrap()
    }

    #[test]
    fn the_vectors_of_the_document_are_what_is_solved_and_taken() {
        let rows = DOCUMENT.lines().filter_map(|line| line.strip_prefix("| vector |"));
        let mut count = 0;
        for row in rows {
            let cells: Vec<_> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
            let [challenge, bits, solution, ..] = cells[..] else { panic!("{row}") };
            let bits = bits.parse().unwrap();
            assert_eq!(solve(challenge, bits), format!("{challenge}.{solution}"));
            assert_eq!(solve_as_the_document_does(challenge, bits), solve(challenge, bits));
            assert!(is_solution(challenge, bits, solution));
            count += 1;
        }
        assert_eq!(count, 4);
    }

    #[test]
    fn a_solution_is_eight_nonces_of_this_challenge_and_nothing_else() {
        let shown = solve("c", 11);
        let solution = shown.strip_prefix("c.").unwrap();
        assert!(is_solution("c", 11, solution));
        assert!(!is_solution("d", 11, solution));
        assert!(!is_solution("c", 32, solution), "it is dearer");
        let mut bytes = URL_SAFE_NO_PAD.decode(solution).unwrap();
        bytes.rotate_left(8);
        assert!(!is_solution("c", 11, &URL_SAFE_NO_PAD.encode(&bytes)), "each nonce has its part");
        for length in [0, 8, 56, 63, 65, 72] {
            let mut cut = bytes.clone();
            cut.resize(length, 0);
            assert!(!is_solution("c", 0, &URL_SAFE_NO_PAD.encode(&cut)), "{length}");
        }
        for text in ["", "=", &format!("{solution}="), "not base64url!"] {
            assert!(!is_solution("c", 0, text), "{text}");
        }
    }

    #[test]
    fn progress_grows_and_does_not_reach_the_end_before_it_is_there() {
        let mut solving = Solving::new("progress", 14);
        let mut last = 0;
        while solving.step(64).is_none() {
            assert!(last <= solving.percent() && solving.percent() < 100);
            last = solving.percent();
        }
        assert!(0 < last, "some of it was seen");
        assert_eq!(solving.percent(), 100);
        assert_eq!(solving.step(0), solving.step(1), "what is solved stays solved");
    }

    #[test]
    fn the_dearest_puzzle_is_no_overflow() {
        for bits in [0, 3, 32, u8::MAX] {
            let mut solving = Solving::new("dear", bits);
            solving.step(10);
            assert!(solving.percent() <= 100);
        }
    }
}
