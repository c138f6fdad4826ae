//! From one layer to another.

use chappe_tl::dynamic::{self, Value};
use chappe_tl::history::History;
use chappe_tl::schema::{Schema, Type};
use chappe_tl::transcode::{Rules, Transcoder};

const NEWER: &str = "\
thing#11111111 flags:# flags2:# a:flags.0?true b:flags2.5?true c:flags.1?int d:flags.1?true \
e:flags2.0?true name:string f:flags2.31?true = Thing;
---functions---
getThing#22222222 = Thing;
// LAYER 3
";

const OLDER: &str = "\
// LAYER 2
---types---
thing#33333333 flags:# b:flags.0?true a:flags.7?true f:flags.1?true c:flags.2?int name:string \
flags2:# e:flags2.3?true d:flags.2?true = Thing;
";

/// Rule:   a bit is set in the other layer where it is set in this one, at whatever place, in whatever
///         word, before or behind the fields; one that stands for several fields is set for all of them.
/// Source: LAY-14.
#[test]
fn bits_move() {
    let history = History::parse(NEWER, &[OLDER]).unwrap();
    let (newer, older) = (Schema::parse(NEWER).unwrap(), Schema::parse(&history.text(2)).unwrap());
    let lowering = Transcoder::lowering(&history, 2, &Rules::default()).unwrap();
    for set in 0..1_u32 << 5 {
        let has = |at: u32| set >> at & 1 == 1;
        let word = u32::from(has(0)) | u32::from(has(1)) << 1;
        let word2 = u32::from(has(2)) | u32::from(has(3)) << 5 | u32::from(has(4)) << 31;
        let mut bytes = [0x1111_1111, word, word2].map(u32::to_le_bytes).concat();
        if has(1) {
            bytes.extend(77_u32.to_le_bytes());
        }
        bytes.extend(b"\x03abc");
        let read = |schema, bytes| dynamic::decode(schema, &Type::Object, bytes).unwrap();
        let said = lowering.answer(0x2222_2222, &bytes.clone().into()).unwrap();
        let (before, after) = (read(&newer, bytes.into()), read(&older, said));
        let (Value::Object(before), Value::Object(after)) = (before, after) else { panic!() };
        for name in ["a", "b", "c", "d", "e", "f", "name"] {
            assert_eq!(after.get(name), before.get(name), "{name} of {set:05b}");
        }
        assert_eq!(before.fields().len(), after.fields().len());
    }
}
