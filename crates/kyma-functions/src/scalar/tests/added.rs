//! Rules of functions with the values that Kusto's documentation or its engine give.

use super::*;

#[test]
fn replace_takes_its_text_last() {
    check("replace", &[s(r"is (\d+)"), s(r"was: \1"), s("Number is 1")], s("Number was: 1"));
    check("replace_regex", &[s("Number is 1"), s(r"is (\d+)"), s(r"was: \1")], s("Number was: 1"));
}

#[test]
fn short_texts_are_stored() {
    let text = s("1234567890qwertyuiop");
    check(
        "zlib_compress_to_base64_string",
        std::slice::from_ref(&text),
        s("eAEBFADr/zEyMzQ1Njc4OTBxd2VydHl1aW9wOAkGdw=="),
    );
    let gzip = s("H4sIAAAAAAAA/wEUAOv/MTIzNDU2Nzg5MHF3ZXJ0eXVpb3A6m7f2FAAAAA==");
    check("gzip_compress_to_base64_string", &[text], gzip);
    for text in ["", "x", &"abc".repeat(10_000)] {
        for codec in ["gzip", "zlib"] {
            let packed = call(&format!("{codec}_compress_to_base64_string"), &[s(text)]).unwrap();
            check(&format!("{codec}_decompress_from_base64_string"), &[packed], s(text));
        }
    }
}

#[test]
fn pack_all_leaves_out_on_demand() {
    let pairs = [s("a"), l(1), s("b"), s(""), s("c"), Value::Null(Type::Long)];
    check("pack_all", &pairs, d(r#"{"a":1,"b":"","c":null}"#));
    check("pack_all", &[&pairs[..], &[b(true)]].concat(), d(r#"{"a":1}"#));
}

#[test]
fn prefixes_beside_ipv4_notation() {
    let full = |end: &str| s(&format!("0000:0000:0000:0000:0000:{end}"));
    check("parse_ipv6_mask", &[s("192.168.255.255/24"), l(124)], full("ffff:c0a8:ff00"));
    check("parse_ipv6_mask", &[s("::192.168.255.255/24"), l(128)], full("0000:c0a8:ff00"));
    check("parse_ipv6_mask", &[s("::192.168.255.255"), l(128)], full("0000:c0a8:ffff"));
}

#[test]
fn fractions_that_are_zero_are_left_out() {
    let time = t("2009-06-05 03:04:05.0617500");
    check("format_datetime", &[time, s("F_FF_FFF_FFFF_FFFFF_FFFFFF")], s("_06_061_0617_06175_061750"));
    check("format_datetime", &[t("2009-06-05 03:04:05.0001150"), s("FFF_FFFFFF")], s("_000115"));
}

#[test]
fn distribution_of_beta() {
    check("beta_inv", &[r(0.1), r(10.0), r(20.0)], r(0.226_415_022_388_748_5));
    check("beta_pdf", &[r(0.5), r(10.0), r(20.0)], r(0.746_176_019_310_951));
    check("beta_inv", &[r(1.5), r(10.0), r(20.0)], Value::Null(Type::Real));
    assert!(matches!(call("beta_inv", &[r(0.1), r(-1.0), r(20.0)]), Ok(Value::Real(real)) if real.is_nan()));
}

#[test]
fn filters() {
    check("series_fir", &[d("[0,10,20,40]"), d("[1,1]")], d("[0.0,5.0,15.0,30.0]"));
    check("series_fir", &[d("[0,10,20,40]"), d("[1,-1]")], d("[0.0,10.0,10.0,20.0]"));
    check("series_fir", &[d("[0,10,20,40]"), d("[1,-1]"), b(true)], Value::Null(Type::Dynamic));
    check("series_fir", &[d("[0,0,3,0,0]"), d("[1,1,1]"), b(true), b(true)], d("[0.0,1.0,1.0,1.0,0.0]"));
    check("series_iir", &[d("[1,2,3]"), d("[1]"), d("[1,-1]")], d("[1.0,3.0,6.0]"));
    check("series_iir", &[d("[1,2,3]"), d("[1]"), d("[0]")], Value::Null(Type::Dynamic));
}

/// The series of the documentation, and what Microsoft's engine gives for it.
#[test]
fn seasons() {
    let repeated = "[2,5,3,4,3,2,1,2,3,4,3,2,1,2,3,4,3,2,1,2,3,4,3,2,1]";
    let season =
        "[1.0,2.0,3.0,4.0,3.0,2.0,1.0,2.0,3.0,4.0,3.0,2.0,1.0,2.0,3.0,4.0,3.0,2.0,1.0,2.0,3.0,4.0,3.0,2.0,1.0]";
    check("series_seasonal", &[d(repeated)], d(season));
    check("series_seasonal", &[d("[1,3,5,2,4,6,1,3,5,2,4,6]")], d("[0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0]"));
    check("series_seasonal", &[d("[1,3,5,1,3,5,2,4,6]"), l(3)], d("[1.0,3.0,5.0,1.0,3.0,5.0,1.0,3.0,5.0]"));
}

#[test]
fn sketches_are_read_or_null() {
    for broken in
        ["[]", "7", r#"["hll","?"]"#, r#"["hll","Ag=="]"#, r#"["tdigest","long",[1],[]]"#, r#"["tdigest","x",[],[]]"#]
    {
        check("dcount_hll", &[d(broken)], Value::Null(Type::Long));
        check("percentile_tdigest", &[d(broken), r(50.0)], Value::Null(Type::Dynamic));
        check("hll_merge", &[d(broken), d(broken)], Value::Null(Type::Dynamic));
    }
    let digest = d(r#"["tdigest","long",[1,5,9],[2,1,1]]"#);
    check("percentile_tdigest", &[digest.clone(), r(50.0)], d("1"));
    check("percentiles_array_tdigest", &[digest.clone(), d("[75,100]")], d("[5,9]"));
    check("rank_tdigest", &[digest.clone(), l(5)], r(3.0));
    check("percentrank_tdigest", &[digest.clone(), r(8.9)], r(75.0));
    let other = d(r#"["tdigest","long",[7],[4]]"#);
    check("merge_tdigest", &[digest.clone(), other], d(r#"["tdigest","long",[1,5,7,9],[2,1,4,1]]"#));
    let reals = d(r#"["tdigest","real",[7],[4]]"#);
    check("merge_tdigest", &[digest, reals], Value::Null(Type::Dynamic));
}
