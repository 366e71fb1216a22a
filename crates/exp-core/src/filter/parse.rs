//! From the words of a condition to what it means.

use std::ops::Range;

use regex::Regex;

use super::lex::{Kind, Token, tokens};
use super::{Expr, Filter, FilterColumn, FilterError, FilterFault, Operand, Operator};
use crate::value::Value;

/// So deep may a condition nest.
const MAX_DEPTH: usize = 100;
/// So much memory may a pattern take, in bytes.
const MAX_PATTERN: usize = 1 << 20;

/// Reads a condition.
pub(super) fn parse(text: &str) -> Result<Filter, FilterError> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens, at: 0, end: text.len(), columns: Vec::new(), depth: 0 };
    let expr = parser.any()?;
    match parser.peek() {
        None => Ok(Filter { columns: parser.columns, expr }),
        Some(Token { kind: Kind::Close, span }) => {
            Err(FilterError { fault: FilterFault::Parenthesis, span: span.clone() })
        }
        Some(_) => Err(parser.expected("`and` or `or`")),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    end: usize,
    columns: Vec<FilterColumn>,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    /// Takes the next word if it is this one, in any case.
    fn takes(&mut self, word: &str) -> bool {
        let is_it = matches!(self.peek(), Some(Token { kind: Kind::Word(found), .. })
            if found.eq_ignore_ascii_case(word));
        self.at += usize::from(is_it);
        is_it
    }

    fn expected(&self, what: &'static str) -> FilterError {
        let span = self.peek().map_or(self.end..self.end, |token| token.span.clone());
        FilterError { fault: FilterFault::Expected(what), span }
    }

    fn any(&mut self) -> Result<Expr, FilterError> {
        let mut expr = self.all()?;
        while self.takes("or") {
            expr = Expr::Or(Box::new(expr), Box::new(self.all()?));
        }
        Ok(expr)
    }

    fn all(&mut self) -> Result<Expr, FilterError> {
        let mut expr = self.one()?;
        while self.takes("and") {
            expr = Expr::And(Box::new(expr), Box::new(self.one()?));
        }
        Ok(expr)
    }

    fn one(&mut self) -> Result<Expr, FilterError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(FilterError { fault: FilterFault::TooDeep, ..self.expected("") });
        }
        let expr = self.one_inside();
        self.depth -= 1;
        expr
    }

    fn one_inside(&mut self) -> Result<Expr, FilterError> {
        if self.takes("not") {
            return Ok(Expr::Not(Box::new(self.one()?)));
        }
        if let Some(Token { kind: Kind::Open, span }) = self.peek() {
            let open = span.clone();
            self.at += 1;
            let expr = self.any()?;
            return match self.next() {
                Some(Token { kind: Kind::Close, .. }) => Ok(expr),
                None => Err(FilterError { fault: FilterFault::Parenthesis, span: open }),
                Some(_) => {
                    self.at -= 1;
                    Err(self.expected("`and`, `or` or `)`"))
                }
            };
        }
        let column = match self.peek() {
            Some(Token { kind: Kind::Word(word), span })
                if !is_keyword(word) && literal(word).is_none() =>
            {
                (word.clone(), span.clone())
            }
            Some(Token { kind: Kind::Column(name), span }) => (name.clone(), span.clone()),
            _ => return Err(self.expected("a column")),
        };
        self.at += 1;
        let column = self.column(column, false);
        let Some(Token { kind: Kind::Sign(sign), .. }) = self.peek() else {
            return Ok(Expr::Holds(column));
        };
        let sign = *sign;
        self.at += 1;
        let expr = if sign.ends_with('~') {
            Expr::Matches(column, self.pattern()?)
        } else {
            let operator = match sign {
                "<" => Operator::Less,
                "<=" => Operator::LessOrEqual,
                ">" => Operator::Greater,
                ">=" => Operator::GreaterOrEqual,
                _ => Operator::Equal,
            };
            Expr::Compare(column, operator, self.operand(operator == Operator::Equal)?)
        };
        Ok(if sign.starts_with('!') { Expr::Not(Box::new(expr)) } else { expr })
    }

    fn column(&mut self, (name, span): (String, Range<usize>), may_be_text: bool) -> usize {
        self.columns.push(FilterColumn { name, span, may_be_text });
        self.columns.len() - 1
    }

    fn operand(&mut self, may_be_text: bool) -> Result<Operand, FilterError> {
        let Some(Token { kind, span }) = self.peek().cloned() else {
            return Err(self.expected("a value"));
        };
        let operand = match kind {
            Kind::Text(text) => Operand::Literal(Value::Text(text)),
            Kind::Column(name) => Operand::Column(self.column((name, span), false)),
            Kind::Word(word) if is_keyword(&word) => return Err(self.expected("a value")),
            Kind::Word(word) => match literal(&word) {
                Some(value) => Operand::Literal(value),
                None => Operand::Column(self.column((word, span), may_be_text)),
            },
            _ => return Err(self.expected("a value")),
        };
        self.at += 1;
        Ok(operand)
    }

    fn pattern(&mut self) -> Result<Regex, FilterError> {
        let Some(Token { kind: Kind::Text(pattern) | Kind::Word(pattern), span }) =
            self.peek().cloned()
        else {
            return Err(self.expected("a regular expression"));
        };
        let compiled = regex::RegexBuilder::new(&pattern).size_limit(MAX_PATTERN).build();
        let compiled = compiled.map_err(|error| {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            let why = last.strip_prefix("error: ").unwrap_or(last).to_owned();
            FilterError { fault: FilterFault::Pattern(why), span }
        })?;
        self.at += 1;
        Ok(compiled)
    }
}

fn is_keyword(word: &str) -> bool {
    ["and", "or", "not"].iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
}

/// Returns the number, truth value or null that a word is.
fn literal(word: &str) -> Option<Value> {
    let lower = word.to_ascii_lowercase();
    match lower.as_str() {
        "true" => return Some(Value::Bool(true)),
        "false" => return Some(Value::Bool(false)),
        "null" | "none" => return Some(Value::Null),
        "inf" | "+inf" => return Some(Value::Float(f64::INFINITY)),
        "-inf" => return Some(Value::Float(f64::NEG_INFINITY)),
        _ => {}
    }
    // Rust reads `nan` and `infinity` as numbers, which may well be names here.
    if !word.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        return None;
    }
    if !word.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let int = word.parse().ok().map(Value::Int);
    int.or_else(|| word.parse().ok().map(Value::Float))
}
