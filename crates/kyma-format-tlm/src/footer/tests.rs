use std::sync::Arc;

use kyma_core::error::Kind;
use kyma_core::format::{ReadColumn, SegmentFormat, SegmentReader};
use kyma_core::predicate::ColumnRef;
use kyma_testkit::format::{CountingReader, interesting_paths, open_options, options, random_rows};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// Reads everything that a query could ask for. Damaged directories give errors, or rows of someone else's bytes.
async fn ask(reader: &dyn SegmentReader, source: &CountingReader) {
    reader.describe();
    let columns = reader.schema().columns().iter().map(|column| ReadColumn::column(&column.name, column.ty));
    let paths = interesting_paths().into_iter();
    let paths = paths.map(|path| ReadColumn { source: ColumnRef::path("dynamic", path), ty: Type::Long });
    for column in columns.chain(paths).collect::<Vec<_>>() {
        reader.stats(None, &column.source);
        reader.stats(Some(0), &column.source);
        reader.read_bytes(0, std::slice::from_ref(&column));
        if let Err(error) = reader.read(source, 0, std::slice::from_ref(&column), None).await {
            assert!(matches!(error.kind(), Kind::Corrupt | Kind::Invalid), "{error:?}");
        }
    }
}

/// What gets past the checksum gives an error or a reader that does not panic.
#[tokio::test]
async fn damaged_footers_are_errors_or_harmless() {
    let encoded = crate::Tlm.encode(&[random_rows(400, 6)], &options(300)).unwrap();
    let data_bytes = encoded.bytes.len() - encoded.footer_length as usize;
    let body = read_tail(&encoded.bytes[data_bytes..]).unwrap();
    assert_eq!(seal(&body).unwrap(), encoded.bytes[data_bytes..]);
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let mut opened = 0;
    for _ in 0..600 {
        let mut broken = body.clone();
        for _ in 0..random.random_range(1..3) {
            let at = random.random_range(0..broken.len());
            match random.random_range(0..8) {
                0 => broken.truncate(at.max(1)),
                1 => broken[at] = [0, 0x7f, 0x80, 0xff][random.random_range(0..4)],
                _ => broken[at] ^= 1 << random.random_range(0..8),
            }
        }
        let mut bytes = encoded.bytes[..data_bytes].to_vec();
        let footer = seal(&broken).unwrap();
        bytes.extend_from_slice(&footer);
        let open = kyma_core::format::OpenOptions {
            length: bytes.len() as u64,
            footer_length: footer.len() as u32,
            ..open_options(&encoded)
        };
        let source: Arc<CountingReader> = CountingReader::new(bytes.into());
        match crate::Tlm.open(source.clone(), &open).await {
            Ok(reader) if !reader.block_rows().is_empty() => {
                opened += 1;
                ask(reader.as_ref(), &source).await;
            }
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), Kind::Corrupt, "{error:?}"),
        }
    }
    assert!(opened > 50, "only {opened} of the damaged footers could be read");
}
