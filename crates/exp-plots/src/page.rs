//! Plots as one HTML page that needs nothing else: no network, no other file.
//!
//! Names, titles, labels and data are a stranger's. They are text in the page, or JSON in elements that no browser runs;
//! a policy in the head of the page allows the page's own scripts, by their digests, and no others, and forbids every
//! request. The expressions of templates are interpreted, never compiled.

use std::fmt::Write as _;

use crate::definition::extension;
use crate::fill::Spec;

const VEGA: &str = include_str!("../assets/vega.min.js");
const VEGA_LITE: &str = include_str!("../assets/vega-lite.min.js");
const VEGA_EMBED: &str = include_str!("../assets/vega-embed.min.js");
const SCRIPT: &str = include_str!("../assets/page.js");
const STYLE: &str = include_str!("../assets/page.css");
/// The digests of the scripts, as `sha256sum` writes them.
const DIGESTS: &str = include_str!("../assets/SHA256SUMS");
/// What goes into the page, in its order.
const SCRIPTS: [(&str, &str); 4] = [
    ("vega.min.js", VEGA),
    ("vega-lite.min.js", VEGA_LITE),
    ("vega-embed.min.js", VEGA_EMBED),
    ("page.js", SCRIPT),
];

/// The licences of the scripts and of what is in them. Whoever gets a page gets them with it.
const LICENCES: [(&str, &str); 12] = [
    ("vega", include_str!("../assets/LICENSE-vega")),
    ("vega-lite", include_str!("../assets/LICENSE-vega-lite")),
    ("vega-embed", include_str!("../assets/LICENSE-vega-embed")),
    ("d3-array and other parts of d3", include_str!("../assets/LICENSE-d3-array")),
    ("d3-delaunay", include_str!("../assets/LICENSE-d3-delaunay")),
    ("delaunator", include_str!("../assets/LICENSE-delaunator")),
    ("fast-json-patch", include_str!("../assets/LICENSE-fast-json-patch")),
    (
        "json-stringify-pretty-compact",
        include_str!("../assets/LICENSE-json-stringify-pretty-compact"),
    ),
    ("robust-predicates", include_str!("../assets/LICENSE-robust-predicates")),
    ("semver", include_str!("../assets/LICENSE-semver")),
    ("topojson-client", include_str!("../assets/LICENSE-topojson-client")),
    ("tslib", include_str!("../assets/LICENSE-tslib")),
];

/// What a page shows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    /// The heading.
    pub title: String,
    /// What could not be read, a line each.
    pub problems: Vec<String>,
    /// The plots, in their order.
    pub items: Vec<PageItem>,
}

/// One plot of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct PageItem {
    /// Its heading.
    pub name: String,
    /// What is below the heading.
    pub kind: PageKind,
}

/// What is shown of a plot.
#[derive(Debug, Clone, PartialEq)]
pub enum PageKind {
    /// A Vega-Lite document.
    Spec(Box<Spec>),
    /// Images beside each other.
    Images(Vec<PageImage>),
    /// Images of steps, of which one is shown at a time: the name of the step, and its images.
    Series(Vec<(String, Vec<PageImage>)>),
    /// A table of texts: the header, and rows with a cell for each of its columns.
    Table(Vec<String>, Vec<Vec<String>>),
    /// A sentence that says why there is nothing to see.
    Note(String),
}

/// An image of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageImage {
    /// What stands above it.
    pub caption: String,
    /// Its bytes; `None` for a file that is no image, of which only `note` is shown.
    pub bytes: Option<(ImageType, std::sync::Arc<[u8]>)>,
    /// What stands there instead of an image.
    pub note: String,
}

/// How an image is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageType {
    /// PNG.
    Png,
    /// JPEG.
    Jpeg,
    /// GIF.
    Gif,
    /// SVG.
    Svg,
}

impl ImageType {
    /// Tells by its first bytes what an image is; `None` for what is none. Only a file with the ending `.svg` is taken for
    /// one, if it is text with an `svg` element.
    pub fn of(path: &str, bytes: &[u8]) -> Option<Self> {
        let is_svg = || {
            let text = std::str::from_utf8(bytes).ok()?;
            text.trim_start_matches('\u{feff}').trim_start().starts_with('<').then_some(())?;
            text.contains("<svg").then_some(Self::Svg)
        };
        match bytes {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            _ if extension(path) == ".svg" => is_svg(),
            _ => None,
        }
    }

    fn media(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::Svg => "image/svg+xml",
        }
    }
}

/// A page of one's own that has no place for plots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPlace;

impl Page {
    /// Writes the page.
    pub fn to_html(&self) -> String {
        let mut out = String::with_capacity(1 << 20);
        out.push_str("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
        let _infallible = writeln!(
            out,
            "<meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n<meta name=\"viewport\" \
             content=\"width=device-width\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{}</h1>",
            policy(),
            escaped(&self.title),
            escaped(&self.title)
        );
        self.write_body(&mut out);
        out.push_str(&scripts());
        out.push_str("</body>\n</html>\n");
        out
    }

    /// Fills a page of one's own: `{plot_divs}` becomes the plots, `{scripts}` what draws them, `{refresh_tag}` nothing.
    /// Without a place for the scripts they stand behind the plots.
    ///
    /// # Errors
    ///
    /// The page has no `{plot_divs}`.
    pub fn fill(&self, page: &str) -> Result<String, NoPlace> {
        if !page.contains("{plot_divs}") {
            return Err(NoPlace);
        }
        let mut plots = format!("<style>\n{STYLE}</style>\n");
        self.write_body(&mut plots);
        // Scripts look for what they draw, so they come last wherever the page wants them.
        plots.push_str(&scripts());
        // In one pass: what is filled in is not looked at again.
        let mut out = String::new();
        let mut rest = page;
        while let Some(at) = rest.find('{') {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(after) = rest.strip_prefix("{plot_divs}") {
                out.push_str(&plots);
                rest = after;
            } else if let Some(after) =
                rest.strip_prefix("{scripts}").or_else(|| rest.strip_prefix("{refresh_tag}"))
            {
                rest = after;
            } else {
                out.push('{');
                rest = &rest[1..];
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    fn write_body(&self, out: &mut String) {
        if !self.problems.is_empty() {
            out.push_str("<ul class=\"problems\">\n");
            for problem in &self.problems {
                let _infallible = writeln!(out, "<li>{}</li>", escaped(problem));
            }
            out.push_str("</ul>\n");
        }
        out.push_str("<main>\n");
        for (at, item) in self.items.iter().enumerate() {
            let _infallible = writeln!(out, "<section>\n<h2>{}</h2>", escaped(&item.name));
            match &item.kind {
                PageKind::Spec(spec) => {
                    let mut json = String::new();
                    spec.write_strict_json(&mut json);
                    let _infallible = writeln!(
                        out,
                        "<div id=\"plot-{at}\"></div>\n<script type=\"application/json\" data-place=\"plot-{at}\">{}</script>",
                        json.replace('<', "\\u003c")
                    );
                }
                PageKind::Images(images) => write_images(out, images),
                PageKind::Series(steps) => {
                    let last = steps.len().saturating_sub(1);
                    let _infallible = writeln!(
                        out,
                        "<div class=\"series\">\n<p><input type=\"range\" min=\"0\" max=\"{last}\" value=\"{last}\" \
                         aria-label=\"step\"> <output></output></p>"
                    );
                    for (name, images) in steps {
                        let name = escaped(name);
                        let _infallible =
                            writeln!(out, "<div class=\"step\" data-step=\"{name}\">");
                        write_images(out, images);
                        out.push_str("</div>\n");
                    }
                    out.push_str("</div>\n");
                }
                PageKind::Table(header, rows) => write_table(out, header, rows),
                PageKind::Note(note) => {
                    let _infallible = writeln!(out, "<p class=\"note\">{}</p>", escaped(note));
                }
            }
            out.push_str("</section>\n");
        }
        out.push_str("</main>\n");
    }
}

fn write_table(out: &mut String, header: &[String], rows: &[Vec<String>]) {
    let row = |out: &mut String, tag: &str, cells: &[String]| {
        out.push_str("<tr>");
        for cell in cells {
            let _infallible = write!(out, "<{tag}>{}</{tag}>", escaped(cell));
        }
        out.push_str("</tr>\n");
    };
    out.push_str("<table>\n");
    row(out, "th", header);
    for cells in rows {
        row(out, "td", cells);
    }
    out.push_str("</table>\n");
}

fn write_images(out: &mut String, images: &[PageImage]) {
    for image in images {
        let caption = escaped(&image.caption);
        let _infallible = write!(out, "<figure><figcaption>{caption}</figcaption>");
        match &image.bytes {
            Some((kind, bytes)) => {
                let _infallible = write!(
                    out,
                    "<img alt=\"{caption}\" src=\"data:{};base64,{}\">",
                    kind.media(),
                    base64(bytes)
                );
            }
            None => {
                let _infallible = write!(out, "<p class=\"note\">{}</p>", escaped(&image.note));
            }
        }
        out.push_str("</figure>\n");
    }
}

fn scripts() -> String {
    let mut out = String::from("<!--\n");
    for (name, licence) in LICENCES {
        let _infallible = writeln!(out, "{name}\n\n{}\n", licence.trim());
    }
    out.push_str("-->\n");
    out.extend(SCRIPTS.iter().map(|(_, script)| format!("<script>{script}</script>\n")));
    out
}

/// Returns what the page may do: run its own scripts, and nothing beyond what it holds.
fn policy() -> String {
    let sources: Vec<String> = SCRIPTS
        .iter()
        .filter_map(|(name, _)| {
            let line = DIGESTS.lines().find(|line| line.split_whitespace().nth(1) == Some(name))?;
            let hex = line.split_whitespace().next()?;
            let pairs = hex.as_bytes().chunks(2);
            let bytes: Option<Vec<u8>> = pairs
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
                .collect();
            Some(format!("'sha256-{}'", base64(&bytes?)))
        })
        .collect();
    format!(
        "default-src 'none'; script-src {}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action \
         'none'",
        sources.join(" ")
    )
}

/// Writes text so that a browser shows it.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Writes bytes in the letters of base 64.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let group = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for place in 0..4 {
            let index = (group >> (18 - 6 * place)) & 0x3f;
            out.push(if place <= chunk.len() { char::from(LETTERS[index as usize]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::{Template, template_text};
    use crate::{Definitions, PlotKind, PlotProps, RevisionPlots, Split, parse_table, plots};

    #[test]
    fn base_64_is_written_with_its_padding() {
        for (bytes, expect) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), expect);
        }
    }

    #[test]
    fn scripts_end_where_their_elements_end_and_have_digests() {
        for (name, script) in SCRIPTS {
            assert!(!script.to_lowercase().contains("</script"), "{name}");
        }
        for (name, licence) in LICENCES {
            assert!(!licence.contains("--"), "{name}");
        }
        assert_eq!(policy().matches("'sha256-").count(), SCRIPTS.len(), "{}", policy());
    }

    /// A page with a curve whose names are markup.
    fn hostile() -> Page {
        let title = "</script><script>alert(1)</script>";
        let table = format!("x,{title}\n0,1\n1,nan\n");
        let props = PlotProps { title: Some(title.to_owned()), ..PlotProps::default() };
        let revision = RevisionPlots {
            rev: "<b>rev</b>".to_owned(),
            definitions: Ok(Definitions::from([(
                String::new(),
                [("t.csv".to_owned(), props)].into(),
            )])),
            sources: [("t.csv".to_owned(), parse_table(&table, ',', true))].into(),
        };
        let found = plots(&[revision]);
        let PlotKind::Points(points) = &found[0].kind else { panic!("no points") };
        let text = template_text("linear").expect("a template");
        let content = template(text);
        let spec = points.spec(content, Split::No).expect("a document");
        Page {
            title: "<i>".to_owned(),
            problems: vec!["<img src=x onerror=alert(1)>".to_owned()],
            items: vec![
                PageItem { name: title.to_owned(), kind: PageKind::Spec(Box::new(spec)) },
                PageItem {
                    name: "images".to_owned(),
                    kind: PageKind::Series(vec![(
                        "\"1\"".to_owned(),
                        vec![PageImage {
                            caption: "\"><script>".to_owned(),
                            bytes: None,
                            note: "<u>no image</u>".to_owned(),
                        }],
                    )]),
                },
                PageItem {
                    name: "table".to_owned(),
                    kind: PageKind::Table(
                        vec!["<u>head".to_owned()],
                        vec![vec!["<img src=x>".to_owned()]],
                    ),
                },
            ],
        }
    }

    /// Reads enough of a template for a page.
    fn template(_text: &str) -> Template {
        use exp_core::Value;
        let data = Value::from("<DVC_METRIC_DATA>");
        let title = Value::from("<DVC_METRIC_TITLE>");
        let table = [("data".to_owned(), data), ("title".to_owned(), title)];
        Template::new("t", Value::Table(table.into())).expect("a map")
    }

    #[test]
    fn nothing_of_the_data_is_markup() {
        let html = hostile().to_html();
        let own: usize = SCRIPTS.iter().map(|(_, script)| script.matches("<script").count()).sum();
        // The page's own four, and one of data.
        assert_eq!(html.matches("<script").count(), SCRIPTS.len() + 1 + own);
        assert_eq!(html.matches("<script>").count() - own, SCRIPTS.len());
        for markup in ["<i>", "<b>rev", "<img", "<u>", "alert(1)</script>"] {
            let own: usize = SCRIPTS.iter().map(|(_, script)| script.matches(markup).count()).sum();
            assert_eq!(html.matches(markup).count(), own, "{markup}");
        }
        assert!(html.contains("\\u003c/script>"));
        assert!(html.contains("<th>&lt;u&gt;head</th>"));
    }

    #[test]
    fn a_page_of_ones_own_is_filled_once() {
        let page = Page {
            items: vec![PageItem {
                name: "{plot_divs}{scripts}".to_owned(),
                kind: PageKind::Note("n".to_owned()),
            }],
            ..Page::default()
        };
        let html = page.fill("<p>{x} {scripts}{refresh_tag}|{plot_divs}|</p>").expect("a page");
        assert!(html.starts_with("<p>{x} |<style>"), "{}", &html[..40]);
        assert!(html.contains("<h2>{plot_divs}{scripts}</h2>"));
        assert_eq!(page.fill("nothing"), Err(NoPlace));
    }

    #[test]
    fn images_are_told_by_their_bytes() {
        let png = b"\x89PNG\r\n\x1a\nrest";
        assert_eq!(ImageType::of("a.jpg", png), Some(ImageType::Png));
        assert_eq!(ImageType::of("a.png", b"text"), None);
        assert_eq!(ImageType::of("a.svg", b"<?xml?><svg/>"), Some(ImageType::Svg));
        assert_eq!(ImageType::of("a.png", b"<svg/>"), None);
        assert_eq!(ImageType::of("a.svg", b"svg"), None);
    }
}
