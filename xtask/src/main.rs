//! Repository chores. Each command is a module; `cargo xtask` lists them.

fn main() {
    println!("usage: cargo xtask <command>\n\nNo commands yet.");
}
