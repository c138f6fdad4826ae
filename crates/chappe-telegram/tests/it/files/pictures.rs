//! Photos: 20-telegram-api-service §5.4.

use std::io::Cursor;

use chappe_api::{ctors, types};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};

use super::{as_photo, at_photo, bad, download, history, photo, sent, show, upload};
use crate::messages::Pair;
use crate::sign_in::test_numbers;

/// A picture that is red to the left and blue to the right.
pub(super) fn picture(width: u32, height: u32) -> DynamicImage {
    DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, |x, _| {
        if x < width / 2 { Rgb([200, 20, 20]) } else { Rgb([20, 20, 200]) }
    }))
}

pub(super) fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    picture.write_to(&mut out, format).unwrap();
    out.into_inner()
}

/// Form, width, height and bytes.
pub(super) type Size = (String, i32, i32, i32);

/// Each size, and what stands for the photo until it is there.
pub(super) fn sizes(photo: &ctors::Photo) -> (Vec<Size>, Option<Vec<u8>>) {
    let (mut sizes, mut stripped) = (Vec::new(), None);
    for size in &photo.sizes {
        match size {
            types::PhotoSize::PhotoSize(size) => {
                let form = size.r#type.as_str().unwrap().to_owned();
                sizes.push((form, size.w, size.h, size.size));
            }
            types::PhotoSize::PhotoStrippedSize(size) => {
                assert_eq!(size.r#type.as_str(), Ok("i"));
                stripped = Some(size.bytes.to_vec());
            }
            _ => panic!("another size"),
        }
    }
    (sizes, stripped)
}

/// Whether a picture is still red to the left and blue to the right.
pub(super) fn is_of_it(picture: &RgbImage) -> bool {
    let (width, height) = picture.dimensions();
    let [left, right] = [width / 5, width * 4 / 5].map(|x| picture.get_pixel(x, height / 2).0);
    left[0] > 140 && left[2] < 90 && right[2] > 140 && right[0] < 90
}

/// Rule:   a photo has sizes within boxes of 100, 320, 800, 1280 and 2560, up to its own; each is a
///         JPEG with as many bytes as it says; it has a date, a data centre, a hash, a reference.
/// Source: 20-telegram-api-service §5.4; FLS-13, FLS-15, FLS-17.
#[tokio::test]
async fn photo_has_sizes_up_to_its_own() {
    let mut pair = Pair::with(test_numbers()).await;
    let cases = [
        ((90, 60), ImageFormat::Png, vec![("s", 90, 60)]),
        (
            (1000, 500),
            ImageFormat::Jpeg,
            vec![("s", 100, 50), ("m", 320, 160), ("x", 800, 400), ("y", 1000, 500)],
        ),
        (
            (300, 3000),
            ImageFormat::WebP,
            vec![
                ("s", 10, 100),
                ("m", 32, 320),
                ("x", 80, 800),
                ("y", 128, 1280),
                ("w", 256, 2560),
            ],
        ),
    ];
    for (at, ((width, height), format, expected)) in (1_i64..).zip(cases) {
        let whole = encoded(&picture(width, height), format);
        let file = upload(&mut pair.ada, at, &whole, 512 << 10).await;
        sent(&mut pair.ada, show(&pair.to_bob, as_photo(file), at)).await;
        let shown = photo(&history(&mut pair.bob, &pair.to_ada).await[0]);
        assert!(shown.dc_id == 2 && shown.date > 0 && !shown.file_reference.is_empty());
        let (sizes, _) = sizes(&shown);
        let found: Vec<_> = sizes.iter().map(|(form, w, h, _)| (form.as_str(), *w, *h)).collect();
        assert_eq!(found, expected);
        for (form, width, height, bytes) in &sizes {
            let location = at_photo(&shown, form);
            let content = download(&mut pair.bob, &location, 4096).await.unwrap();
            assert_eq!(content.len(), *bytes as usize);
            let picture = image::load_from_memory_with_format(&content, ImageFormat::Jpeg).unwrap();
            assert_eq!((picture.width() as i32, picture.height() as i32), (*width, *height));
            assert!(is_of_it(&picture.into_rgb8()), "{form} of {width} by {height}");
        }
        let call = super::part(&at_photo(&shown, "q"), 0, 4096);
        assert_eq!(pair.bob.fail(call).await, bad("LOCATION_INVALID"));
    }
}

/// Rule:   what is no picture, too large, too long or broken is refused, each by its name.
/// Source: 20-telegram-api-service §2.1, `messages.sendMedia`, §5.4.
#[tokio::test]
async fn what_is_no_photo_is_refused() {
    let mut pair = Pair::with(test_numbers()).await;
    let good = encoded(&picture(64, 64), ImageFormat::Png);
    let mut broken = good.clone();
    broken.truncate(good.len() / 2);
    // The head of a GIF that says it has 9000 by 9000 pixels; what follows is of no matter.
    let mut huge = encoded(&picture(64, 64), ImageFormat::Gif);
    huge[6..10].copy_from_slice(&[0x28, 0x23, 0x28, 0x23]);
    let long = encoded(&picture(2100, 100), ImageFormat::Png);
    let cases: [(&[u8], &str); 6] = [
        (b"%PDF-1.7", "PHOTO_EXT_INVALID"),
        (b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0", "PHOTO_EXT_INVALID"),
        (&broken, "IMAGE_PROCESS_FAILED"),
        (&huge, "PHOTO_INVALID_DIMENSIONS"),
        (&long, "PHOTO_INVALID_DIMENSIONS"),
        (b"\x89PNG\r\n\x1a\n", "IMAGE_PROCESS_FAILED"),
    ];
    for (at, (bytes, error)) in (1_i64..).zip(cases) {
        let file = upload(&mut pair.ada, at, bytes, 512 << 10).await;
        let call = show(&pair.to_bob, as_photo(file), at);
        assert_eq!(pair.ada.fail(call).await, bad(error), "{at}");
    }
    let file = upload(&mut pair.ada, 99, &vec![0; (10 << 20) + 1], 512 << 10).await;
    let call = show(&pair.to_bob, as_photo(file), 99);
    assert_eq!(pair.ada.fail(call).await, bad("PHOTO_SAVE_FILE_INVALID"));
}

/// Rule:   a photo is seen as it is meant: turned as the camera says, on white where nothing is.
/// Source: 20-telegram-api-service §5.4.
#[tokio::test]
async fn photo_is_seen_as_it_is_meant() {
    let mut pair = Pair::with(test_numbers()).await;
    let clear = RgbaImage::from_pixel(40, 40, Rgba([0, 0, 0, 0]));
    let clear = encoded(&DynamicImage::ImageRgba8(clear), ImageFormat::Png);
    let mut turned = encoded(&picture(80, 40).rotate270(), ImageFormat::Jpeg);
    // What a camera says that was held on its side: Exif, orientation 6.
    let exif =
        b"\xff\xe1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    turned.splice(2..2, exif.iter().copied());
    for (at, bytes) in [(1, clear), (2, turned)] {
        let file = upload(&mut pair.ada, at, &bytes, 512 << 10).await;
        sent(&mut pair.ada, show(&pair.to_bob, as_photo(file), at)).await;
    }
    let shown = history(&mut pair.bob, &pair.to_ada).await;
    let turned = download(&mut pair.bob, &at_photo(&photo(&shown[0]), "s"), 4096).await.unwrap();
    let picture = image::load_from_memory(&turned).unwrap().into_rgb8();
    assert!(picture.dimensions() == (80, 40) && is_of_it(&picture));
    assert!(!turned.windows(4).any(|bytes| bytes == b"Exif"));
    let clear = download(&mut pair.bob, &at_photo(&photo(&shown[1]), "s"), 4096).await.unwrap();
    let picture = image::load_from_memory(&clear).unwrap().into_rgb8();
    assert!(picture.get_pixel(20, 20).0.iter().all(|colour| *colour > 250));
}

/// Rule:   the few bytes that stand for a photo are a version, height and width, and the scan of a
///         JPEG that becomes whole with the head that all clients know.
/// Source: 20-telegram-api-service §5.4, `photoStrippedSize`.
#[tokio::test]
async fn stripped_photo_becomes_whole_with_the_head() {
    let mut pair = Pair::with(test_numbers()).await;
    for (at, (width, height), expected) in [(1, (800, 400), (40, 20)), (2, (300, 450), (26, 40))] {
        let file = encoded(&picture(width, height), ImageFormat::Jpeg);
        let file = upload(&mut pair.ada, at, &file, 512 << 10).await;
        let shown = photo(&sent(&mut pair.ada, show(&pair.to_bob, as_photo(file), at)).await);
        let stripped = sizes(&shown).1.unwrap();
        let (scan, said) = (&stripped[3..], (stripped[0], stripped[2], stripped[1]));
        assert_eq!(said, (1, expected.0, expected.1));
        assert!(scan.len() < 1000);
        let whole = [&head(expected.0, expected.1)[..], scan, b"\xff\xd9"].concat();
        let picture = image::load_from_memory_with_format(&whole, ImageFormat::Jpeg).unwrap();
        assert_eq!((picture.width(), picture.height()), (expected.0.into(), expected.1.into()));
        assert!(is_of_it(&picture.into_rgb8()));
    }
}

/// The head of a baseline JPEG with the tables of the standard (ITU-T T.81, annex K), those of
/// quantisation two and a half times as coarse, and colours at half the resolution: 623 bytes.
fn head(width: u8, height: u8) -> Vec<u8> {
    let luminance = *b"\x28\x1c\x1e\x23\x1e\x19\x28\x23\x21\x23\x2d\x2b\x28\x30\x3c\x64\x41\x3c\x37\x37\x3c\x7b\x58\x5d\x49\x64\x91\x80\x99\x96\x8f\x80\x8c\x8a\xa0\xb4\xe6\xc3\xa0\xaa\xda\xad\x8a\x8c\xc8\xff\xcb\xda\xee\xf5\xff\xff\xff\x9b\xc1\xff\xff\xff\xfa\xff\xe6\xfd\xff\xf8";
    let mut chrominance = [0xf8; 64];
    chrominance[..24].copy_from_slice(
        b"\x2b\x2d\x2d\x3c\x35\x3c\x76\x41\x41\x76\xf8\xa5\x8c\xa5\xf8\xf8\xf8\xf8\xf8\xf8\xf8\xf8\xf8\xf8",
    );
    let mut head = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00".to_vec();
    for (number, table) in [(0, luminance), (1, chrominance)] {
        head.extend_from_slice(&[0xff, 0xdb, 0, 67, number]);
        head.extend_from_slice(&table);
    }
    head.extend_from_slice(&[0xff, 0xc0, 0, 17, 8, 0, height, 0, width, 3]);
    head.extend_from_slice(&[1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1]);
    // How many codes there are of each length, and what they mean.
    let dc: Vec<u8> = (0..12).collect();
    let tables: [(u8, &[u8], &[u8]); 4] = [
        (0x00, b"\x00\x01\x05\x01\x01\x01\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00", &dc),
        (0x10, b"\x00\x02\x01\x03\x03\x02\x04\x03\x05\x05\x04\x04\x00\x00\x01\x7d", AC_LUMINANCE),
        (0x01, b"\x00\x03\x01\x01\x01\x01\x01\x01\x01\x01\x01\x00\x00\x00\x00\x00", &dc),
        (0x11, b"\x00\x02\x01\x02\x04\x04\x03\x04\x07\x05\x04\x04\x00\x01\x02\x77", AC_CHROMINANCE),
    ];
    for (number, counts, symbols) in tables {
        let length = (3 + counts.len() + symbols.len()) as u16;
        head.extend_from_slice(&[0xff, 0xc4]);
        head.extend_from_slice(&length.to_be_bytes());
        head.push(number);
        head.extend_from_slice(counts);
        head.extend_from_slice(symbols);
    }
    head.extend_from_slice(&[0xff, 0xda, 0, 12, 3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0]);
    assert_eq!(head.len(), 623);
    head
}

const AC_LUMINANCE: &[u8] = b"\x01\x02\x03\x00\x04\x11\x05\x12\x21\x31\x41\x06\x13\x51\x61\x07\
\x22\x71\x14\x32\x81\x91\xa1\x08\x23\x42\xb1\xc1\x15\x52\xd1\xf0\x24\x33\x62\x72\x82\x09\x0a\x16\
\x17\x18\x19\x1a\x25\x26\x27\x28\x29\x2a\x34\x35\x36\x37\x38\x39\x3a\x43\x44\x45\x46\x47\x48\x49\
\x4a\x53\x54\x55\x56\x57\x58\x59\x5a\x63\x64\x65\x66\x67\x68\x69\x6a\x73\x74\x75\x76\x77\x78\x79\
\x7a\x83\x84\x85\x86\x87\x88\x89\x8a\x92\x93\x94\x95\x96\x97\x98\x99\x9a\xa2\xa3\xa4\xa5\xa6\xa7\
\xa8\xa9\xaa\xb2\xb3\xb4\xb5\xb6\xb7\xb8\xb9\xba\xc2\xc3\xc4\xc5\xc6\xc7\xc8\xc9\xca\xd2\xd3\xd4\
\xd5\xd6\xd7\xd8\xd9\xda\xe1\xe2\xe3\xe4\xe5\xe6\xe7\xe8\xe9\xea\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\
\xf9\xfa";
const AC_CHROMINANCE: &[u8] = b"\x00\x01\x02\x03\x11\x04\x05\x21\x31\x06\x12\x41\x51\x07\x61\x71\
\x13\x22\x32\x81\x08\x14\x42\x91\xa1\xb1\xc1\x09\x23\x33\x52\xf0\x15\x62\x72\xd1\x0a\x16\x24\x34\
\xe1\x25\xf1\x17\x18\x19\x1a\x26\x27\x28\x29\x2a\x35\x36\x37\x38\x39\x3a\x43\x44\x45\x46\x47\x48\
\x49\x4a\x53\x54\x55\x56\x57\x58\x59\x5a\x63\x64\x65\x66\x67\x68\x69\x6a\x73\x74\x75\x76\x77\x78\
\x79\x7a\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x92\x93\x94\x95\x96\x97\x98\x99\x9a\xa2\xa3\xa4\xa5\
\xa6\xa7\xa8\xa9\xaa\xb2\xb3\xb4\xb5\xb6\xb7\xb8\xb9\xba\xc2\xc3\xc4\xc5\xc6\xc7\xc8\xc9\xca\xd2\
\xd3\xd4\xd5\xd6\xd7\xd8\xd9\xda\xe2\xe3\xe4\xe5\xe6\xe7\xe8\xe9\xea\xf2\xf3\xf4\xf5\xf6\xf7\xf8\
\xf9\xfa";
