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
use super::dial::Dialler;
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
        self.settle_datagrams(now, slot);
        self.write(now, slot);
        self.settle_datagrams(now, slot);
    }

    fn write(&mut self, now: Now, slot: Slot) {
        let Some(channel) = self.channels.get_mut(&slot) else { return };
        let Some(link) = channel.open_link() else { return };
        let Some(Line { commands, poll_is_idle, .. }) = self.links.get_mut(&link) else { return };
        // A link that has ended says so soon.
        if let Some(traffic) = &mut channel.traffic {
            while let Some(message) = traffic.session.poll_transmit(now) {
                if let Some(datagrams) = &mut channel.datagrams {
                    let is_owed = traffic.session.is_owed(message.header.msg_id);
                    if datagrams.endpoint().takes(&message, is_owed) {
                        datagrams.endpoint().send(now, message, is_owed);
                        continue;
                    }
                }
                let key = Arc::clone(&traffic.key);
                let wants_quick_ack = traffic.session.wants_quick_ack(message.header.msg_id);
                let _ = commands.send(if wants_quick_ack {
                    LinkCommand::SendWithQuickAck(key, message)
                } else {
                    LinkCommand::Send(key, message)
                });
            }
            if *poll_is_idle && let Some(message) = traffic.session.poll_http_wait(now) {
                *poll_is_idle = false;
                let _ = commands.send(LinkCommand::Poll(Arc::clone(&traffic.key), message));
            }
        } else if let Some(body) =
            channel.exchange.as_mut().and_then(|exchange| exchange.poll_transmit(now))
        {
            let _ = commands.send(LinkCommand::Plain(now.unix, body));
        }
    }

    fn dial(&mut self, now: Now, slot: Slot) {
        let from = self.dial_from();
        let Some(channel) = self.channels.get_mut(&slot) else { return };
        if channel.dial_at().is_none_or(|at| now.mono < at.max(from)) {
            return;
        }
        if let Some(dials) = &mut self.dials {
            dials.made(now.mono);
        }
        self.last_link += 1;
        let id = LinkId(self.last_link);
        channel.link = LinkState::Dialling(id);
        let (commands, commanded) = mpsc::unbounded_channel();
        let last_read = Arc::new(LastRead::default());
        let route = self.routes.next();
        let way = route.way;
        let dial = Dial {
            id,
            dialler: Dialler {
                route,
                proxy: self.settings.proxy.clone(),
                web: Arc::clone(&self.web),
                server_time: self.server_clock.at(now),
            },
            options: self.settings.client_options(),
            link: self.settings.link_settings(),
            drive: self.settings.drive.clone(),
            clock: self.clock,
            rng: self.rng.fork(),
            metrics: Arc::clone(&self.metrics),
            last_read: Arc::clone(&last_read),
            poll_max: self.settings.session.http_wait_max,
        };
        let task = self.link_tasks.spawn(link::run(dial, commanded, self.tell.clone()));
        let (address, poll_is_idle) = (None, false);
        let line = Line { slot, way, address, commands, last_read, poll_is_idle, task };
        self.links.insert(id, line);
        // Those that have ended are not kept.
        while self.link_tasks.try_join_next().is_some() {}
    }

    pub(super) fn handle_news(&mut self, now: Now, link: LinkId, news: News) {
        // After what ended it nothing that a link says is believed (SEC-30).
        let Some(line) = self.links.get_mut(&link) else { return };
        let slot = line.slot;
        match news {
            News::Opened { address } => {
                line.address = Some(address);
                self.opened(now, slot, link);
            }
            News::PollIsIdle => line.poll_is_idle = true,
            News::Refused(error) => {
                self.fail_link(now, slot, LinkError::Connect(Arc::new(error)));
            }
            News::Closed(end) => self.fail_link(now, slot, LinkError::Ended(Arc::new(end))),
            News::Datagram(came) => self.hear_datagram(now, slot, came),
            News::Event(event) => match event {
                LinkEvent::Plain(message) => self.hear_plain(now, slot, message),
                LinkEvent::Message(_, opened) => self.hear(now, slot, opened.message),
                LinkEvent::TransportError(code) => {
                    let error = self.transport_error(link, code);
                    self.fail_link(now, slot, error);
                }
                // No proof of anything (SEC-50): who asked is told, and nothing follows.
                LinkEvent::QuickAck(id) => {
                    let channel = self.channels.get_mut(&slot);
                    if let Some(session) = channel.and_then(|channel| channel.session()) {
                        session.handle_quick_ack(id);
                    }
                }
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
        let Some(Line { commands, way, .. }) = self.links.get(&link) else { return };
        let _ = commands.send(LinkCommand::UseKey(Arc::clone(&traffic.key)));
        match way.is_http() {
            true => traffic.session.handle_http_opened(now),
            false => traffic.session.handle_link_opened(now),
        }
        // Proves the key to both sides, and tells the server where to push (SES-04). On later
        // links the session does so by itself.
        if is_first {
            traffic.session.ping(now);
        }
        if !channel.is_probe {
            self.open_datagrams(now, slot, link);
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
                let link = channel.open_link();
                self.keys.handle_heard(now, slot);
                if self.keys.in_use() == Some(slot) {
                    self.confirm();
                }
                if let Some(Line { way, address: Some(address), .. }) =
                    link.and_then(|link| self.links.get(&link))
                {
                    self.routes.worked(*way, *address);
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
                ClientEvent::QuickAck(call) => self.calls.quick_ack(slot, call),
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
        if let Some(datagrams) = &mut channel.datagrams {
            datagrams.endpoint().handle_timeout(now);
        }
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

    /// What a transport error may mean. Nothing proves it, so it costs the link and no more, and
    /// its address the precedence.
    fn transport_error(&mut self, link: LinkId, code: i32) -> LinkError {
        let address = self.links.get(&link).and_then(|line| line.address);
        match (code, address) {
            (429, Some(address)) => self.routes.failed(address),
            // From a server that has served us, it is a forgery or a passing fault.
            (444, Some(address)) if self.ready.is_some() && !self.routes.unusable(address) => {
                return LinkError::WrongDc { dc: self.settings.dc };
            }
            _ => {}
        }
        LinkError::Transport { code }
    }

    /// The link of a channel is over, or could not be made, for a reason that decides what
    /// follows. Another is dialled when its time comes.
    pub(super) fn fail_link(&mut self, now: Now, slot: Slot, error: LinkError) {
        debug!(%error, "no link");
        self.metrics.lost(&error);
        let goes_elsewhere = self.note_blocked(slot, &error);
        self.close_link(slot);
        let Some(channel) = self.channels.get_mut(&slot) else { return };
        if matches!(error, LinkError::Transport { code: 429 }) {
            channel.backoff.hold(FLOOD_WAIT);
            if let Some(dials) = &mut self.dials {
                dials.flooded(now.mono);
            }
        }
        // A run survives a lost connection (KEY-28), and nothing else (KEY-24).
        if let Some(exchange) = channel.exchange.as_mut().filter(|_| !was_cut(&error)) {
            exchange.abort();
        }
        if goes_elsewhere {
            channel.link = LinkState::None { dial_at: now.mono };
        } else {
            channel.lose_link(now, &mut self.rng);
        }
        // They are of use beside a link alone.
        channel.datagrams = None;
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

    /// Tells the routes if the link of a channel ends without a byte from the server. Whether
    /// another way is to be tried at once.
    fn note_blocked(&mut self, slot: Slot, error: &LinkError) -> bool {
        let Some(channel) = self.channels.get(&slot) else { return false };
        let (LinkState::Dialling(link) | LinkState::Open(link)) = channel.link else {
            return false;
        };
        let Some(line) = self.links.get(&link) else { return false };
        let is_mute = match error {
            LinkError::Connect(_) => true,
            LinkError::Ended(_) | LinkError::Silent | LinkError::ExchangeTimeout(_) => {
                line.address.is_some() && line.last_read.is_none()
            }
            // Whatever stands in the way answers requests as it likes.
            LinkError::Transport { code } => line.way.is_http() && !matches!(code, 404 | 429 | 444),
            _ => false,
        };
        if let Some(address) = line.address.filter(|_| is_mute) {
            self.routes.failed(address);
        }
        is_mute && self.routes.blocked(line.way)
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
