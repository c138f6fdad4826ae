//! Sizes: what an encoding takes at least, what a value takes in memory, and what is boxed.

use std::collections::{BTreeMap, BTreeSet};

use crate::schema::{Count, Definition, Param, Schema, SchemaError, Section, Type};

/// Variants larger than this live on the heap, so that an enum is not as large as its largest.
const VARIANT_MAX: usize = 120;
/// Optional fields larger than this live on the heap: most of them are absent most of the time.
const OPTION_MAX: usize = 64;

/// What is known of the sizes of a schema's types.
pub(super) struct Layout<'a> {
    schema: &'a Schema,
    /// Constructor → least number of bytes of its fields.
    min_bytes: BTreeMap<&'a str, usize>,
    /// Type → the types it holds in place, directly or not.
    holds: BTreeMap<&'a str, BTreeSet<&'a str>>,
    /// Type → estimate of its size in memory.
    sizes: BTreeMap<&'a str, usize>,
}

impl<'a> Layout<'a> {
    pub(super) fn new(schema: &'a Schema) -> Result<Self, SchemaError> {
        let mut layout = Self {
            schema,
            min_bytes: BTreeMap::new(),
            holds: BTreeMap::new(),
            sizes: BTreeMap::new(),
        };
        layout.find_min_bytes()?;
        layout.find_holds();
        for ty in schema.types() {
            layout.find_size(ty, &mut BTreeSet::new());
        }
        Ok(layout)
    }

    /// Least number of bytes a value of `ty` takes.
    pub(super) fn min_of(&self, ty: &Type) -> usize {
        self.min_bytes_of(ty).unwrap_or(4)
    }

    /// Least number of bytes the fields of a constructor take.
    pub(super) fn min_of_fields(&self, constructor: &Definition) -> usize {
        self.min_bytes_of_params(&constructor.params).unwrap_or(0)
    }

    /// The constructor with the shortest encoding: what a blank value is made of.
    pub(super) fn simplest(&self, ty: &str) -> Option<&'a Definition> {
        self.schema.constructors_of(ty).min_by_key(|c| self.min_bytes.get(c.name.as_str()))
    }

    /// Whether a constructor is behind a `Box` in the enum of its type.
    pub(super) fn is_boxed_variant(&self, ty: &str, constructor: &Definition) -> bool {
        let returns = held(&constructor.params, self.schema)
            .into_iter()
            .any(|held| held == ty || self.holds[held].contains(ty));
        returns || self.size_of_fields(&constructor.params) > VARIANT_MAX
    }

    /// Whether a field of `ty` in a value of the type `owner` is behind a `Box`.
    pub(super) fn is_boxed_field(&self, owner: Option<&str>, ty: &Type, optional: bool) -> bool {
        let Some(target) = held_type(ty, self.schema) else { return false };
        // An enum breaks the circle in its variants.
        let is_struct = self.schema.constructors_of(target).count() == 1;
        let in_circle = owner.is_some_and(|owner| {
            owner == target || self.holds.get(target).is_some_and(|held| held.contains(owner))
        });
        (is_struct && in_circle) || (optional && self.size_of(ty) > OPTION_MAX)
    }

    fn find_min_bytes(&mut self) -> Result<(), SchemaError> {
        let made = |d: &&Definition| d.section == Section::Types && !d.builtin;
        let constructors: Vec<&Definition> =
            self.schema.definitions().iter().filter(made).collect();
        // Each round settles at least one constructor, or nothing more can be settled.
        let mut changed = true;
        while changed {
            changed = false;
            for constructor in &constructors {
                let Some(min) = self.min_bytes_of_params(&constructor.params) else { continue };
                let known = self.min_bytes.entry(&constructor.name).or_insert(usize::MAX);
                changed |= min < *known;
                *known = min.min(*known);
            }
        }
        for constructor in constructors {
            if !self.min_bytes.contains_key(constructor.name.as_str()) {
                let reason = format!("{} contains itself without end", constructor.name);
                return Err(SchemaError::new(constructor.line, reason));
            }
        }
        Ok(())
    }

    fn min_bytes_of_params(&self, params: &[Param]) -> Option<usize> {
        let required = params.iter().filter(|param| param.condition.is_none());
        required.map(|param| self.min_bytes_of(&param.ty)).sum()
    }

    /// `None` as long as it is not known.
    fn min_bytes_of(&self, ty: &Type) -> Option<usize> {
        Some(match ty {
            Type::True | Type::Number(_) => 0,
            Type::Int | Type::Nat | Type::Bool | Type::String | Type::Bytes => 4,
            Type::Object | Type::Variable(_) | Type::Query(_) => 4,
            Type::Long | Type::Double => 8,
            Type::Int128 => 16,
            Type::Int256 => 32,
            Type::Vector { boxed, .. } => 4 + 4 * usize::from(*boxed),
            Type::Bare { name, .. } => *self.min_bytes.get(name.as_str())?,
            Type::Boxed { name, .. } => {
                let mut constructors = self.schema.constructors_of(name).peekable();
                if constructors.peek().is_none_or(|constructor| constructor.builtin) {
                    return Some(4);
                }
                4 + constructors.filter_map(|c| self.min_bytes.get(c.name.as_str())).min()?
            }
            Type::Repeat { count: Count::Fixed(count), params } => {
                self.min_bytes_of_params(params)?.saturating_mul(*count as usize)
            }
            Type::Repeat { .. } => 0,
        })
    }

    fn find_holds(&mut self) {
        let mut holds: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for ty in self.schema.types() {
            let constructors = self.schema.constructors_of(ty);
            holds.insert(ty, constructors.flat_map(|c| held(&c.params, self.schema)).collect());
        }
        let mut changed = true;
        while changed {
            changed = false;
            let types: Vec<&str> = holds.keys().copied().collect();
            for ty in types {
                let further: BTreeSet<&str> =
                    holds[ty].iter().flat_map(|held| &holds[held]).copied().collect();
                if let Some(known) = holds.get_mut(ty) {
                    let before = known.len();
                    known.extend(further);
                    changed |= known.len() > before;
                }
            }
        }
        self.holds = holds;
    }

    fn find_size(&mut self, ty: &'a str, open: &mut BTreeSet<&'a str>) {
        if self.sizes.contains_key(ty) || !open.insert(ty) {
            return;
        }
        let constructors: Vec<&Definition> = self.schema.constructors_of(ty).collect();
        for constructor in &constructors {
            for held in held(&constructor.params, self.schema) {
                self.find_size(held, open);
            }
        }
        let sizes = constructors.iter().map(|constructor| {
            if constructors.len() > 1 && self.is_boxed_variant(ty, constructor) {
                8
            } else {
                self.size_of_fields(&constructor.params)
            }
        });
        let tag = if constructors.len() > 1 { 8 } else { 0 };
        let size = sizes.max().unwrap_or(0) + tag;
        self.sizes.insert(ty, size);
        open.remove(ty);
    }

    fn size_of_fields(&self, params: &[Param]) -> usize {
        let size = |param: &Param| {
            let size = self.size_of(&param.ty);
            match &param.condition {
                Some(_) if param.is_flag() => 1,
                Some(_) if size > OPTION_MAX => 8,
                Some(_) if matches!(param.ty, Type::Bytes | Type::Vector { .. }) => size,
                Some(_) => size + 8,
                None => size,
            }
        };
        params.iter().map(size).sum::<usize>().next_multiple_of(8)
    }

    fn size_of(&self, ty: &Type) -> usize {
        match ty {
            Type::True | Type::Number(_) => 0,
            Type::Bool => 1,
            Type::Int | Type::Nat => 4,
            Type::Long | Type::Double => 8,
            Type::Int128 => 16,
            Type::Vector { .. } => 24,
            Type::String | Type::Bytes | Type::Int256 | Type::Object => 32,
            Type::Variable(_) | Type::Query(_) => 32,
            // Those not known are in a circle, so boxed somewhere.
            Type::Boxed { .. } | Type::Bare { .. } => held_type(ty, self.schema)
                .map_or(8, |name| self.sizes.get(name).copied().unwrap_or(8)),
            Type::Repeat { count: Count::Fixed(count), params } => {
                self.size_of_fields(params).saturating_mul(*count as usize)
            }
            Type::Repeat { .. } => 24,
        }
    }
}

/// The types whose values are stored inside these fields.
fn held<'a>(params: &'a [Param], schema: &'a Schema) -> BTreeSet<&'a str> {
    params.iter().filter_map(|param| held_type(&param.ty, schema)).collect()
}

/// The type of the schema whose value a field of `ty` stores in place.
fn held_type<'a>(ty: &'a Type, schema: &'a Schema) -> Option<&'a str> {
    match ty {
        Type::Boxed { name, .. } => Some(name),
        Type::Bare { name, .. } => match &schema.constructor(name)?.result {
            Type::Boxed { name, .. } => Some(name),
            _ => None,
        },
        Type::Repeat { count: Count::Fixed(_), params } => {
            params.iter().find_map(|param| held_type(&param.ty, schema))
        }
        _ => None,
    }
}
