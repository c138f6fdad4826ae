//! What a schema says, with every name resolved.

/// Which half of a schema a definition belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// A constructor of a type.
    Types,
    /// A function.
    Functions,
}

/// One declaration of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Full name, with its namespace: `messages.sendMessage`.
    pub name: String,
    /// Id on the wire: the written one, else the computed one.
    pub id: u32,
    /// CRC-32 of the normalised declaration.
    pub computed_id: u32,
    /// The `{X:Type}` and `{n:#}` of the declaration; they are never on the wire.
    pub generics: Vec<Generic>,
    /// Fields in the order of the wire.
    pub params: Vec<Param>,
    /// Type of the value, or of the answer of a function.
    pub result: Type,
    /// Which half of the schema it stands in.
    pub section: Section,
    /// Line of the source, from 1.
    pub line: u32,
    /// Declares a built-in type (`int ? = Int;`, `vector`): known to every codec, not generated.
    pub builtin: bool,
}

impl Definition {
    /// What stands before the dot of the name: `messages`.
    pub fn namespace(&self) -> Option<&str> {
        self.name.split_once('.').map(|(namespace, _)| namespace)
    }

    /// What stands after the dot of the name: `sendMessage`.
    pub fn short_name(&self) -> &str {
        self.name.split_once('.').map_or(&self.name, |(_, name)| name)
    }

    /// The field of that name.
    pub fn param(&self, name: &str) -> Option<&Param> {
        self.params.iter().find(|param| param.name.as_deref() == Some(name))
    }
}

/// A type or number that a declaration is open in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generic {
    /// Its name: `X`.
    pub name: String,
    /// Whether it is a number (`{n:#}`) and not a type (`{X:Type}`).
    pub is_number: bool,
}

/// One field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Its name; `None` for an anonymous field.
    pub name: Option<String>,
    /// When the field is there; always if `None`.
    pub condition: Option<Condition>,
    /// What the field holds.
    pub ty: Type,
}

impl Param {
    /// Whether the field is `name:flags.N?true`: no bytes, the bit is the value.
    pub fn is_flag(&self) -> bool {
        self.ty == Type::True && self.condition.as_ref().is_some_and(|c| c.bit.is_some())
    }
}

/// `flags.3?` before the type of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Name of the `#` field to the left.
    pub field: String,
    /// Bit of it, 0 to 31; without one, any bit will do.
    pub bit: Option<u8>,
}

impl Condition {
    /// Whether the field is there, given the value of the `#` field.
    pub fn holds(&self, word: u32) -> bool {
        self.bit.map_or(word != 0, |bit| word >> bit & 1 == 1)
    }
}

/// A type, with its names resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// `int`
    Int,
    /// `long`
    Long,
    /// `double`
    Double,
    /// `string`
    String,
    /// `bytes`
    Bytes,
    /// `int128`
    Int128,
    /// `int256`
    Int256,
    /// `#`: a count or a word of flags.
    Nat,
    /// `Bool`
    Bool,
    /// Bare `true`: no bytes.
    True,
    /// `Object`: any boxed value of the schema.
    Object,
    /// `Vector T` (boxed) or `vector T`, `%Vector T` (without the id).
    Vector {
        /// Whether the vector's id is on the wire.
        boxed: bool,
        /// Type of the elements.
        item: Box<Type>,
    },
    /// A type by its name, written with the id of its constructor.
    Boxed {
        /// Full name: `messages.Messages`.
        name: String,
        /// Arguments of a parameterised type.
        args: Vec<Type>,
    },
    /// A constructor by its name, written without its id.
    Bare {
        /// Full name of the constructor.
        name: String,
        /// Arguments of a parameterised type.
        args: Vec<Type>,
    },
    /// A variable of the declaration.
    Variable(String),
    /// `!X`: a whole function whose answer is an `X`.
    Query(String),
    /// A number as the argument of a type.
    Number(u32),
    /// `count*[ fields ]`
    Repeat {
        /// How many times.
        count: Count,
        /// What is repeated.
        params: Vec<Param>,
    },
}

/// How often a `[ … ]` is repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Count {
    /// As often as written.
    Fixed(u32),
    /// As the `#` field at that place among the fields says.
    Param(usize),
    /// As a number of the declaration (`{n:#}`) says.
    Generic(String),
}
