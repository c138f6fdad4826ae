//! The few bytes that stand for a photo until it is there: a JPEG of at most 40 pixels, whose
//! head, the same for all, clients add themselves.

use image::RgbImage;
use image::imageops::{self, FilterType};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

/// Pixels of the longer side.
const SIDE: u32 = 40;
/// The head that clients add has the tables of this quality.
const QUALITY: u8 = 20;
const VERSION: u8 = 1;

/// Version, height, width, and the scan of the JPEG.
pub(super) fn stripped(image: &RgbImage) -> Option<Vec<u8>> {
    let long = image.width().max(image.height()).max(1);
    let within = |length: u32| (length * SIDE / long).clamp(1, SIDE);
    let (width, height) = (within(image.width()), within(image.height()));
    let small = imageops::resize(image, width, height, FilterType::Triangle);
    let mut jpeg = Vec::new();
    let mut encoder = Encoder::new(&mut jpeg, QUALITY);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.encode(small.as_raw(), width as u16, height as u16, ColorType::Rgb).ok()?;
    let mut stripped = vec![VERSION, height as u8, width as u8];
    stripped.extend_from_slice(scan(&jpeg)?);
    Some(stripped)
}

/// What comes behind the head of the scan, without the marker of the end.
fn scan(jpeg: &[u8]) -> Option<&[u8]> {
    let mut rest = jpeg.strip_prefix(&[0xff, 0xd8])?;
    loop {
        let [0xff, marker, high, low, ..] = rest else { return None };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        rest = rest.get(2 + length..)?;
        if *marker == 0xda {
            return rest.strip_suffix(&[0xff, 0xd9]);
        }
    }
}
