//! exp-engine
