//! What may need a change anywhere inside, and what is the same in the target layer.

use std::collections::HashMap;

use super::Transcoder;
use super::rules::Rules;
use super::shapes::Kind;
use crate::schema::Section;

/// The types whose values may need a change anywhere inside.
pub(super) fn dirty_types(
    transcoder: &Transcoder,
    named: &HashMap<(Section, &str), u32>,
    rules: &Rules,
) -> Vec<bool> {
    let shapes = &transcoder.shapes;
    let mut dirty = vec![false; shapes.types.len()];
    // What others wrote may have a constructor where it is not of the type.
    for (_, ty, _) in rules.aliases.iter().filter(|_| transcoder.strict) {
        shapes.ty(ty).into_iter().for_each(|ty| dirty[ty as usize] = true);
    }
    let accepted = |place: &u32| transcoder.accepts(*place);
    loop {
        let mut changed = false;
        for place in (0..shapes.list.len() as u32).filter(accepted) {
            let shape = &shapes.list[place as usize];
            let is_same = named.get(&(shape.section, shape.name.as_str())) == Some(&place);
            let is_dirty =
                !is_same || shape.fields.iter().any(|field| is_dirty(&field.kind, &dirty));
            if is_dirty && shape.section == Section::Types && !dirty[shape.ty as usize] {
                dirty[shape.ty as usize] = true;
                changed = true;
            }
        }
        if !changed {
            return dirty;
        }
    }
}

pub(super) fn is_dirty(kind: &Kind, dirty: &[bool]) -> bool {
    match kind {
        Kind::Object => true,
        _ => kind.inner_type().is_some_and(|ty| dirty[ty as usize]),
    }
}
