//! Values of fixed size. Those that stand side by side are appended as one block, with one look
//! at the room in the buffer.

use super::reader::Reader;
use super::traits::{Encode, Read};
use super::writer::Writer;
use super::{BOOL_FALSE_ID, BOOL_TRUE_ID};
use crate::generated::Bits;

/// A value whose encoding always takes the same number of bytes, [`BLOCK`] at most.
#[doc(hidden)]
pub trait Fixed {
    /// That number.
    const SIZE: usize;
    /// Writes the encoding to the beginning of `block`, which has room for it.
    fn lay(&self, block: &mut [u8]);
}

/// Most bytes appended as one block.
pub(crate) const BLOCK: usize = 64;

/// A constructor's id in front of its fields; where these stand bare it takes no bytes.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Head<const BOXED: bool>(pub u32);

impl<const BOXED: bool> Fixed for Head<BOXED> {
    const SIZE: usize = if BOXED { 4 } else { 0 };
    #[inline]
    fn lay(&self, block: &mut [u8]) {
        if BOXED {
            self.0.lay(block);
        }
    }
}

impl Fixed for Bits {
    const SIZE: usize = 4;
    #[inline]
    fn lay(&self, block: &mut [u8]) {
        self.0.lay(block);
    }
}

impl Fixed for bool {
    const SIZE: usize = 4;
    #[inline]
    fn lay(&self, block: &mut [u8]) {
        let id = if *self { BOOL_TRUE_ID } else { BOOL_FALSE_ID };
        id.lay(block);
    }
}

impl Encode for bool {
    #[inline]
    fn encode(&self, w: &mut Writer) {
        w.run(self);
    }
}

/// A built-in type whose bytes are those of the value, in order or little-endian.
macro_rules! fixed {
    ($($rust:ty, $size:literal, $from:expr, $to:expr;)*) => {$(
        impl Read for $rust {
            const MIN: usize = $size;
            #[inline]
            fn read(r: &mut Reader) -> Self {
                $from(r.array())
            }
        }
        impl Fixed for $rust {
            const SIZE: usize = $size;
            #[inline]
            fn lay(&self, block: &mut [u8]) {
                block[..$size].copy_from_slice(&$to(*self));
            }
        }
        impl Encode for $rust {
            #[inline]
            fn encode(&self, w: &mut Writer) {
                w.run(self);
            }
        }
    )*};
}

fixed! {
    u32, 4, u32::from_le_bytes, u32::to_le_bytes;
    i32, 4, i32::from_le_bytes, i32::to_le_bytes;
    i64, 8, i64::from_le_bytes, i64::to_le_bytes;
    f64, 8, f64::from_le_bytes, f64::to_le_bytes;
    [u8; 16], 16, std::convert::identity::<[u8; 16]>, std::convert::identity::<[u8; 16]>;
    [u8; 32], 32, std::convert::identity::<[u8; 32]>, std::convert::identity::<[u8; 32]>;
}

/// Several values, one behind the other.
macro_rules! tuple {
    ($($ty:ident $place:tt),*) => {
        impl<$($ty: Fixed),*> Fixed for ($($ty,)*) {
            const SIZE: usize = 0 $(+ $ty::SIZE)*;
            #[inline]
            fn lay(&self, block: &mut [u8]) {
                let mut at = 0;
                $(
                    self.$place.lay(&mut block[at..]);
                    at += $ty::SIZE;
                )*
                debug_assert_eq!(at, Self::SIZE);
            }
        }
    };
}

tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
