//! What a target layer cannot say, and no rule covers.

use std::collections::BTreeSet;

use super::Transcoder;
use super::plan::Plan;
use crate::schema::Section;

/// See [`Transcoder::uncovered`].
pub(super) fn uncovered(
    transcoder: &Transcoder,
    functions: &[&str],
    types: &[&str],
) -> Vec<String> {
    let shapes = &transcoder.shapes;
    let results = shapes.list.iter().filter(|shape| {
        shape.is_newest && shape.section == Section::Functions && functions.contains(&&*shape.name)
    });
    let mut open: Vec<u32> = results.filter_map(|shape| shape.result.inner_type()).collect();
    open.extend(types.iter().filter_map(|name| shapes.ty(name)));
    let mut seen: BTreeSet<u32> = BTreeSet::new();
    let mut names = BTreeSet::new();
    while let Some(ty) = open.pop() {
        if !seen.insert(ty) {
            continue;
        }
        for (place, shape) in shapes.list.iter().enumerate() {
            if !shape.is_newest || shape.ty != ty || shape.section != Section::Types {
                continue;
            }
            let place = place as u32;
            let is_covered = !matches!(transcoder.plans[place as usize], Plan::Nothing)
                || transcoder.others.keys().any(|(of, _)| *of == place)
                || transcoder.substitutes.contains_key(&ty)
                || transcoder.fallbacks.contains_key(&(ty, place));
            if !is_covered {
                names.insert(shape.name.clone());
            }
            open.extend(shape.fields.iter().filter_map(|field| field.kind.inner_type()));
        }
    }
    names.into_iter().collect()
}
