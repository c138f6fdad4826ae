//! Bytes read as decisions: what to do next, with what.

/// The rest of an input. Once it is used up every decision is 0, so that each input is a whole
/// script, and a longer one with the same beginning begins the same.
#[derive(Clone, Debug)]
pub(crate) struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes steps until the script is over, `max` at most.
    pub(crate) fn play(&mut self, max: usize, mut step: impl FnMut(&mut Self)) {
        for _ in 0..max {
            if self.is_over() {
                break;
            }
            step(self);
        }
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    /// A number below `n`, which is at most 256.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::from(self.byte()) % n
    }

    /// Yes once in `n` times.
    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        // The last of the numbers, so that a script that is over does what is usual.
        self.below(n) == n - 1
    }

    pub(crate) fn i32(&mut self) -> i32 {
        i32::from_le_bytes(self.array())
    }

    pub(crate) fn i64(&mut self) -> i64 {
        i64::from_le_bytes(self.array())
    }

    pub(crate) fn pick<'t, T>(&mut self, from: &'t [T]) -> Option<&'t T> {
        match from.len() {
            0 => None,
            len => from.get(usize::from(u16::from_le_bytes(self.array())) % len),
        }
    }

    /// Up to `max` bytes.
    pub(crate) fn bytes(&mut self, max: usize) -> &'a [u8] {
        let len = usize::from(u16::from_le_bytes(self.array())) % (max + 1);
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Everything that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let len = N.min(self.0.len());
        let (taken, rest) = self.0.split_at(len);
        out[..len].copy_from_slice(taken);
        self.0 = rest;
        out
    }
}
