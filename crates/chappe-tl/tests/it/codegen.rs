//! Schemas that have no Rust form: the build says so and why.

use chappe_tl::codegen::generate;
use chappe_tl::schema::Schema;

/// A type without finite values would be a decoder without an end.
#[test]
fn types_without_finite_values_are_refused() {
    check_refused("a = A;\nb next:B = B;", 2, "b contains itself without end");
    check_refused("a b:B = A;\nb a:A = B;", 1, "a contains itself without end");
    check_accepted("b next:B = B; c = B;");
    check_accepted("b next:Vector<B> = B;");
}

/// What nothing makes cannot be answered.
#[test]
fn answers_of_no_known_type_are_refused() {
    check_refused(
        "---functions---\nrun = Nothing;",
        2,
        "run answers with Nothing, which nothing makes",
    );
    check_refused("run ?true = !Nothing;", 1, "run answers with Nothing, which nothing makes");
    check_accepted("a = A; ---functions---\nrun = Vector<A>;");
}

/// TL-08: an `Object` has no end of its own.
#[test]
fn object_comes_last() {
    check_refused(
        "a x:Object y:int = A;",
        1,
        "a: nothing says where an Object ends, so it comes last",
    );
    check_accepted("a y:int x:Object = A;");
}

/// TL-07: types with parameters are for values at run time.
#[test]
fn parameterised_types_are_refused() {
    let reason = "some: parameterised types have no Rust form";
    check_refused("some {t:Type} value:t = Maybe t;", 1, reason);
    let reason = "a: parameterised types have no Rust form";
    check_refused("none = Maybe int; a x:Maybe<int> = A;", 1, reason);
    let run = "a = A; ---functions---\nrun {X:Type} {Y:Type} x:!X y:!Y = X;";
    check_refused(run, 2, "run: only one wrapped query has a Rust form");
}

/// What a struct cannot say is refused and not left to the Rust compiler.
#[test]
fn fields_without_a_rust_form_are_refused() {
    let reason = "a: a # field that governs others is conditional";
    check_refused("a flags:# more:flags.0?# x:more.1?int = A;", 1, reason);
    let reason = "a: a repetition of more than one field has no Rust form";
    check_refused("a n:# x:n*[ int long ] = A;", 1, reason);
    let reason = "a: a counted repetition is conditional";
    check_refused("a n:# flags:# x:flags.0?n*[ int ] = A;", 1, reason);
    check_accepted("a flags:# x:flags.0?4*[ int ] y:flags.0?int = A;");
    check_refused("a x:1025*[ int ] = A;", 1, "a: the repetition is too long");
    let reason = "a: a field of a shared bit holds its own type";
    check_refused("a flags:# x:flags.0?A y:flags.0?int = A;", 1, reason);
    let reason = "a: the boxed built-in Int has no Rust form";
    check_refused("int ? = Int;\na x:Int = A;", 2, reason);
}

#[track_caller]
fn check_refused(text: &str, line: u32, reason: &str) {
    let error = generate(&Schema::parse(text).unwrap(), text, true).unwrap_err();
    assert_eq!((error.line, error.reason.as_str()), (line, reason));
}

#[track_caller]
fn check_accepted(text: &str) {
    generate(&Schema::parse(text).unwrap(), text, true).unwrap();
}
