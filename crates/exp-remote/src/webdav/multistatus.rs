//! What a `WebDAV` server says about resources: the answer to PROPFIND, RFC 4918.

use exp_cache::StorageStat;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

use crate::http::place::{seconds, unquoted};

/// What is asked for.
pub(super) const PROPERTIES: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\
    <propfind xmlns=\"DAV:\"><prop><resourcetype/><getcontentlength/><getetag/><getlastmodified/></prop></propfind>";

/// One resource in an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Resource {
    /// Its address or path, quoted as the server does it.
    pub(super) href: String,
    pub(super) is_dir: bool,
    pub(super) stat: StorageStat,
}

/// Reads an answer. Resources that the server says are not there are left out.
pub(super) fn parse(text: &str) -> Result<Vec<Resource>, quick_xml::Error> {
    let mut reader = NsReader::from_str(text);
    let mut resources = Vec::new();
    let mut path: Vec<String> = Vec::new();
    let mut now = Resource::default();
    let mut is_there = true;
    let mut value = String::new();
    loop {
        let (namespace, event) = reader.read_resolved_event()?;
        let is_dav = matches!(namespace, ResolveResult::Bound(Namespace("DAV:")));
        let named = |name: &str| if is_dav { name.to_owned() } else { String::new() };
        match event {
            Event::Start(start) => {
                path.push(named(start.local_name().into_inner()));
                value.clear();
                if path.last().is_some_and(|name| name == "response") {
                    now = Resource::default();
                    is_there = true;
                }
                now.is_dir |= is_collection(&path);
            }
            Event::Empty(empty) => {
                path.push(named(empty.local_name().into_inner()));
                now.is_dir |= is_collection(&path);
                path.pop();
            }
            Event::Text(text) => value.push_str(&text),
            Event::CData(text) => value.push_str(&text),
            Event::GeneralRef(entity) => match entity.resolve_char_ref()? {
                Some(c) => value.push(c),
                None => value.push_str(resolve_predefined_entity(&entity).unwrap_or_default()),
            },
            Event::End(_) => {
                let name = path.pop().unwrap_or_default();
                let parent = path.last().map_or("", String::as_str);
                let text = value.trim();
                match (parent, name.as_str()) {
                    ("response", "href") => text.clone_into(&mut now.href),
                    // A status of the whole resource; those of its properties are below `propstat`.
                    ("response", "status") => is_there = text.split(' ').nth(1) == Some("200"),
                    // What a property that is missing would have is empty.
                    ("prop", "getcontentlength") => {
                        now.stat.size = text.parse().ok().or(now.stat.size);
                    }
                    ("prop", "getetag") if !text.is_empty() => now.stat.etag = Some(unquoted(text)),
                    ("prop", "getlastmodified") => {
                        now.stat.modified = seconds(text).or(now.stat.modified);
                    }
                    (_, "response") if is_there => resources.push(std::mem::take(&mut now)),
                    _ => {}
                }
                value.clear();
            }
            Event::Eof => return Ok(resources),
            _ => {}
        }
    }
}

fn is_collection(path: &[String]) -> bool {
    matches!(path, [.., kind, name] if kind == "resourcetype" && name == "collection")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_with_prefixes_and_missing_properties_is_read() -> Result<(), quick_xml::Error> {
        let resources = parse(
            "<?xml version='1.0'?><D:multistatus xmlns:D='DAV:' xmlns:x='urn:x'>\n\
             <D:response><D:href>/a%20b/</D:href><D:propstat><D:prop>\
             <D:resourcetype><D:collection/></D:resourcetype></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>\
             <D:propstat><D:prop><D:getcontentlength/><D:getetag/></D:prop><D:status>HTTP/1.1 404 Not Found</D:status>\
             </D:propstat></D:response>\
             <D:response><D:href>/a%20b/c&amp;d</D:href><D:propstat><D:prop><D:resourcetype/>\
             <x:getetag>no</x:getetag><D:getetag>&quot;mark&quot;</D:getetag><D:getcontentlength> 12 </D:getcontentlength>\
             <D:getlastmodified>Sun, 06 Nov 1994 08:49:37 GMT</D:getlastmodified></D:prop>\
             <D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>\
             <D:response><D:href>/gone</D:href><D:status>HTTP/1.1 404 Not Found</D:status></D:response>\
             </D:multistatus>",
        )?;
        let [dir, file] = &resources[..] else { panic!("{resources:?}") };
        assert_eq!((dir.href.as_str(), dir.is_dir, dir.stat.size), ("/a%20b/", true, None));
        assert_eq!((file.href.as_str(), file.is_dir), ("/a%20b/c&d", false));
        assert_eq!((file.stat.size, file.stat.etag.as_deref()), (Some(12), Some("mark")));
        assert_eq!(file.stat.modified, Some(784_111_777));
        Ok(())
    }
}
