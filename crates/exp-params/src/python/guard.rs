//! A look at the tokens before the parser runs: what is nested as deep as no program is would exhaust the stack,
//! here or when the syntax tree is dropped. The limits of `CPython` are 200 brackets and 100 indentations.

use ruff_python_ast::token::TokenKind;
use ruff_python_parser::{Mode, lexer};

use crate::format::{Format, ParseError};

const MAX_BRACKETS: usize = 200;
const MAX_INDENTS: usize = 100;
const MAX_OPERATORS: usize = 400;

/// Refuses text that is longer than the parser's offsets reach or nested too deep.
pub(super) fn check(text: &str) -> Result<(), ParseError> {
    let error = |message| ParseError::at(Format::Python, text, 0, message);
    if u32::try_from(text.len()).is_err() {
        return Err(error("the file is too large"));
    }
    let mut lexer = lexer::lex(text, Mode::Module);
    // Operators since the last comma, for each open bracket: an upper bound of what recurses there.
    let mut n_operators = vec![0_usize];
    let mut n_all = 0_usize;
    let mut n_indents = 0_usize;
    loop {
        let kind = lexer.next_token();
        match kind {
            TokenKind::EndOfFile => return Ok(()),
            TokenKind::Newline | TokenKind::Semi => {
                n_operators.truncate(1);
                n_operators[0] = 0;
                n_all = 0;
            }
            TokenKind::Indent => n_indents += 1,
            TokenKind::Dedent => n_indents = n_indents.saturating_sub(1),
            TokenKind::Comma => {
                if let Some(top) = n_operators.last_mut() {
                    n_all -= *top;
                    *top = 0;
                }
            }
            TokenKind::Lpar
            | TokenKind::Lsqb
            | TokenKind::Lbrace
            | TokenKind::FStringStart
            | TokenKind::TStringStart => {
                count(&mut n_operators, &mut n_all);
                n_operators.push(0);
            }
            TokenKind::Rpar
            | TokenKind::Rsqb
            | TokenKind::Rbrace
            | TokenKind::FStringEnd
            | TokenKind::TStringEnd
                if n_operators.len() > 1 =>
            {
                n_all -= n_operators.pop().unwrap_or(0);
            }
            kind if kind.is_operator() || kind.is_keyword() || kind == TokenKind::Dot => {
                count(&mut n_operators, &mut n_all);
            }
            _ => {}
        }
        if n_all > MAX_OPERATORS || n_operators.len() > MAX_BRACKETS || n_indents > MAX_INDENTS {
            return Err(error("code is nested too deep"));
        }
    }
}

fn count(n_operators: &mut [usize], n_all: &mut usize) {
    if let Some(top) = n_operators.last_mut() {
        *top += 1;
        *n_all += 1;
    }
}
