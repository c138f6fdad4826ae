//! `gzip_packed`.

use std::io::Write;

use chappe_tl::gzip::{GzipError, deflate, inflate};
use chappe_tl::{Bytes, Constructor, Raw, from_bytes, to_bytes};
use chappe_tl_fixture::ctors;
use chappe_tl_fixture::functions::{GetUsers, InvokeWithLayer};

use crate::vectors::{bytes, example, file};

const LIMIT: usize = 1 << 20;

/// TL-29: the packed bytes are those of another boxed object.
#[test]
fn the_packed_vector_unpacks() {
    let packed: ctors::GzipPacked = from_bytes(example("gzip_packed of Vector<int> 64x7")).unwrap();
    let vectors = file("tl.json");
    let case = vectors["examples"].as_array().unwrap().last().unwrap().clone();
    let inner = inflate(&packed.packed_data, LIMIT).unwrap();
    assert_eq!(inner, bytes(&case["inner"]));
    assert_eq!(from_bytes::<Vec<i32>>(inner).unwrap(), [7; 64]);
}

/// TL-32: wrappers outside, the packed query inside.
#[test]
fn a_packed_query_is_read_inside_its_wrapper() {
    let users = GetUsers { field_1: (0..100).collect() };
    let packed_data = deflate(&to_bytes(&users).unwrap()).unwrap();
    let call = InvokeWithLayer { layer: 214, query: ctors::GzipPacked { packed_data } };
    let bytes = to_bytes(&call).unwrap();
    let outer: InvokeWithLayer<Raw> = from_bytes(bytes).unwrap();
    assert_eq!(outer.query.id(), Some(<ctors::GzipPacked as Constructor>::ID));
    let packed: ctors::GzipPacked = from_bytes(outer.query.0).unwrap();
    let inner = inflate(&packed.packed_data, LIMIT).unwrap();
    assert_eq!(from_bytes::<GetUsers>(inner).unwrap(), users);
}

/// TL-30: output stops at the limit, on both sides of it; a small member of a large zero block
/// does not fill the memory.
#[test]
fn output_stops_at_the_limit() {
    let packed = deflate(&[0; 1024]).unwrap();
    assert_eq!(inflate(&packed, 1024).unwrap().len(), 1024);
    assert_eq!(inflate(&packed, 1023), Err(GzipError::TooLarge { max: 1023 }));
    let bomb = deflate(&vec![0; 64 << 20]).unwrap();
    assert!(bomb.len() < 128 << 10);
    assert_eq!(inflate(&bomb, LIMIT), Err(GzipError::TooLarge { max: LIMIT }));
}

/// TL-30: what follows the member, what is damaged or cut, and what is no whole number of words
/// is refused.
#[test]
fn damaged_members_are_refused() {
    let packed = deflate(&[7; 1024]).unwrap();
    let mut longer = packed.to_vec();
    longer.push(0);
    assert_eq!(inflate(&longer, LIMIT), Err(GzipError::TrailingBytes { count: 1 }));
    for length in 0..packed.len() {
        assert_eq!(inflate(&packed[..length], LIMIT), Err(GzipError::Malformed), "{length}");
    }
    let mut damaged = packed.to_vec();
    let checksum = damaged.len() - 8;
    damaged[checksum] ^= 1;
    assert_eq!(inflate(&damaged, LIMIT), Err(GzipError::Malformed));
    let unaligned = deflate(&[7; 1023]).unwrap();
    assert_eq!(inflate(&unaligned, LIMIT), Err(GzipError::Unaligned { length: 1023 }));
}

/// QRK-06: clients send zlib where gzip belongs; the same limits hold for it.
#[test]
fn zlib_is_accepted_too() {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&[7; 1024]).unwrap();
    let mut zlib = encoder.finish().unwrap();
    assert_eq!(zlib[0], 0x78);
    assert_eq!(inflate(&zlib, LIMIT).unwrap(), Bytes::from(vec![7; 1024]));
    assert_eq!(inflate(&zlib, 1000), Err(GzipError::TooLarge { max: 1000 }));
    zlib.push(0);
    assert_eq!(inflate(&zlib, LIMIT), Err(GzipError::TrailingBytes { count: 1 }));
}

/// TL-31: nothing is packed below 256 bytes or when it would not be smaller.
#[test]
fn only_what_gets_smaller_is_packed() {
    assert_eq!(deflate(&[0; 255]), None);
    assert!(deflate(&[0; 256]).is_some());
    let mut state = 1_u64;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    });
    assert_eq!(deflate(&noise.take(1024).collect::<Vec<u8>>()), None);
}

/// A member may carry a name and other fields in its header.
#[test]
fn members_with_header_fields_unpack() {
    let builder = flate2::GzBuilder::new().filename("name").comment("why").extra([1, 2, 3]);
    let mut encoder = builder.write(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&[9; 64]).unwrap();
    assert_eq!(inflate(&encoder.finish().unwrap(), LIMIT).unwrap(), [9; 64][..]);
}
