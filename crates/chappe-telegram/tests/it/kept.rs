//! What two layers have in common stays as it is from one to the other.

use chappe_telegram::layers::Layers;
use chappe_tl::dynamic::{self, Object, Value};
use chappe_tl::schema::{Definition, Param, Schema, Type};

use crate::layers::{FUNCTIONS, NEWEST, Random, SPOKEN, schema_of};

/// Rule:   LAY-13, LAY-14: a field that both layers have, of the same kind, says the same in both; and a
///         bit that is a value by itself is set in both or in neither, wherever it is.
/// Source: docs/spec/20-telegram-api-service.md §4.3.
#[test]
fn what_both_layers_have_is_the_same_in_both() {
    let mut seen = Seen::default();
    for layer in SPOKEN {
        let older = schema_of(*layer);
        for name in FUNCTIONS {
            let function = NEWEST.function(name).unwrap();
            let called = older.function(name);
            let Some(called) = called.filter(|called| called.result == function.result) else {
                continue;
            };
            for seed in 10..14 {
                let answer = Random::new(*layer, seed).value(&function.result);
                let said = Layers::get().answer(*layer, called.id, &answer).unwrap();
                let new = dynamic::decode(&NEWEST, &function.result, answer).unwrap();
                let old = dynamic::decode(&older, &called.result, said).unwrap();
                compare(&older, &new, &old, &mut seen)
                    .unwrap_or_else(|fault| panic!("{name} for {layer}, seed {seed}: {fault}"));
            }
        }
    }
    // Or it would have looked at nothing.
    assert!(seen.values > 10_000 && seen.bits > 10_000, "{seen:?}");
}

/// How much was compared.
#[derive(Debug, Default)]
struct Seen {
    values: usize,
    bits: usize,
}

fn compare(older: &Schema, new: &Value, old: &Value, seen: &mut Seen) -> Result<(), String> {
    match (new, old) {
        (Value::Object(new), Value::Object(old)) if new.name() == old.name() => {
            let definition = |schema: &Schema| schema.constructor(old.name()).cloned();
            let (Some(before), Some(after)) = (definition(&NEWEST), definition(older)) else {
                return Err(format!("there is no {}", old.name()));
            };
            for param in &after.params {
                field(older, (&before, new), (&after, old), param, seen)
                    .map_err(|fault| format!("{}: {fault}", old.name()))?;
            }
            Ok(())
        }
        (Value::Vector(new), Value::Vector(old)) if new.len() == old.len() => {
            new.iter().zip(old).try_for_each(|(new, old)| compare(older, new, old, seen))
        }
        // What cannot be said is left out, or said otherwise.
        (Value::Object(_), Value::Object(_)) | (Value::Vector(_), Value::Vector(_)) => Ok(()),
        _ => {
            seen.values += 1;
            if new == old { Ok(()) } else { Err(format!("{new:?} became {old:?}")) }
        }
    }
}

fn field(
    older: &Schema,
    (before, new): (&Definition, &Object),
    (after, old): (&Definition, &Object),
    param: &Param,
    seen: &mut Seen,
) -> Result<(), String> {
    let name = param.name.as_deref().unwrap_or_default();
    if before.param(name).is_none_or(|same| same.ty != param.ty) {
        return Ok(());
    }
    let (is, was) = (old.get(name), new.get(name));
    let shares = |definition: &Definition, condition: &Option<_>| {
        definition.params.iter().filter(|param| param.condition == *condition).count() > 1
    };
    if param.is_flag() && !shares(after, &param.condition) {
        seen.bits += 1;
        return if is == was { Ok(()) } else { Err(format!("{name}: {was:?} became {is:?}")) };
    }
    match (was, is) {
        (Some(was), Some(is)) if param.ty != Type::Nat => {
            compare(older, was, is, seen).map_err(|fault| format!("{name}: {fault}"))
        }
        _ => Ok(()),
    }
}
