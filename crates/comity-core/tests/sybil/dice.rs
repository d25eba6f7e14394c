//! Numbers by chance that are the same in every run and every release: SplitMix64.
//!
//! Its state is one number and each draw is a hash of it, so the vouches of a hundred thousand
//! sybils need not be kept: whoever asks for those of one draws them again.

/// A source of numbers.
#[derive(Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xD129_0BD3_F5C8_E8A5))
    }

    /// Draws one of `0..below`.
    pub(crate) fn below(&mut self, below: u32) -> u32 {
        // The upper bits of a product: no division, and no remainder that favours small numbers.
        let product = u64::from(self.draw()) * u64::from(below);
        (product >> 32) as u32
    }

    /// Whether something happens that does so `percent` times in a hundred.
    pub(crate) fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    fn draw(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 32) as u32
    }
}
