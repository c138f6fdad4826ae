//! What passes through, in which pieces and for how long.

use std::time::Duration;

/// What passes through.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RelayConfig {
    /// Most bytes taken from a connection at once, which is what waits for the other end at most
    /// (PRX-33): 4 KiB to 64 KiB. Default: 32 KiB.
    pub buffer_bytes: usize,
    /// Most bytes that wait for slow ends, all connections together: over it less is taken at
    /// once, nobody new is served, and who was slow longest is closed. Default: 256 MiB.
    pub held_max_bytes: usize,
    /// Longest time without a byte either way (PRX-18). Default: 15 min.
    pub idle_max: Duration,
    /// Longest time that an end may take no byte of those that wait for it. Default: 2 min.
    pub stalled_max: Duration,
    /// How long records of fake TLS are (FTL-17).
    pub records: RecordShape,
}

/// Lengths of the records that go to a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecordShape {
    /// As web servers do: of one packet at first, and of 16 KiB once much goes at a time.
    #[default]
    Growing,
    /// As much, or what there is.
    Fixed(u16),
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            buffer_bytes: 32 << 10,
            held_max_bytes: 256 << 20,
            idle_max: Duration::from_secs(15 * 60),
            stalled_max: Duration::from_secs(120),
            records: RecordShape::default(),
        }
    }
}
