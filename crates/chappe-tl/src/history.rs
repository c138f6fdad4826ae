//! One schema through its layers: the newest as a whole, each older one by what it says otherwise
//! than the next newer one. Of layers after that, what is known of them: by what they say otherwise
//! than the newest.
//!
//! A definition is known by its id. A layer that only adds conditional `true` fields keeps the id,
//! and an older client passes over bits that it does not know: such a change is none here.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use crate::schema::{Definition, Schema, SchemaError, Section, crc32, normalise};

/// What one layer says otherwise than the next newer one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// Number of the older layer.
    pub layer: u32,
    /// Definitions that the newer layer has with another id, or not at all.
    pub definitions: Vec<Line>,
    /// What only the newer layer has.
    pub absent: Vec<(Section, String)>,
}

/// One definition as it stands in the file of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Which half of the schema it stands in.
    pub section: Section,
    /// Full name, with its namespace.
    pub name: String,
    /// The written id.
    pub id: u32,
    /// What follows the id: ` a:int = A;`.
    rest: String,
}

impl Line {
    /// Whether the id is the CRC-32 of the text.
    pub fn verifies(&self) -> bool {
        let Self { name, rest, .. } = self;
        crc32(normalise(&format!("{name}{rest}")).as_bytes()) == self.id
    }
}

impl Delta {
    /// Reads the file of a layer: `// LAYER n`, sections as in a schema, in each its definitions
    /// with their ids and `-name` for what the layer lacks.
    ///
    /// # Errors
    /// The first line of another form.
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        let mut delta = Self { layer: 0, definitions: Vec::new(), absent: Vec::new() };
        let mut section = Section::Types;
        for (number, line) in text.lines().enumerate() {
            let wrong = |reason: &str| {
                let line = u32::try_from(number + 1).unwrap_or(u32::MAX);
                SchemaError::new(line, reason.to_owned())
            };
            if let Some(layer) = line.strip_prefix("// LAYER ") {
                delta.layer = layer.trim().parse().map_err(|_| wrong("a layer is a number"))?;
            } else if line == "---types---" {
                section = Section::Types;
            } else if line == "---functions---" {
                section = Section::Functions;
            } else if let Some(name) = line.strip_prefix('-') {
                delta.absent.push((section, name.to_owned()));
            } else if !line.is_empty() && !line.starts_with("//") {
                let (head, rest) =
                    line.split_once(' ').ok_or_else(|| wrong("no definition stands here"))?;
                let (name, id) =
                    head.split_once('#').ok_or_else(|| wrong("the definition has no id"))?;
                let id = u32::from_str_radix(id, 16).map_err(|_| wrong("the id is no id"))?;
                let (name, rest) = (name.to_owned(), format!(" {rest}"));
                delta.definitions.push(Line { section, name, id, rest });
            }
        }
        if delta.layer == 0 {
            return Err(SchemaError::new(1, "the layer has no number".to_owned()));
        }
        Ok(delta)
    }
}

/// Every definition that some layer has, and which layer has which.
#[derive(Debug, Clone)]
pub struct History {
    /// All of them, the older ones with their layer after the name.
    schema: Schema,
    newest: u32,
    deltas: BTreeMap<u32, Delta>,
}

/// The definitions of one layer, by section and name.
pub(crate) type View<'a> = HashMap<(Section, &'a str), &'a Definition>;

/// Between the name of an older definition and its layer, in the schema of all of them.
const MARK: &str = "_in_layer_";

impl History {
    /// Takes the text of the newest schema and of the deltas of older ones.
    ///
    /// # Errors
    /// The first line that is wrong; lines of older layers are counted after those of the newest.
    pub fn parse(newest: &str, older: &[&str]) -> Result<Self, SchemaError> {
        let whole = Schema::parse(newest)?;
        let layer = whole.layer();
        let layer =
            layer.ok_or_else(|| SchemaError::new(1, "the schema has no layer".to_owned()))?;
        let mut deltas = BTreeMap::new();
        for text in older {
            let delta = Delta::parse(text)?;
            deltas.insert(delta.layer, delta);
        }
        let mut text = newest.to_owned();
        let mut known: HashMap<u32, ()> = HashMap::new();
        known.extend(whole.definitions().iter().map(|definition| (definition.id, ())));
        for section in [Section::Types, Section::Functions] {
            text.push_str(match section {
                Section::Types => "\n---types---\n",
                Section::Functions => "\n---functions---\n",
            });
            for (layer, delta) in deltas.iter().rev() {
                for line in delta.definitions.iter().filter(|line| line.section == section) {
                    if known.insert(line.id, ()).is_none() {
                        let Line { name, id, rest, .. } = line;
                        writeln!(text, "{name}{MARK}{layer}#{id:08x}{rest}")
                            .expect("a String takes everything");
                    }
                }
            }
        }
        Ok(Self { schema: Schema::parse(&text)?, newest: layer, deltas })
    }

    /// The newest layer.
    pub fn newest(&self) -> u32 {
        self.newest
    }

    /// The layers whose schema is known.
    pub fn layers(&self) -> impl Iterator<Item = u32> {
        self.deltas.keys().copied().chain([self.newest])
    }

    /// The known layer to speak to a client of `layer`: the last to one from the future, the next
    /// older one where the very layer is not known; `None` if that is older than all (LAY-03).
    pub fn nearest(&self, layer: u32) -> Option<u32> {
        let known = self.deltas.range(..=layer).next_back().map(|(layer, _)| *layer);
        if layer >= self.newest { known.max(Some(self.newest)) } else { known }
    }

    /// The definition with that id, of whatever layer, and its name.
    pub fn by_id(&self, id: u32) -> Option<(&str, &Definition)> {
        self.schema.by_id(id).map(|definition| (name_of(definition), definition))
    }

    /// Every definition of every layer.
    pub(crate) fn definitions(&self) -> &[Definition] {
        self.schema.definitions()
    }

    /// Functions that the newest layer has not, or not with this id: id and name.
    pub fn older_functions(&self) -> impl Iterator<Item = (u32, &str)> {
        let functions = self.schema.definitions().iter();
        let older = functions.filter(|definition| {
            definition.section == Section::Functions && definition.name.contains(MARK)
        });
        older.map(|definition| (definition.id, name_of(definition)))
    }

    /// The definitions of a known layer.
    pub(crate) fn view(&self, layer: u32) -> View<'_> {
        let mut view: View<'_> = HashMap::new();
        for definition in self.schema.definitions() {
            if !definition.name.contains(MARK) {
                view.insert((definition.section, &definition.name), definition);
            }
        }
        let between = if layer > self.newest { layer..layer + 1 } else { layer..self.newest };
        for (_, delta) in self.deltas.range(between).rev() {
            for (section, name) in &delta.absent {
                view.remove(&(*section, name.as_str()));
            }
            for line in &delta.definitions {
                if let Some(definition) = self.schema.by_id(line.id) {
                    view.insert((line.section, &line.name), definition);
                }
            }
        }
        view
    }

    /// The whole schema of a known layer, as text: for whoever wants to check against it.
    pub fn text(&self, layer: u32) -> String {
        let view = self.view(layer);
        let mut text = format!("// LAYER {layer}\n");
        for section in [Section::Types, Section::Functions] {
            text.push_str(match section {
                Section::Types => "---types---\n",
                Section::Functions => "---functions---\n",
            });
            let mut names: Vec<_> = view.keys().filter(|(of, _)| *of == section).collect();
            names.sort();
            for name in names {
                let definition = view[name].to_string();
                let rest = definition.split_once('#').map_or("", |(_, rest)| rest);
                writeln!(text, "{}#{rest}", name.1).expect("a String takes everything");
            }
        }
        text
    }
}

/// Its name in the schema it is from.
pub(crate) fn name_of(definition: &Definition) -> &str {
    definition.name.split_once(MARK).map_or(&definition.name, |(name, _)| name)
}
