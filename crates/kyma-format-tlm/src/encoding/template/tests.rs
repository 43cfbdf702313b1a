use arrow::array::{AsArray, StringViewArray};
use proptest::prelude::*;

use super::*;
use crate::encoding::filler::Filler;
use crate::encoding::spelling;

/// Encodes, decodes all and every third line, and gives the stored bytes.
fn check(lines: &[&str], bases: &[Base]) -> usize {
    let values: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
    let mut learner = Learner::new();
    let lines_packed = learner.encode(&values, None, bases, 9, Writer::default()).unwrap();
    let PackedLines { packed, bases: used, templates } = lines_packed;
    assert_eq!(templates.iter().map(|(_, lines)| *lines as usize).sum::<usize>(), lines.len());
    let frames: Vec<FrameBytes<'_>> =
        packed.frames.iter().map(|frame| (frame.rows as usize, Some(frame.bytes.as_slice()))).collect();
    let mut dictionary = Writer::default();
    learner.dictionary.write(&mut dictionary);
    let read = Dictionary::read(&mut Reader::new(&dictionary.bytes)).unwrap();
    let used: Vec<Base> = used.into_iter().map(|place| bases[place].clone()).collect();
    let context = Context { dictionary: &read, templates: &templates, bases: &used };
    let some: Vec<u32> = (0..lines.len() as u32).filter(|line| line % 3 == 1).collect();
    for wanted in [Wanted::All, Wanted::Rows(some)] {
        // The bases are those of all rows here.
        let row_of = |nth: usize| match &wanted {
            Wanted::All => nth,
            Wanted::Rows(list) => list[nth] as usize,
        };
        let views = decode(&mut Reader::new(&packed.head), &frames, lines.len(), &wanted, row_of, &context).unwrap();
        let wanted_rows = views.len();
        let array = views.into_strings(Filler { nulls: None, wanted_rows }).unwrap();
        let expected: Vec<&str> = (0..wanted_rows).map(|nth| lines[row_of(nth)]).collect();
        assert_eq!(array.as_string_view().iter().flatten().collect::<Vec<_>>(), expected);
    }
    packed.head.len() + packed.frames.iter().map(|frame| frame.bytes.len()).sum::<usize>() + dictionary.bytes.len()
}

#[test]
fn what_other_columns_say_costs_nothing() {
    let time = |n: usize| 1_661_145_496_154_660_034 + n as i64 * 1_000_003;
    let trace = |n: usize| format!("{:032x}", (n as u128 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835));
    let stamp = |n: usize| {
        let format = spelling::TimeFormat::of(b"00:00:00.000").unwrap();
        let mut text = Vec::new();
        format.write(format.units_of(time(n)), &mut text);
        String::from_utf8(text).unwrap()
    };
    let lines: Vec<String> =
        (0..2_000).map(|n| format!("{} INFO trace={} took {}.{:02}ms", stamp(n), trace(n), n % 7, n % 100)).collect();
    let traces: StringViewArray = (0..2_000).map(|n| Some(trace(n))).collect();
    let bases = [Base::Text(traces), Base::Time((0..2_000).map(time).collect())];
    let bytes = check(&lines.iter().map(String::as_str).collect::<Vec<_>>(), &bases);
    assert!(bytes < 3_000, "{bytes}");
}

#[test]
fn any_shape_of_lines() {
    let uuid = |n: usize| format!("{:08x}-165f-4927-a4c6-e6f25b196a7c", n / 5);
    let lines: Vec<String> = (0..3_000)
        .map(|n| match n % 9 {
            0 => format!("user {} logged in from 10.0.{}.{}", n * 31, n % 256, n / 256),
            1 => format!("req {} at 2022-08-22T05:18:16.{:09}Z", uuid(n), n * 997),
            2 => format!("{{\"id\":\"{}\",\"n\":{n},\"pad\":{:05}}}", uuid(n), n),
            3 => String::new(),
            4 => "no variables at all".to_owned(),
            5 => format!("é{n}→ß {}", "x".repeat(n % 50)),
            6 => format!("epoch {} Z{}", 1_661_145_496_154_u64 + n as u64, n % 13),
            7 => (0..n % 300).map(|at| format!("{at} ")).collect(),
            _ => format!("rare {} {n}", char::from(b'a' + (n / 200) as u8)),
        })
        .collect();
    check(&lines.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    check(&[&"a1 ".repeat(40_000), "b", "", "\u{0}\u{1}7"], &[]);
}

proptest! {
    #![proptest_config(crate::testing::cases(200))]
    #[test]
    fn any_lines_come_back(lines in proptest::collection::vec("[ab]{1,2}=[0-9a-f.:-]{0,12} \\PC{0,6}|\\PC{0,30}|[0-2][0-9]:[0-5][0-9]:[0-5][0-9]", 1..40), repeat in 1_usize..4) {
        let lines: Vec<&str> = std::iter::repeat_n(lines.iter().map(String::as_str), repeat).flatten().collect();
        let base: StringViewArray = lines.iter().map(|line| line.split(['=', ' ']).nth(1)).collect();
        check(&lines, &[Base::Text(base), Base::Time((0..lines.len() as i64).collect())]);
    }

    #[test]
    fn broken_bytes_are_errors(at in 0_usize..4_000, flip in 1_u8.., seed in 0_usize..4) {
        let lines: Vec<String> = (0..300).map(|n| format!("user {} at {}:{:02}:00 id {:016x} w{}", n * seed, 10 + n % 9, n % 60, n * 77_777, n % 3)).collect();
        let values: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        let mut learner = Learner::new();
        let PackedLines { mut packed, templates, .. } = learner.encode(&values, None, &[], 3, Writer::default()).unwrap();
        let length = packed.frames[0].bytes.len();
        packed.frames[0].bytes[at % length] ^= flip;
        let frames: Vec<FrameBytes<'_>> = packed.frames.iter().map(|frame| (frame.rows as usize, Some(frame.bytes.as_slice()))).collect();
        let context = Context { dictionary: &learner.dictionary, templates: &templates, bases: &[] };
        // Either an error or some lines: the checksum above is what tells right from wrong.
        let _ = decode(&mut Reader::new(&packed.head), &frames, lines.len(), &Wanted::All, |row| row, &context);
    }
}
