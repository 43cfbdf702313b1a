//! What a browser says of itself, taken apart by the first rule that fits.
//!
//! The families are those that the `uap-core` collection made common. The rules are a few dozen of our own for what is in
//! wide use; what none of them knows is `Other`.

use std::sync::LazyLock;

use arrow::array::ArrayRef;
use kyma_core::{Error, Result};
use regex::{Captures, Regex};
use serde_json::{Map, Value as Json};

use super::{Kernel, kernel};
use crate::limits::USER_AGENT_BYTES_MAX;
use crate::{Call, build, json as helpers};

pub(super) static KERNELS: &[Kernel] = &[kernel("parse_user_agent", parse_user_agent)];

/// A rule: an expression, and the family, in which `$1` is a group. Groups `a` to `d` are parts of the version.
type Rule = (&'static str, &'static str);

const V3: &str = r"(?<a>\d+)(?:\.(?<b>\d+))?(?:\.(?<c>\d+))?";

/// Programs, then browsers inside others, then browsers.
static BROWSERS: &[Rule] = &[
    (r"(?i)(Googlebot|bingbot|YandexBot|AhrefsBot|SemrushBot|DuckDuckBot|Applebot|MJ12bot|PetalBot)/?V?", "$1"),
    (r"facebookexternalhit/V", "FacebookBot"),
    (r"python-requests/V", "Python Requests"),
    (r"Python-urllib/V", "Python-urllib"),
    (r"Apache-HttpClient/V", "Apache-HttpClient"),
    (r"Go-http-client/V", "Go-http-client"),
    (r"okhttp/V", "okhttp"),
    (r"PostmanRuntime/V", "PostmanRuntime"),
    (r"(?i)^(curl|wget)/V", "$1"),
    (r"PowerShell/V", "PowerShell"),
    (r"axios/V", "axios"),
    (r"Java/V", "Java"),
    (r"AdobeAIR/V", "AdobeAIR"),
    (r"Series60/V.*Safari/", "Nokia OSS Browser"),
    (r"Edge?/V", "Edge"),
    (r"(?:EdgA|EdgiOS)/V", "Edge Mobile"),
    (r"Mobile.*OPR/V", "Opera Mobile"),
    (r"OPR/V", "Opera"),
    (r"Opera/.*Version/V", "Opera"),
    (r"Opera/V", "Opera"),
    (r"SamsungBrowser/V", "Samsung Internet"),
    (r"YaBrowser/V", "Yandex Browser"),
    (r"Vivaldi/V", "Vivaldi"),
    (r"UCBrowser/V", "UC Browser"),
    (r"FxiOS/V", "Firefox iOS"),
    (r"CriOS/V", "Chrome Mobile iOS"),
    (r"(?:Mobile|Tablet).*Firefox/V", "Firefox Mobile"),
    (r"Firefox/V", "Firefox"),
    (r"HeadlessChrome/V", "HeadlessChrome"),
    (r"; wv\).*Chrome/V", "Chrome Mobile WebView"),
    (r"Chrome/V.* Mobile", "Chrome Mobile"),
    (r"Chromium/V", "Chromium"),
    (r"Chrome/V", "Chrome"),
    (r"(?:iPhone|iPad|iPod).*Version/V.*Safari", "Mobile Safari"),
    (r"(?:iPhone|iPad|iPod).*AppleWebKit", "Mobile Safari UI/WKWebView"),
    (r"Android.*Version/V.*Safari", "Android"),
    (r"Version/V.*Safari/", "Safari"),
    (r"MSIE V", "IE"),
    (r"Trident/.*rv:V", "IE"),
];

static SYSTEMS: &[Rule] = &[
    (r"Windows Phone(?: OS)? V", "Windows Phone"),
    (r"(Windows) NT (?<nt>\d+\.\d+)", "Windows"),
    (r"Windows", "Windows"),
    (r"(?:CPU OS|iPhone OS|CPU iPhone OS) (?<a>\d+)_(?<b>\d+)(?:_(?<c>\d+))?", "iOS"),
    (r"Mac OS X (?<a>\d+)[_.](?<b>\d+)(?:[_.](?<c>\d+))?", "Mac OS X"),
    (r"Macintosh", "Mac OS X"),
    (r"CrOS \w+ V", "Chrome OS"),
    (r"Tizen[ /]V", "Tizen"),
    (r"Android[ /-]V", "Android"),
    (r"SymbianOS/V", "Symbian OS"),
    (r"Ubuntu(?:/V)?", "Ubuntu"),
    (r"(Fedora|Debian|CentOS|FreeBSD|OpenBSD)(?:/V)?", "$1"),
    (r"Linux", "Linux"),
];

/// A rule for devices: expression, family, brand, model.
type DeviceRule = (&'static str, &'static str, &'static str, &'static str);

static DEVICES: &[DeviceRule] = &[
    (r"(?i)bot\b|spider|crawl|facebookexternalhit", "Spider", "Spider", "Desktop"),
    (r"(iPhone|iPad|iPod)(\d+,\d+)", "$1", "Apple", "$1$2"),
    (r"(iPhone|iPad|iPod)", "$1", "Apple", "$1"),
    (r"Macintosh", "Mac", "Apple", "Mac"),
    (r"Android[^;)]*;(?: \w\w-\w\w;)? (?:SAMSUNG )?((?:SM|GT)-[A-Z0-9]+)", "Samsung $1", "Samsung", "$1"),
    (r"Android[^;)]*;(?: \w\w-\w\w;)? (Pixel[^;)]*?)(?: Build|;|\))", "$1", "Google", "$1"),
    (r"Android[^;)]*;(?: \w\w-\w\w;)? (Nexus[^;)]*?)(?: Build|;|\))", "$1", "Google", "$1"),
    (r"Android[^;)]*;(?: \w\w-\w\w;)? ([^;)]+?)(?: Build|;|\))", "$1", "Generic_Android", "$1"),
    (r"Nokia(([A-Z0-9]+)(?:-[A-Z0-9]+)?)", "Nokia $2", "Nokia", "$1"),
];

/// Windows by its internal version.
static WINDOWS: &[(&str, &str)] =
    &[("5.1", "XP"), ("5.2", "XP"), ("6.0", "Vista"), ("6.1", "7"), ("6.2", "8"), ("6.3", "8.1"), ("10.0", "10")];

static BROWSER_RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| compiled(BROWSERS));
static SYSTEM_RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| compiled(SYSTEMS));
static DEVICE_RULES: LazyLock<Vec<(Regex, &DeviceRule)>> =
    LazyLock::new(|| DEVICES.iter().filter_map(|rule| Some((Regex::new(rule.0).ok()?, rule))).collect());

/// `V` stands for a version of up to three parts. A test compiles every rule.
fn compiled(rules: &'static [Rule]) -> Vec<(Regex, &'static str)> {
    let expanded = |rule: &Rule| {
        rule.0
            .replace("/V", &format!("/{V3}"))
            .replace(" V", &format!(" {V3}"))
            .replace(":V", &format!(":{V3}"))
            .replace("]V", &format!("]{V3}"))
            .replace("/?V?", &format!("(?:/{V3})?"))
    };
    rules.iter().filter_map(|rule| Some((Regex::new(&expanded(rule)).ok()?, rule.1))).collect()
}

/// A replacement with `$1` and `$2`.
fn filled(template: &str, captures: &Captures<'_>) -> String {
    let mut text = String::new();
    captures.expand(template, &mut text);
    text.trim().to_owned()
}

fn bag<const N: usize>(members: [(&str, String); N]) -> Json {
    members.into_iter().map(|(key, value)| (key.to_owned(), Json::String(value))).collect::<Map<_, _>>().into()
}

fn browser(text: &str) -> Json {
    let found = BROWSER_RULES.iter().find_map(|(rule, family)| Some((rule.captures(text)?, *family)));
    let (family, parts) = family_and_version(found);
    let [major, minor, patch] = parts;
    bag([("Family", family), ("MajorVersion", major), ("MinorVersion", minor), ("Patch", patch)])
}

fn family_and_version(found: Option<(Captures<'_>, &str)>) -> (String, [String; 3]) {
    let Some((captures, family)) = found else { return (String::from("Other"), Default::default()) };
    let part = |name: &str| captures.name(name).map(|part| part.as_str().to_owned()).unwrap_or_default();
    (filled(family, &captures), [part("a"), part("b"), part("c")])
}

fn system(text: &str) -> Json {
    let found = SYSTEM_RULES.iter().find_map(|(rule, family)| Some((rule.captures(text)?, *family)));
    let internal = found.as_ref().and_then(|(captures, _)| captures.name("nt")).map(|version| version.as_str());
    let named = internal.and_then(|internal| WINDOWS.iter().find(|(version, _)| *version == internal));
    let (family, [major, minor, patch]) = family_and_version(found);
    let major = named.map_or(major, |(_, name)| (*name).to_owned());
    bag([
        ("Family", family),
        ("MajorVersion", major),
        ("MinorVersion", minor),
        ("Patch", patch),
        ("PatchMinor", String::new()),
    ])
}

fn device(text: &str) -> Json {
    let found = DEVICE_RULES.iter().find_map(|(rule, device)| Some((rule.captures(text)?, *device)));
    let [family, brand, model] = match found {
        Some((captures, (_, family, brand, model))) => [family, brand, model].map(|part| filled(part, &captures)),
        None => [String::from("Other"), String::new(), String::new()],
    };
    bag([("Family", family), ("Brand", brand), ("Model", model)])
}

/// `parse_user_agent(text, "browser")`, or an array of `browser`, `os` and `device`.
fn parse_user_agent(call: &Call<'_>) -> Result<ArrayRef> {
    let texts = call.texts(0)?;
    let wanted = call.has(1).then(|| call.jsons(1)).transpose()?;
    build::try_jsons(call.rows, |row| {
        let text = texts.get(row);
        if text.is_empty() || text.len() > USER_AGENT_BYTES_MAX {
            return Ok(None);
        }
        let wanted = match wanted.as_ref().map(|wanted| wanted.get(row).and_then(helpers::parse)) {
            None => ["browser", "os", "device"].map(Json::from).to_vec(),
            Some(Some(Json::Array(items))) => items,
            Some(Some(one)) => vec![one],
            Some(None) => return Ok(None),
        };
        let mut parts = Map::new();
        for part in &wanted {
            let (key, value) = match helpers::plain(part).to_ascii_lowercase().as_str() {
                "browser" => ("Browser", browser(text)),
                "os" => ("OperatingSystem", system(text)),
                "device" => ("Device", device(text)),
                other => {
                    let message = format!("unknown part of a user agent: part={other}");
                    return Err(
                        Error::invalid("function.argument", message).hint("use \"browser\", \"os\" or \"device\"")
                    );
                }
            };
            parts.insert(key.to_owned(), value);
        }
        Ok(Some(Json::Object(parts).to_string()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_compiles() {
        assert_eq!(BROWSER_RULES.len(), BROWSERS.len());
        assert_eq!(SYSTEM_RULES.len(), SYSTEMS.len());
        assert_eq!(DEVICE_RULES.len(), DEVICES.len());
    }

    /// Families and versions, joined by blanks.
    #[track_caller]
    fn check(text: &str, wanted: [&str; 3]) {
        let joined = |bag: Json| {
            let parts: Vec<String> = bag.as_object().unwrap().values().map(helpers::plain).collect();
            parts.join(" ").trim().to_owned()
        };
        assert_eq!([joined(browser(text)), joined(system(text)), joined(device(text))], wanted, "{text}");
    }

    #[test]
    fn common_agents() {
        check(
            "Mozilla/5.0 (Windows; U; en-US) AppleWebKit/531.9 (KHTML, like Gecko) AdobeAIR/2.5.1",
            ["AdobeAIR 2 5 1", "Windows", "Other"],
        );
        check(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.6099.71 Safari/537.36",
            ["Chrome 120 0 6099", "Windows 10", "Other"],
        );
        check(
            "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 Edg/120.0.2210.61",
            ["Edge 120 0 2210", "Windows 10", "Other"],
        );
        check(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 14_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/14.0.3 Mobile/15E148 Safari/604.1",
            ["Mobile Safari 14 0 3", "iOS 14 4", "iPhone Apple iPhone"],
        );
        check(
            "Mozilla/5.0 (Linux; Android 10; SM-G973F) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/96.0.4664.45 Mobile Safari/537.36",
            ["Chrome Mobile 96 0 4664", "Android 10", "Samsung SM-G973F Samsung SM-G973F"],
        );
        check(
            "Mozilla/5.0 (SymbianOS/9.2; U; Series60/3.1 NokiaN81-3/10.0.032 Profile/MIDP-2.0) AppleWebKit/413 (KHTML, like Gecko) Safari/4",
            ["Nokia OSS Browser 3 1", "Symbian OS 9 2", "Nokia N81 Nokia N81-3"],
        );
        check("curl/7.68.0", ["curl 7 68 0", "Other", "Other"]);
        check("nothing known", ["Other", "Other", "Other"]);
    }
}
