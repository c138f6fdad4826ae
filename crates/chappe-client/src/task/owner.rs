//! The task as the owner of its link: what comes goes to the exchange or the session.

use std::sync::Arc;
use std::time::Duration;

use chappe_net::Owner;
use chappe_proto::Now;
use chappe_proto::envelope::encrypted::Message;
use chappe_proto::link::{Link, LinkEvent};
use chappe_proto::rpc::RpcError;
use chappe_proto::session::client::{ClientEvent, ClientSession};
use tracing::{debug, trace};

use super::{Note, Task, session_span};
use crate::error::LinkError;
use crate::push::Push;

impl Owner for Task {
    type Command = Note;

    async fn handle_event(&mut self, now: Now, link: &mut Link, event: LinkEvent) {
        // After a message that ends the link nothing more is believed (SEC-30).
        if self.verdict.is_some() || self.is_stopping {
            return;
        }
        match event {
            LinkEvent::Plain(message) if self.key.is_none() => {
                match self.exchange.handle(now, message.body) {
                    Ok(Some(work)) => {
                        self.work = Some(tokio::task::spawn_blocking(|| work.run()));
                    }
                    Ok(None) => {}
                    Err(error) => self.fail(Some(link), error),
                }
            }
            LinkEvent::Plain(_) => self.fail(Some(link), LinkError::Unencrypted),
            LinkEvent::Message(_, opened) => self.hear(now, link, opened.message),
            LinkEvent::TransportError(code) => {
                let error = self.transport_error(code);
                self.fail(Some(link), error);
            }
            // Never asked for, and no proof of anything (SEC-50).
            LinkEvent::QuickAck(_) => {}
            // Of servers, and of the driver.
            LinkEvent::KeyWanted(_) | LinkEvent::Closed(_) => {}
        }
    }

    fn handle_traffic(&mut self, read: usize, written: usize) {
        self.metrics.received_bytes.increment(read as u64);
        self.metrics.sent_bytes.increment(written as u64);
    }

    async fn next_command(&mut self) -> Option<Note> {
        Some(self.next_note().await)
    }

    fn handle_command(&mut self, now: Now, link: &mut Link, note: Note) {
        self.handle_note(now, Some(link), note);
    }

    fn poll_transmit(&mut self, now: Now, link: &mut Link) {
        if self.verdict.is_some() {
            return;
        }
        let Some(key) = &self.key else {
            if let Some(body) = self.exchange.poll_transmit(now) {
                link.send_plain(now.unix, &body);
            }
            return;
        };
        if let Some(session) = &mut self.session {
            while let Some(message) = session.poll_transmit(now) {
                link.send(Arc::clone(&key.key), message);
            }
        }
    }

    fn poll_timeout(&self) -> Option<Duration> {
        let exchange = self.exchange.poll_timeout();
        let session = self.session.as_ref().and_then(ClientSession::poll_timeout);
        [exchange, session, self.deadline()].into_iter().flatten().min()
    }

    fn handle_timeout(&mut self, now: Now, link: &mut Link) {
        if let Err(error) = self.exchange.handle_timeout(now) {
            self.fail(Some(link), error);
        }
        if let Some(session) = &mut self.session {
            session.handle_timeout(now);
            self.take_events(now, link);
        }
        self.handle_deadline(now, Some(link));
    }
}

impl Task {
    fn hear(&mut self, now: Now, link: &mut Link, message: Message) {
        let _entered = self.session_span.clone().entered();
        let Some(session) = &mut self.session else { return };
        trace!(msg_id = %message.header.msg_id, len = message.body.len(), "message heard");
        match session.handle_message(now, message) {
            Ok(()) => {
                if let Some(round_trip) = session.take_round_trip() {
                    self.metrics.round_trip.record(round_trip);
                }
                self.confirm();
                self.take_events(now, link);
            }
            Err(error) => self.fail(Some(link), LinkError::Message(error)),
        }
    }

    fn take_events(&mut self, now: Now, link: &mut Link) {
        while let Some(session) = &mut self.session
            && let Some(event) = session.poll_event()
        {
            match event {
                ClientEvent::Answer(call, result) => {
                    let error = self.calls.answer(call, result, session);
                    if error.is_some_and(|error| says_key_is_dead(&error)) {
                        self.fail(Some(link), LinkError::KeyDead);
                    }
                }
                ClientEvent::Pushed(body) => self.push(Push::Message(body)),
                ClientEvent::PushesMayBeLost => self.push(Push::MayBeLost),
                ClientEvent::Salt(salt) => {
                    if let Some(key) = &mut self.key {
                        key.salt = salt;
                    }
                    self.keep(now);
                }
                ClientEvent::Restarted(session) => {
                    debug!(session_id = %session, "began a new session");
                    if let Some(key) = &self.key {
                        self.session_span = session_span(key.key.id(), session);
                    }
                }
                ClientEvent::LinkIsDead => self.fail(Some(link), LinkError::Silent),
            }
        }
    }

    /// What a transport error may mean. Nothing proves it, so it costs the link and no more.
    fn transport_error(&self, code: i32) -> LinkError {
        let is_confirmed = self.key.as_ref().is_some_and(|key| key.is_confirmed);
        match code {
            // From a server that has served us, it is a forgery or a passing fault.
            444 if !is_confirmed => LinkError::WrongDc { dc: self.settings.dc },
            code => LinkError::Transport { code },
        }
    }
}

/// Whether the server has given up our key (SVC-28).
fn says_key_is_dead(error: &RpcError) -> bool {
    error.code == 406 && error.message == "AUTH_KEY_DUPLICATED"
}
