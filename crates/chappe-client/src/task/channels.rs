//! What happens on the channels of a client: links come and go, messages come and leave.

use std::sync::Arc;

use chappe_net::End;
use chappe_proto::envelope::encrypted::Message;
use chappe_proto::envelope::plain::PlainMessage;
use chappe_proto::keys::Slot;
use chappe_proto::link::LinkEvent;
use chappe_proto::session::client::{CallError, CallId, ClientEvent};
use chappe_proto::{LinkId, Now};
use tokio::sync::mpsc;
use tracing::{debug, trace};

use super::channel::{LinkState, Traffic};
use super::link::{self, Dial, LastRead, LinkCommand, News};
use super::{Line, Task};
use crate::calls::Verdict;
use crate::error::LinkError;
use crate::push::Push;

/// Least wait after -429 (SES-13).
const FLOOD_WAIT: std::time::Duration = std::time::Duration::from_secs(5);

impl Task {
    /// Does all that follows from what has come: keys, calls, messages, links.
    pub(super) fn settle(&mut self, now: Now) {
        if self.is_stopping {
            return;
        }
        // A machine that slept past the end of a key must not send under it (PFS-19).
        self.keys.handle_timeout(now);
        loop {
            self.take_actions(now);
            for slot in self.slots() {
                self.take_events(now, slot);
            }
            if !self.take_actions(now) {
                break;
            }
        }
        self.place_calls();
        for slot in self.slots() {
            self.transmit(now, slot);
            self.note_drained(now, slot);
            self.dial(now, slot);
        }
    }

    /// Hands waiting calls to the session of the key in use.
    fn place_calls(&mut self) {
        if let Some(slot) = self.keys.in_use()
            && let Some(session) =
                self.channels.get_mut(&slot).and_then(|channel| channel.session())
        {
            self.calls.place(slot, session);
        }
    }

    fn note_drained(&mut self, now: Now, slot: Slot) {
        let Some(channel) = self.channels.get_mut(&slot) else { return };
        if channel.is_retired && channel.session().is_none_or(|session| session.calls() == 0) {
            self.keys.handle_drained(now, slot);
        }
    }

    /// Sends what a channel has to send.
    pub(super) fn transmit(&mut self, now: Now, slot: Slot) {
        let Some(channel) = self.channels.get_mut(&slot) else { return };
        let Some(link) = channel.open_link() else { return };
        let Some(Line { commands, .. }) = self.links.get(&link) else { return };
        // A link that has ended says so soon.
        if let Some(traffic) = &mut channel.traffic {
            while let Some(message) = traffic.session.poll_transmit(now) {
                let _ = commands.send(LinkCommand::Send(Arc::clone(&traffic.key), message));
            }
        } else if let Some(body) =
            channel.exchange.as_mut().and_then(|exchange| exchange.poll_transmit(now))
        {
            let _ = commands.send(LinkCommand::Plain(now.unix, body));
        }
    }

    fn dial(&mut self, now: Now, slot: Slot) {
        let Some(channel) = self.channels.get_mut(&slot) else { return };
        if channel.dial_at().is_none_or(|at| now.mono < at) {
            return;
        }
        self.last_link += 1;
        let id = LinkId(self.last_link);
        channel.link = LinkState::Dialling(id);
        let (commands, commanded) = mpsc::unbounded_channel();
        let last_read = Arc::new(LastRead::default());
        let dial = Dial {
            id,
            address: self.settings.address.clone(),
            transport: self.settings.transport,
            options: self.settings.client_options(),
            link: self.settings.link_settings(),
            drive: self.settings.drive.clone(),
            clock: self.clock,
            rng: self.rng.fork(),
            metrics: Arc::clone(&self.metrics),
            last_read: Arc::clone(&last_read),
        };
        let task = self.link_tasks.spawn(link::run(dial, commanded, self.tell.clone()));
        self.links.insert(id, Line { slot, commands, last_read, task });
        // Those that have ended are not kept.
        while self.link_tasks.try_join_next().is_some() {}
    }

    pub(super) fn handle_news(&mut self, now: Now, link: LinkId, news: News) {
        // After what ended it nothing that a link says is believed (SEC-30).
        let Some(slot) = self.links.get(&link).map(|line| line.slot) else { return };
        match news {
            News::Opened => self.opened(now, slot, link),
            News::Refused(error) => {
                let address = self.settings.address.clone();
                let error = LinkError::Connect { address, error: Arc::new(error) };
                self.fail_link(now, slot, error);
            }
            News::Closed(end) => self.fail_link(now, slot, LinkError::Ended(Arc::new(end))),
            News::Event(event) => match event {
                LinkEvent::Plain(message) => self.hear_plain(now, slot, message),
                LinkEvent::Message(_, opened) => self.hear(now, slot, opened.message),
                LinkEvent::TransportError(code) => {
                    let error = self.transport_error(code);
                    self.fail_link(now, slot, error);
                }
                // Never asked for, and no proof of anything (SEC-50).
                LinkEvent::QuickAck(_) => {}
                // Of servers, and of the driver.
                LinkEvent::Dc(_) | LinkEvent::KeyWanted(_) | LinkEvent::Closed(_) => {}
            },
        }
    }

    /// A link is open: the exchange or the session goes on over it.
    fn opened(&mut self, now: Now, slot: Slot, link: LinkId) {
        let Some(channel) = self.channels.get_mut(&slot) else { return };
        channel.open(now, link);
        self.metrics.links_opened.increment(1);
        if channel.traffic.is_some() {
            self.open_session(now, slot);
        } else if let Some(exchange) = &mut channel.exchange {
            exchange.begin(now);
        }
    }

    /// The session speaks on the link of its channel from now on.
    pub(super) fn open_session(&mut self, now: Now, slot: Slot) {
        let Some(channel) = self.channels.get_mut(&slot) else { return };
        let Some(link) = channel.open_link() else { return };
        let Some(traffic) = &mut channel.traffic else { return };
        let is_first = !channel.is_confirmed;
        if let Some(Line { commands, .. }) = self.links.get(&link) {
            let _ = commands.send(LinkCommand::UseKey(Arc::clone(&traffic.key)));
        }
        traffic.session.handle_link_opened(now);
        // Proves the key to both sides, and tells the server where to push (SES-04). On later
        // links the session does so by itself.
        if is_first {
            traffic.session.ping(now);
        }
    }

    fn hear_plain(&mut self, now: Now, slot: Slot, message: PlainMessage) {
        let Some(channel) = self.channels.get_mut(&slot) else { return };
        let Some(exchange) = channel.exchange.as_mut().filter(|_| channel.traffic.is_none()) else {
            return self.fail_link(now, slot, LinkError::Unencrypted);
        };
        match exchange.handle(now, message.body) {
            Ok(Some(work)) => {
                self.works.spawn_blocking(move || (slot, work.run()));
            }
            Ok(None) => {}
            Err(error) => self.fail_link(now, slot, error),
        }
    }

    fn hear(&mut self, now: Now, slot: Slot, message: Message) {
        let Some(channel) = self.channels.get_mut(&slot) else { return };
        let Some(Traffic { session, span, .. }) = &mut channel.traffic else { return };
        let _entered = span.clone().entered();
        trace!(msg_id = %message.header.msg_id, len = message.body.len(), "message heard");
        match session.handle_message(now, message) {
            Ok(()) => {
                if let Some(round_trip) = session.take_round_trip() {
                    self.metrics.round_trip.record(round_trip);
                }
                channel.note_heard();
                self.keys.handle_heard(now, slot);
                if self.keys.in_use() == Some(slot) {
                    self.confirm();
                }
            }
            Err(error) => self.fail_link(now, slot, LinkError::Message(error)),
        }
        self.take_events(now, slot);
    }

    pub(super) fn take_events(&mut self, now: Now, slot: Slot) {
        while let Some(session) = self.channels.get_mut(&slot).and_then(|channel| channel.session())
            && let Some(event) = session.poll_event()
        {
            match event {
                ClientEvent::Answer(call, result) => {
                    if matches!(result, Ok(_) | Err(CallError::Rpc(_))) {
                        self.note_served(slot);
                    }
                    if self.is_binding(slot, call) {
                        self.bound(now, slot, result);
                        continue;
                    }
                    match self.calls.answer(slot, call, result) {
                        Some(Verdict::Unbound) => self.keys.handle_unbound(now, slot),
                        Some(Verdict::Dead) => self.fail_link(now, slot, LinkError::KeyDead),
                        None => {}
                    }
                }
                ClientEvent::Pushed(body) => {
                    self.note_served(slot);
                    self.push(Push::Message(body));
                }
                ClientEvent::PushesMayBeLost => self.push(Push::MayBeLost),
                ClientEvent::Salt(salt) => self.keep_salt(now, slot, salt),
                ClientEvent::Restarted(session) => {
                    debug!(session_id = %session, "began a new session");
                    let channel = self.channels.get_mut(&slot);
                    if let Some(traffic) = channel.and_then(|channel| channel.traffic.as_mut()) {
                        traffic.note_restart(session);
                    }
                }
                ClientEvent::LinkIsDead(why) => self.fail_link(now, slot, why.into()),
            }
        }
    }

    fn note_served(&mut self, slot: Slot) {
        if let Some(channel) = self.channels.get_mut(&slot) {
            channel.note_served();
        }
    }

    pub(super) fn handle_channel_timeout(&mut self, now: Now, slot: Slot) {
        let Some(channel) = self.channels.get_mut(&slot) else { return };
        let line = channel.open_link().and_then(|link| self.links.get(&link));
        if let Some(session) = channel.session() {
            if let Some(line) = line {
                session.handle_progress(line.last_read.at());
            }
            session.handle_timeout(now);
        }
        let Some(exchange) = &mut channel.exchange else { return };
        if let Err(error) = exchange.handle_timeout(now) {
            self.fail_link(now, slot, error);
        }
    }

    /// What a transport error may mean. Nothing proves it, so it costs the link and no more.
    fn transport_error(&self, code: i32) -> LinkError {
        match code {
            // From a server that has served us, it is a forgery or a passing fault.
            444 if self.ready.is_some() => LinkError::WrongDc { dc: self.settings.dc },
            code => LinkError::Transport { code },
        }
    }

    /// The link of a channel is over, or could not be made, for a reason that decides what
    /// follows. Another is dialled when its time comes.
    pub(super) fn fail_link(&mut self, now: Now, slot: Slot, error: LinkError) {
        debug!(%error, "no link");
        self.metrics.lost(&error);
        self.close_link(slot);
        let Some(channel) = self.channels.get_mut(&slot) else { return };
        if matches!(error, LinkError::Transport { code: 429 }) {
            channel.backoff.hold(FLOOD_WAIT);
        }
        // A run survives a lost connection (KEY-28), and nothing else (KEY-24).
        if let Some(exchange) = channel.exchange.as_mut().filter(|_| !was_cut(&error)) {
            exchange.abort();
        }
        channel.lose_link(now, &mut self.rng);
        let has_key = channel.traffic.is_some();
        // The key in use needs no other channel.
        if self.keys.in_use().is_none_or(|in_use| in_use == slot) {
            self.down_since.get_or_insert(now.mono);
            self.last_error = Some(error.clone());
        }
        match &error {
            LinkError::Transport { code: 404 } if has_key => self.keys.handle_not_found(now, slot),
            LinkError::KeyDead => self.keys.handle_dead(),
            _ => {}
        }
        if error.is_permanent() {
            self.misconfigured(error);
        }
    }

    /// Closes the link of a channel; what was to be sent over it still is.
    pub(super) fn close_link(&mut self, slot: Slot) {
        let Some(channel) = self.channels.get_mut(&slot) else { return };
        match channel.link {
            LinkState::None { .. } => {}
            LinkState::Dialling(link) => {
                if let Some(line) = self.links.remove(&link) {
                    line.task.abort();
                }
            }
            // Without its line it says what is left and ends.
            LinkState::Open(link) => {
                if let Some(session) = channel.session() {
                    session.handle_link_closed();
                }
                self.links.remove(&link);
            }
        }
    }

    pub(super) fn drop_calls(&mut self, placed: impl IntoIterator<Item = (Slot, CallId)>) {
        for (slot, call) in placed {
            if let Some(session) =
                self.channels.get_mut(&slot).and_then(|channel| channel.session())
            {
                session.drop_call(call);
            }
        }
    }
}

/// Whether only the connection failed, and nobody said anything wrong.
fn was_cut(error: &LinkError) -> bool {
    match error {
        LinkError::Connect { .. } => true,
        LinkError::Ended(end) => matches!(**end, End::Eof | End::Io(_)),
        _ => false,
    }
}
