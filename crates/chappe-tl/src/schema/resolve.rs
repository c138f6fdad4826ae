//! Declarations as written → definitions whose names all mean something.

use std::collections::{BTreeMap, BTreeSet};

use super::ast::{Condition, Count, Definition, Generic, Param, Section, Type};
use super::parser::{Declaration, Field, FieldType, Program, Term};
use super::{SchemaError, is_type_name};

/// Resolves every declaration. Built-in names need no declaration.
pub(super) fn resolve(program: Program) -> Result<Vec<Definition>, SchemaError> {
    let mut names = Names::default();
    names.empty.extend(program.empty_types);
    for declaration in &program.declarations {
        if declaration.section == Section::Types
            && let Term::Name(ty, _) = &declaration.result
        {
            names.constructors.insert(declaration.name.clone(), ty.clone());
            *names.types.entry(ty.clone()).or_default() += 1;
        }
    }
    program.declarations.into_iter().map(|declaration| names.definition(declaration)).collect()
}

/// What the names of a schema stand for.
#[derive(Default)]
struct Names {
    /// Constructor → its type.
    constructors: BTreeMap<String, String>,
    /// Type → how many constructors it has.
    types: BTreeMap<String, usize>,
    empty: BTreeSet<String>,
}

/// What is visible inside one declaration.
struct Scope<'a> {
    names: &'a Names,
    generics: &'a [Generic],
    line: u32,
}

impl Names {
    fn definition(&self, declaration: Declaration) -> Result<Definition, SchemaError> {
        let Declaration { name, written_id, computed_id, generics, section, line, .. } =
            declaration;
        let scope = Scope { names: self, generics: &generics, line };
        let params = scope.params(declaration.fields, &[])?;
        let result = scope.result(&declaration.result)?;
        let builtin = declaration.builtin
            || (section == Section::Types && BUILTIN.contains(&name.as_str()))
            || matches!(&result, Type::Vector { .. } if section == Section::Types);
        let id = written_id.unwrap_or(computed_id);
        Ok(Definition { name, id, computed_id, generics, params, result, section, line, builtin })
    }
}

impl Scope<'_> {
    /// Fields from left to right; `outer` are those around a `[ … ]`.
    fn params(&self, fields: Vec<Field>, outer: &[Param]) -> Result<Vec<Param>, SchemaError> {
        let mut params: Vec<Param> = Vec::new();
        for Field { name, condition, ty } in fields {
            if let Some(name) = &name
                && params.iter().chain(outer).any(|param| param.name.as_ref() == Some(name))
            {
                return Err(self.error(format!("field {name} is declared twice")));
            }
            let condition = match condition {
                None => None,
                Some((field, bit)) => {
                    let mut left = params.iter().chain(outer);
                    if !left.any(|p| p.name.as_ref() == Some(&field) && p.ty == Type::Nat) {
                        return Err(self.error(format!("no # field {field} stands to the left")));
                    }
                    Some(Condition { field, bit })
                }
            };
            let ty = match ty {
                FieldType::Plain { bang, term } => self.field_type(bang, &term)?,
                FieldType::Repeat { mult, fields } => {
                    let count = self.count(mult, &params)?;
                    let around: Vec<Param> = outer.iter().chain(&params).cloned().collect();
                    Type::Repeat { count, params: self.params(fields, &around)? }
                }
            };
            params.push(Param { name, condition, ty });
        }
        Ok(params)
    }

    fn count(&self, mult: Option<Term>, params: &[Param]) -> Result<Count, SchemaError> {
        match mult {
            Some(Term::Number(count)) => Ok(Count::Fixed(count)),
            Some(Term::Name(name, arguments)) if arguments.is_empty() => {
                let is_count = |p: &Param| p.name.as_ref() == Some(&name) && p.ty == Type::Nat;
                if let Some(place) = params.iter().position(is_count) {
                    return Ok(Count::Param(place));
                }
                match self.generic(&name) {
                    Some(generic) if generic.is_number => Ok(Count::Generic(name)),
                    _ => Err(self.error(format!("{name} is no number"))),
                }
            }
            None if params.last().is_some_and(|param| param.ty == Type::Nat) => {
                Ok(Count::Param(params.len() - 1))
            }
            _ => Err(self.error("nothing says how often the [ ] is repeated".into())),
        }
    }

    fn field_type(&self, bang: bool, term: &Term) -> Result<Type, SchemaError> {
        let ty = self.ty(term)?;
        match &ty {
            Type::Number(_) => Err(self.error("a number is no type".into())),
            Type::Variable(name) if self.generic(name).is_some_and(|generic| generic.is_number) => {
                Err(self.error(format!("{name} is a number, not a type")))
            }
            Type::Variable(name) if bang => Ok(Type::Query(name.clone())),
            _ if bang => Err(self.error("only a variable can follow \"!\"".into())),
            _ => Ok(ty),
        }
    }

    /// The type of a value or an answer is boxed.
    fn result(&self, term: &Term) -> Result<Type, SchemaError> {
        let ty = match term {
            // A built-in type is named here by the line that declares it.
            Term::Name(name, args) if is_type_name(name) && !self.is_known(name) => {
                Type::Boxed { name: name.clone(), args: self.types(args)? }
            }
            _ => self.ty(term)?,
        };
        match ty {
            Type::Boxed { .. } | Type::Vector { boxed: true, .. } => Ok(ty),
            Type::Bool | Type::Object | Type::Variable(_) => Ok(ty),
            _ => Err(self.error("the result is no boxed type".into())),
        }
    }

    fn is_known(&self, name: &str) -> bool {
        let names = self.names;
        names.types.contains_key(name)
            || names.empty.contains(name)
            || self.generic(name).is_some()
            || ["Bool", "Object", "Vector"].contains(&name)
    }

    fn ty(&self, term: &Term) -> Result<Type, SchemaError> {
        let (name, args) = match term {
            Term::Nat => return Ok(Type::Nat),
            Term::Number(number) => return Ok(Type::Number(*number)),
            Term::Percent(inner) => return self.bare(self.ty(inner)?),
            Term::Name(name, args) => (name, args),
        };
        let ty = match name.as_str() {
            "int" => Type::Int,
            "long" => Type::Long,
            "double" => Type::Double,
            "string" => Type::String,
            "bytes" => Type::Bytes,
            "int128" => Type::Int128,
            "int256" => Type::Int256,
            "true" => Type::True,
            "Bool" => Type::Bool,
            "Object" => Type::Object,
            "vector" | "Vector" => {
                let [item] = &args[..] else {
                    return Err(self.error(format!("{name} takes one argument")));
                };
                let item = Box::new(self.ty(item)?);
                return Ok(Type::Vector { boxed: name == "Vector", item });
            }
            _ => return self.named(name, args),
        };
        if args.is_empty() { Ok(ty) } else { Err(self.error(format!("{name} takes no arguments"))) }
    }

    fn named(&self, name: &str, args: &[Term]) -> Result<Type, SchemaError> {
        if self.generic(name).is_some() {
            return Ok(Type::Variable(name.to_owned()));
        }
        let args = self.types(args)?;
        let name = name.to_owned();
        if is_type_name(&name) {
            if self.is_known(&name) {
                return Ok(Type::Boxed { name, args });
            }
            return Err(self.error(format!("no constructor makes a {name}")));
        }
        if self.names.constructors.contains_key(&name) {
            return Ok(Type::Bare { name, args });
        }
        Err(self.error(format!("there is no constructor {name}")))
    }

    fn types(&self, terms: &[Term]) -> Result<Vec<Type>, SchemaError> {
        terms.iter().map(|term| self.ty(term)).collect()
    }

    /// `%T`
    fn bare(&self, ty: Type) -> Result<Type, SchemaError> {
        match ty {
            Type::Vector { item, .. } => Ok(Type::Vector { boxed: false, item }),
            Type::Boxed { name, args } => {
                let made = |(constructor, ty): (&String, &String)| {
                    (*ty == name).then(|| constructor.clone())
                };
                let mut makers = self.names.constructors.iter().filter_map(made);
                match (makers.next(), makers.next()) {
                    (Some(constructor), None) => Ok(Type::Bare { name: constructor, args }),
                    _ => {
                        Err(self.error(format!("%{name}: {name} has not exactly one constructor")))
                    }
                }
            }
            _ => Err(self.error("% stands before a type with a single constructor".into())),
        }
    }

    fn generic(&self, name: &str) -> Option<&Generic> {
        self.generics.iter().find(|generic| generic.name == name)
    }

    fn error(&self, reason: String) -> SchemaError {
        SchemaError::new(self.line, reason)
    }
}

/// Constructors that every codec knows, whatever a schema says about them.
const BUILTIN: [&str; 10] = [
    "int",
    "long",
    "double",
    "string",
    "bytes",
    "int128",
    "int256",
    "vector",
    "boolTrue",
    "boolFalse",
];
