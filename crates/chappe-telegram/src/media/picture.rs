//! Decoding and scaling of pictures. Runs for as long as a picture takes: never on a thread that
//! others wait for.

use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, Rgb, RgbImage};
use jpeg_encoder::{ColorType, Encoder};

use super::photo::Purpose;
use super::stripped;

/// A picture of a photo.
pub(super) struct Picture {
    pub(super) form: &'static str,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) jpeg: Bytes,
}

/// All pictures of a photo, from small to large.
pub(super) struct Pictures {
    pub(super) sizes: Vec<Picture>,
    /// In base 64.
    pub(super) stripped: Option<String>,
}

/// What is wrong with a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is none that we know.
    Unknown,
    /// It is too large, or too long for its height.
    Dimensions,
    /// It is too small.
    Small,
    Broken,
}

/// Boxes of pictures in messages, up to the original.
const BOXES: [(&str, u32); 5] = [("s", 100), ("m", 320), ("x", 800), ("y", 1280), ("w", 2560)];
/// Sides of pictures in profiles.
const CROPS: [(&str, u32); 4] = [("a", 160), ("b", 320), ("c", 640), ("d", 1280)];
/// Width and height together.
const SIDES_MAX: u32 = 10_000;
/// How much longer one side may be.
const RATIO_MAX: u32 = 20;
/// Bytes that a decoder may take.
const DECODER_MAX: u64 = 256 << 20;
const QUALITY: u8 = 87;

/// Width and height, by the first bytes.
pub(super) fn dimensions(content: &[u8]) -> Result<(u32, u32), Fault> {
    reader(content)?.into_dimensions().map_err(|_| Fault::Broken)
}

/// Whether pictures may be so large.
pub(super) fn check(width: u32, height: u32) -> Result<(), Fault> {
    let (short, long) = (width.min(height), width.max(height));
    let sides = width.saturating_add(height);
    if short == 0 || sides > SIDES_MAX || long > short.saturating_mul(RATIO_MAX) {
        return Err(Fault::Dimensions);
    }
    Ok(())
}

pub(super) fn pictures(content: &[u8], purpose: Purpose) -> Result<Pictures, Fault> {
    let original = decode(content)?;
    let (original, wanted) = match purpose {
        Purpose::Message => {
            let wanted = boxes(original.width(), original.height());
            (original, wanted)
        }
        Purpose::Profile => {
            let square = cropped(&original)?;
            let wanted = crops(square.width());
            (square, wanted)
        }
    };
    let mut sizes = Vec::with_capacity(wanted.len());
    // Each is made of the next larger one.
    let mut current = original;
    for (form, width, height) in wanted.into_iter().rev() {
        if (width, height) != current.dimensions() {
            current = imageops::resize(&current, width, height, FilterType::Triangle);
        }
        sizes.push(Picture { form, width, height, jpeg: jpeg(&current)? });
    }
    sizes.reverse();
    let stripped = stripped::stripped(&current).map(|bytes| STANDARD.encode(bytes));
    Ok(Pictures { sizes, stripped })
}

fn reader(content: &[u8]) -> Result<ImageReader<Cursor<&[u8]>>, Fault> {
    let mut reader = ImageReader::new(Cursor::new(content));
    let known = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif];
    let format = image::guess_format(content).ok().filter(|format| known.contains(format));
    reader.set_format(format.ok_or(Fault::Unknown)?);
    let mut limits = Limits::default();
    limits.max_alloc = Some(DECODER_MAX);
    reader.limits(limits);
    Ok(reader)
}

/// The first picture, as it is meant to be seen: turned as the camera says, on white.
fn decode(content: &[u8]) -> Result<RgbImage, Fault> {
    let mut decoder = reader(content)?.into_decoder().map_err(|_| Fault::Broken)?;
    let (width, height) = decoder.dimensions();
    check(width, height)?;
    let orientation = decoder.orientation().map_err(|_| Fault::Broken)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(|_| Fault::Broken)?;
    image.apply_orientation(orientation);
    if !image.color().has_alpha() {
        return Ok(image.into_rgb8());
    }
    let image = image.into_rgba8();
    Ok(RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let [red, green, blue, alpha] = image.get_pixel(x, y).0;
        let over = |colour: u8| {
            let (colour, alpha) = (u32::from(colour), u32::from(alpha));
            ((colour * alpha + 255 * (255 - alpha)) / 255) as u8
        };
        Rgb([over(red), over(green), over(blue)])
    }))
}

/// Sizes of a picture in a message: within each box that is smaller than it, and as it is, or
/// within the largest.
fn boxes(width: u32, height: u32) -> Vec<(&'static str, u32, u32)> {
    let long = width.max(height);
    let mut wanted = Vec::new();
    for (form, side) in BOXES {
        if long <= side {
            wanted.push((form, width, height));
            break;
        }
        let within = |length: u32| ((u64::from(length) * u64::from(side)) / u64::from(long)) as u32;
        wanted.push((form, within(width).max(1), within(height).max(1)));
    }
    wanted
}

/// Sides of a picture in a profile: the first three always, for clients ask for them by name.
fn crops(side: u32) -> Vec<(&'static str, u32, u32)> {
    let largest = if side > 640 { 4 } else { 3 };
    CROPS[..largest].iter().map(|(form, crop)| (*form, side.min(*crop), side.min(*crop))).collect()
}

/// The square in the middle.
fn cropped(image: &RgbImage) -> Result<RgbImage, Fault> {
    let (width, height) = image.dimensions();
    let side = width.min(height);
    if side < CROPS[0].1 {
        return Err(Fault::Small);
    }
    let (x, y) = ((width - side) / 2, (height - side) / 2);
    Ok(imageops::crop_imm(image, x, y, side, side).to_image())
}

fn jpeg(image: &RgbImage) -> Result<Bytes, Fault> {
    let (width, height) = (side(image.width())?, side(image.height())?);
    let mut jpeg = Vec::new();
    let encoder = Encoder::new(&mut jpeg, QUALITY);
    encoder.encode(image.as_raw(), width, height, ColorType::Rgb).map_err(|_| Fault::Broken)?;
    Ok(jpeg.into())
}

fn side(length: u32) -> Result<u16, Fault> {
    u16::try_from(length).map_err(|_| Fault::Dimensions)
}
