//! What is on disk and may never change.

/// A reader refuses a file of another major version.
pub(crate) const VERSION_MAJOR: u16 = 1;
/// Additions that an older reader can pass over raise it.
pub(crate) const VERSION_MINOR: u16 = 1;
/// First and last bytes of every Parquet file.
pub(crate) const MAGIC: &[u8; 4] = b"PAR1";
/// Key of the extent's identity.
pub(crate) const KEY_IDENTITY: &str = "kyma.identity";
/// Key of the statistics and paths.
pub(crate) const KEY_STATISTICS: &str = "kyma.statistics";
/// Key of the checksums of pages and filters.
pub(crate) const KEY_CHECKSUMS: &str = "kyma.checksums";
/// Key of the footer's checksum: the last entry.
pub(crate) const KEY_FOOTER_CHECKSUM: &str = "kyma.footer_checksum";
/// What stands between that key and its value in thrift's compact encoding: a string of eight bytes in the next field.
pub(crate) const FOOTER_CHECKSUM_GLUE: &[u8; 2] = &[0x18, 8];
/// The footer's checksum while it is computed, and its length.
pub(crate) const FOOTER_CHECKSUM_BLANK: &[u8; 8] = b"00000000";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_never_change() {
        assert_eq!((VERSION_MAJOR, MAGIC), (1, b"PAR1"));
        assert_eq!((KEY_IDENTITY, KEY_STATISTICS), ("kyma.identity", "kyma.statistics"));
        assert_eq!((KEY_CHECKSUMS, KEY_FOOTER_CHECKSUM), ("kyma.checksums", "kyma.footer_checksum"));
        assert_eq!((FOOTER_CHECKSUM_GLUE, FOOTER_CHECKSUM_BLANK), (&[0x18, 8], b"00000000"));
    }
}
