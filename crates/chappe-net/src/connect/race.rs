//! Several attempts, each begun a little after the one before; the first that succeeds wins.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::error::{AttemptError, ConnectError, Failed};

/// How attempts follow each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Race {
    /// Time of an attempt before the next begins beside it.
    pub(super) head_start: Duration,
    /// Time of all of them together.
    pub(super) wait_max: Duration,
}

impl Race {
    /// Resolves `names` into candidates, all at once, and dials these until one is reached.
    ///
    /// Those that are of the one kind by `is_six` take turns with the others.
    pub(super) async fn run<C, T, N, A>(
        self,
        names: impl IntoIterator<Item = N>,
        name_of: impl Fn(&C) -> String,
        is_six: impl Fn(&C) -> bool,
        dial: impl Fn(C) -> A,
    ) -> Result<T, ConnectError>
    where
        N: Future<Output = Result<Vec<C>, (String, AttemptError)>>,
        A: Future<Output = Result<T, AttemptError>>,
    {
        let deadline = Instant::now() + self.wait_max;
        let ordered = |(at, name): (usize, N)| async move { (at, name.await) };
        let mut names: FuturesUnordered<_> = names.into_iter().enumerate().map(ordered).collect();
        let mut waiting = Waiting::default();
        let mut attempts = FuturesUnordered::new();
        let mut running: Vec<String> = Vec::new();
        let mut failed = Vec::new();
        let mut next_at = Instant::now();
        let outcome = timeout_at(deadline, async {
            loop {
                let is_due = running.is_empty() || next_at <= Instant::now();
                if is_due && let Some(candidate) = waiting.pop(&is_six) {
                    let name = name_of(&candidate);
                    running.push(name.clone());
                    let attempt = dial(candidate);
                    attempts.push(async move { (name, attempt.await) });
                    next_at = Instant::now() + self.head_start;
                }
                if names.is_empty() && attempts.is_empty() && waiting.is_empty() {
                    return None;
                }
                tokio::select! {
                    Some((at, resolved)) = names.next(), if !names.is_empty() => match resolved {
                        Ok(candidates) => waiting.add(at, candidates),
                        Err((address, why)) => failed.push(Failed { address, why }),
                    },
                    Some((address, outcome)) = attempts.next(), if !attempts.is_empty() => {
                        match outcome {
                            Ok(reached) => return Some(reached),
                            Err(why) => {
                                if let Some(at) = running.iter().position(|name| *name == address) {
                                    running.remove(at);
                                }
                                failed.push(Failed { address, why });
                                // Whoever comes next need not wait for one that has failed.
                                next_at = Instant::now();
                            }
                        }
                    }
                    () = sleep_until(next_at), if !waiting.is_empty() && !running.is_empty() => {}
                }
            }
        });
        match outcome.await {
            Ok(Some(reached)) => return Ok(reached),
            Ok(None) => {}
            Err(_) => {
                let late = |address| Failed { address, why: AttemptError::TimedOut(self.wait_max) };
                failed.extend(running.into_iter().map(late));
            }
        }
        Err(ConnectError { failed })
    }
}

/// Candidates that nobody has dialled yet, in the order in which they were named.
#[derive(Debug)]
struct Waiting<C> {
    queue: VecDeque<(usize, C)>,
    /// The kind of the candidate dialled last.
    last: Option<bool>,
}

impl<C> Default for Waiting<C> {
    fn default() -> Self {
        Self { queue: VecDeque::new(), last: None }
    }
}

impl<C> Waiting<C> {
    /// Takes the candidates of the name at that place.
    fn add(&mut self, at: usize, candidates: Vec<C>) {
        let place = self.queue.partition_point(|(other, _)| *other <= at);
        for candidate in candidates.into_iter().rev() {
            self.queue.insert(place, (at, candidate));
        }
    }

    /// The next one, if possible of the kind that was not dialled last.
    fn pop(&mut self, is_six: impl Fn(&C) -> bool) -> Option<C> {
        let other = |(_, candidate): &(usize, C)| Some(is_six(candidate)) != self.last;
        let place = self.queue.iter().position(other).unwrap_or(0);
        let (_, candidate) = self.queue.remove(place)?;
        self.last = Some(is_six(&candidate));
        Some(candidate)
    }

    fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::pending;
    use std::io;

    use super::*;

    /// What becomes of a candidate, after a time in milliseconds.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Fate {
        Answers(u64),
        Refuses(u64),
        Silent,
    }
    use Fate::*;

    /// A candidate: its number, and whether it is an IPv6 address.
    type Candidate = (u32, bool);

    const RACE: Race =
        Race { head_start: Duration::from_millis(250), wait_max: Duration::from_secs(10) };

    /// RFC 8305 as it is meant: 250 ms for each attempt, less where it fails before, and the first
    /// that answers wins, however late it began.
    #[tokio::test(start_paused = true)]
    async fn attempts_begin_one_after_the_other_and_the_first_answer_wins() {
        let all = [(Silent, 0), (Refuses(100), 250), (Answers(2000), 350), (Answers(500), 600)];
        check(&all, Some(3), 1100).await;
        check(&[(Answers(10), 0)], Some(0), 10).await;
        // The next has begun and is dropped: the one before it answers.
        check(&[(Answers(300), 0), (Answers(100), 250)], Some(0), 300).await;
        check(&[(Refuses(10), 0), (Refuses(10), 10), (Answers(1), 20)], Some(2), 21).await;
    }

    /// All have failed: at once, with each failure; or the time is over, which those under way are
    /// told to have failed by.
    #[tokio::test(start_paused = true)]
    async fn failures_name_every_address() {
        let (error, took) = check(&[(Refuses(10), 0), (Refuses(5), 10)], None, 15).await.unwrap();
        assert_eq!(error, "0: connection refused; 1: connection refused");
        assert!(took < RACE.wait_max);
        let silent = check(&[(Silent, 0), (Refuses(1), 250), (Silent, 251)], None, 10_000);
        let (error, _) = silent.await.unwrap();
        assert_eq!(
            error,
            "1: connection refused; 0: no answer within 10s; 2: no answer within 10s"
        );
        let none = RACE.run(Vec::<Names>::new(), |_| String::new(), |_| true, dial_nobody).await;
        assert_eq!(none.unwrap_err().to_string(), "there is no address to connect to");
    }

    /// IPv6 and IPv4 take turns, and the system's first begins.
    #[tokio::test(start_paused = true)]
    async fn families_take_turns() {
        for (families, order) in [
            (vec![true, true, false, false], vec![0, 2, 1, 3]),
            (vec![false, false, false, true], vec![0, 3, 1, 2]),
            (vec![true, true], vec![0, 1]),
        ] {
            let candidates = families.iter().enumerate().map(|(at, six)| (at as u32, *six));
            let names = vec![named(0, Ok(candidates.collect()))];
            let dialled = RefCell::new(Vec::new());
            let dial = |(number, _): Candidate| {
                dialled.borrow_mut().push(number);
                async {
                    Err::<(), _>(AttemptError::Connect(io::ErrorKind::ConnectionRefused.into()))
                }
            };
            RACE.run(names, |_| String::new(), |(_, six)| *six, dial).await.unwrap_err();
            assert_eq!(*dialled.borrow(), order);
        }
    }

    /// A name that takes long to resolve, or leads nowhere, holds up nobody.
    #[tokio::test(start_paused = true)]
    async fn names_are_resolved_beside_each_other() {
        let late = named(700, Ok(vec![(1, false)]));
        let nowhere = named(5000, Err(("nowhere".to_owned(), not_found())));
        let begun = Instant::now();
        let names = vec![late, named(0, Ok(vec![(0, false)])), nowhere];
        let dial = |(number, _): Candidate| async move {
            if number == 0 {
                pending::<()>().await;
            }
            Ok(number)
        };
        let reached = RACE.run(names, |_| String::new(), |_| false, dial).await;
        assert_eq!((reached.unwrap(), begun.elapsed().as_millis()), (1, 700));

        let names = vec![named(30, Err(("nowhere".to_owned(), not_found())))];
        let error = RACE.run(names, |_| String::new(), |_| false, dial_nobody).await.unwrap_err();
        assert_eq!(error.to_string(), "nowhere: name not resolved: entity not found");
    }

    /// Races candidates against a script of fates and the moments at which each is to begin. What
    /// is told of a race without a winner, and how long it took.
    async fn check(
        script: &[(Fate, u64)],
        winner: Option<usize>,
        took_ms: u64,
    ) -> Option<(String, Duration)> {
        let begun = Instant::now();
        let starts = RefCell::new(Vec::new());
        let candidates = (0..script.len() as u32).map(|number| (number, false)).collect();
        let dial = |(number, _): Candidate| {
            starts.borrow_mut().push(begun.elapsed().as_millis() as u64);
            let (fate, _) = script[number as usize];
            async move {
                match fate {
                    Answers(after) => {
                        tokio::time::sleep(Duration::from_millis(after)).await;
                        Ok(number as usize)
                    }
                    Refuses(after) => {
                        tokio::time::sleep(Duration::from_millis(after)).await;
                        Err(AttemptError::Connect(io::ErrorKind::ConnectionRefused.into()))
                    }
                    Silent => pending().await,
                }
            }
        };
        let names = vec![named(0, Ok(candidates))];
        let outcome = RACE.run(names, |(number, _)| number.to_string(), |_| false, dial).await;
        assert_eq!(begun.elapsed(), Duration::from_millis(took_ms));
        let expected: Vec<u64> = script.iter().map(|(_, start)| *start).collect();
        let starts = starts.into_inner();
        assert_eq!(starts, expected[..starts.len()]);
        assert_eq!(outcome.as_ref().ok().copied(), winner);
        outcome.err().map(|error| (error.to_string(), begun.elapsed()))
    }

    type Resolved = Result<Vec<Candidate>, (String, AttemptError)>;
    type Names = std::pin::Pin<Box<dyn Future<Output = Resolved>>>;

    /// A name that is resolved after some milliseconds.
    fn named(after: u64, resolved: Resolved) -> Names {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(after)).await;
            resolved
        })
    }

    async fn dial_nobody(_: Candidate) -> Result<(), AttemptError> {
        unreachable!("there is nobody to dial")
    }

    fn not_found() -> AttemptError {
        AttemptError::Resolve(io::ErrorKind::NotFound.into())
    }
}
