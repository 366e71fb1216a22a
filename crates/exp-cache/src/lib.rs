//! exp-cache
