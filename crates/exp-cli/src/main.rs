//! exp
fn main() {}
