//! Parser events -> [`YamlNode`], with the limits and refusals that DVC's reader has.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use granit_parser::{
    Event, Marker, Parser, ScalarStyle, Span, StrInput, StructureStyle, Tag, YamlVersion, options,
};

use crate::value::Value;

use super::SyntaxError;
use super::node::{YamlEntry, YamlKind, YamlNode, YamlSpan, YamlStyle, check_keys};
use super::scalar::{self, Kind, Version};

/// How deep lists and maps may nest, each of block and bracket style.
const DEPTH: usize = 128;

/// Reads the only document of `text`; an empty one is a null.
pub(super) fn document(text: &str) -> Result<YamlNode, SyntaxError> {
    let has_tabs = text.contains('\t');
    let options = options! {
        emit_comments: has_tabs,
        max_buffered_comment_events: usize::MAX,
        block_scalar_eof_without_line_feed: true,
        flow_nesting_limit: DEPTH,
        block_nesting_limit: DEPTH,
    };
    let mut reader = Reader {
        text,
        events: Parser::new_from_str_with_options(text, options),
        anchors: HashMap::new(),
        version: Version::V1_2,
        tabs_allowed: has_tabs.then(Vec::new),
    };
    let mut root = None;
    while let Some((event, span)) = reader.next()? {
        match event {
            Event::DocumentStart(_, version) => {
                if root.is_some() {
                    return Err(position(span.start)
                        .error("this is a second document, and there can be only one"));
                }
                reader.version = version_of(version, &span)?;
            }
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            event => root = Some(reader.node(event, span)?),
        }
    }
    reader.check_tabs()?;
    Ok(root.unwrap_or_else(|| YamlNode {
        kind: YamlKind::Scalar(Value::Null),
        style: YamlStyle::Plain,
        span: YamlSpan { start: text.len(), end: text.len(), line: 1, column: 1 },
        anchored: false,
        tagged: false,
    }))
}

struct Reader<'a> {
    text: &'a str,
    events: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Arc<YamlNode>>,
    version: Version,
    /// The parts of the text where tabs are content; `None` when the text has no tab.
    tabs_allowed: Option<Vec<Range<usize>>>,
}

impl<'a> Reader<'a> {
    /// Returns the next event that is no comment.
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, SyntaxError> {
        while let Some(event) = self.events.next_event() {
            let (event, span) = event.map_err(|error| SyntaxError {
                line: error.marker().line(),
                column: error.marker().col() + 1,
                message: error.kind().to_string(),
            })?;
            let is_comment = matches!(event, Event::Comment(..));
            let is_content = matches!(
                event,
                Event::Scalar(_, style, ..) if style != ScalarStyle::Plain
            );
            if let (Some(allowed), Some(range), true) =
                (&mut self.tabs_allowed, span.byte_range(), is_comment || is_content)
            {
                allowed.push(range);
            }
            if !is_comment {
                return Ok(Some((event, span)));
            }
        }
        Ok(None)
    }

    fn expect(&mut self) -> Result<(Event<'a>, Span), SyntaxError> {
        let end = YamlSpan { line: 1, column: 1, ..YamlSpan::default() };
        self.next()?.ok_or_else(|| end.error("the document ends too early"))
    }

    /// Builds the node that begins with `event`.
    fn node(&mut self, event: Event<'a>, span: Span) -> Result<YamlNode, SyntaxError> {
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (self.scalar(&text, style, tag.as_deref(), &span)?, anchor)
            }
            Event::SequenceStart(style, anchor, tag) => {
                let tagged = check_tag(tag.as_deref(), "seq", &span)?;
                let mut items = Vec::new();
                let end = loop {
                    match self.expect()? {
                        (Event::SequenceEnd, end) => break end,
                        (event, span) => items.push(self.node(event, span)?),
                    }
                };
                let last = items.last().map(|item| item.span.end);
                (collection(YamlKind::List(items), style, tagged, &span, last, &end), anchor)
            }
            Event::MappingStart(style, anchor, tag) => {
                let tagged = check_tag(tag.as_deref(), "map", &span)?;
                let mut entries = Vec::new();
                let end = loop {
                    match self.expect()? {
                        (Event::MappingEnd, end) => break end,
                        (event, span) => entries.push(self.entry(event, span)?),
                    }
                };
                check_keys(&entries)?;
                let last = entries.last().map(|entry| entry.value.span.end);
                (collection(YamlKind::Map(entries), style, tagged, &span, last, &end), anchor)
            }
            Event::Alias(id) => {
                let at = position(span.start);
                let target = self.anchors.get(&id).cloned().ok_or_else(|| {
                    at.error("this alias stands inside of what it is an alias of")
                })?;
                let span = with_end(at, span.end.byte_offset());
                let kind = YamlKind::Alias(target);
                let node = YamlNode {
                    kind,
                    style: YamlStyle::Alias,
                    span,
                    anchored: false,
                    tagged: false,
                };
                return Ok(node);
            }
            _ => return Err(position(span.start).error("a value is missing")),
        };
        if anchor == 0 {
            return Ok(node);
        }
        let node = YamlNode { anchored: true, ..node };
        self.anchors.insert(anchor, Arc::new(node.clone()));
        Ok(node)
    }

    fn entry(&mut self, event: Event<'a>, span: Span) -> Result<YamlEntry, SyntaxError> {
        let merge = matches!(
            &event,
            Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<"
        );
        let written = match &event {
            Event::Scalar(text, ..) if !span.is_empty() => text.as_ref().to_owned(),
            _ => String::new(),
        };
        let key = if merge {
            let range = span.byte_range().unwrap_or_default();
            YamlNode {
                kind: YamlKind::Scalar(Value::from("<<")),
                style: YamlStyle::Plain,
                span: with_end(position(span.start), Some(range.end)),
                anchored: false,
                tagged: false,
            }
        } else {
            self.node(event, span)?
        };
        let name = match &key.resolved().kind {
            YamlKind::Scalar(Value::Text(text)) => text.clone(),
            YamlKind::Scalar(_) if key.style == YamlStyle::Alias => {
                let span = key.resolved().span;
                self.text.get(span.start..span.end).unwrap_or_default().to_owned()
            }
            YamlKind::Scalar(_) => written,
            _ => return Err(key.span.error("a list or map cannot be a key")),
        };
        let (event, span) = self.expect()?;
        let mut value = self.node(event, span)?;
        if value.span.start == value.span.end && value.style == YamlStyle::Plain {
            value.span = self.behind_colon(&key.span, value.span);
        }
        if value.style == YamlStyle::Block && matches!(value.kind, YamlKind::List(_)) {
            value.span = self.starting_at_dash(key.span.end, value.span);
        }
        Ok(YamlEntry { name, key, value, is_merge: merge })
    }

    /// Makes the span of a block list, the value of a key that ends at `from`, begin at its first dash: for one flush
    /// with its key the parser tells the place behind the dash.
    fn starting_at_dash(&self, from: usize, span: YamlSpan) -> YamlSpan {
        let mut at = from;
        let mut rest = self.text.get(from..span.start + 1).unwrap_or_default();
        while let Some(first) = rest.bytes().next() {
            let length = match first {
                b'-' => {
                    let (line, column) = line_and_column(self.text, at);
                    return YamlSpan { start: at, line, column, ..span };
                }
                b'#' => rest.find('\n').unwrap_or(rest.len()),
                b'&' | b'!' => rest.find([' ', '\n']).unwrap_or(rest.len()),
                _ => 1,
            };
            at += length;
            rest = rest.get(length..).unwrap_or_default();
        }
        span
    }

    /// Returns the place right behind the `:` of a key without a value.
    fn behind_colon(&self, key: &YamlSpan, otherwise: YamlSpan) -> YamlSpan {
        let rest = self.text.get(key.end..).unwrap_or_default();
        let spaces = rest.len() - rest.trim_start_matches(' ').len();
        if !rest[spaces..].starts_with(':') || otherwise.start > key.end + spaces {
            return otherwise;
        }
        let at = key.end + spaces + 1;
        let line = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let column = self.text[line..at].chars().filter(|c| *c != '\u{feff}').count() + 1;
        let n_lines = self.text[key.start..at].matches('\n').count();
        YamlSpan { start: at, end: at, line: key.line + n_lines, column }
    }

    fn scalar(
        &self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        span: &Span,
    ) -> Result<YamlNode, SyntaxError> {
        let at = position(span.start);
        // The parser spells a value that is not written `~`.
        let text = if style == ScalarStyle::Plain && span.is_empty() { "" } else { text };
        let kind = match tag {
            Some(tag) if is_non_specific(tag) => None,
            Some(tag) => Some(kind_of_tag(tag).ok_or_else(|| unknown_tag(tag, &at))?),
            None if style == ScalarStyle::Plain => None,
            None => Some(Kind::Text),
        };
        let kind = kind.unwrap_or_else(|| scalar::kind(text, self.version));
        let value = scalar::value(text, kind, self.version)
            .map_err(|why| at.error(format!("{why}: `{}`", shortened(text))))?;
        let style = match style {
            ScalarStyle::Plain => YamlStyle::Plain,
            ScalarStyle::SingleQuoted => YamlStyle::SingleQuoted,
            ScalarStyle::DoubleQuoted => YamlStyle::DoubleQuoted,
            ScalarStyle::Literal => YamlStyle::Literal,
            ScalarStyle::Folded => YamlStyle::Folded,
        };
        let mut node_span = with_end(at, span.end.byte_offset());
        if matches!(style, YamlStyle::Literal | YamlStyle::Folded) {
            let body = self.text.get(node_span.start..node_span.end).unwrap_or_default();
            node_span.end = node_span.start + body.trim_end_matches([' ', '\n', '\r']).len();
        }
        Ok(YamlNode {
            kind: YamlKind::Scalar(value),
            style,
            span: node_span,
            anchored: false,
            tagged: tag.is_some(),
        })
    }

    /// Refuses tabs that stand where neither quotes nor comments nor block scalars are, as DVC's reader does.
    fn check_tabs(&self) -> Result<(), SyntaxError> {
        let Some(allowed) = &self.tabs_allowed else { return Ok(()) };
        let mut allowed = allowed.clone();
        allowed.sort_by_key(|range| range.start);
        for (at, _) in self.text.match_indices('\t') {
            let before = allowed.partition_point(|range| range.start <= at);
            if before > 0 && allowed[before - 1].end > at {
                continue;
            }
            let (line, column) = line_and_column(self.text, at);
            let message = "a tab stands where only spaces may".to_owned();
            return Err(SyntaxError { line, column, message });
        }
        Ok(())
    }
}

/// Returns line and column, both from 1, of the byte `at`.
pub(super) fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let line = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line..].chars().count() + 1)
}

fn position(mark: Marker) -> YamlSpan {
    let start = mark.byte_offset().unwrap_or_default();
    YamlSpan { start, end: start, line: mark.line(), column: mark.col() + 1 }
}

fn with_end(span: YamlSpan, end: Option<usize>) -> YamlSpan {
    YamlSpan { end: end.unwrap_or(span.start).max(span.start), ..span }
}

fn collection(
    kind: YamlKind,
    style: StructureStyle,
    tagged: bool,
    start: &Span,
    last: Option<usize>,
    end: &Span,
) -> YamlNode {
    let (style, end) = match style {
        StructureStyle::Flow => (YamlStyle::Flow, end.end.byte_offset()),
        StructureStyle::Block => (YamlStyle::Block, last),
    };
    let span = with_end(position(start.start), end);
    YamlNode { kind, style, span, anchored: false, tagged }
}

fn version_of(version: Option<YamlVersion>, span: &Span) -> Result<Version, SyntaxError> {
    match version.map(|version| (version.major, version.minor)) {
        None | Some((1, 2)) => Ok(Version::V1_2),
        Some((1, 1)) => Ok(Version::V1_1),
        Some((major, minor)) => {
            Err(position(span.start).error(format!("YAML {major}.{minor} is neither 1.1 nor 1.2")))
        }
    }
}

fn is_non_specific(tag: &Tag) -> bool {
    matches!((tag.handle(), tag.suffix()), ("", "!") | ("!", ""))
}

fn kind_of_tag(tag: &Tag) -> Option<Kind> {
    let suffix = tag.handle().strip_prefix("tag:yaml.org,2002:")?;
    if !suffix.is_empty() {
        return None;
    }
    Some(match tag.suffix() {
        "str" => Kind::Text,
        "int" => Kind::Int,
        "float" => Kind::Float,
        "bool" => Kind::Bool,
        "null" => Kind::Null,
        "timestamp" => Kind::Date,
        _ => return None,
    })
}

fn check_tag(tag: Option<&Tag>, expect: &str, span: &Span) -> Result<bool, SyntaxError> {
    match tag {
        None => Ok(false),
        Some(tag) if is_non_specific(tag) => Ok(true),
        Some(tag) if tag.handle() == "tag:yaml.org,2002:" && tag.suffix() == expect => Ok(true),
        Some(tag) => Err(unknown_tag(tag, &position(span.start))),
    }
}

fn unknown_tag(tag: &Tag, at: &YamlSpan) -> SyntaxError {
    at.error(format!("the tag `{}` is not known here", tag.original()))
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= 40 {
        return text.to_owned();
    }
    text.chars().take(40).chain(['…']).collect()
}
