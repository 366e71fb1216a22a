//! exp-refs
