//! Object keys. Ids make them, users never do; they are checked all the same.

use kyma_core::{Error, Result};
use object_store::path::Path;

/// Longest key, in bytes.
pub(crate) const KEY_BYTES_MAX: usize = 512;

/// The path of `key`, which is relative, has no empty, `.` or `..` segment, and is made of `A-Za-z0-9._=-` only.
pub(crate) fn parse(key: &str) -> Result<Path> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'=' | b'-');
    let segment_ok = |part: &str| !part.is_empty() && part != "." && part != ".." && part.bytes().all(allowed);
    if key.len() > KEY_BYTES_MAX || !key.split('/').all(segment_ok) {
        return Err(Error::invalid("store.key_invalid", format!("object key is not allowed: key={key:?}")));
    }
    Path::parse(key).map_err(|error| crate::error::explain("accept the key", key, error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_cannot_leave_the_prefix() {
        for bad in ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a\\b", "a b", "a\0b", "ä", "%2e%2e/a"]
        {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        assert!(parse(&"k".repeat(KEY_BYTES_MAX + 1)).is_err());
        assert_eq!(parse("extents/2026/11/20/x-1.kyma").unwrap().as_ref(), "extents/2026/11/20/x-1.kyma");
    }
}
