//! Plots as a page for a browser.

use std::path::Path;

use exp_engine::plots::{
    ImageType, Page, PageImage, PageItem, PageKind, Plot, PlotImage, PlotKind, Spec,
};

use crate::view::size;

/// Makes the page of plots, whose documents are `specs`. Images whose names are numbers and that lie in one directory are
/// steps of a series.
pub(crate) fn of(plots: &[Plot], specs: Vec<Option<Spec>>, problems: Vec<String>) -> Page {
    let mut items: Vec<PageItem> = Vec::new();
    let mut images: Vec<(&Plot, &[PlotImage])> = Vec::new();
    for (plot, spec) in plots.iter().zip(specs) {
        let kind = match (&plot.kind, spec) {
            (PlotKind::Images(found), _) => {
                images.push((plot, found.as_slice()));
                continue;
            }
            (PlotKind::Points(_), Some(spec)) => PageKind::Spec(Box::new(spec)),
            (PlotKind::Points(_), None) => PageKind::Note("Nothing to draw.".to_owned()),
        };
        items.push(PageItem { name: plot.name.clone(), kind });
    }
    // Plots first, then images by directory and number, as in DVC.
    images.sort_by_key(|(plot, _)| {
        let (dir, file) = split(&plot.name);
        (dir, number(file), file)
    });
    let mut at = 0;
    while let Some((plot, found)) = images.get(at) {
        let (dir, _) = split(&plot.name);
        let steps: Vec<_> = images[at..]
            .iter()
            .take_while(|(plot, _)| {
                split(&plot.name).0 == dir && number(split(&plot.name).1).is_some()
            })
            .collect();
        if steps.len() > 1 {
            let steps_of = |(plot, found): &&(&Plot, &[PlotImage])| {
                (split(&plot.name).1.to_owned(), pictures(found))
            };
            let kind = PageKind::Series(steps.iter().map(steps_of).collect());
            items.push(PageItem { name: format!("{dir}/"), kind });
            at += steps.len();
            continue;
        }
        let kind = if found.is_empty() {
            PageKind::Note("No image.".to_owned())
        } else {
            PageKind::Images(pictures(found))
        };
        items.push(PageItem { name: plot.name.clone(), kind });
        at += 1;
    }
    Page { title: "Plots".to_owned(), problems, items }
}

fn pictures(images: &[PlotImage]) -> Vec<PageImage> {
    let picture = |image: &PlotImage| PageImage {
        caption: image.rev.clone(),
        bytes: ImageType::of(&image.path, &image.bytes).map(|kind| (kind, image.bytes.clone())),
        note: format!("{} is not an image ({}).", image.path, size(image.bytes.len() as u64)),
    };
    images.iter().map(picture).collect()
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Returns the number that a file is named by: `12` of `12.png`.
fn number(file: &str) -> Option<u64> {
    file.rsplit_once('.').map_or(file, |(stem, _)| stem).parse().ok()
}

/// Writes an absolute path as an address for a browser.
pub(crate) fn address(path: &Path) -> String {
    let mut address = String::from("file://");
    for byte in path.to_string_lossy().bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                address.push(char::from(byte));
            }
            byte => address.push_str(&format!("%{byte:02X}")),
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_a_series_and_what_is_no_image_is_told() {
        let image = |name: &str, bytes: &[u8]| Plot {
            name: name.to_owned(),
            kind: PlotKind::Images(vec![PlotImage {
                rev: "main".to_owned(),
                path: name.to_owned(),
                bytes: bytes.into(),
            }]),
            source_faults: Vec::new(),
            faults: Vec::new(),
        };
        let png = b"\x89PNG\r\n\x1a\n";
        let plots = [
            image("d/10.png", png),
            image("d/9.png", b"text"),
            image("a.png", png),
            image("d/x.png", png),
        ];
        let page = of(&plots, vec![None, None, None, None], Vec::new());
        let names: Vec<&str> = page.items.iter().map(|item| item.name.as_str()).collect();
        assert_eq!(names, ["a.png", "d/x.png", "d/"]);
        let PageKind::Series(steps) = &page.items[2].kind else { panic!("{page:?}") };
        assert_eq!(steps[0].0, "9.png");
        assert_eq!(steps[0].1[0].bytes, None);
        assert_eq!(steps[0].1[0].note, "d/9.png is not an image (4 B).");
        assert_eq!(address(Path::new("/a b/ü")), "file:///a%20b/%C3%BC");
    }
}
