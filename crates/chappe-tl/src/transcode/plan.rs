//! What to do with each definition, written down for one target layer.

use super::shapes::{Condition, Field, Kind};

/// What to do with a value of one shape.
#[derive(Debug)]
pub(super) enum Plan {
    /// The target has it, and everything that may be inside.
    Clean,
    /// The target has it; what is inside may change.
    Keep(Map),
    /// The target has another definition of that name.
    Map(Map),
    /// Its fields and those of what is in that field become one object.
    Flatten(usize, Vec<Flat>),
    /// The target has nothing of the kind.
    Nothing,
}

/// A value with another inside, as one.
#[derive(Debug)]
pub(super) struct Flat {
    /// Id of the value inside.
    pub(super) inner: u32,
    /// The fields of both, in the order of their bytes.
    pub(super) fields: Vec<Field>,
    pub(super) map: Map,
}

/// How the fields of one definition become those of another.
#[derive(Debug)]
pub(super) struct Map {
    pub(super) id: u32,
    pub(super) steps: Vec<Step>,
    pub(super) groups: Vec<Group>,
}

#[derive(Debug)]
pub(super) enum Step {
    /// A word of flags begins: its place among the words, and what is known of it at once.
    Word(u8, Vec<Bits>),
    Field {
        source: Source,
        /// Place among the groups, of a conditional field.
        group: Option<usize>,
        /// The bytes if the source does not have it.
        default: Option<Vec<u8>>,
    },
}

#[derive(Debug)]
pub(super) enum Source {
    Nothing,
    /// The field at that place.
    Field(usize, How),
    /// An object made of fields beside it, where the field at that place is there.
    Gather(Option<usize>, Box<Map>),
}

/// Fields of the target that share a bit: all are there, or none.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) word: u8,
    pub(super) bit: u8,
    /// When the fields of the source are there that have to be.
    pub(super) needs: Vec<Condition>,
}

/// Bits that are values by themselves, out of a word of the source.
#[derive(Debug)]
pub(super) struct Bits {
    /// Place of the word among the source's.
    pub(super) from: u8,
    /// How many fields of the source have been passed once the word has.
    pub(super) known_after: u16,
    pub(super) mask: u32,
    /// How far they move to the left.
    pub(super) turn: u32,
}

/// How a value of one kind becomes one of another.
#[derive(Debug)]
pub(super) enum How {
    /// The same kind, and nothing inside may change.
    Clean(Kind),
    /// The same kind.
    Walk(Kind),
    /// A bit.
    Flag,
    IntToLong,
    /// If it fits.
    LongToInt,
    IntToDouble,
    DoubleToInt,
    Vector(Kind, Box<How>),
    /// A constructor that stands for a value of the type.
    Boxed(u32),
    /// A field of the value: shape, place of the field.
    Project(Vec<(u32, usize, How)>),
    /// The value between those bytes.
    Wrap(Vec<u8>, Box<How>, Vec<u8>),
}
