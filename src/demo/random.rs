//! Chance that can be repeated: a small generator with a seed. For the demo's traffic only, never for secrets.
//!
//! The numbers are those of `SplitMix64`: <https://prng.di.unimi.it/splitmix64.c>.

/// A sequence of numbers that its seed decides.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 <= x < 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    pub fn part(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// 0 <= x < `end`; 0 when `end` is 0. The bias is below one in 2^32 for the ends that occur here.
    pub fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.bits() % end }
    }

    /// True in `percent` of 100 cases.
    pub fn percent(&mut self, percent: f64) -> bool {
        self.part() * 100.0 < percent
    }

    /// One of `items`.
    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let at = self.below(items.len() as u64);
        items.get(usize::try_from(at).unwrap_or_default())
    }

    /// A number around 1 that is often a little below and sometimes far above, as latencies are.
    /// `spread` 0 = always 1; 0.5 is a usual service.
    pub fn around_one(&mut self, spread: f64) -> f64 {
        // Twelve parts less six are near enough to a normal distribution.
        let normal: f64 = (0..12).map(|_| self.part()).sum::<f64>() - 6.0;
        (spread * normal).exp()
    }
}
