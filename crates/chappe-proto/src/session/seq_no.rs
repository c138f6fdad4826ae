//! Sequence numbers: twice the count of content-related messages so far, plus one for such a one.

/// Counter of one side of one session (04-messages §3).
#[derive(Debug, Default)]
pub struct SeqNo {
    content: u32,
}

impl SeqNo {
    /// The number for the next message; counts it when content-related.
    pub fn next(&mut self, content_related: bool) -> i32 {
        let even = self.content.wrapping_mul(2);
        if content_related {
            self.content = self.content.wrapping_add(1);
        }
        (even | u32::from(content_related)) as i32
    }
}

/// Whether a received message is content-related, judged by bit 0 alone (MSG-17).
pub fn is_content_related(seq_no: i32) -> bool {
    seq_no & 1 == 1
}
