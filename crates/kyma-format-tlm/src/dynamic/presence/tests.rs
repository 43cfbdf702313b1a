use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringViewArray};
use kyma_core::error::Kind;
use kyma_core::format::{OpenOptions, SegmentFormat, SegmentReader};
use kyma_core::schema::{Column, Schema};
use kyma_testkit::format::{CountingReader, options};
use proptest::prelude::*;

use super::*;

/// Every 500th row has `rare`, the last half `late`, all have `n`; in `o`, nulls only.
fn rows(count: usize) -> RecordBatch {
    let text = |row: usize| {
        let id = kyma_core::sketch::hash_of(&row.to_le_bytes());
        match row {
            row if row % 500 == 3 => format!(r#"{{"n":{row},"id":"{id:x}","rare":{{"x":"{row}"}}}}"#),
            row if row >= count / 2 => {
                format!(r#"{{"n":{row},"id":"{id:x}","late":{{"a":1,"b":"x"}},"o":{{"z":null}}}}"#)
            }
            row => format!(r#"{{"n":{row},"id":"{id:x}"}}"#),
        }
    };
    let array: ArrayRef = Arc::new((0..count).map(|row| Some(text(row))).collect::<StringViewArray>());
    RecordBatch::try_new(Schema::new(vec![Column::new("d", Type::Dynamic)]).arrow(), vec![array]).unwrap()
}

async fn open(bytes: Bytes, footer_length: u32) -> (Arc<CountingReader>, Arc<dyn SegmentReader>) {
    let source = CountingReader::new(bytes.clone());
    let encoded = OpenOptions {
        extent: kyma_core::ids::ExtentId(uuid::Uuid::from_u128(7)),
        length: bytes.len() as u64,
        footer_length,
        footer: None,
    };
    let reader = crate::Tlm.open(source.clone(), &encoded).await.unwrap();
    source.take_reads();
    (source, reader)
}

fn path(keys: &[&str]) -> ColumnRef {
    ColumnRef::path("d", keys.iter().map(|key| (*key).to_owned()).collect())
}

fn is_there(keys: &[&str]) -> Predicate {
    Predicate::Not(Box::new(Predicate::IsNull(path(keys))))
}

fn text(keys: &[&str], value: &str) -> Predicate {
    Predicate::Compare { column: path(keys), op: CompareOp::Equal, value: Value::String(value.to_owned()) }
}

async fn prune(
    reader: &dyn SegmentReader,
    source: &CountingReader,
    predicate: &Predicate,
    null_strings_are_empty: bool,
) -> Result<Pruned> {
    let candidates: Vec<u32> = (0..reader.block_rows().len() as u32).collect();
    let request = PruneRequest {
        predicate,
        schema: reader.schema(),
        time_column: "datetime",
        null_strings_are_empty,
        candidates: &candidates,
    };
    reader.prune(source, &request).await
}

#[tokio::test]
async fn rows_with_a_path_are_found() {
    let encoded = crate::Tlm.encode(&[rows(8_000)], &options(8_000)).unwrap();
    let (source, reader) = open(encoded.bytes.clone(), encoded.footer_length).await;
    let found = async |predicate: Predicate| {
        let pruned = prune(reader.as_ref(), &source, &predicate, true).await.unwrap();
        (pruned.rows.get(&0).map(|rows| rows.set_indices().collect::<Vec<_>>()), source.take_reads().len())
    };
    let rare: Vec<usize> = (0..8_000).filter(|row| row % 500 == 3).collect();
    assert_eq!(found(is_there(&["rare", "x"])).await, (Some(rare.clone()), 1));
    assert_eq!(found(text(&["rare", "x"], "503")).await, (Some(rare.clone()), 2), "terms and bitmap");
    assert_eq!(found(text(&["rare", "x"], "")).await, (None, 0), "null reads as the empty string");
    assert_eq!(found(is_there(&["n"])).await, (None, 0), "the sub-column knows");
    let (late, reads) = found(Predicate::And(vec![is_there(&["late"]), is_there(&["n"])])).await;
    assert_eq!((late.unwrap().first(), reads), (Some(&4_000), 1));
    let either = Predicate::Or(vec![is_there(&["late"]), is_there(&["rare"])]);
    let (rows, reads) = found(either).await;
    assert_eq!((rows.map(|rows| rows.len()), reads), (Some(4_008), 2));
    assert_eq!(found(Predicate::Or(vec![is_there(&["rare"]), Predicate::Opaque])).await, (None, 0));
    let both = Predicate::And(vec![is_there(&["rare", "x"]), is_there(&["late"])]);
    let pruned = prune(reader.as_ref(), &source, &both, true).await.unwrap();
    assert_eq!((pruned.blocks, pruned.rows.len()), (vec![], 0), "no row has both");
    assert_eq!(pruned.reasons[&Reason::Missing], 1);
}

#[tokio::test]
async fn an_object_of_nulls_is_there() {
    let encoded = crate::Tlm.encode(&[rows(8_000)], &options(8_000)).unwrap();
    let (source, reader) = open(encoded.bytes.clone(), encoded.footer_length).await;
    let pruned = prune(reader.as_ref(), &source, &is_there(&["o"]), false).await.unwrap();
    assert_eq!(pruned.rows.get(&0).map(|rows| rows.count_set_bits()), Some(3_992));
    let pruned = prune(reader.as_ref(), &source, &is_there(&["o", "z"]), false).await.unwrap();
    assert!(pruned.blocks.is_empty(), "JSON null is null");
}

/// Each bit of the bitmaps is covered.
#[tokio::test]
async fn damaged_bitmaps_are_errors() {
    let encoded = crate::Tlm.encode(&[rows(3_000)], &options(1_500)).unwrap();
    let (source, reader) = open(encoded.bytes.clone(), encoded.footer_length).await;
    let both = Predicate::Or(vec![is_there(&["rare", "x"]), is_there(&["late", "a"])]);
    prune(reader.as_ref(), &source, &both, true).await.unwrap();
    let reads = source.take_reads();
    assert!(reads.len() >= 2, "{reads:?}");
    for at in reads.into_iter().flatten() {
        let mut bytes = encoded.bytes.to_vec();
        bytes[at as usize] ^= 1 << (at % 8);
        let (source, reader) = open(bytes.into(), encoded.footer_length).await;
        let error = prune(reader.as_ref(), &source, &both, true).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Corrupt);
        assert!(error.chain().contains("section=presence, block="), "{}", error.chain());
    }
}

proptest! {
    #![proptest_config(crate::testing::cases(400))]
    /// What gets past the checksum is a bitmap of the block's rows, or an error.
    #[test]
    fn any_bitmap_is_read_or_refused(
        rows in proptest::collection::btree_set(0_u32..3_000, 0..600),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..3),
        is_pages: bool,
    ) {
        let mut bitmap: RoaringBitmap = rows.iter().copied().collect();
        bitmap.optimize();
        let mut bytes = serialize(&bitmap);
        for (at, byte) in &changes {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        let kind = if is_pages { kind::PAGES } else { kind::ROWS };
        let entry = Entry { path: 1, kind, range: 0..0 };
        let sealed = [&checksum(&covered(0, 0, 1, kind, &bytes)).to_le_bytes(), bytes.as_slice()].concat();
        match decode(&entry, 0, 0, 3_000, &sealed) {
            Ok(read) => {
                prop_assert_eq!(read.len(), 3_000);
                if changes.is_empty() && !is_pages {
                    prop_assert!(read.set_indices().eq(rows.iter().map(|&row| row as usize)));
                }
            }
            Err(error) => {
                prop_assert_eq!(error.kind(), Kind::Corrupt);
                prop_assert!(is_pages || !changes.is_empty());
            }
        }
    }
}

#[test]
fn sizes_are_bounded() {
    let scattered: RoaringBitmap = (0..60_000).filter(|row| row * 7 % 11 < 5).collect();
    assert!(Presence::encode(1, scattered, 60_000).is_none(), "each page has some");
    let half: RoaringBitmap = (0..30_000).filter(|row| row * 7 % 11 < 5).collect();
    let half = Presence::encode(1, half, 60_000).unwrap();
    assert!(half.kind == kind::PAGES && half.bytes.len() < 100);
    assert!(Presence::encode(1, (0..60_000).collect(), 60_000).is_none(), "all rows have it");
}
