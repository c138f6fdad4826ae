//! Values by schema: there and back, what is refused, and what a stranger cannot do.

use bytes::Bytes;
use chappe_tl::dynamic::{
    CALL, Object, Presence, Reason, Value, answer_type, decode, describe, encode, functions,
};
use chappe_tl::schema::{Count, Definition, Param, Schema, Section, Type};
use chappe_tl::{DecodeErrorKind, VECTOR_ID};
use proptest::prelude::*;

#[cfg(feature = "json")]
mod json;

/// Rule:   TL-40, a value encoded and decoded is the same value, and its bytes are the same;
///         TL-22 and TL-24, words of flags follow from the fields and flags take no bytes;
///         TL-06, TL-16: variables are not written, bare objects have no id.
/// Source: docs/spec/01-tl.md §3 to §5.
#[test]
fn value_survives_the_way_to_bytes_and_back() {
    let schema = schema();
    proptest!(|(tape in tape())| {
        let (ty, value) = Maker::new(&schema, tape).any();
        let bytes = encode(&schema, &ty, &value).unwrap();
        prop_assert_eq!(bytes.len() % 4, 0);
        let back = decode(&schema, &ty, bytes.clone()).unwrap();
        prop_assert_eq!(&format!("{back:?}"), &format!("{value:?}"));
        prop_assert_eq!(encode(&schema, &ty, &back).unwrap(), bytes);
    });
}

/// Rule:   TL-33, damaged input gives an error or a value, never a panic.
/// Source: docs/spec/01-tl.md §5.
#[test]
fn damaged_bytes_never_panic() {
    let schema = schema();
    let damage = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4);
    proptest!(|(tape in tape(), damage in damage, cut in any::<prop::sample::Index>())| {
        let (ty, value) = Maker::new(&schema, tape).any();
        let mut bytes = encode(&schema, &ty, &value).unwrap().to_vec();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let end = cut.index(bytes.len() * 2).min(bytes.len());
        if let Ok(value) = decode(&schema, &ty, Bytes::copy_from_slice(&bytes[..end])) {
            encode(&schema, &ty, &value).unwrap();
        }
    });
}

/// Rule:   TL-02, TL-27: a wrapper holds the id and the fields of the call within.
/// Source: docs/spec/01-tl.md §4, Generics.
#[test]
fn wrapped_calls_are_written_one_inside_the_other() {
    let schema = schema();
    let call = wrap(Object::new("getAll").with("ids", vec![Value::Long(7)]));
    let bytes = encode(&schema, &CALL, &call.clone().into()).unwrap();
    let mut expected = id(&schema, "wrap");
    expected.extend([0; 4]); // no flag is set
    expected.extend(5_i32.to_le_bytes());
    expected.extend(id(&schema, "getAll"));
    expected.extend(VECTOR_ID.to_le_bytes());
    expected.extend(1_i32.to_le_bytes());
    expected.extend(7_i64.to_le_bytes());
    assert_eq!(bytes, expected);
    assert_eq!(decode(&schema, &CALL, bytes), Ok(call.into()));
}

/// Rule:   TL-08, TL-28: the answer to a wrapper is that of the innermost call.
/// Source: docs/spec/01-tl.md §4, Generics.
#[test]
fn answer_to_a_wrapper_is_that_of_the_innermost_call() {
    let schema = schema();
    let call = wrap(wrap(Object::new("getAll")));
    assert_eq!(answer_type(&schema, &call).unwrap().to_string(), "Vector<Peer>");
    assert_eq!(answer_type(&schema, &Object::new("wrap")), None);
    assert_eq!(answer_type(&schema, &wrap(Object::new("peerSelf"))), None);
}

/// Rule:   TL-21, TL-25: fields that hang on one bit are all present or none.
/// Source: docs/spec/01-tl.md §4, Conditional fields.
#[test]
fn fields_of_one_bit_go_together() {
    let schema = schema();
    let error = refused(&schema, "Options", Object::new("options").with("text", "hi"));
    assert_eq!(error, "entities: is there if and only if flags.1 is set; goes together with text");
    let whole = Object::new("options").with("text", "hi").with("entities", Vec::new());
    let bytes = encode(&schema, &boxed("Options"), &whole.clone().into()).unwrap();
    assert_eq!(bytes[4..8], 2_u32.to_le_bytes());
    assert_eq!(decode(&schema, &boxed("Options"), bytes), Ok(whole.into()));
}

/// Rule:   TL-23, a field on a whole word is there if and only if the word is not 0.
/// Source: docs/spec/01-tl.md §4, Conditional fields.
#[test]
fn field_on_a_whole_word_sets_a_bit_of_its_own() {
    let schema = schema();
    let alone = Object::new("word").with("any", 7);
    let bytes = encode(&schema, &boxed("Word"), &alone.clone().into()).unwrap();
    assert_eq!(bytes[4..8], 2_u32.to_le_bytes(), "bit 0 belongs to another field");
    assert_eq!(decode(&schema, &boxed("Word"), bytes), Ok(alone.into()));
    let error = refused(&schema, "Word", Object::new("word").with("one", 7));
    assert_eq!(error, "any: is there if and only if flags is set");
}

/// Rule:   TL-26, bits that the schema does not know are passed over, and written as 0.
/// Source: docs/spec/01-tl.md §4, Conditional fields.
#[test]
fn unknown_bits_are_passed_over() {
    let schema = schema();
    let mut bytes = id(&schema, "options");
    bytes.extend(0x00ff_ff08_u32.to_le_bytes());
    let value = decode(&schema, &boxed("Options"), bytes.into()).unwrap();
    assert_eq!(value, Object::new("options").into());
    let bytes = encode(&schema, &boxed("Options"), &value).unwrap();
    assert_eq!(bytes[4..], [0; 4]);
}

/// Rule:   TL-14, a boxed value has the id of a constructor of its type.
/// Source: docs/spec/01-tl.md §3.
#[test]
fn id_of_another_type_is_refused() {
    let schema = schema();
    let mut bytes = id(&schema, "getPeer");
    bytes.extend(id(&schema, "boolish"));
    let error = decode(&schema, &CALL, bytes.into()).unwrap_err();
    let id = schema.constructor("boolish").unwrap().id;
    assert_eq!(error.path, "peer");
    assert_eq!(error.reason, Reason::UnknownId { id, offset: 4, expected: "Peer".into() });
}

/// Rule:   TL-35, objects, vectors and wrappers are nested 64 deep at most.
/// Source: docs/spec/01-tl.md §5.
#[test]
fn nesting_beyond_the_limit_is_refused_both_ways() {
    let schema = schema();
    check_depth(&schema, 64, true);
    check_depth(&schema, 65, false);
    // 40 KB of one constructor inside the other.
    let hostile = id(&schema, "peerNested").repeat(10_000);
    let error = decode(&schema, &boxed("Peer"), hostile.into()).unwrap_err();
    assert_eq!(error.reason, Reason::TooDeep);
    let wrapper: Vec<u8> = [id(&schema, "wrap"), vec![0; 8]].concat();
    let error = decode(&schema, &CALL, wrapper.repeat(10_000).into()).unwrap_err();
    assert_eq!(error.reason, Reason::TooDeep);
}

/// Rule:   TL-34, a count is refused when it is negative, when the input cannot hold its elements,
///         and beyond 65 536 for elements without bytes.
/// Source: docs/spec/01-tl.md §5.
#[test]
fn count_that_cannot_be_is_refused_before_anything_is_read() {
    let schema = schema();
    check_count(&schema, "getAll", -1, 0, Some(DecodeErrorKind::BadLength));
    check_count(&schema, "getAll", 3, 23, Some(DecodeErrorKind::VectorTooLong { count: 3 }));
    check_count(&schema, "getAll", 3, 24, None);
    check_count(&schema, "points", 2, 23, Some(DecodeErrorKind::VectorTooLong { count: 2 }));
    check_count(&schema, "points", 2, 24, None);
    check_count(&schema, "marks", 65_536, 0, None);
    let kind = DecodeErrorKind::VectorTooLong { count: 65_537 };
    check_count(&schema, "marks", 65_537, 0, Some(kind));
}

/// A few bytes that stand for very many values are refused, whatever they are hidden in.
#[test]
fn values_are_counted() {
    let schema = schema();
    // Each vector of 4 bytes holds 65 536 marks of no bytes at all.
    let mut bytes = id(&schema, "manyMarks");
    bytes.extend(VECTOR_ID.to_le_bytes());
    bytes.extend(100_i32.to_le_bytes());
    bytes.extend(65_536_i32.to_le_bytes().repeat(100));
    let error = decode(&schema, &CALL, bytes.into()).unwrap_err();
    assert_eq!(error.reason, Reason::TooMany);
}

/// Rule:   TL-36, nothing may follow a value.
/// Source: docs/spec/01-tl.md §5.
#[test]
fn bytes_after_the_value_are_refused() {
    let schema = schema();
    let mut bytes = id(&schema, "peerSelf");
    bytes.extend([0; 4]);
    let error = decode(&schema, &boxed("Peer"), bytes.into()).unwrap_err();
    assert_eq!(error.to_string(), "4 bytes left after the value at offset 4");
}

/// Rule:   TL-37, an id nobody has is named, with the place.
/// Source: docs/spec/01-tl.md §5.
#[test]
fn unknown_function_is_named() {
    let bytes = Bytes::from_static(&[0xef, 0xbe, 0xad, 0xde]);
    let error = decode(&schema(), &CALL, bytes).unwrap_err();
    assert_eq!(error.to_string(), "expected function, got the unknown id deadbeef at offset 0");
}

/// Rule:   TL-17, a string of 2^24 bytes cannot be written.
/// Source: docs/spec/01-tl.md §4.
#[test]
fn string_too_long_is_refused_with_its_place() {
    let schema = schema();
    let long = Bytes::from(vec![b'x'; 1 << 24]);
    let call = Object::new("send").with("text", Value::String(long.into()));
    let error = encode(&schema, &CALL, &call.into()).unwrap_err();
    assert_eq!(error.to_string(), "text: string of 16777216 bytes is longer than 16777215");
}

#[test]
fn value_that_does_not_fit_is_refused_with_its_place() {
    let schema = schema();
    let peer = |peer: Object| Object::new("peerNested").with("peer", peer).with("list", vec![]);
    let user = Object::new("peerUser").with("user_id", 1_i64);
    check_refused(&schema, peer(user.clone()), "peer.access_hash: missing; expected long");
    let wrong = user.clone().with("access_hash", "x");
    check_refused(&schema, peer(wrong), "peer.access_hash: expected long, got string of 1 bytes");
    check_refused(
        &schema,
        peer(user.with("acces_hash", 1_i64)),
        "peer.acces_hash: peerUser has no such field; did you mean access_hash?; \
         it has: user_id, access_hash",
    );
    check_refused(
        &schema,
        peer(Object::new("peerUsr")),
        "peer: peerUsr is no constructor of Peer; did you mean peerUser?; \
         allowed: peerSelf, peerUser, peerNested",
    );
    let list = vec![Object::new("peerSelf").into(), Value::Int(1)];
    let nested = Object::new("peerNested").with("peer", Object::new("peerSelf")).with("list", list);
    check_refused(&schema, nested, "list[1]: expected Peer, got int 1");
    let error = refused(&schema, "Options", Object::new("options").with("flags", Value::Nat(1)));
    assert_eq!(error, "flags: follows from the other fields and cannot be given");
}

#[test]
fn repetition_of_another_length_is_refused() {
    let schema = schema();
    let row = |int| Value::from(Object::new("").with("x", int).with("s", ""));
    let matrix = Object::new("matrix")
        .with("cols", vec![])
        .with("tri", vec![row(1), row(2)])
        .with("4", vec![]);
    assert_eq!(refused(&schema, "Matrix", matrix), "tri: expected 3 elements, got 2");
}

#[test]
fn functions_are_listed_by_name() {
    let schema = schema();
    let names: Vec<&str> = functions(&schema, "GET").iter().map(|d| d.name.as_str()).collect();
    assert_eq!(names, ["getAll", "getPeer"]);
    assert_eq!(functions(&schema, "").len(), 7);
}

#[test]
fn description_tells_what_to_give_and_what_comes_back() {
    let schema = schema();
    let options = describe(&schema, schema.constructor("options").unwrap());
    let presence = |name: &str| {
        options.fields.iter().find(|field| field.name == name).map(|f| f.presence.clone())
    };
    assert_eq!(presence("flags"), None);
    assert_eq!(presence("silent"), Some(Presence::Optional));
    assert_eq!(presence("text"), Some(Presence::With(vec!["entities".into()])));

    let text = describe(&schema, schema.function("wrap").unwrap()).to_string();
    let declaration = schema.function("wrap").unwrap().to_string();
    let expected = "\n\nfields:\n  \
        layer  int     required\n  \
        quiet  true    optional\n  \
        query  a call  required\n\nresult: X\n";
    assert_eq!(text, declaration + expected);

    let text = describe(&schema, schema.function("getPeer").unwrap()).to_string();
    let peers = "      peerSelf\n      peerUser user_id:long access_hash:long\n      \
        peerNested peer:Peer list:Vector<Peer>\n";
    assert!(text.ends_with(&format!("required\n{peers}\nresult: Peer\n{peers}")), "{text}");
}

fn check_depth(schema: &Schema, depth: usize, accepted: bool) {
    // The innermost object counts, and so does the vector inside the one around it.
    let mut bytes = id(schema, "peerNested").repeat(depth - 2);
    bytes.extend(id(schema, "peerSelf"));
    bytes.extend([VECTOR_ID.to_le_bytes(), 1_i32.to_le_bytes()].concat());
    bytes.extend(id(schema, "peerSelf"));
    let empty = [VECTOR_ID.to_le_bytes(), 0_i32.to_le_bytes()].concat();
    bytes.extend(empty.repeat(depth - 3));
    let value = decode(schema, &boxed("Peer"), bytes.clone().into());
    assert_eq!(value.is_ok(), accepted, "{depth}: {value:?}");

    let leaf = Object::new("peerNested")
        .with("peer", Object::new("peerSelf"))
        .with("list", vec![Object::new("peerSelf").into()]);
    let value = (3..depth)
        .fold(leaf, |peer, _| Object::new("peerNested").with("peer", peer).with("list", vec![]));
    assert_eq!(encode(schema, &boxed("Peer"), &value.into()).is_ok(), accepted);
}

/// A call of a function whose only field is a vector of `count` elements in `length` bytes.
fn check_count(
    schema: &Schema,
    function: &str,
    count: i32,
    length: usize,
    kind: Option<DecodeErrorKind>,
) {
    let mut bytes = id(schema, function);
    if function == "getAll" {
        bytes.extend(VECTOR_ID.to_le_bytes());
    }
    bytes.extend(count.to_le_bytes());
    bytes.resize(bytes.len() + length, 0);
    let got = decode(schema, &CALL, bytes.into()).map_err(|error| error.reason);
    match (got, kind) {
        (Ok(_), None) => {}
        (Err(Reason::Decode(got)), Some(kind)) => assert_eq!(got.kind, kind),
        other => panic!("{function} of {count} in {length}: {other:?}"),
    }
}

fn check_refused(schema: &Schema, peer: Object, message: &str) {
    assert_eq!(refused(schema, "Peer", peer), message);
}

fn refused(schema: &Schema, ty: &str, value: Object) -> String {
    encode(schema, &boxed(ty), &value.into()).unwrap_err().to_string()
}

fn wrap(call: Object) -> Object {
    Object::new("wrap").with("layer", 5).with("query", call)
}

fn boxed(name: &str) -> Type {
    Type::Boxed { name: name.to_owned(), args: Vec::new() }
}

fn id(schema: &Schema, name: &str) -> Vec<u8> {
    let definition = schema.function(name).or_else(|| schema.constructor(name)).unwrap();
    definition.id.to_le_bytes().to_vec()
}

/// Every form a type can take, on one page.
fn schema() -> Schema {
    Schema::parse(
        "boolish = Boolish;
         peerSelf = Peer;
         peerUser user_id:long access_hash:long = Peer;
         peerNested peer:Peer list:Vector<Peer> = Peer;
         point x:int y:long = Point;
         scalars i:int l:long d:double s:string b:bytes n:# k:int128 w:int256 o:Bool = Scalars;
         lists bare:vector<point> percent:Vector<%Point> texts:Vector<string> = Lists;
         options flags:# silent:flags.0?true text:flags.1?string entities:flags.1?Vector<Peer>
             flags2:flags.2?# late:flags2.0?int always:flags2.31?Bool = Options;
         word flags:# any:flags?int one:flags.0?int = Word;
         matrix rows:# cols:rows*[ int ] tri:3*[ x:int s:string ] # [ Peer ] = Matrix;
         inner mask:# rows:2*[ a:mask.0?int b:mask.1?Peer ] = Inner;
         none {t:Type} = Maybe t;
         some {t:Type} value:t = Maybe t;
         lone {t:Type} value:t = Lone t;
         pair left:Lone<Lone<int>> right:%Lone<string> = Pair;
         holder a:Maybe<int> b:Maybe<Vector<string>> c:Object = Holder;
         ---functions---
         getPeer peer:Peer = Peer;
         getAll ids:Vector<long> = Vector<Peer>;
         send text:string = Bool;
         points points:vector<point> = Bool;
         marks marks:vector<true> = Bool;
         manyMarks marks:Vector<vector<true>> = Bool;
         wrap {X:Type} flags:# layer:int quiet:flags.0?true query:!X = X;",
    )
    .unwrap()
}

/// What a [`Maker`] makes its choices by. All zeros is the simplest value, so it shrinks well.
fn tape() -> impl Strategy<Value = Vec<u64>> {
    proptest::collection::vec(any::<u64>(), 0..60)
}

/// Makes any value of the schema from a tape of numbers.
struct Maker<'s> {
    schema: &'s Schema,
    tape: std::vec::IntoIter<u64>,
}

impl<'s> Maker<'s> {
    fn new(schema: &'s Schema, tape: Vec<u64>) -> Self {
        Self { schema, tape: tape.into_iter() }
    }

    fn any(&mut self) -> (Type, Value) {
        const NAMES: [&str; 10] = [
            "Boolish", "Peer", "Scalars", "Lists", "Options", "Word", "Matrix", "Inner", "Holder",
            "Pair",
        ];
        let ty = match self.below(NAMES.len() + 2) {
            0 => CALL,
            1 => Type::Object,
            n => boxed(NAMES[n - 2]),
        };
        let value = self.value(&ty, &[], 8);
        (ty, value)
    }

    fn next(&mut self) -> u64 {
        self.tape.next().unwrap_or(0)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.next() as usize % limit
    }

    fn value(&mut self, ty: &Type, bound: &[Type], depth: usize) -> Value {
        match ty {
            Type::Int => Value::Int(self.next() as i32),
            Type::Long => Value::Long(self.next() as i64),
            Type::Double => Value::Double(f64::from_bits(self.next())),
            Type::Nat => Value::Nat(self.next() as u32),
            Type::Bool => Value::Bool(self.next() & 1 == 1),
            Type::True => Value::True,
            Type::String => Value::String(self.bytes().into()),
            Type::Bytes => Value::Bytes(self.bytes()),
            Type::Int128 => Value::Int128([self.next() as u8; 16]),
            Type::Int256 => Value::Int256([self.next() as u8; 32]),
            Type::Vector { item, .. } => {
                let count = if depth == 0 { 0 } else { self.below(4) };
                (0..count).map(|_| self.value(item, bound, depth - 1)).collect::<Vec<_>>().into()
            }
            Type::Variable(_) => self.value(&bound[0], &[], depth),
            Type::Boxed { name, args } => {
                let makers: Vec<&Definition> = self.schema.constructors_of(name).collect();
                self.one_of(&makers, args, depth)
            }
            Type::Bare { name, args } => {
                let maker = self.schema.constructor(name).unwrap();
                self.one_of(&[maker], args, depth)
            }
            Type::Query(_) => {
                let makers = functions(self.schema, "");
                self.one_of(&makers, &[], depth)
            }
            // What `Maybe` holds, an `Object` cannot say.
            Type::Object => match self.below(3) {
                0 => Value::Bool(self.next() & 1 == 1),
                1 => self.value(&boxed("Peer"), &[], depth),
                _ => {
                    let item = Box::new(boxed("Options"));
                    self.value(&Type::Vector { boxed: true, item }, &[], depth)
                }
            },
            Type::Number(_) | Type::Repeat { .. } => panic!("{ty:?} is no type of a field"),
        }
    }

    fn one_of(&mut self, makers: &[&Definition], args: &[Type], depth: usize) -> Value {
        // Calls and peers can nest for ever; the first of each type does not.
        let choice = if depth == 0 { 0 } else { self.below(makers.len()) };
        let maker = match (depth, makers[choice].section) {
            (0, Section::Functions) => self.schema.function("getAll").unwrap(),
            _ => makers[choice],
        };
        let depth = depth.saturating_sub(1);
        self.fields(Object::new(&maker.name), &maker.params, args, &mut Vec::new(), depth).into()
    }

    fn fields<'p>(
        &mut self,
        mut object: Object,
        params: &'p [Param],
        bound: &[Type],
        words: &mut Vec<(&'p str, u32)>,
        depth: usize,
    ) -> Object {
        let mut count = 0;
        for (place, param) in params.iter().enumerate() {
            let present = param.condition.as_ref().is_none_or(|condition| {
                let word = words.iter().find(|(name, _)| *name == condition.field);
                let word = word.map_or(0, |(_, word)| *word);
                condition.bit.map_or(word != 0, |bit| word >> bit & 1 == 1)
            });
            if !present {
                continue;
            }
            let key = param.name.clone().unwrap_or_else(|| place.to_string());
            match &param.ty {
                Type::Nat => {
                    count = self.next() as u32;
                    words.push((param.name.as_deref().unwrap_or_default(), count));
                    if ["n", "mask"].contains(&key.as_str()) {
                        object = object.with(&key, Value::Nat(count));
                    }
                }
                Type::Repeat { count: times, params } => {
                    let times = if let Count::Fixed(times) = times { *times } else { count % 4 };
                    let elements: Vec<Value> = (0..times)
                        .map(|_| match &params[..] {
                            [Param { name: None, ty, .. }] => self.value(ty, bound, depth),
                            _ => self.fields(Object::new(""), params, bound, words, depth).into(),
                        })
                        .collect();
                    object = object.with(&key, elements);
                }
                ty => object = object.with(&key, self.value(ty, bound, depth)),
            }
        }
        object
    }

    fn bytes(&mut self) -> Bytes {
        let word = self.next().to_le_bytes();
        Bytes::copy_from_slice(&word).repeat(self.below(300) / 8).into()
    }
}
