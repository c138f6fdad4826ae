//! What a schema offers, for people: its functions, and one definition explained.

use std::fmt;

use super::fields::{is_implied, key};
use super::value::{Object, Value};
use crate::schema::{Count, Definition, Param, Schema, Section, Type};

/// The functions whose name contains `part`, by name; all of them if it is empty.
pub fn functions<'s>(schema: &'s Schema, part: &str) -> Vec<&'s Definition> {
    let part = part.to_lowercase();
    let mut found: Vec<&Definition> = schema
        .definitions()
        .iter()
        .filter(|d| d.section == Section::Functions && d.name.to_lowercase().contains(&part))
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// The type of the answer to a call. For a wrapper (`query:!X`), that of the call within.
///
/// `None` if the schema has no such function or the wrapper holds no call.
pub fn answer_type<'s>(schema: &'s Schema, call: &Object) -> Option<&'s Type> {
    let mut call = call;
    loop {
        let definition = schema.function(call.name())?;
        let Type::Variable(variable) = &definition.result else { return Some(&definition.result) };
        let holds = |param: &&Param| matches!(&param.ty, Type::Query(name) if name == variable);
        let query = definition.params.iter().find(holds)?.name.as_deref()?;
        match call.get(query)? {
            Value::Object(inner) => call = inner,
            _ => return None,
        }
    }
}

/// A definition in one line, as a person writes it: no ids, no words of flags, optional fields in
/// brackets. `inputPeerUser user_id:long access_hash:long`
pub fn outline(definition: &Definition) -> String {
    let mut line = definition.name.clone();
    for (place, param) in definition.params.iter().enumerate() {
        if is_implied(&definition.params, place) {
            continue;
        }
        let field = format!("{}:{}", key(&definition.params, place), type_text(&param.ty));
        let field = if param.condition.is_some() { format!("[{field}]") } else { field };
        line.push(' ');
        line.push_str(&field);
    }
    line
}

/// One definition explained: what to give, and what comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The definition as the schema writes it.
    pub declaration: String,
    /// The fields a person gives.
    pub fields: Vec<FieldHelp>,
    /// The type of the value, or of the answer of a function.
    pub result: String,
    /// The constructors of that type, one line each.
    pub constructors: Vec<String>,
}

/// One field explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldHelp {
    /// Its name.
    pub name: String,
    /// Its type as the schema writes it.
    pub ty: String,
    /// When it is there.
    pub presence: Presence,
    /// The constructors of its type, or of the elements of a vector, one line each.
    pub constructors: Vec<String>,
}

/// When a field is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// Always.
    Required,
    /// When one likes.
    Optional,
    /// When one likes, but only together with these fields.
    With(Vec<String>),
}

/// Explains one definition.
pub fn describe(schema: &Schema, definition: &Definition) -> Description {
    let params = &definition.params;
    let fields = params
        .iter()
        .enumerate()
        .filter(|(place, _)| !is_implied(params, *place))
        .map(|(place, param)| FieldHelp {
            name: key(params, place).into_owned(),
            ty: type_text(&param.ty),
            presence: presence(params, place),
            constructors: outlines(schema, &param.ty),
        })
        .collect();
    Description {
        declaration: definition.to_string(),
        fields,
        result: definition.result.to_string(),
        constructors: outlines(schema, &definition.result),
    }
}

fn presence(params: &[Param], place: usize) -> Presence {
    let condition = &params[place].condition;
    if condition.is_none() {
        return Presence::Required;
    }
    let others = (0..params.len()).filter(|other| *other != place);
    let together: Vec<String> = others
        .filter(|other| params[*other].condition == *condition)
        .map(|other| key(params, other).into_owned())
        .collect();
    if together.is_empty() { Presence::Optional } else { Presence::With(together) }
}

fn outlines(schema: &Schema, ty: &Type) -> Vec<String> {
    match ty {
        Type::Boxed { name, .. } => schema.constructors_of(name).map(outline).collect(),
        Type::Bare { name, .. } => schema.constructor(name).map(outline).into_iter().collect(),
        Type::Vector { item, .. } => outlines(schema, item),
        _ => Vec::new(),
    }
}

/// A type in words where the schema has a sign only.
fn type_text(ty: &Type) -> String {
    match ty {
        Type::Repeat { count, params } => {
            let fields: Vec<String> = params.iter().map(|param| type_text(&param.ty)).collect();
            let count = match count {
                Count::Fixed(count) => format!("{count}*"),
                Count::Generic(name) => format!("{name}*"),
                Count::Param(_) => String::new(),
            };
            format!("{count}[ {} ]", fields.join(" "))
        }
        Type::Query(_) => "a call".to_owned(),
        ty => ty.to_string(),
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.declaration)?;
        if !self.fields.is_empty() {
            writeln!(f, "\nfields:")?;
        }
        let name_width = self.fields.iter().map(|field| field.name.len()).max().unwrap_or(0);
        let type_width = self.fields.iter().map(|field| field.ty.len()).max().unwrap_or(0);
        for FieldHelp { name, ty, presence, constructors } in &self.fields {
            write!(f, "  {name:name_width$}  {ty:type_width$}  ")?;
            match presence {
                Presence::Required => writeln!(f, "required")?,
                Presence::Optional => writeln!(f, "optional")?,
                Presence::With(others) => writeln!(f, "optional, with {}", others.join(", "))?,
            }
            for constructor in constructors {
                writeln!(f, "      {constructor}")?;
            }
        }
        writeln!(f, "\nresult: {}", self.result)?;
        for constructor in &self.constructors {
            writeln!(f, "      {constructor}")?;
        }
        Ok(())
    }
}
