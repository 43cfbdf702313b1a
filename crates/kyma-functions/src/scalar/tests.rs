use kyma_core::{Type, Value};

use super::*;
use crate::EvalContext;

mod added;
mod nulls;

#[test]
fn kernels_match_signatures() {
    let signatures: Vec<&str> = kyma_plan::functions::scalars().map(|function| function.name).collect();
    let missing: Vec<&&str> = signatures.iter().filter(|name| scalar(name).is_none()).collect();
    assert!(missing.is_empty(), "signatures without kernels: {missing:?}");
    let unknown: Vec<&&str> = BY_NAME.keys().filter(|name| !signatures.contains(name)).collect();
    assert!(unknown.is_empty(), "kernels without signatures: {unknown:?}");
    let windows: Vec<&str> = kyma_plan::functions::windows().map(|function| function.name).collect();
    assert_eq!(windows, crate::window::NAMES);
}

/// Resolves and converts as a frontend does, then evaluates once over scalars and once over arrays.
fn call(name: &str, args: &[Value]) -> kyma_core::Result<Value> {
    let types: Vec<Type> = args.iter().map(Value::ty).collect();
    let resolved = kyma_plan::functions::resolve_scalar(name, &types)
        .map_err(|error| kyma_core::Error::invalid("test", format!("{name}: {error:?}")))?;
    let converted: Vec<Value> = args
        .iter()
        .zip(&resolved.args)
        .map(|(value, ty)| crate::convert::convert_value(value, *ty))
        .collect::<kyma_core::Result<_>>()?;
    let context = EvalContext { now: 0 };
    let kernel = scalar(resolved.function.name).unwrap();
    let run = |args: Vec<Arg>| {
        let call = Call { args: &args, types: &resolved.args, out: resolved.ty, rows: 2, context: &context };
        let array = kernel.eval(&call)?;
        assert_eq!(array.data_type(), &resolved.ty.arrow(), "{name}");
        assert_eq!(array.len(), 2, "{name}");
        Ok(array_value(array.as_ref(), 1, resolved.ty))
    };
    let scalars = run(converted.iter().cloned().map(Arg::Scalar).collect())?;
    let arrays = run(converted.iter().map(|value| Arg::Array(value_to_array(value, 2))).collect());
    match arrays {
        Ok(arrays) => assert_eq!(format!("{scalars:?}"), format!("{arrays:?}"), "{name}: scalars against arrays"),
        Err(error) => return Err(error),
    }
    Ok(scalars)
}

#[track_caller]
fn check(name: &str, args: &[Value], expected: Value) {
    let found = call(name, args).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    match (&found, &expected) {
        (Value::Real(a), Value::Real(b)) if (a - b).abs() < 1e-9 || a == b => {}
        _ => assert_eq!(found, expected, "{name}({args:?})"),
    }
}

fn s(text: &str) -> Value {
    Value::String(text.into())
}

fn d(json: &str) -> Value {
    Value::Dynamic(json.into())
}

fn l(value: i64) -> Value {
    Value::Long(value)
}

fn r(value: f64) -> Value {
    Value::Real(value)
}

fn b(value: bool) -> Value {
    Value::Bool(value)
}

fn t(text: &str) -> Value {
    Value::Datetime(kyma_core::time::parse_datetime(text).unwrap())
}

fn span(text: &str) -> Value {
    Value::Timespan(kyma_core::time::parse_timespan(text).unwrap())
}

#[test]
fn texts() {
    check("strlen", &[s("héé")], l(3));
    check("string_size", &[s("héé")], l(5));
    check("substring", &[s("abcdefg"), l(5), l(10)], s("fg"));
    check("substring", &[s("abcdefg"), l(-3), l(2)], s("ef"));
    check("substring", &[s("abc"), l(10)], s(""));
    check("split", &[s("a_b"), s("_")], d(r#"["a","b"]"#));
    check("split", &[s("a_b"), s("_"), l(1)], d(r#"["b"]"#));
    check("trim", &[s("--"), s("--x--")], s("x"));
    check("trim", &[s(r"[^\w]+"), s("-  Te st1// $")], s("Te st1"));
    check("replace_string", &[s("aXbX"), s("X"), s("-")], s("a-b-"));
    check("replace_regex", &[s("key=7"), s(r"(\w+)=(\d)"), s(r"\2:\1")], s("7:key"));
    check("extract", &[s(r"x=([0-9]+)"), l(1), s("a x=42")], s("42"));
    check("extract", &[s(r"x=([0-9]+)"), l(1), s("none")], s(""));
    check("extract_all", &[s("(?:^| )([a-z]+)"), s(" test word")], d(r#"["test","word"]"#));
    check("extract_all", &[s("([a-z])([0-9])"), s("a1b2")], d(r#"[["a","1"],["b","2"]]"#));
    check("extract_all", &[s("z"), s("a")], Value::Null(Type::Dynamic));
    check("indexof", &[s("abcdefg"), s("cde")], l(2));
    check("indexof", &[s("abcabc"), s("abc"), l(1)], l(3));
    check("countof", &[s("aaaa"), s("aa")], l(3));
    check("countof", &[s("The cat sat on the mat"), s("[a-z]at"), s("regex")], l(3));
    check("strcat", &[s("a"), l(1), r(2.5)], s("a12.5"));
    check("strcat_delim", &[s("-"), s("1"), s("2"), l(3)], s("1-2-3"));
    check("strcat_array", &[d(r#"["a",1,2.5,true,null,{"x":1},[1,2]]"#), s("-")], s(r#"a-1-2.5-true--{"x":1}-[1,2]"#));
    check("strrep", &[s("ab"), l(3), s(" ")], s("ab ab ab"));
    check("reverse", &[s("abc")], s("cba"));
    check("toupper", &[s("héllo")], s("HÉLLO"));
    check("translate", &[s("krasp"), s("otsku"), s("spark")], s("kusto"));
    check("strcmp", &[s("abc"), s("ABC")], l(1));
    check("base64_encode_tostring", &[s("Kusto")], s("S3VzdG8="));
    check("base64_decode_tostring", &[s("S3VzdG8=")], s("Kusto"));
    check("base64_decode_toarray", &[s("S3VzdG8=")], d("[75,117,115,116,111]"));
    check("url_decode", &[s("https%3a%2f%2fwww.bing.com%2f")], s("https://www.bing.com/"));
    check("has", &[s("North America"), s("america")], b(true));
    check("has_any", &[s("a b c"), d(r#"["x","B"]"#)], b(true));
    check("has_all", &[s("a b c"), s("a"), s("z")], b(false));
    check("matches_regex", &[s("abc"), s("b.")], b(true));
    assert!(call("matches_regex", &[s("abc"), s("(")]).is_err());
}

#[test]
fn conversions() {
    check("tostring", &[b(true)], s("True"));
    check("tostring", &[Value::Null(Type::Long)], s(""));
    check("tostring", &[d(r#""x""#)], s("x"));
    check("tolong", &[s("0x10")], l(16));
    check("toreal", &[s("0x10")], Value::Null(Type::Real));
    check("tostring", &[r(f64::NEG_INFINITY)], s("-inf"));
    check("toint", &[s("abc")], Value::Null(Type::Int));
    check("toreal", &[s("1.5")], r(1.5));
    check("tobool", &[s(" true ")], b(true));
    check("todatetime", &[s("2015-12-24")], t("2015-12-24"));
    check("totimespan", &[s("4.00:00:00")], span("4.00:00:00"));
    check("parse_json", &[s("{\"a\": 1}")], d(r#"{"a":1}"#));
    check("parse_json", &[s("hello")], d(r#""hello""#));
    check("tohex", &[l(256)], s("100"));
    check("tohex", &[l(-256)], s("ffffffffffffff00"));
    check("gettype", &[d("[1]")], s("array"));
}

#[test]
fn text_at_its_edges() {
    check("trim", &[s("a"), s("aaab")], s("aab"));
    check("trim", &[s("a|x"), s("axbxa")], s("xbx"));
    check("trim", &[s("a|^b"), s("ab")], s("b"));
    check("trim_end", &[s("a|x"), s("bxa")], s("bx"));
    check("trim", &[s("(?<n>a)"), s("aba")], s("b"));
    check("trim", &[s("a|aa"), s("aa")], s(""));
    check("trim", &[s("a)|(b"), s("xaxbx")], s("xxx"));
    check("trim", &[s("x*"), s("abc")], s("abc"));
    check("substring", &[s("abcdefg"), l(-3), l(2)], s("ef"));
    check("substring", &[s("abc"), l(-10), l(2)], s(""));
    check("indexof", &[s("abcdefg"), s("cde"), l(1), l(2)], l(2));
    check("indexof", &[s("abcdefg"), s("cde"), l(1), l(1)], l(-1));
    check("indexof", &[s("abcdefgabcdefg"), s("cde"), l(1), l(10), l(2)], l(9));
    check("indexof_regex", &[s("abcabc"), s("a.c"), l(-1)], Value::Null(Type::Long));
    let (lookups, rewrites) = (d(r#"["cat","dog"]"#), d(r#"["dog","pigeon"]"#));
    check("replace_strings", &[s("a cat, a dog"), lookups, rewrites], s("a dog, a pigeon"));
    let (lookups, rewrites) = (d(r#"["This","is"]"#), d(r#"[1,"was"]"#));
    check("replace_strings", &[s("This is"), lookups, rewrites], s("This was"));
    check("url_encode", &[s("a/b c")], s("a%2fb+c"));
    check("hash_sha1", &[s("")], s(""));
    check("has_any_ipv4_prefix", &[s("at 127.0.0.1"), s("127.0")], Value::Bool(false));
    check("has_any_ipv4_prefix", &[s("at 127.0.0.1"), s("127.0.")], Value::Bool(true));
}

#[test]
fn bins_of_any_size() {
    check("bin", &[l(-7), l(5)], l(-10));
    check("bin", &[l(7), l(-5)], l(10));
    check("bin", &[l(7), l(0)], Value::Null(Type::Long));
    check("bin", &[l(i64::MIN + 1), l(2)], l(i64::MIN));
    check("bin", &[Value::Bool(true), l(1)], l(1));
    check("bin", &[r(7.5), r(2.0)], r(6.0));
    assert!(matches!(call("bin", &[r(7.0), r(0.0)]), Ok(Value::Real(real)) if real.is_nan()));
    check("bin_at", &[l(7), l(0), l(1)], Value::Null(Type::Long));
}

#[test]
fn conversions_of_text_that_is_no_whole_number() {
    for text in ["5.7", "1e3", "1,000", "5.", ".5", ""] {
        check("tolong", &[s(text)], Value::Null(Type::Long));
    }
    check("tolong", &[s(" +7 ")], l(7));
    check("tolong", &[s("0x10")], l(16));
    check("tolong", &[r(1e30)], l(i64::MAX));
    check("toint", &[r(1e10)], Value::Int(i32::MAX));
    check("toint", &[l(10_000_000_000)], Value::Int(1_410_065_408));
    check("toint", &[r(f64::NAN)], Value::Null(Type::Int));
    check("totimespan", &[s("10")], Value::Null(Type::Timespan));
    check("todatetime", &[s("12.02.2022")], t("2022-12-02"));
}

#[test]
fn arrays_sorted_by_the_first() {
    let sorted = d(r#"[[1,2,3],["b","c","a"]]"#);
    check("array_sort_asc", &[d("[3,1,2]"), d(r#"["a","b","c"]"#)], sorted);
    check("array_sort_desc", &[d("[1,null,2]"), Value::Bool(false)], d("[null,2,1]"));
    check("array_sort_desc", &[d("[1,null,2]"), d("[7,8,9]"), Value::Bool(false)], d("[[null,2,1],[8,9,7]]"));
    check("array_sort_asc", &[d("[2,1]"), d("[1]")], d("[[1,2],null]"));
}

#[test]
fn times() {
    check("startofday", &[t("2017-01-01 10:10:17"), l(-1)], t("2016-12-31"));
    check("startofweek", &[t("2017-01-01 10:10:17"), l(1)], t("2017-01-08"));
    check("startofmonth", &[t("2017-01-01 10:10:17"), l(-1)], t("2016-12-01"));
    check("endofmonth", &[t("2017-02-01 10:10:17")], t("2017-02-28T23:59:59.9999999Z"));
    check("endofyear", &[t("2017-02-01 10:10:17")], t("2017-12-31T23:59:59.9999999Z"));
    check("dayofweek", &[t("1970-05-11")], span("1.00:00:00"));
    check("week_of_year", &[t("2020-12-31")], l(53));
    check("datetime_part", &[s("quarter"), t("2024-03-05")], l(1));
    check("datetime_add", &[s("month"), l(1), t("2020-01-31")], t("2020-02-29"));
    check("datetime_diff", &[s("week"), t("2024-03-05"), t("2024-01-01")], l(9));
    check("datetime_diff", &[s("year"), t("2017-01-01"), t("2000-12-31")], l(17));
    check("format_datetime", &[t("2015-12-14 02:03:04.12345"), s("y-M-d h:m:s.fffffff")], s("5-12-14 2:3:4.1234500"));
    check("format_datetime", &[t("2017-01-29 14:00:05"), s("yy-MM-dd [hh:mm:ss tt]")], s("17-01-29 [02:00:05 PM]"));
    check("format_datetime", &[t("2009-06-05 03:04:05"), s("ddd MMM tttt yyyyy ss.FFF")], s("055 066 AMAM 20099 05."));
    check("format_timespan", &[span("1.02:03:04"), s("dd.hh:mm:ss")], s("01.02:03:04"));
    check("make_datetime", &[l(2017), l(10), l(1), l(12), l(11), r(0.1234567)], t("2017-10-01 12:11:00.1234567"));
    check("unixtime_seconds_todatetime", &[l(1_546_300_800)], t("2019-01-01"));
    check("bin", &[t("1970-05-11 13:45:07"), span("1.00:00:00")], t("1970-05-11"));
    check("bin", &[l(-7), l(5)], l(-10));
    check("bin", &[r(4.5), l(1)], r(4.0));
    check("bin_at", &[r(6.5), r(2.5), l(7)], r(4.5));
    check("bin_at", &[t("2017-05-17 10:20"), span("7.00:00:00"), t("2017-06-04")], t("2017-05-14"));
}

#[test]
fn dynamics() {
    check("array_length", &[d("[1,2]")], l(2));
    check("array_concat", &[d("[1]"), d("[2,3]")], d("[1,2,3]"));
    check("array_slice", &[d("[1,2,3,4,5]"), l(-3), l(-2)], d("[3,4]"));
    check("array_shift_left", &[d("[1,2,3]"), l(-2), l(-1)], d("[-1,-1,1]"));
    check("array_rotate_left", &[d("[1,2,3]"), l(1)], d("[2,3,1]"));
    check("array_split", &[d("[1,2,3,4,5]"), d("[1,3]")], d("[[1],[2,3],[4,5]]"));
    check("array_sort_asc", &[d(r#"[null,"blue","yellow",null]"#)], d(r#"["blue","yellow",null,null]"#));
    check("array_index_of", &[d(r#"["a","b"]"#), s("b")], l(1));
    check("array_iff", &[d("[true,false]"), d("[1,2]"), l(9)], d("[1,9]"));
    check("bag_pack", &[s("a"), l(1), s("b"), s("x")], d(r#"{"a":1,"b":"x"}"#));
    check("bag_merge", &[d(r#"{"a":1}"#), d(r#"{"a":2,"b":3}"#)], d(r#"{"a":1,"b":3}"#));
    check("bag_keys", &[d(r#"{"a":1,"b":2}"#)], d(r#"["a","b"]"#));
    check("bag_remove_keys", &[d(r#"{"k":{"p":1,"q":2},"z":3}"#), d(r#"["$.k.p","z"]"#)], d(r#"{"k":{"q":2}}"#));
    check("bag_set_key", &[d(r#"{"k":1}"#), s("$.n.p"), s("x")], d(r#"{"k":1,"n":{"p":"x"}}"#));
    check("set_union", &[d("[1,2]"), d("[2,3]")], d("[1,2,3]"));
    check("set_intersect", &[d("[1,2,3]"), d("[3,2]")], d("[2,3]"));
    check("set_difference", &[d("[1,2,3]"), d("[2]")], d("[1,3]"));
    check("set_has_element", &[d("[\"a\"]"), s("a")], b(true));
    check("zip", &[d("[1,3]"), d("[2]")], d("[[1,2],[3,null]]"));
    check("range", &[l(1), l(7), l(3)], d("[1,4,7]"));
    check("repeat", &[l(1), l(3)], d("[1,1,1]"));
    check("pack_array", &[l(1), s("x"), Value::Null(Type::Long)], d("[1,\"x\",null]"));
}

#[test]
fn choice() {
    check("iff", &[b(false), l(1), r(2.5)], r(2.5));
    check("iff", &[b(true), d("{\"a\":1}"), s("")], s("{\"a\":1}"));
    check("case", &[b(false), s("a"), b(true), s("b"), s("c")], s("b"));
    check("coalesce", &[Value::Null(Type::Long), l(42), l(33)], l(42));
    check("coalesce", &[s(""), s("x")], s("x"));
    check("max_of", &[l(10), l(1), l(17)], l(17));
    check("min_of", &[r(1.5), l(1)], r(1.0));
    check("isempty", &[s("")], b(true));
    check("isnull", &[s("")], b(false));
    check("isnotempty", &[d("null")], b(false));
    check("not", &[Value::Null(Type::Bool)], Value::Null(Type::Bool));
}

#[test]
fn numbers() {
    check("round", &[r(2.98765), l(3)], r(2.988));
    check("abs", &[l(-5)], l(5));
    check("sign", &[l(-3)], r(-1.0));
    check("sqrt", &[r(-1.0)], Value::Null(Type::Real));
    check("isnan", &[Value::Null(Type::Real)], Value::Null(Type::Bool));
    check("sign", &[b(true)], r(1.0));
    check("pow", &[l(2), l(3)], r(8.0));
    check("gamma", &[r(5.0)], r(24.0));
    check("erf", &[r(0.5)], r(0.520_499_877_813_046_5));
    check("beta_cdf", &[r(0.2), r(10.0), r(50.0)], r(0.768_420_470_421_085_6));
    check("binary_shift_right", &[l(5), l(1)], l(2));
    check("convert_temperature", &[r(1.2), s("Kelvin"), s("DegreeCelsius")], r(-271.95));
}

#[test]
fn networks() {
    check("parse_ipv4", &[s("192.168.1.1")], l(3_232_235_777));
    check("parse_ipv4", &[s("203.0.113.10/0")], l(0));
    check("parse_ipv4", &[s("")], Value::Null(Type::Long));
    check("ipv4_is_private", &[s("10.1.2.3")], b(true));
    check("ipv4_is_in_range", &[s("192.168.1.6"), s("192.168.1.1/24")], b(true));
    check("ipv4_is_in_any_range", &[s("192.168.1.6"), d(r#"["127.0.0.1/8","192.168.1.1/24"]"#)], b(true));
    check("ipv4_compare", &[s("192.168.1.1/30"), s("192.168.1.255/24")], l(0));
    check("has_any_ipv4", &[s("05:04:54 127.0.0.1 GET"), s("127.0.0.1"), s("127.0.0.2")], b(true));
    check("has_any_ipv4", &[s("05:04:54127.0.0.1 GET"), s("127.0.0.1")], b(false));
    check("has_ipv4_prefix", &[s("x 10.2.3.4 y"), s("10.2.")], b(true));
    check("parse_ipv6", &[s("2001:db8::10")], s("2001:0db8:0000:0000:0000:0000:0000:0010"));
    check("format_ipv4_mask", &[s("192.168.1.255"), l(24)], s("192.168.1.0/24"));
}

#[test]
fn parses() {
    let url = r#"{"Scheme":"https","Host":"h.io","Port":"","Path":"/x","Username":"u","Password":"p","Query Parameters":{"k":"v"},"Fragment":"f"}"#;
    check("parse_url", &[s("https://u:p@h.io/x?k=v&e=#f")], d(url));
    check("parse_csv", &[s("aa,\"b,\"\"b\",cc")], d(r#"["aa","b,\"b","cc"]"#));
    check("parse_command_line", &[s("echo \"hello world!\""), s("windows")], d(r#"["echo","hello world!"]"#));
    check("extract_json", &[s("$.a.b[0]"), s(r#"{"a":{"b":[7]}}"#)], s("7"));
    let path = r#"{"Scheme":"","RootPath":"C:","DirectoryPath":"C:\\temp","DirectoryName":"temp","Filename":"file.txt","Extension":"txt","AlternateDataStreamName":""}"#;
    check("parse_path", &[s(r"C:\temp\file.txt")], d(path));
    check("parse_xml", &[s("<a k='1'><b>x</b><b>y</b></a>")], d(r#"{"a":{"@k":"1","b":["x","y"]}}"#));
}

#[test]
fn hashes() {
    check("hash_md5", &[s("World")], s("f5a7924e621e84c9280a9a27e1bcb7f6"));
    check("hash_md5", &[l(123)], s("202cb962ac59075b964b07152d234b70"));
    check("hash_sha256", &[s("World")], s("78ae647dc5544d227130a0682a51e30bc7777fbb6d8a8f17007463a3ecd1d524"));
    check("hash", &[s("World")], l(1_846_988_464_401_551_951));
    check("hash", &[s("World"), l(100)], l(51));
    check("hash", &[t("2015-01-01")], l(1_380_966_698_541_616_202));
}

#[test]
fn series() {
    check("series_add", &[d("[1,2]"), d("[3,4.5]")], d("[4.0,6.5]"));
    check("series_fill_forward", &[d("[null,1,null,2]")], d("[null,1,1,2]"));
    check("series_fill_linear", &[d("[1,null,4]")], d("[1,2,4]"));
    check("series_fill_linear", &[d("[1.0,null,4,null]")], d("[1.0,2.5,4,4.0]"));
    let null = Value::Null(Type::Real);
    check("series_fill_linear", &[d("[null,1,null]"), null.clone(), Value::Bool(false)], d("[null,1,null]"));
    check("series_fill_linear", &[d("[null]"), null, Value::Bool(true), r(3.5)], d("[3.5]"));
    check("series_pearson_correlation", &[d("[1,2,3]"), d("[2,4,6]")], r(1.0));
}

#[test]
fn compressed() {
    let gzip = "H4sIAAAAAAAA/wEUAOv/MTIzNDU2Nzg5MHF3ZXJ0eXVpb3A6m7f2FAAAAA==";
    check("gzip_decompress_from_base64_string", &[s(gzip)], s("1234567890qwertyuiop"));
    check("gzip_decompress_from_base64_string", &[s("x0x0x0")], s(""));
    for codec in ["gzip", "zlib"] {
        let packed = call(&format!("{codec}_compress_to_base64_string"), &[s("a b c a b c")]).unwrap();
        check(&format!("{codec}_decompress_from_base64_string"), &[packed], s("a b c a b c"));
    }
}

#[test]
fn places() {
    let distance = [r(-122.407628), r(47.578557), r(-118.275287), r(34.019056)];
    let Value::Real(metres) = call("geo_distance_2points", &distance).unwrap() else { panic!("no distance") };
    assert!((metres - 1_546_754.351_973_809_5).abs() < 1e-3, "{metres}");
    check("geo_distance_2points", &[r(300.0), r(1.0), r(1.0), r(1.0)], Value::Null(Type::Real));
    let sunny = r#"{"type":"Point","coordinates":[42.47314453125,23.70849609375]}"#;
    check("geo_geohash_to_central_point", &[s("sunny")], d(sunny));
    check("geo_geohash_to_central_point", &[s("a")], Value::Null(Type::Dynamic));
    check("geo_point_to_geohash", &[r(42.47314453125), r(23.70849609375)], s("sunny"));
}

#[test]
fn punycode() {
    check("punycode_from_string", &[s("艺术")], s("cqv902d"));
    check("punycode_to_string", &[s("cqv902d")], s("艺术"));
    check("punycode_domain_to_string", &[s("bücher。example")], s("xn--bcher-kva.example"));
    check("punycode_domain_from_string", &[s("xn--bcher-kva.example")], s("bücher.example"));
}
