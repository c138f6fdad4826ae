//! What clients say of documents: as it is kept, as clients hear it.

use chappe_api::{ctors, types};
use chappe_tl::Str;

use crate::error::{Failure, text};
use crate::store::Attribute;

/// Attributes of one document that are looked at.
const ATTRIBUTES_MAX: usize = 16;
/// Characters of a name, a title.
const NAME_MAX: usize = 255;
/// Bytes of the picture of a voice.
const WAVEFORM_MAX: usize = 128;

/// Those that are kept, each kind once. Nothing is checked against the content: clients say what
/// a video is, and nobody decodes it here.
pub(super) fn kept(said: &[types::DocumentAttribute]) -> Result<Vec<Attribute>, Failure> {
    use types::DocumentAttribute as A;
    let mut kept: Vec<Attribute> = Vec::new();
    for said in said.iter().take(ATTRIBUTES_MAX) {
        let attribute = match said {
            A::DocumentAttributeFilename(said) => {
                Attribute::Filename { name: short(&said.file_name)? }
            }
            A::DocumentAttributeImageSize(said) => {
                Attribute::ImageSize { width: said.w.max(0), height: said.h.max(0) }
            }
            A::DocumentAttributeAnimated => Attribute::Animated,
            A::DocumentAttributeVideo(said) => Attribute::Video {
                round: said.round_message,
                streaming: said.supports_streaming,
                nosound: said.nosound,
                duration: if said.duration.is_finite() { said.duration.max(0.0) } else { 0.0 },
                width: said.w.max(0),
                height: said.h.max(0),
            },
            A::DocumentAttributeAudio(said) => Attribute::Audio {
                voice: said.voice,
                duration: said.duration.max(0),
                title: said.title.as_ref().map(short).transpose()?,
                performer: said.performer.as_ref().map(short).transpose()?,
                waveform: said
                    .waveform
                    .as_ref()
                    .map(|waveform| waveform[..waveform.len().min(WAVEFORM_MAX)].to_vec()),
            },
            // There are no stickers here.
            A::DocumentAttributeCustomEmoji(_)
            | A::DocumentAttributeHasStickers
            | A::DocumentAttributeSticker(_) => continue,
        };
        let kind = std::mem::discriminant(&attribute);
        if kept.iter().all(|kept| std::mem::discriminant(kept) != kind) {
            kept.push(attribute);
        }
    }
    Ok(kept)
}

/// A file is called as it was uploaded if its client says nothing else.
pub(super) fn name(attributes: &mut Vec<Attribute>, name: &str) {
    let is_named = attributes.iter().any(|said| matches!(said, Attribute::Filename { .. }));
    if !is_named && !name.is_empty() {
        let name = name.chars().take(NAME_MAX).collect();
        attributes.push(Attribute::Filename { name });
    }
}

pub(super) fn shown(attribute: &Attribute) -> types::DocumentAttribute {
    use types::DocumentAttribute as A;
    match attribute {
        Attribute::Filename { name } => {
            let file_name = name.as_str().into();
            A::DocumentAttributeFilename(ctors::DocumentAttributeFilename { file_name })
        }
        Attribute::ImageSize { width, height } => {
            let (w, h) = (*width, *height);
            A::DocumentAttributeImageSize(ctors::DocumentAttributeImageSize { w, h })
        }
        Attribute::Animated => A::DocumentAttributeAnimated,
        Attribute::Video { round, streaming, nosound, duration, width, height } => {
            A::DocumentAttributeVideo(ctors::DocumentAttributeVideo {
                round_message: *round,
                supports_streaming: *streaming,
                nosound: *nosound,
                duration: *duration,
                w: *width,
                h: *height,
                ..chappe_tl::blank()
            })
        }
        Attribute::Audio { voice, duration, title, performer, waveform } => {
            A::DocumentAttributeAudio(Box::new(ctors::DocumentAttributeAudio {
                voice: *voice,
                duration: *duration,
                title: title.as_deref().map(Into::into),
                performer: performer.as_deref().map(Into::into),
                waveform: waveform.clone().map(Into::into),
            }))
        }
    }
}

fn short(name: &Str) -> Result<String, Failure> {
    Ok(text(name)?.chars().take(NAME_MAX).collect())
}
