//! What the first bytes of a file say it is (FLS-13).

use chappe_api::types::storage::FileType;

/// A kind of file that Telegram has a name for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Unknown,
    Jpeg,
    Png,
    Gif,
    Webp,
    Pdf,
    Mp3,
    Mp4,
}

const NUMBERED: [Kind; 8] =
    [Kind::Unknown, Kind::Jpeg, Kind::Png, Kind::Gif, Kind::Webp, Kind::Pdf, Kind::Mp3, Kind::Mp4];

impl Kind {
    pub(crate) fn of(head: &[u8]) -> Self {
        match head {
            [0xff, 0xd8, 0xff, ..] => Self::Jpeg,
            [0x89, b'P', b'N', b'G', ..] => Self::Png,
            [b'G', b'I', b'F', b'8', ..] => Self::Gif,
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Self::Webp,
            [b'%', b'P', b'D', b'F', ..] => Self::Pdf,
            [b'I', b'D', b'3', ..] | [0xff, 0xfb | 0xf3 | 0xf2, ..] => Self::Mp3,
            [_, _, _, _, b'f', b't', b'y', b'p', ..] => Self::Mp4,
            _ => Self::Unknown,
        }
    }

    /// As it is kept.
    pub(crate) fn number(self) -> i64 {
        NUMBERED.iter().position(|kind| *kind == self).unwrap_or(0) as i64
    }

    pub(crate) fn of_number(number: i64) -> Self {
        usize::try_from(number)
            .ok()
            .and_then(|at| NUMBERED.get(at))
            .copied()
            .unwrap_or(Self::Unknown)
    }

    pub(crate) fn as_type(self) -> FileType {
        match self {
            Self::Unknown => FileType::FileUnknown,
            Self::Jpeg => FileType::FileJpeg,
            Self::Png => FileType::FilePng,
            Self::Gif => FileType::FileGif,
            Self::Webp => FileType::FileWebp,
            Self::Pdf => FileType::FilePdf,
            Self::Mp3 => FileType::FileMp3,
            Self::Mp4 => FileType::FileMp4,
        }
    }
}
