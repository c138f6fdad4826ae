//! Puts the generated modules together.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::fields::{Context, Fields};
use super::layout::Layout;
use super::names::{Names, Path, is_loose, pascal};
use crate::schema::{Definition, Schema, SchemaError, Section, Type};

/// The code of a schema, by module.
pub(super) struct Output<'a> {
    context: Context<'a>,
    traits: bool,
    /// `types`, `ctors`, `functions` → namespace (empty for none) → items.
    modules: BTreeMap<&'static str, BTreeMap<String, String>>,
}

impl<'a> Output<'a> {
    pub(super) fn new(
        schema: &'a Schema,
        names: &'a Names,
        layout: &'a Layout<'a>,
        traits: bool,
    ) -> Self {
        let modules = ["types", "ctors", "functions"].map(|root| (root, BTreeMap::new()));
        Self { context: Context { schema, names, layout }, traits, modules: modules.into() }
    }

    pub(super) fn generate(mut self, text: &str) -> Result<String, SchemaError> {
        let schema = self.context.schema;
        let bare = bare_constructors(schema);
        for ty in schema.types() {
            let constructors: Vec<&Definition> = schema.constructors_of(ty).collect();
            match constructors[..] {
                [] => self.uninhabited(ty),
                [only] if only.builtin => {}
                [only] => self.structure(only)?,
                _ => {
                    self.enumeration(ty, &constructors);
                    // One without fields is a variant and nothing more, unless it stands bare.
                    for constructor in constructors {
                        if !constructor.params.is_empty() || bare.contains(&constructor.name) {
                            self.structure(constructor)?;
                        }
                    }
                }
            }
        }
        let mut functions: Vec<&Definition> = Vec::new();
        for definition in schema.definitions() {
            if is_loose(definition) {
                self.structure(definition)?;
            }
            if definition.section == Section::Functions {
                self.function(definition)?;
                functions.push(definition);
            }
        }
        functions.sort_by_key(|function| function.id);
        Ok(self.assemble(text, &functions))
    }

    fn assemble(&self, text: &str, functions: &[&Definition]) -> String {
        let mut out = String::from("use ::chappe_tl::generated as _g;\n");
        if let Some(layer) = self.context.schema.layer() {
            let _ = writeln!(out, "/// Layer of the schema.\npub const LAYER: i32 = {layer};");
        }
        let _ = writeln!(out, "/// Text of the schema.\npub const SCHEMA: &str = {text:?};");
        if self.traits {
            out.push_str(
                "/// The schema itself; parsed on first use.\n\
                 pub fn schema() -> &'static ::chappe_tl::schema::Schema {\n\
                 static PARSED: _g::Parsed = _g::Parsed::new(SCHEMA); PARSED.get() }\n",
            );
        }
        out.push_str(
            "/// Every function, in the order of the ids.\n\
             pub const FUNCTIONS: &[::chappe_tl::FunctionInfo] = &[\n",
        );
        for Definition { id, name, .. } in functions {
            let _ = writeln!(out, "_g::function({id:#010x}, {name:?}),");
        }
        out.push_str("];\n");
        for (root, namespaces) in &self.modules {
            let _ = writeln!(
                out,
                "/// {}.\n#[allow(missing_docs, unused, clippy::all)]\npub mod {root} {{\n\
                 use super::{{self as _r, _g}};",
                module_title(root)
            );
            for (namespace, items) in namespaces {
                if namespace.is_empty() {
                    out.push_str(items);
                } else {
                    let _ =
                        writeln!(out, "pub mod {namespace} {{\nuse super::{{_r, _g}};\n{items}}}");
                }
            }
            out.push_str("}\n");
        }
        out
    }

    fn module(&mut self, path: &Path) -> &mut String {
        let namespace = path.namespace.clone().unwrap_or_default();
        self.modules.entry(path.root).or_default().entry(namespace).or_default()
    }

    /// A constructor: its struct and how it is read and written.
    fn structure(&mut self, constructor: &'a Definition) -> Result<(), SchemaError> {
        let path = self.context.names.constructor(&constructor.name);
        self.plain_struct(constructor, path)
    }

    fn plain_struct(&mut self, definition: &'a Definition, path: &Path) -> Result<(), SchemaError> {
        if !definition.generics.is_empty() {
            let reason = format!("{}: parameterised types have no Rust form", definition.name);
            return Err(SchemaError::new(definition.line, reason));
        }
        let fields = Fields::new(definition, self.context)?;
        let mut out = String::new();
        let clone = self.traits || definition.section == Section::Types;
        declare(&mut out, &path.name, "", &fields, clone);
        let Definition { name: tl, id, .. } = definition;
        let min = self.context.layout.min_of_fields(definition);
        let (name, read, write) = (&path.name, fields.read()?, fields.write()?);
        let _ = writeln!(
            out,
            "impl _g::Fields for {name} {{ const ABOUT: _g::About = _g::about({id:#010x}, {tl:?}, {min}); \
             #[inline] fn read_fields(r: &mut _g::Reader) -> Self {{ {read} }} \
             #[inline] fn write_fields<const B: bool>(&self, w: &mut _g::Writer) {{ {write}}} }}"
        );
        if self.traits {
            traits(&mut out, name);
        }
        self.module(path).push_str(&out);
        Ok(())
    }

    /// A type of several constructors.
    fn enumeration(&mut self, ty: &str, constructors: &[&Definition]) {
        let Context { names, layout, .. } = self.context;
        let path = names.ty(ty);
        let name = &path.name;
        let (mut variants, mut reads, mut writes) = (String::new(), String::new(), String::new());
        let mut blank = String::new();
        let mut taken = Vec::new();
        let simplest = layout.simplest(ty).map(|constructor| constructor.id);
        let mut min = usize::MAX;
        for constructor in constructors {
            min = min.min(4 + layout.min_of_fields(constructor));
            let mut variant = pascal(constructor.short_name());
            while variant == "Self" || taken.contains(&variant) {
                variant.push('_');
            }
            taken.push(variant.clone());
            let id = constructor.id;
            let read = if constructor.params.is_empty() {
                let _ = write!(variants, "{variant}, ");
                let _ = write!(writes, "Self::{variant} => w.u32({id:#010x}), ");
                format!("Self::{variant}")
            } else {
                let inner = names.constructor(&constructor.name).rust();
                let is_boxed = layout.is_boxed_variant(ty, constructor);
                let (held, value, read) = match is_boxed {
                    true => (format!("Box<{inner}>"), "&**v", "r.boxed()"),
                    false => (inner, "v", "r.fields()"),
                };
                let _ = write!(variants, "{variant}({held}), ");
                let _ = write!(writes, "Self::{variant}(v) => w.put({value}), ");
                format!("Self::{variant}({read})")
            };
            let _ = write!(reads, "{id:#010x} => {read}, ");
            if simplest == Some(id) {
                blank = read;
            }
        }
        let mut out = String::new();
        let _ = writeln!(
            out,
            "#[derive(Clone)] pub enum {name} {{ {variants}}}\n\
             impl _g::Read for {name} {{ const MIN: usize = {min}; \
             #[inline] fn read(r: &mut _g::Reader) -> Self {{ let v = match r.begin() {{ {reads}\
             id => {{ r.unknown(id, {ty:?}); {blank} }} }}; r.end(); v }} }}\n\
             impl _g::Encode for {name} {{ \
             #[inline] fn encode(&self, w: &mut _g::Writer) {{ match self {{ {writes}}} }} }}"
        );
        if self.traits {
            traits(&mut out, name);
        }
        self.module(path).push_str(&out);
    }

    /// A type without values: only a failed reader makes one, and nobody sees it.
    fn uninhabited(&mut self, ty: &str) {
        let path = self.context.names.ty(ty);
        let name = &path.name;
        let mut out = String::new();
        let _ = writeln!(
            out,
            "#[derive(Clone)] pub struct {name} {{ never: () }}\n\
             impl _g::Read for {name} {{ const MIN: usize = 4; \
             fn read(r: &mut _g::Reader) -> Self {{ r.uninhabited(); Self {{ never: () }} }} }}\n\
             impl _g::Encode for {name} {{ \
             fn encode(&self, w: &mut _g::Writer) {{ w.uninhabited(); }} }}"
        );
        if self.traits {
            traits(&mut out, name);
        }
        self.module(path).push_str(&out);
    }

    fn function(&mut self, function: &'a Definition) -> Result<(), SchemaError> {
        let path = self.context.names.function(&function.name);
        let Definition { name: tl, id, .. } = function;
        let name = &path.name;
        let fields = Fields::new(function, self.context)?;
        let constants = format!("const ID: u32 = {id:#010x}; const NAME: &'static str = {tl:?};");
        if function.generics.is_empty() {
            self.plain_struct(function, path)?;
            let answer = fields.rust_type(&function.result)?;
            let line = format!("impl _g::Call for {name} {{ type Answer = {answer}; }}\n");
            self.module(path).push_str(&line);
            return Ok(());
        }
        let wrapped = wrapped_variable(function)?;
        let (read, write) = (fields.read()?, fields.write()?);
        let answer = match &function.result {
            Type::Variable(variable) => format!("<{variable} as _g::Function>::Return"),
            ty => fields.rust_type(ty)?,
        };
        let x = wrapped;
        let mut out = String::new();
        declare(&mut out, name, &format!("<{x}>"), &fields, true);
        let _ = writeln!(
            out,
            "impl<{x}: _g::Encode + _g::Decode> _g::Constructor for {name}<{x}> {{ {constants} \
             fn encode_bare(&self, w: &mut _g::Writer) {{ _g::WriteFields::write_fields::<false>(self, w) }} \
             fn decode_bare(r: &mut _g::Reader) -> _g::Decoded<Self> {{ let value = {{ {read} }}; r.check()?; Ok(value) }} }}\n\
             impl<{x}: _g::Encode> _g::WriteFields for {name}<{x}> {{ \
             fn write_fields<const B: bool>(&self, w: &mut _g::Writer) {{ {write}}} }}\n\
             impl<{x}: _g::Encode> _g::Encode for {name}<{x}> {{ \
             fn encode(&self, w: &mut _g::Writer) {{ \
             _g::WriteFields::write_fields::<true>(self, w) }} }}\n\
             impl<{x}: _g::Encode + _g::Decode> _g::Decode for {name}<{x}> {{ \
             fn decode(r: &mut _g::Reader) -> _g::Decoded<Self> {{ _g::wrapper(r) }} }}\n\
             impl<{x}: _g::Function> _g::Function for {name}<{x}> {{ {constants} \
             type Return = {answer}; }}",
        );
        if self.traits {
            let _ = writeln!(
                out,
                "impl<{x}: _g::Encode> PartialEq for {name}<{x}> {{ \
             fn eq(&self, other: &Self) -> bool {{ _g::same(self, other) }} }}\n\
             impl<{x}: _g::Encode> ::std::fmt::Debug for {name}<{x}> {{ \
             fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {{ \
             _g::fmt(_r::schema(), self, f) }} }}",
            );
        }
        self.module(path).push_str(&out);
        Ok(())
    }
}

/// The constructors that are written without their id somewhere.
fn bare_constructors(schema: &Schema) -> BTreeSet<String> {
    fn collect(ty: &Type, found: &mut BTreeSet<String>) {
        match ty {
            Type::Bare { name, .. } => {
                found.insert(name.clone());
            }
            Type::Vector { item, .. } => collect(item, found),
            Type::Repeat { params, .. } => params.iter().for_each(|p| collect(&p.ty, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    for param in schema.definitions().iter().flat_map(|definition| &definition.params) {
        collect(&param.ty, &mut found);
    }
    found
}

/// The variable of the wrapped query; a function open in anything else has no Rust form.
fn wrapped_variable(function: &Definition) -> Result<&str, SchemaError> {
    let queries: Vec<&str> = function
        .params
        .iter()
        .filter_map(|param| match &param.ty {
            Type::Query(variable) if param.condition.is_none() => Some(variable.as_str()),
            _ => None,
        })
        .collect();
    match (&queries[..], &function.generics[..]) {
        ([query], [generic]) if generic.name == *query => Ok(query),
        _ => {
            let reason = format!("{}: only one wrapped query has a Rust form", function.name);
            Err(SchemaError::new(function.line, reason))
        }
    }
}

fn declare(out: &mut String, name: &str, generics: &str, fields: &Fields<'_>, clone: bool) {
    if clone {
        out.push_str("#[derive(Clone)] ");
    }
    if fields.is_empty() {
        let _ = writeln!(out, "pub struct {name}{generics};");
        return;
    }
    let _ = write!(out, "pub struct {name}{generics} {{ ");
    fields.declare(out);
    out.push_str("}\n");
    let mut methods = String::new();
    fields.presence_methods(&mut methods);
    if !methods.is_empty() {
        let _ = writeln!(out, "impl{generics} {name}{generics} {{ {methods}}}");
    }
}

/// What every type has and one routine does for all.
fn traits(out: &mut String, name: &str) {
    let _ = writeln!(
        out,
        "impl PartialEq for {name} {{ #[inline] fn eq(&self, other: &Self) -> bool {{ \
         _g::same(self, other) }} }}\n\
         impl ::std::fmt::Debug for {name} {{ #[inline] fn fmt(&self, f: &mut \
         ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {{ _g::fmt(_r::schema(), self, f) }} }}\n\
         impl Default for {name} {{ #[inline] fn default() -> Self {{ _g::blank() }} }}"
    );
}

fn module_title(root: &str) -> &'static str {
    match root {
        "types" => "The types of the schema",
        "ctors" => "The constructors of types that have several",
        _ => "The functions of the schema",
    }
}
