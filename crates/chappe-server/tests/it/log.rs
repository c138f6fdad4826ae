//! Everything that is logged in this process, at every level.

use std::io;
use std::sync::{Arc, LazyLock, Mutex};

use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    // One for all: what a thread without a subscriber meets first, others would not log either.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    log
});

impl Log {
    /// What was logged from the first such call on.
    pub(crate) fn of_the_process() -> Self {
        LOG.clone()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// Some line holds all `parts`.
    #[track_caller]
    pub(crate) fn holds(&self, parts: &[&str]) {
        let text = self.text();
        let holds = text.lines().any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(holds, "no line with {parts:?} in\n{text}");
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
