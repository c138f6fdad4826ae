//! A value of one layer as another layer has it, from bytes to bytes.
//!
//! A [`Transcoder`] is made once for a target layer. It compares every definition with the one of
//! the same name there and writes down what to do: nothing, where neither it nor anything inside
//! changed; else its fields by name, those that the target lacks left out, those that the source
//! lacks set to nothing. What cannot be said that way is left to [`Rules`], and what no rule covers
//! is left out where it may be: the conditional field, or the element of a vector, that holds it.
//! Bytes that need no change are not copied.
//!
//! | file | holds |
//! | --- | --- |
//! | `shapes` | the definitions of all layers, ready to walk along encodings of them |
//! | `rules` | what cannot be told from the definitions alone |
//! | `plan`, `planner/` | what to do with each definition; how that is found out |
//! | `dirty`, `uncovered` | what may need a change; what can be said by no plan |
//! | `run/` | the walk along one encoding |

mod dirty;
mod plan;
mod planner;
mod rules;
mod run;
mod shapes;
mod uncovered;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::history::History;
use crate::schema::{SchemaError, Section};
use plan::{How, Plan};
pub use rules::{Fallback, Gather, Nesting, Projection, Rules, Wrap};
use run::{Run, Stop};
pub use shapes::Shapes;

/// Writes values for one layer.
#[derive(Debug)]
pub struct Transcoder {
    shapes: Arc<Shapes>,
    /// What to do with each shape, by its place.
    plans: Vec<Plan>,
    /// The same where a shape stands for a value of another type.
    others: HashMap<(u32, u32), Plan>,
    /// Whether a shape is in `others`, by its place.
    has_others: Vec<bool>,
    /// For each type, whether a value may need a change anywhere inside.
    dirty: Vec<bool>,
    /// What stands for a value that cannot be said, by type.
    substitutes: HashMap<u32, Vec<u8>>,
    /// The same, with fields of the value: by type and shape.
    fallbacks: HashMap<(u32, u32), plan::Map>,
    /// The answer to each function that is known by name.
    answers: HashMap<u32, Option<How>>,
    /// Fails where it would leave something out.
    strict: bool,
}

/// Why a value is not written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TranscodeError {
    /// The bytes are no value, or nested too deep.
    Malformed {
        /// Where that shows, in bytes from the beginning.
        offset: usize,
    },
    /// An id that no accepted layer has.
    Unknown {
        /// The id as read.
        id: u32,
    },
    /// The target layer has nothing to say it with.
    Inexpressible {
        /// Name of the definition.
        name: String,
    },
}

impl std::fmt::Display for TranscodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Malformed { offset } => write!(f, "malformed at offset {offset}"),
            Self::Unknown { id } => write!(f, "unknown constructor {id:08x}"),
            Self::Inexpressible { name } => write!(f, "the layer has nothing for {name}"),
        }
    }
}

impl std::error::Error for TranscodeError {}

impl Transcoder {
    /// From the newest layer to an older one: for answers and updates.
    ///
    /// # Errors
    /// A definition of a form that has no place in an API.
    pub fn lowering(history: &History, layer: u32, rules: &Rules) -> Result<Self, SchemaError> {
        let shapes = Arc::new(Shapes::new(history)?);
        Ok(Self::new(history, shapes, layer, rules, false))
    }

    /// The same, with shapes that are there already.
    pub fn lowering_with(
        history: &History,
        shapes: &Arc<Shapes>,
        layer: u32,
        rules: &Rules,
    ) -> Self {
        Self::new(history, Arc::clone(shapes), layer, rules, false)
    }

    /// From whatever layers to the newest: for calls. Leaves nothing out.
    pub fn lifting_with(history: &History, shapes: &Arc<Shapes>, rules: &Rules) -> Self {
        Self::new(history, Arc::clone(shapes), history.newest(), rules, true)
    }

    /// A boxed value of any type; shares the bytes if they need no change.
    ///
    /// # Errors
    /// The bytes are no value of an accepted layer, or the target layer cannot say it.
    pub fn object(&self, bytes: &Bytes) -> Result<Bytes, TranscodeError> {
        self.run(bytes, |run| run.object())
    }

    /// A call: a function with its arguments.
    ///
    /// # Errors
    /// The bytes are no call of an accepted layer, or the target layer has no such function.
    pub fn call(&self, bytes: &Bytes) -> Result<Bytes, TranscodeError> {
        self.object(bytes)
    }

    /// The result of the function that was called by `id`, as whoever calls it so expects it
    /// (LAY-11).
    ///
    /// # Errors
    /// The bytes are no such result, or the target layer cannot say it.
    pub fn answer(&self, id: u32, bytes: &Bytes) -> Result<Bytes, TranscodeError> {
        match self.answers.get(&id) {
            Some(Some(how)) => self.run(bytes, |run| run.value(how)),
            Some(None) => Err(TranscodeError::Inexpressible { name: self.name(id) }),
            None => Err(TranscodeError::Unknown { id }),
        }
    }

    /// Whether the answer to the function with that id may need a change.
    pub fn changes_answer(&self, id: u32) -> bool {
        !matches!(self.answers.get(&id), Some(Some(How::Clean(_))))
    }

    fn run<'a>(
        &'a self,
        bytes: &'a Bytes,
        walk: impl FnOnce(&mut Run<'a>) -> Result<(), Stop>,
    ) -> Result<Bytes, TranscodeError> {
        let mut run = Run::new(self, bytes);
        let walked = walk(&mut run);
        let outcome = walked.and_then(|()| run.finish());
        match outcome {
            Ok(Some(changed)) => Ok(changed.into()),
            Ok(None) => Ok(bytes.clone()),
            Err(Stop::Malformed(offset)) => Err(TranscodeError::Malformed { offset }),
            Err(Stop::Unknown(id)) => Err(TranscodeError::Unknown { id }),
            Err(Stop::Unfit) => Err(TranscodeError::Inexpressible { name: "a number".to_owned() }),
            Err(Stop::Inexpressible(shape)) => {
                let name = self.shapes.list[shape as usize].name.clone();
                Err(TranscodeError::Inexpressible { name })
            }
        }
    }

    fn name(&self, id: u32) -> String {
        self.shapes.by_id(id).map_or_else(String::new, |(_, shape)| shape.name.clone())
    }

    /// What the rules have to cover: each constructor that may be met inside an answer to one of
    /// `functions` or beside them in `types`, and that the target has not, or with a field that it
    /// needs and the source cannot give (LAY-02). Names, in order.
    pub fn uncovered(&self, functions: &[&str], types: &[&str]) -> Vec<String> {
        uncovered::uncovered(self, functions, types)
    }

    fn is_dirty(&self, kind: &shapes::Kind) -> bool {
        dirty::is_dirty(kind, &self.dirty)
    }

    fn accepts(&self, shape: u32) -> bool {
        let shape = &self.shapes.list[shape as usize];
        self.strict || shape.is_newest || shape.section == Section::Functions
    }
}
