//! The streams of a command and what they can show.

use std::fmt;
use std::io::{self, BufRead, Write};

use crate::settings::Environment;

/// Where a command reads and writes, and what it may assume of it.
#[expect(clippy::struct_excessive_bools, reason = "independent facts of the streams")]
pub struct Io<'a> {
    /// Standard output: the answer.
    pub out: Box<dyn Write + Send + 'a>,
    /// Standard error: everything else.
    pub err: Box<dyn Write + Send + 'a>,
    /// Standard input.
    pub input: Box<dyn BufRead + Send + 'a>,
    /// Whether standard output is a terminal.
    pub out_is_terminal: bool,
    /// Whether standard error is a terminal.
    pub err_is_terminal: bool,
    /// Whether questions can be asked: standard input and standard error are a terminal.
    pub can_ask: bool,
    /// The width of the terminal in columns; of no meaning for what is no terminal.
    pub width: usize,
    /// Whether colours may be used.
    pub colour: bool,
    /// Whether symbols outside ASCII may be used.
    pub unicode: bool,
    /// Whether signals to this process end the command.
    pub handles_signals: bool,
    /// The process around the command.
    pub env: Environment,
}

impl<'a> Io<'a> {
    /// Writes into two buffers, as a pipe would take it: no terminal, no colour, nothing to read, 80 columns.
    pub fn captured(out: &'a mut Vec<u8>, err: &'a mut Vec<u8>, env: Environment) -> Self {
        Self {
            out: Box::new(out),
            err: Box::new(err),
            input: Box::new(io::empty()),
            out_is_terminal: false,
            err_is_terminal: false,
            can_ask: false,
            width: 80,
            colour: false,
            unicode: true,
            handles_signals: false,
            env,
        }
    }
}

impl fmt::Debug for Io<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Io")
            .field("width", &self.width)
            .field("colour", &self.colour)
            .field("unicode", &self.unicode)
            .finish_non_exhaustive()
    }
}
