//! The language of schemas.

use chappe_tl::schema::{Change, Count, Schema, Section, Type, diff};

/// TL-01: text before the first mark declares types; sections alternate. TL-02: what stands
/// among functions is one, and `= !X` makes one anywhere.
#[test]
fn sections_decide_what_a_declaration_is() {
    let schema = parse(
        "// LAYER 42\na = A; ---functions--- f = A; ---types--- b = A; run {X:Type} q:!X = !X;\
         /* b2 = A; */ ---functions--- g x:int = A; // h = A;",
    );
    let sections: Vec<(&str, Section)> =
        schema.definitions().iter().map(|d| (d.name.as_str(), d.section)).collect();
    let (t, f) = (Section::Types, Section::Functions);
    assert_eq!(sections, [("a", t), ("f", f), ("b", t), ("run", f), ("g", f)]);
    assert_eq!(schema.layer(), Some(42));
}

/// TL-03: the written id wins; a strict reading refuses it unless its name is on the list.
#[test]
fn written_ids_win_and_are_checked() {
    let text = "a#1234abc = A;\n\nb#5 x:int = A;";
    let schema = parse(text);
    assert_eq!(schema.constructor("a").unwrap().id, 0x0123_4abc);
    assert_eq!(schema.id_mismatches().len(), 2);
    let error = Schema::parse_strict("my.tl", text, &["a"]).unwrap_err();
    let computed = schema.constructor("b").unwrap().computed_id;
    let expected = format!("my.tl:3: b#00000005 should have the id {computed:08x}");
    assert_eq!(error.to_string(), expected);
    assert!(Schema::parse_strict("my.tl", text, &["a", "b"]).is_ok());
    assert!(Schema::parse_strict("my.tl", "boolFalse#bc799737 = Bool;", &[]).is_ok());
}

/// TL-04: ids and names are unique; a constructor and a function may share a name, not an id.
#[test]
fn ids_and_names_are_unique() {
    check_error("a#1 = A;\nb#1 = A;", 2, "b#00000001 has the id of line 1");
    check_error("a#1 = A;\na#2 x:int = A;", 2, "a is declared in line 1 already");
    check_error("a#1 = A;\n---functions---\nf#1 = A;", 3, "f#00000001 has the id of line 1");
    check_error("a#0 = A;", 1, "a has the id 0");
    parse("a#1 = A; ---functions--- a#2 = A;");
}

/// TL-05: field names are unique and conditions look to the left.
#[test]
fn fields_are_unique_and_look_left() {
    check_error("a x:int x:int = A;", 1, "field x is declared twice");
    check_error("a x:flags.0?int flags:# = A;", 1, "no # field flags stands to the left");
    check_error("a flags:int x:flags.0?int = A;", 1, "no # field flags stands to the left");
    check_error("a flags:# x:flags.32?int = A;", 1, "bit 32 is not within 0 to 31");
}

/// TL-06: variables are no fields. TL-08: `!X` and `Object` are any boxed value.
#[test]
fn variables_are_never_on_the_wire() {
    let schema = parse("a = A; ---functions--- run {X:Type} {n:#} q:!X o:Object = X;");
    let run = schema.function("run").unwrap();
    assert_eq!((run.generics.len(), run.params.len()), (2, 2));
    assert!(run.generics[1].is_number && !run.generics[0].is_number);
    assert_eq!(run.params[0].ty, Type::Query("X".into()));
    assert_eq!(run.params[1].ty, Type::Object);
    assert_eq!(run.result, Type::Variable("X".into()));
}

/// TL-07: both spellings of an application are the same, id and all.
#[test]
fn both_spellings_of_an_application_agree() {
    let [a, b] = ["f v:Vector<int> = Vector<A>;", "f v:(Vector int) = (Vector A);"]
        .map(|function| parse(&format!("a = A; ---functions--- {function}")));
    assert_eq!(a.definitions()[1].params, b.definitions()[1].params);
    assert_eq!(a.definitions()[1].result, b.definitions()[1].result);
    assert_eq!(a.definitions()[1].id, b.definitions()[1].id);
    let many = parse("pair {X:Type} {Y:Type} x:X y:Y = Pair X Y; p q:Pair<int,string> = P;");
    let args = vec![Type::Int, Type::String];
    assert_eq!(many.definitions()[1].params[0].ty, Type::Boxed { name: "Pair".into(), args });
}

/// TL-09: `Empty` declares a type; `New`, `Final` and partial applications say nothing.
#[test]
fn final_and_partial_declarations_are_understood() {
    let schema = parse("Empty False; a x:False = A; Final A; New A; Vector int;");
    assert!(schema.types().any(|ty| ty == "False"));
    assert_eq!(schema.constructors_of("False").count(), 0);
}

/// TL-13: `%T` needs exactly one constructor; then it is that one, bare.
#[test]
fn a_percent_type_has_one_constructor() {
    check_error("a = A; b = A;\nc x:%A = C;", 2, "%A: A has not exactly one constructor");
    let schema = parse("a x:int = A; c x:%A y:a z:vector<%A> v:%Vector<A> = C;");
    let bare = Type::Bare { name: "a".into(), args: Vec::new() };
    let params = &schema.constructor("c").unwrap().params;
    assert_eq!((&params[0].ty, &params[1].ty), (&bare, &bare));
    let vector = |item: Type| Type::Vector { boxed: false, item: Box::new(item) };
    assert_eq!(params[2].ty, vector(bare));
    assert_eq!(params[3].ty, vector(Type::Boxed { name: "A".into(), args: Vec::new() }));
}

/// The rest of the grammar: repetitions, anonymous fields, several names, built-in types.
#[test]
fn every_form_of_the_grammar_is_read() {
    let schema = parse(
        "int ? = Int; vector {t:Type} # [ t ] = Vector t; a n:# x:n*[ int y:long ] 4*[ int ] = A;
         b (c d : int) e:(Vector int) # [ string ] = ns.B; ns.c flags:# x:flags?int = ns.B; _ = N;",
    );
    assert!(schema.constructor("int").unwrap().builtin);
    assert!(schema.constructor("vector").unwrap().builtin);
    let counts: Vec<Count> = ["a", "b"]
        .iter()
        .flat_map(|name| &schema.constructor(name).unwrap().params)
        .filter_map(|param| match &param.ty {
            Type::Repeat { count, .. } => Some(count.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(counts, [Count::Param(0), Count::Fixed(4), Count::Param(3)]);
    let names: Vec<_> = schema.constructor("b").unwrap().params.iter().map(|p| &p.name).collect();
    assert_eq!(names[..2], [&Some("c".to_owned()), &Some("d".to_owned())]);
    let whole = schema.constructor("ns.c").unwrap().params[1].condition.clone().unwrap();
    assert_eq!((whole.field.as_str(), whole.bit), ("flags", None));
}

/// What is no schema is refused with its line; nesting does not use up the stack.
#[test]
fn errors_name_line_and_reason() {
    check_error("a = A;\nb x: = A;", 2, "a name is expected here, not \"=\"");
    check_error("a = A\n\n", 1, "\";\" is expected here, not the end");
    check_error("\na x:B = A;", 2, "no constructor makes a B");
    check_error("a x:b = A;", 1, "there is no constructor b");
    check_error("a x:Vector = A;", 1, "Vector takes one argument");
    check_error("A = A;", 1, "a name is expected here, not \"=\"");
    check_error("a = int;", 1, "the result is no boxed type");
    check_error("a#123456789 = A;", 1, "\"#123456789\" is no id");
    check_error("a ~ = A;", 1, "stray '~'");
    let deep = format!("a x:{}int{} = A;", "Vector<".repeat(50_000), ">".repeat(50_000));
    assert!(Schema::parse(&deep).is_err());
    let deep = format!("a x:{}int = A;", "(".repeat(50_000));
    assert!(Schema::parse(&deep).is_err());
    let deep = format!("a {} = A;", "2*[ a:int b:int c:int ".repeat(50_000));
    assert!(Schema::parse(&deep).is_err());
}

/// A definition written back is read as the same definition.
#[test]
fn definitions_render_to_what_they_were_read_from() {
    let schema = parse(chappe_tl_fixture::SCHEMA);
    let mut text = String::from("Empty False;");
    for definition in schema.definitions() {
        let is_function = definition.section == Section::Functions;
        text += if is_function { "\n---functions---\n" } else { "\n---types---\n" };
        text += &definition.to_string();
    }
    assert_eq!(diff(&schema, &parse(&text)), []);
}

/// A difference is an addition, a removal or a change, by name.
#[test]
fn differences_are_found_by_name() {
    let old = parse("a = A; b x:int = A; c = A; ---functions--- f = A;");
    let new = parse("c = A; b x:long = A; d = A; ---functions--- f = A;");
    let changes: Vec<String> = diff(&old, &new)
        .iter()
        .map(|change| match change {
            Change::Added(new) => format!("+{}", new.name),
            Change::Removed(old) => format!("-{}", old.name),
            Change::Changed { old, new } => format!("{} -> {}", old.params[0].ty, new.params[0].ty),
        })
        .collect();
    assert_eq!(changes, ["-a", "int -> long", "+d"]);
}

fn parse(text: &str) -> Schema {
    Schema::parse(text).unwrap()
}

#[track_caller]
fn check_error(text: &str, line: u32, reason: &str) {
    let error = Schema::parse(text).unwrap_err();
    assert_eq!((error.line, error.reason.as_str()), (line, reason));
}
