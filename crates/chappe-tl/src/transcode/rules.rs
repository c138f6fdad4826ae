//! What cannot be told from the definitions alone.

/// How to say what a layer has no word for. Names are those of the schema; a row about what the
/// layer at hand does not have counts for nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules {
    /// Type and constructor: what stands for a value of the type that cannot be said, and for one
    /// that is not there and has to be; its own fields are zero, empty, false.
    pub substitutes: &'static [(&'static str, &'static str)],
    /// What stands for such a value and takes fields from it; comes before `substitutes`.
    pub fallbacks: &'static [Fallback],
    /// A field of a value in place of the value.
    pub projections: &'static [Projection],
    /// A value as the field of another in its place.
    pub wraps: &'static [Wrap],
    /// A constructor whose fields were spread over two later.
    pub nestings: &'static [Nesting],
    /// Constructors of one type that stand for those of another: constructor, other type, its
    /// constructor.
    pub aliases: &'static [(&'static str, &'static str, &'static str)],
    /// Fields that became an object.
    pub gathers: &'static [Gather],
}

/// A constructor that takes fields from a value that cannot be said.
#[derive(Debug, Clone, Copy)]
pub struct Fallback {
    /// Type of the value.
    pub ty: &'static str,
    /// What stands for it.
    pub constructor: &'static str,
    /// Fields that the value must have for that.
    pub needs: &'static [&'static str],
}

/// Where `from` was and `to` is expected, `field` is taken.
#[derive(Debug, Clone, Copy)]
pub struct Projection {
    /// Type of the value.
    pub from: &'static str,
    /// Type that is expected, as it is written in a schema.
    pub to: &'static str,
    /// The field; constructors without it cannot be said.
    pub field: &'static str,
}

/// Where `from` was and `to` is expected, it becomes `field` of `constructor`.
#[derive(Debug, Clone, Copy)]
pub struct Wrap {
    /// Type of the value, as it is written in a schema.
    pub from: &'static str,
    /// Type that is expected.
    pub to: &'static str,
    /// Its constructor.
    pub constructor: &'static str,
    /// The field that takes the value; the others are zero, empty, false.
    pub field: &'static str,
}

/// `flat` has the fields of `outer` and of `inner`, which is in `field` of `outer`.
#[derive(Debug, Clone, Copy)]
pub struct Nesting {
    /// The older constructor.
    pub flat: &'static str,
    /// The newer one.
    pub outer: &'static str,
    /// Its field.
    pub field: &'static str,
    /// What is in that field.
    pub inner: &'static str,
}

/// A field `field` of type `ty` is made of `constructor`, from fields beside it, where `when` is
/// there.
#[derive(Debug, Clone, Copy)]
pub struct Gather {
    /// Name of the newer field.
    pub field: &'static str,
    /// Its type.
    pub ty: &'static str,
    /// What it is made of.
    pub constructor: &'static str,
    /// The older field.
    pub when: &'static str,
}
