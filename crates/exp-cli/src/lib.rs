//! exp-cli
