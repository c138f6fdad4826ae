//! The definitions of all layers, ready to walk along encodings of them.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::history::{History, name_of};
use crate::schema::{Definition, SchemaError, Section, Type};

/// The definitions of all layers of a [`History`], in the form that transcoders share.
#[derive(Debug)]
pub struct Shapes {
    pub(super) list: Vec<Shape>,
    by_id: HashMap<u32, u32, BuildHasherDefault<IdHasher>>,
    /// Names of types, by their place.
    pub(super) types: Vec<String>,
    types_by_name: HashMap<String, u32>,
}

/// One definition of one or more layers.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) id: u32,
    pub(super) name: String,
    pub(super) section: Section,
    /// Whether the newest layer has it.
    pub(super) is_newest: bool,
    /// Place of the type that it is a value of; of functions, nothing.
    pub(super) ty: u32,
    pub(super) fields: Vec<Field>,
    /// Of a function: what it answers.
    pub(super) result: Kind,
    /// How many bytes the fields have, where that is always the same.
    pub(super) size: Option<usize>,
}

#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Of a conditional field: when it is there.
    pub(super) condition: Option<Condition>,
}

/// A bit of a word of flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Condition {
    /// Place of the word among the words.
    pub(super) word: u8,
    pub(super) bit: u8,
    /// How many fields have been passed once the word has.
    pub(super) known_after: u16,
}

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A word of flags: its place among the words.
    Word(u8),
    Int,
    Long,
    Double,
    Int128,
    Int256,
    /// `string` and `bytes`.
    Text,
    Bool,
    /// No bytes: the bit is the value.
    True,
    Vector(Box<Kind>),
    /// A boxed value of the type at that place.
    Boxed(u32),
    /// A boxed value of whatever type.
    Object,
}

/// Words of flags in one definition.
pub(super) const WORDS_MAX: usize = 4;

impl Shapes {
    /// Takes every definition of every layer.
    ///
    /// # Errors
    /// A definition of a form that has no place in an API: bare values, repetitions, and more than
    /// four words of flags.
    pub fn new(history: &History) -> Result<Self, SchemaError> {
        let mut shapes = Self {
            list: Vec::new(),
            by_id: HashMap::default(),
            types: Vec::new(),
            types_by_name: HashMap::new(),
        };
        for definition in history.definitions().iter().filter(|definition| !definition.builtin) {
            let shape = shapes.shape(definition)?;
            let place = shapes.list.len() as u32;
            shapes.by_id.insert(shape.id, place);
            shapes.list.push(shape);
        }
        Ok(shapes)
    }

    pub(super) fn by_id(&self, id: u32) -> Option<(u32, &Shape)> {
        let place = *self.by_id.get(&id)?;
        Some((place, &self.list[place as usize]))
    }

    pub(super) fn ty(&self, name: &str) -> Option<u32> {
        self.types_by_name.get(name).copied()
    }

    /// What a type is, as it is written in a schema: for the rows of rules.
    pub(super) fn kind(&self, text: &str) -> Option<Kind> {
        Some(match text {
            "int" => Kind::Int,
            "long" => Kind::Long,
            "double" => Kind::Double,
            "string" => Kind::Text,
            _ => match text.strip_prefix("Vector<").and_then(|rest| rest.strip_suffix('>')) {
                Some(item) => Kind::Vector(Box::new(self.kind(item)?)),
                None => Kind::Boxed(self.ty(text)?),
            },
        })
    }

    fn shape(&mut self, definition: &Definition) -> Result<Shape, SchemaError> {
        let wrong = |reason: &str| {
            SchemaError::new(definition.line, format!("{}: {reason}", definition.name))
        };
        // Name, and place among the fields.
        let mut words: Vec<(&str, u16)> = Vec::new();
        let mut fields = Vec::new();
        for param in &definition.params {
            let name = param.name.as_deref().unwrap_or_default();
            let kind = if param.ty == Type::Nat {
                words.push((name, fields.len() as u16));
                Kind::Word(words.len() as u8 - 1)
            } else {
                self.kind_of(&param.ty).ok_or_else(|| wrong("a field of another form"))?
            };
            let condition = match &param.condition {
                None => None,
                Some(condition) => {
                    let word = words.iter().position(|(word, _)| *word == condition.field);
                    let (Some(word), Some(bit)) = (word, condition.bit) else {
                        return Err(wrong("a condition of another form"));
                    };
                    let known_after = words[word].1 + 1;
                    Some(Condition { word: word as u8, bit, known_after })
                }
            };
            fields.push(Field { name: name.to_owned(), kind, condition });
        }
        if words.len() > WORDS_MAX {
            return Err(wrong("too many words of flags"));
        }
        let size = fields.iter().map(Field::size).sum();
        let (ty, result) = match (definition.section, &definition.result) {
            (Section::Types, Type::Boxed { name, .. }) => (self.type_named(name), Kind::Object),
            (Section::Types, Type::Bool) => (self.type_named("Bool"), Kind::Object),
            (Section::Types, _) => return Err(wrong("a type of another form")),
            (Section::Functions, result) => {
                let result = self.kind_of(result).ok_or_else(|| wrong("another result"))?;
                (self.type_named("!"), result)
            }
        };
        Ok(Shape {
            id: definition.id,
            name: name_of(definition).to_owned(),
            section: definition.section,
            is_newest: name_of(definition).len() == definition.name.len(),
            ty,
            fields,
            result,
            size,
        })
    }

    fn kind_of(&mut self, ty: &Type) -> Option<Kind> {
        Some(match ty {
            Type::Int => Kind::Int,
            Type::Long => Kind::Long,
            Type::Double => Kind::Double,
            Type::Int128 => Kind::Int128,
            Type::Int256 => Kind::Int256,
            Type::String | Type::Bytes => Kind::Text,
            Type::Bool => Kind::Bool,
            Type::True => Kind::True,
            Type::Vector { boxed: true, item } => Kind::Vector(Box::new(self.kind_of(item)?)),
            Type::Boxed { name, .. } => Kind::Boxed(self.type_named(name)),
            Type::Object | Type::Query(_) | Type::Variable(_) => Kind::Object,
            _ => return None,
        })
    }

    fn type_named(&mut self, name: &str) -> u32 {
        if let Some(place) = self.types_by_name.get(name) {
            return *place;
        }
        let place = self.types.len() as u32;
        self.types.push(name.to_owned());
        self.types_by_name.insert(name.to_owned(), place);
        place
    }
}

impl Shape {
    pub(super) fn field(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }
}

impl Field {
    /// How many bytes it has, where that is always the same.
    fn size(&self) -> Option<usize> {
        match self.condition {
            Some(_) if self.kind != Kind::True => None,
            _ => self.kind.size(),
        }
    }
}

impl Kind {
    /// How many bytes a value has, where that is always the same.
    pub(super) fn size(&self) -> Option<usize> {
        match self {
            Self::True => Some(0),
            Self::Word(_) | Self::Int | Self::Bool => Some(4),
            Self::Long | Self::Double => Some(8),
            Self::Int128 => Some(16),
            Self::Int256 => Some(32),
            Self::Text | Self::Vector(_) | Self::Boxed(_) | Self::Object => None,
        }
    }

    /// The type inside, under whatever vectors.
    pub(super) fn inner_type(&self) -> Option<u32> {
        match self {
            Self::Boxed(ty) => Some(*ty),
            Self::Vector(item) => item.inner_type(),
            _ => None,
        }
    }
}

/// Ids are checksums: they are hashes already, and all keys are ours.
#[derive(Debug, Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_u32(&mut self, id: u32) {
        // The table takes its buckets from the low bits and tags from the high ones.
        self.0 = u64::from(id) << 32 | u64::from(id);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
