//! The little XML that storage clients send and read.

/// How a document begins.
pub(super) const HEAD: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>";

/// Text between tags.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The content of the first element of this name, which holds only text.
pub(super) fn text_of(document: &str, name: &str) -> Option<String> {
    let (_, rest) = document.split_once(&format!("<{name}>"))?;
    let (content, _) = rest.split_once(&format!("</{name}>"))?;
    Some(unescape(content))
}

/// Names and contents of the elements of a flat list, in order.
pub(super) fn elements(document: &str, list: &str) -> Option<Vec<(String, String)>> {
    let (_, rest) = document.split_once(&format!("<{list}>"))?;
    let (mut rest, _) = rest.split_once(&format!("</{list}>"))?;
    let mut found = Vec::new();
    while let Some((_, after)) = rest.split_once('<') {
        let (name, after) = after.split_once('>')?;
        let (content, after) = after.split_once(&format!("</{name}>"))?;
        found.push((name.to_owned(), unescape(content)));
        rest = after;
    }
    Some(found)
}

fn unescape(text: &str) -> String {
    let text = text.trim();
    let plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    plain.replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_send() {
        let message = "<?xml version='1.0'?>\n<QueueMessage><MessageText>a&amp;b&lt;</MessageText></QueueMessage>";
        assert_eq!(text_of(message, "MessageText").as_deref(), Some("a&b<"));
        assert_eq!(text_of("<MessageText>open", "MessageText"), None);
        let list = "<BlockList><Latest>MQ==</Latest>\n<Uncommitted>Mg==</Uncommitted></BlockList>";
        let expected = vec![("Latest".to_owned(), "MQ==".to_owned()), ("Uncommitted".to_owned(), "Mg==".to_owned())];
        assert_eq!(elements(list, "BlockList"), Some(expected));
        assert_eq!(elements("<BlockList></BlockList>", "BlockList"), Some(vec![]));
        assert_eq!(elements("<BlockList><Latest>x</BlockList>", "BlockList"), None);
    }
}
