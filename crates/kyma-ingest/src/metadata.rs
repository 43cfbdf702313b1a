//! What append calls say of the request that they are made for, so that lines and spans of both nodes can be joined.

use std::future::Future;

use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap};

tokio::task_local! {
    /// Names and values, in the task that answers the request.
    static OF_THE_REQUEST: Vec<(&'static str, String)>;
}

/// Runs `work`; append calls that it opens carry these names and values as metadata. What metadata cannot carry is left
/// out.
pub fn with_append_metadata<F: Future>(
    metadata: Vec<(&'static str, String)>,
    work: F,
) -> impl Future<Output = F::Output> {
    OF_THE_REQUEST.scope(metadata, work)
}

/// Adds what is known of the request to a call.
pub(crate) fn add_to(metadata: &mut MetadataMap) {
    let known = OF_THE_REQUEST.try_with(Clone::clone).unwrap_or_default();
    for (name, value) in known {
        let pair = (AsciiMetadataKey::from_bytes(name.as_bytes()), AsciiMetadataValue::try_from(value));
        if let (Ok(name), Ok(value)) = pair {
            metadata.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn calls_carry_what_is_known_and_can_be_carried() {
        let mut none = MetadataMap::new();
        add_to(&mut none);
        assert!(none.is_empty());
        let known = vec![("x-request-id", "r1".to_owned()), ("not a name", "x".to_owned()), ("odd", "a\nb".to_owned())];
        let some = with_append_metadata(known, async {
            let mut some = MetadataMap::new();
            add_to(&mut some);
            some
        });
        let some = some.await;
        assert_eq!((some.len(), some.get("x-request-id").unwrap().to_str().unwrap()), (1, "r1"));
    }
}
