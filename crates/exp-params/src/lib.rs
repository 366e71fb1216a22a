//! exp-params
