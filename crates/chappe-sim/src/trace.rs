//! The log of a run: printed when asked for, hashed always.

use std::time::Duration;

use chappe_proto::envelope::encrypted::Message;

use crate::words;

/// Takes down what happens. Runs with equal hashes did the same, byte for byte.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    prints: bool,
}

impl Trace {
    /// An empty log; `prints` sends every line to standard output.
    pub fn new(prints: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, prints }
    }

    /// Notes an event: its text, in which each `{}` stands for one of the facts.
    pub fn note(&mut self, at: Duration, text: &'static str, facts: &[u64]) {
        self.mix(at.as_nanos() as u64);
        self.bytes(text.as_bytes());
        for fact in facts {
            self.mix(*fact);
        }
        if self.prints {
            let mut line = String::new();
            let mut facts = facts.iter();
            for (number, part) in text.split("{}").enumerate() {
                if number > 0 {
                    line += &facts.next().map_or_else(String::new, show);
                }
                line += part;
            }
            println!("{:>14.6}  {line}", at.as_secs_f64());
        }
    }

    /// Notes a message of a client or node, with all that is in it.
    pub fn message(&mut self, at: Duration, text: &'static str, who: u64, message: &Message) {
        self.note(at, text, &[who, words::fact(message.header.msg_id)]);
        for inner in words::flatten(message) {
            let about = words::long_at(&inner.body, 4) as u64;
            let kind = u64::from(words::id_of(&inner.body));
            if self.prints {
                let kind = words::name_of(kind as u32);
                let number = inner.seq_no;
                println!("{:>16}{kind} {} number {number} about {about:x}", "", inner.msg_id);
            }
            self.mix(kind);
            self.mix(about);
        }
    }

    /// Notes bytes that nobody has to read.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.mix(word.try_into().map_or(0, u64::from_le_bytes));
        }
        for byte in words.remainder() {
            self.mix(u64::from(*byte));
        }
    }

    /// What the run comes to.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    fn mix(&mut self, word: u64) {
        self.hash = (self.hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

/// Small numbers are counts, large ones are ids.
fn show(fact: &u64) -> String {
    if *fact < 1 << 32 { fact.to_string() } else { format!("{fact:016x}") }
}
