//! One service for clients of many layers (20-telegram-api-service §4).
//!
//! Handlers know the newest layer alone. Calls of any layer are lifted to it before they run,
//! answers and pushes are lowered to the layer of who gets them (docs/decisions/0019-layers.md).

mod fifty_seven;
mod rules;
mod service;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

use chappe_tl::history::History;
use chappe_tl::transcode::{Shapes, TranscodeError, Transcoder};
use chappe_tl::{Bytes, FunctionInfo};

pub(crate) use service::Lowering;

/// The layers that are spoken, and how.
#[derive(Debug)]
pub struct Layers {
    history: History,
    shapes: Arc<Shapes>,
    lifting: Transcoder,
    /// By layer; each is made when its first client comes.
    lowering: BTreeMap<u32, OnceLock<Transcoder>>,
    /// The last layer that anybody announced, or is known.
    announced: AtomicI32,
}

static LAYERS: LazyLock<Layers> = LazyLock::new(Layers::new);

/// Functions of older layers, as far as the newest has none with their id.
static OLDER_FUNCTIONS: LazyLock<Vec<FunctionInfo>> = LazyLock::new(|| {
    let functions = LAYERS.history.older_functions();
    functions.map(|(id, name)| FunctionInfo { id, name }).collect()
});

impl Layers {
    /// Those of this crate, read from their schemas when first needed.
    pub fn get() -> &'static Self {
        &LAYERS
    }

    /// Functions of older layers, as far as the newest has none with their id.
    pub fn older_functions() -> &'static [FunctionInfo] {
        &OLDER_FUNCTIONS
    }

    fn new() -> Self {
        let history = History::parse(chappe_api::SCHEMA, chappe_api::OLDER_LAYERS)
            .expect("a test reads the same texts");
        let shapes = Arc::new(Shapes::new(&history).expect("a test reads the same texts"));
        let lifting = Transcoder::lifting_with(&history, &shapes, &rules::RULES);
        let lowering = history.layers().map(|layer| (layer, OnceLock::new())).collect();
        let last = history.layers().max().unwrap_or_default();
        let announced = AtomicI32::new(last.cast_signed());
        Self { history, shapes, lifting, lowering, announced }
    }

    /// The definitions of every layer.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// A call as the newest layer has it (LAY-10, LAY-12). One that no layer has, or that the
    /// newest has no more, stays as it is: nobody answers it.
    ///
    /// # Errors
    ///
    /// It is no call, or says what the newest layer cannot say.
    pub fn lift(&self, call: &Bytes) -> Result<Bytes, TranscodeError> {
        match self.lifting.call(call) {
            Err(TranscodeError::Inexpressible { name }) if self.is_gone(&name) => Ok(call.clone()),
            Err(TranscodeError::Unknown { id }) if call.starts_with(&id.to_le_bytes()) => {
                Ok(call.clone())
            }
            lifted => lifted,
        }
    }

    fn is_gone(&self, function: &str) -> bool {
        !chappe_api::FUNCTIONS.iter().any(|known| known.name == function)
            && Self::older_functions().iter().any(|known| known.name == function)
    }

    /// The answer to the function that was called by `id`, for a client of `layer` (LAY-11,
    /// LAY-13).
    ///
    /// # Errors
    ///
    /// The layer is older than all, or has no words for the answer.
    pub fn answer(&self, layer: i32, id: u32, answer: &Bytes) -> Result<Bytes, TranscodeError> {
        match self.lowering(layer) {
            Some(lowering) => lowering.answer(id, answer),
            None => Err(TranscodeError::Unknown { id }),
        }
    }

    /// A push for clients of `layer`; `None` if the layer has no words for it.
    pub fn push(&self, layer: i32, body: &Bytes) -> Option<Bytes> {
        self.lowering(layer)?.object(body).ok()
    }

    /// Whether a layer is after all, and nobody announced it before.
    fn is_news(&self, layer: i32) -> bool {
        self.announced.fetch_max(layer, Ordering::Relaxed) < layer
    }

    /// Whether the answer to that function may look otherwise for clients of `layer`.
    fn changes_answer(&self, layer: i32, id: u32) -> bool {
        self.lowering(layer).is_none_or(|lowering| lowering.changes_answer(id))
    }

    /// How to speak to clients of `layer`: those from the future as to the last known, those of a
    /// layer whose schema is not known the next older one (LAY-03).
    pub fn lowering(&self, layer: i32) -> Option<&Transcoder> {
        let layer = self.history.nearest(u32::try_from(layer).ok()?)?;
        let lowering = self.lowering.get(&layer)?;
        Some(lowering.get_or_init(|| {
            Transcoder::lowering_with(&self.history, &self.shapes, layer, &rules::RULES)
        }))
    }
}
