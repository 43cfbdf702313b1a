//! Texts in other forms: base64, URLs, compressed, Punycode.

use kyma_core::Type;

use super::Class::*;
use super::Naming::*;
use super::Returns::*;
use super::{ScalarFunction, row};

/// Texts in other forms: base64, URLs, compressed, Punycode.
pub(super) static TABLE: &[ScalarFunction] = &[
    row(
        "base64_encode_tostring",
        &["base64_encodestring"],
        &[Text],
        (1, 1),
        Is(Type::String),
        Numbered,
        "Base64 of the text.",
    )
    .example(r#"print base64_encode_tostring("Kusto")"#),
    row(
        "base64_decode_tostring",
        &["base64_decodestring"],
        &[Text],
        (1, 1),
        Is(Type::String),
        Numbered,
        "The text of base64.",
    )
    .example(r#"print base64_decode_tostring("S3VzdG8=")"#),
    row("base64_decode_toarray", &[], &[Text], (1, 1), Is(Type::Dynamic), Numbered, "The bytes of base64.")
        .example(r#"print base64_decode_toarray("S3VzdG8=")"#),
    row("base64_decode_toguid", &[], &[Text], (1, 1), Is(Type::Guid), Numbered, "The guid of base64.")
        .example(r#"print base64_decode_toguid("YWFhYWFhYWFhYWFhYWFhYQ==")"#),
    row("base64_encode_fromarray", &[], &[ToDynamic], (1, 1), Is(Type::String), Numbered, "Base64 of bytes.")
        .example("print base64_encode_fromarray(dynamic([75, 117, 115, 116, 111]))"),
    row("base64_encode_fromguid", &[], &[Guid], (1, 1), Is(Type::String), Numbered, "Base64 of a guid's bytes.")
        .example(r#"print base64_encode_fromguid(toguid("ae3133f2-6e22-49ae-b06a-16e6a9b212eb"))"#),
    row("url_encode", &[], &[Text], (1, 1), Is(Type::String), Numbered, "The text for a query string, blanks as `+`.")
        .example(r#"print url_encode("https://example.com/hello world")"#),
    row("url_encode_component", &[], &[Text], (1, 1), Is(Type::String), Numbered, "The text for a URL component.")
        .example(r#"print url_encode_component("https://example.com/hello world")"#),
    row("url_decode", &[], &[Text], (1, 1), Is(Type::String), Numbered, "The text that a URL-encoded one means.")
        .example(r#"print url_decode("https%3a%2f%2fexample.com%2f")"#),
    row("format_bytes", &[], &[Real, Long, Text], (1, 3), Is(Type::String), FirstArgument, "A size with its unit.")
        .example(r#"print format_bytes(564), format_bytes(10332, 1), format_bytes(20010332, 2, "MB")"#),
    row(
        "gzip_compress_to_base64_string",
        &[],
        &[Text],
        (1, 1),
        Is(Type::String),
        Numbered,
        "The text compressed by gzip, in base64.",
    )
    .example(r#"print gzip_compress_to_base64_string("1234567890qwertyuiop")"#),
    row(
        "gzip_decompress_from_base64_string",
        &[],
        &[Text],
        (1, 1),
        Is(Type::String),
        Numbered,
        "The text of base64 gzip.",
    )
    .example(
        r#"print gzip_decompress_from_base64_string("H4sIAAAAAAAA/wEUAOv/MTIzNDU2Nzg5MHF3ZXJ0eXVpb3A6m7f2FAAAAA==")"#,
    ),
    row(
        "zlib_compress_to_base64_string",
        &[],
        &[Text],
        (1, 1),
        Is(Type::String),
        Numbered,
        "The text compressed by zlib, in base64.",
    )
    .example(r#"print zlib_compress_to_base64_string("1234567890qwertyuiop")"#),
    row(
        "zlib_decompress_from_base64_string",
        &[],
        &[Text],
        (1, 1),
        Is(Type::String),
        Numbered,
        "The text of base64 zlib.",
    )
    .example(r#"print zlib_decompress_from_base64_string("eJwLSS0uUSguKcrMS1cwNDIGACxqBQ4=")"#),
    row("punycode_from_string", &[], &[Text], (1, 1), Is(Type::String), Numbered, "The Punycode of the text.")
        .example(r#"print punycode_from_string("académie-française")"#),
    row("punycode_to_string", &[], &[Text], (1, 1), Is(Type::String), Numbered, "The text of Punycode.")
        .example(r#"print punycode_to_string("acadmie-franaise-npb1a")"#),
    row(
        "punycode_domain_from_string",
        &[],
        &[Text],
        (1, 1),
        Is(Type::String),
        Numbered,
        "A domain with its labels in Punycode.",
    )
    .example(r#"print punycode_domain_from_string("xn--bcher-kva.example")"#),
    row(
        "punycode_domain_to_string",
        &[],
        &[Text],
        (1, 1),
        Is(Type::String),
        Numbered,
        "A domain with its labels in text.",
    )
    .example(r#"print punycode_domain_to_string("bücher.example")"#),
];
