//! The text of one configuration file: DVC's INI dialect, edited in place.
//!
//! The dialect is that of the Python library `ConfigObj`: `#` starts a comment anywhere outside of quotes, a comma
//! outside of quotes makes a list, section names may be quoted inside their brackets, three quotes hold several
//! lines. What is not changed keeps its bytes; what is new looks as DVC writes it, so that a file written only by
//! this module is the one that DVC would have written.

use std::fmt;

use super::error::{ConfigSyntax, SyntaxProblem};
use super::key::{ConfigKey, ConfigSection, ConfigValue};

/// One configuration file: sections and options, with its comments.
///
/// `Display` is the text of the file; `Debug` shows names and no values.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ConfigText {
    lines: Vec<Line>,
    crlf: bool,
}

#[derive(Clone, PartialEq, Eq)]
enum Line {
    /// A blank line or a comment.
    Other(String),
    Section {
        raw: String,
        section: ConfigSection,
    },
    /// An option; its raw text has several lines if its value has.
    Option {
        raw: String,
        option: String,
        value: ConfigValue,
    },
}

/// A value that no quotes of the dialect can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unquotable;

impl ConfigText {
    /// Parses the text of a file; an empty one is a configuration without settings.
    ///
    /// # Errors
    ///
    /// The first line that the dialect has no meaning for. Whether options exist is not looked at.
    pub fn parse(text: &str) -> Result<Self, ConfigSyntax> {
        let crlf = text.split_once('\n').is_some_and(|(first, _)| first.ends_with('\r'));
        let mut raws = text.lines().map(|line| line.strip_suffix('\r').unwrap_or(line)).enumerate();
        let mut file = Self { lines: Vec::new(), crlf };
        let mut section: Option<ConfigSection> = None;
        while let Some((at, raw)) = raws.next() {
            let broken = |problem| ConfigSyntax {
                line: at + 1,
                column: 1 + raw.len() - raw.trim_start().len(),
                text: raw.to_owned(),
                problem,
            };
            let trimmed = if at == 0 { raw.trim_start_matches('\u{feff}') } else { raw }.trim();
            if trimmed.is_empty() || trimmed.starts_with('#') {
                file.lines.push(Line::Other(raw.to_owned()));
            } else if trimmed.starts_with('[') {
                let found = section_of(trimmed).map_err(broken)?;
                if file.sections().any(|section| *section == found) {
                    return Err(broken(SyntaxProblem::DuplicateSection));
                }
                section = Some(found.clone());
                file.lines.push(Line::Section { raw: raw.to_owned(), section: found });
            } else {
                let (option, rest) = option_of(trimmed).map_err(broken)?;
                let section = section.as_ref().ok_or_else(|| broken(SyntaxProblem::NoSection))?;
                let mut raw_all = raw.to_owned();
                let value = if let Some((quote, start)) = opened_triple(rest) {
                    let mut held = start.to_owned();
                    while !held.contains(quote) {
                        let (_, next) = raws.next().ok_or_else(|| broken(SyntaxProblem::Quotes))?;
                        for text in [&mut held, &mut raw_all] {
                            text.push('\n');
                            text.push_str(next);
                        }
                    }
                    let (value, behind) = held.split_once(quote).unwrap_or((&held, ""));
                    if !is_nothing(behind) {
                        return Err(broken(SyntaxProblem::Quotes));
                    }
                    ConfigValue::from(value)
                } else {
                    value_of(rest).ok_or_else(|| broken(SyntaxProblem::Quotes))?
                };
                if file.get(&section.option(&option)).is_some() {
                    return Err(broken(SyntaxProblem::DuplicateOption));
                }
                file.lines.push(Line::Option { raw: raw_all, option, value });
            }
        }
        Ok(file)
    }

    /// Returns the sections in the order of the file, empty ones included.
    pub fn sections(&self) -> impl Iterator<Item = &ConfigSection> {
        self.lines.iter().filter_map(|line| match line {
            Line::Section { section, .. } => Some(section),
            _ => None,
        })
    }

    /// Returns the options and their values in the order of the file.
    pub fn options(&self) -> impl Iterator<Item = (ConfigKey, &ConfigValue)> {
        let mut current: Option<&ConfigSection> = None;
        self.lines.iter().filter_map(move |line| match line {
            Line::Section { section, .. } => {
                current = Some(section);
                None
            }
            Line::Option { option, value, .. } => Some((current?.option(option), value)),
            Line::Other(_) => None,
        })
    }

    /// Returns the value of an option, if it is set here.
    pub fn get(&self, key: &ConfigKey) -> Option<&ConfigValue> {
        let at = self.position(key)?;
        match &self.lines[at] {
            Line::Option { value, .. } => Some(value),
            _ => None,
        }
    }

    /// Returns whether the file has this section.
    pub fn has_section(&self, section: &ConfigSection) -> bool {
        self.sections().any(|found| found == section)
    }

    /// Sets an option: in its place if it is set, else behind the others of its section.
    ///
    /// A new section goes behind the last one; one without a name goes before the first one with a name.
    pub(super) fn set(&mut self, key: &ConfigKey, value: &ConfigValue) -> Result<(), Unquotable> {
        let raw = format!("    {} = {}", key.option, written(value)?);
        let line = Line::Option { raw, option: key.option.clone(), value: value.clone() };
        if let Some(at) = self.position(key) {
            self.lines[at] = line;
            return Ok(());
        }
        let at = match self.span(&key.section) {
            Some((_, end)) => end,
            None => self.open(&key.section),
        };
        self.lines.insert(at, line);
        Ok(())
    }

    /// Takes an option away, and its section with it when nothing is left there; says whether it was set.
    ///
    /// A named section stays: an empty remote is still a remote.
    pub(super) fn unset(&mut self, key: &ConfigKey) -> bool {
        let Some(at) = self.position(key) else { return false };
        self.lines.remove(at);
        if key.section.name.is_none()
            && self.span(&key.section).is_some_and(|(start, end)| end == start + 1)
        {
            self.remove_section(&key.section);
        }
        true
    }

    /// Takes a section and its options away; says whether it was there. Comments behind its last option stay.
    pub(super) fn remove_section(&mut self, section: &ConfigSection) -> bool {
        let Some((start, end)) = self.span(section) else { return false };
        self.lines.drain(start..end);
        true
    }

    /// Makes an empty section at its place in the file; one that is there keeps its options.
    pub(super) fn add_section(&mut self, section: &ConfigSection) {
        if !self.has_section(section) {
            self.open(section);
        }
    }

    /// Gives a section another name and moves it behind all others of its kind, as DVC does.
    pub(super) fn rename_section(&mut self, from: &ConfigSection, to: &ConfigSection) -> bool {
        let Some((start, end)) = self.span(from) else { return false };
        let mut moved: Vec<Line> = self.lines.drain(start..end).collect();
        if let Some(first) = moved.first_mut() {
            *first = Line::Section { raw: header(to), section: to.clone() };
        }
        let at = self.place(to);
        self.lines.splice(at..at, moved);
        true
    }

    /// Writes the header of a new section and returns the place of its first option.
    fn open(&mut self, section: &ConfigSection) -> usize {
        let at = self.place(section);
        self.lines.insert(at, Line::Section { raw: header(section), section: section.clone() });
        at + 1
    }

    /// Returns where a new section goes: sections without names, remotes, machines, databases.
    fn place(&self, section: &ConfigSection) -> usize {
        let ours = rank(section);
        let next = self
            .lines
            .iter()
            .position(|line| matches!(line, Line::Section { section, .. } if rank(section) > ours));
        let mut at = next.unwrap_or(self.lines.len());
        // Comments right above the next section are about that one, and blank lines set them off.
        let other = |line: &Line, blank: bool| matches!(line, Line::Other(raw) if raw.trim().is_empty() == blank);
        for blank in [false, true] {
            while next.is_some() && at > 0 && other(&self.lines[at - 1], blank) {
                at -= 1;
            }
        }
        at
    }

    /// Returns the lines from a section's header to behind its last option.
    fn span(&self, section: &ConfigSection) -> Option<(usize, usize)> {
        let start = self.lines.iter().position(
            |line| matches!(line, Line::Section { section: found, .. } if found == section),
        )?;
        let mut end = start + 1;
        for (at, line) in self.lines.iter().enumerate().skip(start + 1) {
            match line {
                Line::Section { .. } => break,
                Line::Option { .. } => end = at + 1,
                Line::Other(_) => {}
            }
        }
        Some((start, end))
    }

    fn position(&self, key: &ConfigKey) -> Option<usize> {
        let (start, end) = self.span(&key.section)?;
        (start..end).find(
            |at| matches!(&self.lines[*at], Line::Option { option, .. } if *option == key.option),
        )
    }
}

impl fmt::Display for ConfigText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = if self.crlf { "\r\n" } else { "\n" };
        for line in &self.lines {
            let (Line::Other(raw) | Line::Section { raw, .. } | Line::Option { raw, .. }) = line;
            for raw in raw.split('\n') {
                f.write_str(raw)?;
                f.write_str(end)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for ConfigText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.options().map(|(key, _)| key.to_string());
        f.debug_tuple("ConfigText").field(&names.collect::<Vec<_>>()).finish()
    }
}

fn rank(section: &ConfigSection) -> u8 {
    match (section.group.as_str(), &section.name) {
        (_, None) => 0,
        ("remote", _) => 1,
        ("machine", _) => 2,
        _ => 3,
    }
}

fn header(section: &ConfigSection) -> String {
    match &section.name {
        None => format!("[{}]", section.group),
        Some(name) => format!("['{} \"{name}\"']", section.group),
    }
}

/// Returns whether nothing but blanks and a comment follow.
fn is_nothing(text: &str) -> bool {
    let text = text.trim_start();
    text.is_empty() || text.starts_with('#')
}

fn section_of(line: &str) -> Result<ConfigSection, SyntaxProblem> {
    let inner = line.strip_prefix('[').unwrap_or(line).trim_start();
    if inner.starts_with('[') {
        return Err(SyntaxProblem::Nested);
    }
    let quote = inner.chars().next().filter(|c| matches!(c, '"' | '\''));
    let (name, behind) = if let Some(quote) = quote {
        inner[1..].split_once(quote).ok_or(SyntaxProblem::Quotes)?
    } else {
        let end = inner.find(']').ok_or(SyntaxProblem::Brackets)?;
        (&inner[..end], &inner[end..])
    };
    let behind = behind.trim_start().strip_prefix(']').ok_or(SyntaxProblem::Brackets)?;
    if !is_nothing(behind) || name.trim().is_empty() {
        return Err(SyntaxProblem::Brackets);
    }
    let name = name.trim().to_lowercase();
    for group in ["remote", "machine", "db"] {
        if let Some(rest) = name.strip_prefix(group)
            && let Some(rest) = rest.trim().strip_prefix('"')
            && let Some(inner) = rest.strip_suffix('"')
        {
            return Ok(ConfigSection { group: group.to_owned(), name: Some(inner.to_owned()) });
        }
    }
    Ok(ConfigSection { group: name, name: None })
}

fn option_of(line: &str) -> Result<(String, &str), SyntaxProblem> {
    let quote = line.chars().next().filter(|c| matches!(c, '"' | '\''));
    let (name, rest) = if let Some(quote) = quote {
        line[1..].split_once(quote).ok_or(SyntaxProblem::Unreadable)?
    } else {
        let end = line.find('=').ok_or(SyntaxProblem::Unreadable)?;
        (line[..end].trim_end(), &line[end..])
    };
    let rest = rest.trim_start().strip_prefix('=').ok_or(SyntaxProblem::Unreadable)?;
    if name.is_empty() {
        return Err(SyntaxProblem::Unreadable);
    }
    Ok((name.to_lowercase(), rest.trim_start()))
}

fn opened_triple(rest: &str) -> Option<(&'static str, &str)> {
    ["\"\"\"", "'''"].into_iter().find_map(|quote| Some((quote, rest.strip_prefix(quote)?)))
}

/// Reads a value on one line; `None` when its quotes do not match.
fn value_of(text: &str) -> Option<ConfigValue> {
    let mut items = Vec::new();
    let mut rest = text.trim_start();
    let mut is_list = false;
    loop {
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (item, behind) = if let Some(quote) = quote {
            let (item, behind) = rest[1..].split_once(quote)?;
            (Some(item.to_owned()), behind.trim_start())
        } else {
            let end = rest.find([',', '#']).unwrap_or(rest.len());
            let item = rest[..end].trim_end();
            ((!item.is_empty()).then(|| item.to_owned()), &rest[end..])
        };
        let comma = behind.strip_prefix(',');
        match item {
            Some(item) => items.push(item),
            // Nothing stands between two commas.
            None if comma.is_some() && (is_list || !items.is_empty()) => return None,
            None => {}
        }
        match comma {
            Some(next) => {
                is_list = true;
                rest = next.trim_start();
            }
            None if is_nothing(behind) => break,
            None => return None,
        }
    }
    Some(if is_list {
        ConfigValue::List(items)
    } else {
        ConfigValue::Text(items.pop().unwrap_or_default())
    })
}

fn written(value: &ConfigValue) -> Result<String, Unquotable> {
    match value {
        ConfigValue::Text(text) => quoted(text),
        ConfigValue::List(items) if items.is_empty() => Ok(",".to_owned()),
        ConfigValue::List(items) => {
            let items: Vec<String> =
                items.iter().map(|item| quoted(item)).collect::<Result<_, _>>()?;
            Ok(if let [one] = &items[..] { format!("{one},") } else { items.join(", ") })
        }
    }
}

/// Quotes a text where the dialect needs it, with the quotes that `ConfigObj` takes.
fn quoted(text: &str) -> Result<String, Unquotable> {
    let both = text.contains('"') && text.contains('\'');
    if both || text.contains('\n') {
        let quote = if text.contains("\"\"\"") { "'''" } else { "\"\"\"" };
        return if text.contains(quote) {
            Err(Unquotable)
        } else {
            Ok(format!("{quote}{text}{quote}"))
        };
    }
    let edge = |c: Option<char>| c.is_none_or(|c| c.is_whitespace() || matches!(c, '"' | '\''));
    let bare =
        !edge(text.chars().next()) && !edge(text.chars().next_back()) && !text.contains([',', '#']);
    let quote = if text.contains('"') { '\'' } else { '"' };
    Ok(if bare { text.to_owned() } else { format!("{quote}{text}{quote}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> ConfigKey {
        text.parse().unwrap()
    }

    /// Applies `section.option=value`, `-section.option`, in turn.
    fn edited(text: &str, edits: &[&str]) -> String {
        let mut file = ConfigText::parse(text).unwrap();
        for edit in edits {
            match edit.split_once('=') {
                Some((name, value)) => file.set(&key(name), &value.into()).unwrap(),
                None => assert!(file.unset(&key(&edit[1..])), "{edit}"),
            }
        }
        file.to_string()
    }

    #[test]
    fn a_fresh_file_is_the_one_that_dvc_writes() {
        let edits = [
            "remote.foo.url=../../y",
            "remote.bar.url=s3://b/k",
            "core.remote=bar",
            "cache.type=reflink,copy",
            "exp.auto_push=true",
        ];
        let expect = "[core]\n    remote = bar\n[cache]\n    type = \"reflink,copy\"\n[exp]\n    \
                      auto_push = true\n['remote \"foo\"']\n    url = ../../y\n['remote \"bar\"']\n    \
                      url = s3://b/k\n";
        assert_eq!(edited("", &edits), expect);
        assert_eq!(ConfigText::parse(expect).unwrap().to_string(), expect);
    }

    #[test]
    fn an_edit_changes_only_its_line() {
        let text =
            "# ours\n[core]  # main\n  Remote=a\n\n# data\n[remote \"a\"]\nurl = /x # here\n";
        assert_eq!(
            edited(text, &["core.autostage=true", "remote.a.url=/y"]),
            "# ours\n[core]  # main\n  Remote=a\n    autostage = true\n\n# data\n[remote \"a\"]\n    \
             url = /y\n"
        );
        assert_eq!(
            edited(text, &["-core.remote", "cache.dir=/c"]),
            "# ours\n[cache]\n    dir = /c\n\n# data\n[remote \"a\"]\nurl = /x # here\n"
        );
        assert_eq!(edited("[core]\r\n", &["core.remote=a"]), "[core]\r\n    remote = a\r\n");
    }

    #[test]
    fn values_are_read_as_configobj_reads_them() {
        let read = |value: &str| {
            let file = ConfigText::parse(&format!("[core]\nx = {value}\n")).ok()?;
            Some(file.get(&key("core.x"))?.to_string())
        };
        for (text, expect) in [
            ("a b # c", Some("a b")),
            ("a#b", Some("a")),
            ("'a # b'", Some("a # b")),
            ("\"a,b\"", Some("a,b")),
            ("a, 'b, c'", Some("['a', 'b, c']")),
            ("a,", Some("['a']")),
            (",", Some("[]")),
            ("", Some("")),
            ("\"a\"b", None),
            ("'a", None),
            ("'''a\nb'''", Some("a\nb")),
            ("'''a\nb", None),
        ] {
            assert_eq!(read(text).as_deref(), expect, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["", " a", "a,b", "a#b", "it's", "\"q\"", "\"'", "a\nb", "x'", "%20", "ä"] {
            let mut file = ConfigText::default();
            file.set(&key("core.x"), &text.into()).unwrap();
            let again = ConfigText::parse(&file.to_string()).unwrap();
            assert_eq!(again.get(&key("core.x")).unwrap().as_text(), Some(text), "{file}");
        }
    }

    #[test]
    fn a_broken_line_is_named() {
        for (text, line, problem) in [
            ("[core\n", 1, SyntaxProblem::Brackets),
            ("[core]\nremote\n", 2, SyntaxProblem::Unreadable),
            ("x = 1\n", 1, SyntaxProblem::NoSection),
            ("[core]\n[[x]]\n", 2, SyntaxProblem::Nested),
            ("[core]\n[core]\n", 2, SyntaxProblem::DuplicateSection),
            ("[core]\nremote = a\nremote = b\n", 3, SyntaxProblem::DuplicateOption),
            ("[]\n", 1, SyntaxProblem::Brackets),
        ] {
            let error = ConfigText::parse(text).unwrap_err();
            assert_eq!((error.line, error.problem), (line, problem), "{text}");
        }
    }

    #[test]
    fn sections_are_renamed_and_removed() {
        let text = "['remote \"a\"']\n    url = x\n['remote \"b\"']\n    url = y\n";
        let mut file = ConfigText::parse(text).unwrap();
        file.rename_section(&ConfigSection::remote("a"), &ConfigSection::remote("c"));
        assert_eq!(
            file.to_string(),
            "['remote \"b\"']\n    url = y\n['remote \"c\"']\n    url = x\n"
        );
        assert!(file.remove_section(&ConfigSection::remote("b")));
        assert_eq!(file.to_string(), "['remote \"c\"']\n    url = x\n");
    }
}
