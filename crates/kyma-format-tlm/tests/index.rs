//! Indexes never lose a row: each test of text over random rows, against the kernels that filter.
//!
//! `KYMA_CASES_FACTOR` multiplies how many cases each property runs.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringViewArray};
use kyma_core::dynamic;
use kyma_core::error::Kind;
use kyma_core::format::{EncodeOptions, Encoded, PruneRequest, Pruned, SegmentFormat, SegmentReader};
use kyma_core::pattern;
use kyma_core::predicate::{ColumnRef, CompareOp, Predicate, TextOp};
use kyma_core::schema::{Column, Schema};
use kyma_core::text::TextTest;
use kyma_core::types::Type;
use kyma_core::value::Value;
use kyma_format_tlm::Tlm;
use kyma_testkit::format::{CountingReader, open_options, options};
use proptest::prelude::*;

/// Cases of each property.
const CASES: u32 = 2_000;

fn config(default: u32) -> ProptestConfig {
    let factor = std::env::var("KYMA_CASES_FACTOR").ok().and_then(|factor| factor.parse().ok()).unwrap_or(1);
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(default * factor) }
}

fn encode(columns: &[(&str, Type, Vec<Option<String>>)], level: u8, block_rows: usize) -> Encoded {
    let schema = Schema::new(columns.iter().map(|(name, ty, _)| Column::new(*name, *ty)).collect());
    let array = |rows: &Vec<Option<String>>| Arc::new(rows.iter().map(Option::as_deref).collect::<StringViewArray>());
    let arrays = columns.iter().map(|(_, _, rows)| array(rows) as ArrayRef).collect();
    let batch = RecordBatch::try_new(schema.arrow(), arrays).unwrap();
    Tlm.encode(&[batch], &EncodeOptions { level, ..options(block_rows) }).unwrap()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn open(encoded: &Encoded) -> (Arc<CountingReader>, Arc<dyn SegmentReader>) {
    let source = CountingReader::new(encoded.bytes.clone());
    let reader = run(Tlm.open(source.clone(), &open_options(encoded))).unwrap();
    source.take_reads();
    (source, reader)
}

fn prune(source: &CountingReader, reader: &dyn SegmentReader, predicate: &Predicate, empty: bool) -> Pruned {
    let candidates: Vec<u32> = (0..reader.block_rows().len() as u32).collect();
    let request = PruneRequest {
        predicate,
        schema: reader.schema(),
        time_column: "datetime",
        null_strings_are_empty: empty,
        candidates: &candidates,
    };
    run(reader.prune(source, &request)).unwrap()
}

/// Whether `pruned` keeps `row`.
fn keeps(pruned: &Pruned, block_rows: usize, row: usize) -> bool {
    let block = (row / block_rows) as u32;
    let is_left = |bits: &arrow::buffer::BooleanBuffer| bits.value(row % block_rows);
    pruned.blocks.contains(&block) && pruned.rows.get(&block).is_none_or(is_left)
}

fn text_test(column: ColumnRef, op: TextOp, needle: &str, case_sensitive: bool) -> Predicate {
    Predicate::Text { column, op, needle: needle.to_owned(), case_sensitive }
}

/// What a predicate means of a text.
type Meaning = Box<dyn Fn(&str) -> bool>;

/// Every positive test of text with `needle`, and what it means.
fn tests(column: &ColumnRef, needle: &str) -> Vec<(Predicate, Meaning)> {
    let mut all: Vec<(Predicate, Meaning)> = Vec::new();
    for op in [
        TextOp::Has,
        TextOp::HasPrefix,
        TextOp::HasSuffix,
        TextOp::Contains,
        TextOp::StartsWith,
        TextOp::EndsWith,
        TextOp::Equal,
    ] {
        for case_sensitive in [false, true] {
            let test = TextTest::new(op, needle, case_sensitive);
            all.push((text_test(column.clone(), op, needle, case_sensitive), Box::new(move |text| test.matches(text))));
        }
    }
    for pattern in [regex::escape(needle), format!("(?i){}", regex::escape(needle)), needle.to_owned()] {
        let Ok(regex) = pattern::compile(&pattern) else { continue };
        let predicate = text_test(column.clone(), TextOp::Regex, &pattern, true);
        all.push((predicate, Box::new(move |text| regex.is_match(text))));
    }
    let value = Value::String(needle.to_owned());
    let compare = Predicate::Compare { column: column.clone(), op: CompareOp::Equal, value: value.clone() };
    let owned = needle.to_owned();
    all.push((compare, Box::new(move |text| text == owned)));
    let one_of = Predicate::In { column: column.clone(), values: vec![Value::String("zz 9".to_owned()), value] };
    let owned = needle.to_owned();
    all.push((one_of, Box::new(move |text| text == owned || text == "zz 9")));
    all
}

/// Characters that fold, that do not, that border terms, and digits that make identifiers.
const TEXT: &str = "[a-cX-Z0-3 .:/\\-\"\\\\\n\u{212A}KkſsΣσςéÉİı٣🐎_]{0,14}";

/// What identifiers are made of.
fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9A-F]{4}-[0-9a-f]{12}",
        "[0-9a-f]{8,40}",
        "[0-9]{5,20}",
        "[a-z0-9]{10,20}",
        "[a-z]{60,70}",
        "pod-[a-z0-9]{5}",
        "[0-9]{1,3}(\\.[0-9]{1,4}){2,5}",
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => TEXT.prop_map(String::from),
        1 => id(),
        1 => (TEXT, id(), TEXT).prop_map(|(a, b, c)| format!("{a}{b}{c}")),
    ]
}

/// A needle: any text, or a part of a row's.
fn needle() -> impl Strategy<Value = (String, prop::sample::Index, prop::sample::Index, prop::sample::Index, u8)> {
    (text(), any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0_u8..6)
}

fn cut(
    rows: &[Option<String>],
    (any, row, start, end, how): (String, prop::sample::Index, prop::sample::Index, prop::sample::Index, u8),
) -> String {
    let Some(text) = row.get(rows) else { return any };
    let characters: Vec<char> = text.chars().collect();
    let (a, b) = (start.index(characters.len() + 1), end.index(characters.len() + 1));
    let part: String = characters[a.min(b)..a.max(b)].iter().collect();
    match how {
        0 => any,
        1 => part.to_uppercase(),
        2 => part.to_lowercase(),
        3 => text.clone(),
        _ => part,
    }
}

proptest! {
    #![proptest_config(config(CASES))]
    #[test]
    fn every_test_of_a_column_is_sound(
        rows in proptest::collection::vec(proptest::option::weighted(0.9, text()), 1..60),
        needle in needle(),
        level in 0_u8..2,
        empty: bool,
    ) {
        let needle = cut(&rows, needle);
        // The other column comes first and shares identifiers.
        let other = vec![Some(needle.clone()); rows.len()];
        let encoded = encode(&[("t", Type::String, other), ("s", Type::String, rows.clone())], level, 16);
        let (source, reader) = open(&encoded);
        for (predicate, holds) in tests(&ColumnRef::column("s"), &needle) {
            let pruned = prune(&source, reader.as_ref(), &predicate, empty);
            for (row, text) in rows.iter().enumerate() {
                let text = text.as_deref().or(empty.then_some(""));
                if text.is_some_and(&holds) {
                    prop_assert!(keeps(&pruned, 16, row), "{predicate:?} of {text:?}");
                }
            }
            let negated = Predicate::Not(Box::new(predicate));
            let pruned = prune(&source, reader.as_ref(), &negated, empty);
            for (row, text) in rows.iter().enumerate() {
                let text = text.as_deref().or(empty.then_some(""));
                if text.is_some_and(|text| !holds(text)) {
                    prop_assert!(keeps(&pruned, 16, row), "{negated:?} of {text:?}");
                }
            }
        }
    }

    #[test]
    fn every_test_of_a_path_is_sound(
        rows in proptest::collection::vec((0_u8..10, text(), proptest::option::of(text())), 1..50),
        needle in needle(),
        level in 0_u8..2,
        empty: bool,
    ) {
        let json = rows.iter().map(|(shape, a, b)| {
            let (a, b) = (dynamic::quote(a), b.as_deref().map_or("null".to_owned(), dynamic::quote));
            Some(match shape {
                0 => "null".to_owned(),
                1 => a,
                2 => format!("[{a},{b}]"),
                3 => format!("{{\"k\":{{\"k\":{a}}},\"r\":{b}}}"),
                4 => format!("{{\"k\":17,\"rare {}\":{a}}}", a.len()),
                5 => format!("{{\"k\":{a},\"k\":{b}}}"),
                _ => format!("{{\"k\":{a},\"o\":{{\"p\":{b}}}}}"),
            })
        });
        let json: Vec<Option<String>> = json.collect();
        let texts: Vec<Option<String>> = rows.iter().map(|(_, a, _)| Some(a.clone())).collect();
        let needle = cut(&texts, needle);
        let encoded = encode(&[("d", Type::Dynamic, json.clone())], level, 16);
        let (source, reader) = open(&encoded);
        for path in [&["k"][..], &["k", "k"], &["r"], &["o", "p"], &["o"], &["rare 3"]] {
            let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
            let values: Vec<Option<String>> = json
                .iter()
                .map(|json| Some(dynamic::to_text(&dynamic::get(json.as_deref()?, &path)?).into_owned()))
                .collect();
            for (predicate, holds) in tests(&ColumnRef::path("d", path), &needle) {
                let pruned = prune(&source, reader.as_ref(), &predicate, empty);
                for (row, text) in values.iter().enumerate() {
                    let text = text.as_deref().or(empty.then_some(""));
                    if text.is_some_and(&holds) {
                        prop_assert!(keeps(&pruned, 16, row), "{predicate:?} of {:?}", json[row]);
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(config(60))]
    #[test]
    // Few texts at random places among thousands of rows, and a second column that shares identifiers.
    fn pages_are_sound(
        texts in proptest::collection::vec((text(), 0_usize..7_000), 1..30),
        needle in needle(),
        level in 0_u8..2,
    ) {
        let mut rows = vec![Some("the same line 42 everywhere".to_owned()); 7_000];
        texts.iter().for_each(|(text, row)| rows[*row] = Some(text.clone()));
        let listed: Vec<Option<String>> = texts.iter().map(|(text, _)| Some(text.clone())).collect();
        let needle = cut(&listed, needle);
        let mut turned = rows.clone();
        turned.rotate_left(1_500);
        let encoded = encode(&[("s", Type::String, rows.clone()), ("t", Type::String, turned)], level, 3_000);
        let (source, reader) = open(&encoded);
        for (predicate, holds) in tests(&ColumnRef::column("s"), &needle) {
            let pruned = prune(&source, reader.as_ref(), &predicate, true);
            for (row, text) in rows.iter().enumerate() {
                if text.as_deref().is_some_and(&holds) {
                    prop_assert!(keeps(&pruned, 3_000, row), "{predicate:?} of {text:?}");
                }
            }
        }
    }
}

/// 20 blocks of 3 pages; every row has words, a number, an id of its own.
fn lines() -> Vec<Option<String>> {
    let id = |row: u64| (row + 7).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let word = |row: u64| ["alpha", "beta", "gamma", "delta"][(row / 9_000 % 4) as usize];
    (0..60_000_u64)
        .map(|row| Some(format!("request {} took {} ms in {}", id(row) as u32, id(row) >> 57, word(row))))
        .collect()
}

fn id_lines() -> Vec<Option<String>> {
    let id = |row: u64| (row + 7).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (0..60_000_u64).map(|row| Some(format!("trace={:016x} of user{}", id(row), row / 20_000))).collect()
}

#[test]
fn a_needle_costs_one_small_request_and_finds_its_page() {
    for level in [0, 1] {
        let encoded = encode(&[("s", Type::String, lines()), ("t", Type::String, id_lines())], level, 3_000);
        let (source, reader) = open(&encoded);
        let needle = |row: u64| format!("{:016x}", (row + 7).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut more = 0_i64;
        for row in (0..60_000).step_by(1_999) {
            let has = text_test(ColumnRef::column("t"), TextOp::Has, &needle(row), false);
            let pruned = prune(&source, reader.as_ref(), &has, true);
            let reads = source.take_reads();
            assert_eq!(reads.len(), 1, "level {level}");
            assert!(reads[0].end - reads[0].start <= 64 * 1024, "level {level}: {reads:?}");
            assert!(keeps(&pruned, 3_000, row as usize));
            let left = |block: &u32| pruned.rows.get(block).map_or(3_000, |bits| bits.count_set_bits());
            let of_hit = if level == 0 { 3_000 } else { 1_024.min(3_000 - row % 3_000 / 1_024 * 1_024) };
            more += pruned.blocks.iter().map(left).sum::<usize>() as i64 - of_hit as i64;
        }
        assert!(more <= 31 * 1_024, "level {level}: {more} rows more than those of the hits' pages");

        let mut reads_of_others = 0;
        for row in (100_000..100_100).step_by(1) {
            let has = text_test(ColumnRef::column("t"), TextOp::Has, &needle(row), false);
            let pruned = prune(&source, reader.as_ref(), &has, true);
            reads_of_others += usize::from(!pruned.blocks.is_empty());
            assert_eq!(source.take_reads().len(), 1);
        }
        assert!(reads_of_others <= 30, "level {level}: {reads_of_others}");
    }
}

#[test]
fn words_prune_to_pages_and_substrings_to_words() {
    let encoded = encode(&[("s", Type::String, lines())], 1, 3_000);
    let (source, reader) = open(&encoded);
    let kept = |op: TextOp, needle: &str| {
        let pruned = prune(&source, reader.as_ref(), &text_test(ColumnRef::column("s"), op, needle, false), true);
        let reads = source.take_reads();
        assert!(reads.len() <= 1, "{reads:?}");
        pruned.blocks.len()
    };
    assert_eq!(kept(TextOp::Has, "gamma"), 5);
    assert_eq!(kept(TextOp::Contains, "amm"), 5);
    assert_eq!(kept(TextOp::HasPrefix, "GAM"), 5);
    assert_eq!(kept(TextOp::EndsWith, "mma"), 5);
    assert_eq!(kept(TextOp::Regex, "ga[mn]ma$"), 5);
    assert_eq!(kept(TextOp::Regex, "(gamma|nothing)"), 5);
    assert_eq!(kept(TextOp::Contains, "ms in gam"), 5);
    assert_eq!(kept(TextOp::Has, "amm"), 0);
    assert_eq!(kept(TextOp::Contains, "xyz"), 0);
    assert_eq!(kept(TextOp::Contains, " - "), 0, "no template has it");
    assert_eq!(kept(TextOp::Regex, "[0-9]+"), 20);
}

/// Words of six letters, a row each, in an order without pattern.
fn many_words(rows: u64, words: u64) -> Vec<Option<String>> {
    let letter = |word: u64, at: u32| (b'a' + (word / 26_u64.pow(at) % 26) as u8) as char;
    let word = |row: u64| {
        let mixed = (row + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 20
    };
    (0..rows).map(|row| Some((0..6).map(|at| letter(word(row) % words * 7_919, at)).collect())).collect()
}

/// A dictionary that passes its budget names blocks instead of pages, then gives its terms to a filter.
#[test]
fn a_large_dictionary_degrades_and_never_goes() {
    for (words, postings, of_blocks) in [(500, "pages", 0), (3_000, "blocks", 0), (90_000, "none", 1)] {
        let rows = many_words(90_000, words);
        let encoded = encode(&[("s", Type::String, rows.clone())], 1, 30_000);
        let (source, reader) = open(&encoded);
        let field = &reader.describe()["indexes"]["fields"][0];
        assert_eq!(
            (&field["dictionary"]["postings"], field["classes"]["filter_of_blocks"].as_u64()),
            (&postings.into(), Some(of_blocks))
        );
        for row in (0..rows.len()).step_by(4_999) {
            let has = text_test(ColumnRef::column("s"), TextOp::Has, rows[row].as_deref().unwrap(), false);
            assert!(keeps(&prune(&source, reader.as_ref(), &has, true), 30_000, row));
        }
        let absent = (0..50).filter(|at| {
            let has =
                text_test(ColumnRef::column("s"), TextOp::Has, &format!("absent{}", char::from(b'a' + at % 26)), false);
            prune(&source, reader.as_ref(), &has, true).blocks.is_empty()
        });
        assert!(absent.count() > 40);
    }
}

#[test]
fn nothing_is_read_when_statistics_answer_or_no_term_is_asked_for() {
    let encoded = encode(&[("s", Type::String, lines())], 1, 3_000);
    let (source, reader) = open(&encoded);
    let column = || ColumnRef::column("s");
    for predicate in [
        text_test(column(), TextOp::StartsWith, "zzz", true),
        text_test(column(), TextOp::Contains, "", false),
        text_test(column(), TextOp::Has, "-", false),
        Predicate::Not(Box::new(text_test(column(), TextOp::Has, "gamma", false))),
        text_test(ColumnRef::column("other"), TextOp::Has, "gamma", false),
    ] {
        prune(&source, reader.as_ref(), &predicate, true);
        assert_eq!(source.take_reads(), [], "{predicate:?}");
    }
}

/// Every byte of every part of the index has a checksum.
#[test]
fn a_changed_byte_is_found() {
    let encoded = encode(
        &[("s", Type::String, lines()[..2_000].to_vec()), ("t", Type::String, id_lines()[..2_000].to_vec())],
        1,
        3_000,
    );
    let (_, reader) = open(&encoded);
    let described = reader.describe();
    let sections = described["sections"].as_array().unwrap();
    let bytes =
        |name: &str| sections.iter().find(|section| section["name"] == name).unwrap()["bytes"].as_u64().unwrap();
    let (start, length) = (bytes("data") as usize, bytes("indexes") as usize);
    assert!(length > 1_000);
    for at in (start..start + length).step_by(7).chain([start + length - 1]) {
        let mut broken = encoded.bytes.to_vec();
        broken[at] ^= 1 << (at % 8);
        let source = CountingReader::new(broken.into());
        let mut is_found = false;
        for (column, needle) in [("s", "took"), ("s", "42"), ("t", "user0"), ("t", "0000000000000000")] {
            let predicate = text_test(ColumnRef::column(column), TextOp::Has, needle, false);
            let request = PruneRequest {
                predicate: &predicate,
                schema: reader.schema(),
                time_column: "",
                null_strings_are_empty: true,
                candidates: &[0],
            };
            if let Err(error) = run(reader.prune(source.as_ref(), &request)) {
                assert_eq!(error.kind(), Kind::Corrupt);
                assert!(error.chain().contains("section=indexes, "), "{}", error.chain());
                is_found = true;
            }
        }
        assert!(is_found, "byte {at}");
    }
}
