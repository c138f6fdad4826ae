//! Accounts with several devices, the log of each, tellers that run at any pace, and what fails:
//! connections, the reading of logs, the server between a commit and its announcement.
//!
//! Everything follows from a seed; there is no task, clock or database. One step is one thing that
//! a task of the service, or a device, does without anybody in between.

use std::collections::{BTreeMap, VecDeque};

use chappe_crypto::{AuthKeyId, Rng};
use chappe_proto::SessionId;

use crate::store::News;
use crate::updates::telling::{Session, Stretch, Telling};

/// How likely, of 1000 steps, something fails.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    crash: u32,
    offline: u32,
    read_fails: u32,
}

impl Plan {
    pub(super) fn calm() -> Self {
        Self { crash: 0, offline: 0, read_fails: 0 }
    }

    pub(super) fn rough() -> Self {
        Self { crash: 4, offline: 15, read_fails: 8 }
    }
}

/// An event in a log, or on its way to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Event {
    /// After it.
    pts: i32,
    count: i32,
}

#[derive(Debug)]
struct Device {
    session: Session,
    is_online: bool,
    pts: i32,
    applied: Vec<Event>,
    /// Came before an older one, as answers may.
    early: BTreeMap<i32, Event>,
    /// On its way to it.
    inbox: VecDeque<Heard>,
    /// The last event that was pushed on this connection.
    pushed: i32,
    /// What it has changed itself, of which it hears by the answer.
    own: Vec<i32>,
}

#[derive(Clone, Copy, Debug)]
enum Heard {
    Push(Event),
    Answer(Event),
}

/// What a teller is about to do.
#[derive(Debug)]
enum Teller {
    /// To look whether there is anything.
    Looks,
    /// To read this part of the log.
    Reads(Stretch),
    /// To push these, the rest of a part of the log.
    Pushes(VecDeque<Event>, Stretch),
}

/// A change that is committed, and of which nobody was told yet.
#[derive(Debug)]
struct Committed {
    news: Vec<News>,
    caller: (usize, usize),
}

pub(super) struct World {
    rng: Rng,
    seed: u64,
    plan: Plan,
    /// By account.
    logs: Vec<Vec<Event>>,
    devices: Vec<Vec<Device>>,
    telling: Telling,
    tellers: Vec<Vec<Teller>>,
    /// Of different accounts each: these have one turn at a time.
    committed: Vec<Committed>,
    asked: u64,
}

const ACCOUNTS: usize = 3;
const DEVICES: usize = 2;
const STEPS: u32 = 400;
/// Events that a teller reads at once; few, so that it has to come back.
const BATCH: usize = 3;

impl World {
    /// Plays a world to its end; how often devices had to ask for the difference.
    pub(super) fn play(seed: u64, plan: Plan) -> u64 {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let device = |account: usize, device: usize| Device {
            session: (AuthKeyId((account * DEVICES + device + 1) as u64), SessionId(device as i64)),
            is_online: true,
            pts: 1,
            applied: Vec::new(),
            early: BTreeMap::new(),
            inbox: VecDeque::new(),
            pushed: 1,
            own: Vec::new(),
        };
        let mut world = Self {
            rng: Rng::from_seed(bytes),
            seed,
            plan,
            logs: vec![Vec::new(); ACCOUNTS],
            devices: (0..ACCOUNTS)
                .map(|account| (0..DEVICES).map(|number| device(account, number)).collect())
                .collect(),
            telling: Telling::default(),
            tellers: (0..ACCOUNTS).map(|_| Vec::new()).collect(),
            committed: Vec::new(),
            asked: 0,
        };
        for _ in 0..STEPS {
            world.step();
        }
        world.settle();
        world.asked
    }

    fn step(&mut self) {
        let chance = self.rng.below(1000);
        let Plan { crash, offline, read_fails } = self.plan;
        let (account, device) = (self.any(ACCOUNTS), self.any(DEVICES));
        match chance {
            _ if chance < crash => self.crash(),
            _ if chance < crash + offline => self.cut_off(account, device),
            _ if chance < crash + offline + read_fails => self.fail_to_read(account),
            _ => match self.rng.below(10) {
                0..2 => self.commit(account, device),
                2..4 => self.announce(),
                4..7 => self.tell(account),
                7 if !self.devices[account][device].is_online => self.come_back(account, device),
                _ => self.hear(account, device),
            },
        }
    }

    fn any(&mut self, of: usize) -> usize {
        self.rng.below(of as u32) as usize
    }

    /// A device changes something of its account, and perhaps of another.
    fn commit(&mut self, account: usize, device: usize) {
        if !self.devices[account][device].is_online {
            return;
        }
        let mut of = vec![account];
        let other = self.any(ACCOUNTS);
        if other != account {
            of.push(other);
        }
        let held: Vec<i64> =
            self.committed.iter().flat_map(|it| &it.news).map(|news| news.account).collect();
        if of.iter().any(|account| held.contains(&(*account as i64))) {
            return;
        }
        let count = 1 + self.rng.below(3) as i32;
        let news = of.iter().map(|&account| {
            let log = &mut self.logs[account];
            let pts = log.last().map_or(1, |event| event.pts) + count;
            log.push(Event { pts, count });
            News { account: account as i64, pts, count }
        });
        let news: Vec<News> = news.collect();
        self.devices[account][device].own.push(news[0].pts);
        self.committed.push(Committed { news, caller: (account, device) });
    }

    /// What follows a commit in the same task; the answer goes out after it.
    fn announce(&mut self) {
        if self.committed.is_empty() {
            return;
        }
        let any = self.any(self.committed.len());
        let Committed { news, caller } = self.committed.swap_remove(any);
        let (of, device) = caller;
        let session = self.devices[of][device].session;
        for news in news {
            let account = news.account as usize;
            let is_own = account == of;
            if self.telling.note(news, is_own.then_some(session), 0) {
                self.tellers[account].push(Teller::Looks);
            }
            let device = &mut self.devices[of][device];
            if is_own && device.is_online {
                let event = Event { pts: news.pts, count: news.count };
                device.inbox.push_back(Heard::Answer(event));
            }
        }
        assert!(self.tellers.iter().all(|tellers| tellers.len() < 2), "seed {}", self.seed);
    }

    /// One step of a teller, as in `push_line`.
    fn tell(&mut self, account: usize) {
        let Some(teller) = self.tellers[account].pop() else { return };
        let next = match teller {
            Teller::Looks => self.telling.next(account as i64).map(Teller::Reads),
            Teller::Reads(stretch) if !self.has_hearers(account, stretch.maker) => {
                self.telling.reach(account as i64, stretch.up_to);
                Some(Teller::Looks)
            }
            Teller::Reads(stretch) => {
                let Stretch { after, up_to, .. } = stretch;
                let in_it = |event: &&Event| event.pts > after && event.pts <= up_to;
                let events = self.logs[account].iter().filter(in_it).take(BATCH);
                let events: VecDeque<Event> = events.copied().collect();
                let up_to = events.back().map_or(up_to, |event| event.pts);
                Some(Teller::Pushes(events, Stretch { up_to, ..stretch }))
            }
            Teller::Pushes(mut events, stretch) => {
                if let Some(event) = events.pop_front() {
                    self.push(account, event);
                }
                Some(if events.is_empty() {
                    self.telling.reach(account as i64, stretch.up_to);
                    Teller::Looks
                } else {
                    Teller::Pushes(events, stretch)
                })
            }
        };
        self.tellers[account].extend(next);
    }

    fn has_hearers(&self, account: usize, but: Option<Session>) -> bool {
        let hears = |device: &Device| device.is_online && Some(device.session) != but;
        self.devices[account].iter().any(hears)
    }

    fn push(&mut self, account: usize, event: Event) {
        let but = self.telling.has(account as i64, event.pts);
        for device in &mut self.devices[account] {
            if Some(device.session) == but || !device.is_online {
                continue;
            }
            let seed = self.seed;
            assert!(device.pushed < event.pts, "seed {seed}: {event:?} after {}", device.pushed);
            assert!(!device.own.contains(&event.pts), "seed {seed}: {event:?} was its own");
            device.pushed = event.pts;
            device.inbox.push_back(Heard::Push(event));
        }
    }

    /// The database does not answer the teller of an account.
    fn fail_to_read(&mut self, account: usize) {
        match self.tellers[account].pop() {
            Some(Teller::Reads(stretch) | Teller::Pushes(_, stretch)) => {
                self.telling.reach(account as i64, stretch.up_to);
                self.tellers[account].push(Teller::Looks);
            }
            other => self.tellers[account].extend(other),
        }
    }

    /// A device takes the next thing that was sent to it.
    fn hear(&mut self, account: usize, device: usize) {
        let device = &mut self.devices[account][device];
        let Some(Heard::Push(event) | Heard::Answer(event)) = device.inbox.pop_front() else {
            return;
        };
        if event.pts > device.pts {
            device.early.insert(event.pts, event);
        }
        while let Some(entry) = device.early.first_entry()
            && entry.get().pts - entry.get().count == device.pts
        {
            let event = entry.remove();
            device.pts = event.pts;
            device.applied.push(event);
        }
    }

    fn cut_off(&mut self, account: usize, device: usize) {
        let device = &mut self.devices[account][device];
        device.is_online = false;
        device.inbox.clear();
        device.early.clear();
    }

    /// A device connects again, and asks for what it missed.
    fn come_back(&mut self, account: usize, device: usize) {
        self.devices[account][device].is_online = true;
        self.ask(account, device);
    }

    /// `updates.getDifference`.
    fn ask(&mut self, account: usize, device: usize) {
        self.asked += 1;
        let device = &mut self.devices[account][device];
        for event in self.logs[account].iter().filter(|event| event.pts > device.pts) {
            device.applied.push(*event);
        }
        device.pts = device.applied.last().map_or(1, |event| event.pts);
        device.early.clear();
    }

    /// The server dies, perhaps between a commit and its announcement, and starts anew.
    fn crash(&mut self) {
        self.telling = Telling::default();
        self.tellers.iter_mut().for_each(Vec::clear);
        self.committed.clear();
        for account in 0..ACCOUNTS {
            for device in 0..DEVICES {
                self.cut_off(account, device);
                // Session and connection are other ones from here on.
                let device = &mut self.devices[account][device];
                (device.pushed, device.session.1.0) = (1, device.session.1.0 + DEVICES as i64);
                device.own.clear();
            }
        }
    }

    /// Everything under way arrives; who sees a gap asks, and so does who was away.
    fn settle(&mut self) {
        while !self.committed.is_empty() {
            self.announce();
        }
        for account in 0..ACCOUNTS {
            while !self.tellers[account].is_empty() {
                self.tell(account);
            }
            for device in 0..DEVICES {
                while !self.devices[account][device].inbox.is_empty() {
                    self.hear(account, device);
                }
                let end = self.logs[account].last().map_or(1, |event| event.pts);
                if !self.devices[account][device].is_online {
                    self.come_back(account, device);
                } else if self.devices[account][device].pts < end {
                    // By a gap, or by asking now and then where the latest was lost.
                    self.ask(account, device);
                }
                let applied = &self.devices[account][device].applied;
                assert_eq!(*applied, self.logs[account], "seed {}", self.seed);
            }
        }
    }
}
