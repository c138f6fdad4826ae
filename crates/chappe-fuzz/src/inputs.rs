//! Inputs without libFuzzer: the corpus of a target, and mutations of it drawn from a seed.

use std::path::{Path, PathBuf};
use std::{fs, io};

use chappe_crypto::Rng;

/// Where the corpora are.
pub const CORPORA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus");

/// The committed inputs of a target, in the order of their names.
///
/// # Errors
/// The folder cannot be read.
pub fn corpus(target: &str) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(Path::new(CORPORA).join(target))?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<_>>()?;
    paths.sort();
    paths.into_iter().map(|path| Ok((path.clone(), fs::read(path)?))).collect()
}

/// Makes inputs from a corpus; the same seed makes the same ones.
#[derive(Debug)]
pub struct Inputs {
    corpus: Vec<Vec<u8>>,
    len_max: usize,
    rng: Rng,
}

impl Inputs {
    /// Mutations of `corpus`, at most `len_max` bytes long.
    #[must_use]
    pub fn new(corpus: Vec<Vec<u8>>, len_max: usize, seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self { corpus, len_max, rng: Rng::from_seed(bytes) }
    }

    /// The next input.
    pub fn next_input(&mut self) -> Vec<u8> {
        let mut input = match self.rng.below(8) {
            0 => self.random(self.len_max),
            _ => self.pick(),
        };
        for _ in 0..=self.rng.below(6) {
            self.mutate(&mut input);
        }
        input.truncate(self.len_max);
        input
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        let (from, to) = self.range(input.len());
        match self.rng.below(8) {
            0 if !input.is_empty() => {
                let at = self.at(input.len() - 1);
                input[at] ^= 1 << self.rng.below(8);
            }
            1 if !input.is_empty() => {
                let at = self.at(input.len() - 1);
                input[at] = self.rng.u32() as u8;
            }
            2 => drop(input.drain(from..to)),
            3 => {
                let copy = input[from..to].to_vec();
                input.splice(from..from, copy);
            }
            4 => {
                let other = self.pick();
                let (from, to) = self.range(other.len());
                let at = self.at(input.len());
                input.splice(at..at, other[from..to].iter().copied());
            }
            5 => input.truncate(to),
            6 => {
                let words: [i32; 8] = [0, 1, -1, i32::MAX, i32::MIN, 4, 1024, 0x7f];
                let word = words[self.at(words.len() - 1)].to_le_bytes();
                let at = self.at(input.len());
                input.splice(at..(at + 4).min(input.len()), word);
            }
            _ => {
                let at = self.at(input.len());
                let bytes = self.random(16);
                input.splice(at..at, bytes);
            }
        }
    }

    fn pick(&mut self) -> Vec<u8> {
        match self.corpus.len() {
            0 => Vec::new(),
            len => {
                let at = self.at(len - 1);
                self.corpus[at].clone()
            }
        }
    }

    fn random(&mut self, max: usize) -> Vec<u8> {
        let mut bytes = vec![0; self.at(max)];
        self.rng.fill(&mut bytes);
        bytes
    }

    /// A place from 0 to `last`, both included.
    fn at(&mut self, last: usize) -> usize {
        self.rng.below(last as u32 + 1) as usize
    }

    fn range(&mut self, len: usize) -> (usize, usize) {
        let (a, b) = (self.at(len), self.at(len));
        (a.min(b), a.max(b))
    }
}
