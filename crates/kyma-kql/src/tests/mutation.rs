//! Real queries, damaged: whatever happens to a text, the frontend ends, with a plan or with errors that point into it.
//!
//! 1. Case `n` is made from seed and `n` alone: one or two real queries, one to four mutations of their tokens or bytes.
//! 2. It is planned on a thread with a small stack. A panic, an error outside the text or one that cannot be rendered, an
//!    invalid plan, or seconds of work fail the test, which names the case and prints its text.
//!
//! `KYMA_MUTATIONS=1000000` tries that many, `KYMA_MUTATION=n` only case `n`. `KYMA_MUTATIONS_LOUD=1` names each case before
//! it is tried, for those that end the process.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kyma_core::{Column, Type};
use kyma_plan::{SchemaSource, TableSchema};

use super::realworld::shared;

/// Cases of a normal run.
const CASES: usize = 3_000;
const SEED: u64 = 0x6b79_6d61;
const THREADS: usize = 2;
/// The stack of a worker, as of the threads that plan queries in a node.
const STACK_BYTES: usize = 2 * 1024 * 1024;
/// Longest time for one text, in a build without optimisation on a busy machine.
const CASE_TIME_MAX: Duration = Duration::from_secs(20);
/// Longest mutated text; real ones are a few kilobytes.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// Used where the real queries are absent.
const OWN: [&str; 6] = [
    "let t = ago(1h); Logs | where TimeGenerated > t and Message has_any ('a', \"b\") | summarize count() by bin(TimeGenerated, 5m), Level",
    "let f = (T:(*), n:long=5) { T | top n by Duration desc }; Logs | invoke f(n=3) | join kind=leftouter (Logs | distinct Level) on $left.Level == $right.Level",
    "union withsource=S isfuzzy=true Logs, (Logs | extend d = parse_json(Message) | mv-expand x = d.items to typeof(string))",
    "Logs | parse Message with 'a' b:long ',' * | make-series n=count() default=0 on TimeGenerated from ago(1d) to now() step 1h by Level | render timechart",
    "datatable(a:long, b:dynamic)[1, dynamic({\"x\":[1,2]}), 2, dynamic(null)] | mv-apply e=b.x on (summarize s=sum(tolong(e))) | extend ['a b']=case(a>1,'x',h'y')",
    "declare query_parameters(p:string='q'); set notruncation; search in (Logs) p | top-nested 3 of Level by count() | project-away a*",
];

const PIECES: [&str; 64] = [
    "|",
    "|",
    ";",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ".",
    "=",
    "==",
    "!",
    "~",
    "-",
    "*",
    "..",
    ":",
    "'",
    "\"",
    "```",
    "//",
    "\n",
    "let x = ",
    "where",
    "extend",
    "project",
    "summarize",
    "by",
    "join",
    "on",
    "union",
    "mv-expand",
    "mv-apply",
    "parse",
    "with",
    "make-series",
    "evaluate",
    "invoke",
    "partition",
    "fork",
    "search",
    "find",
    "range",
    "print",
    "datatable(a:long)[",
    "toscalar(",
    "materialize(",
    "in",
    "!in~",
    "between (",
    "has_any",
    "and",
    "or",
    "not(",
    "dynamic(",
    "typeof(",
    "$left",
    "1d",
    "0x7fffffffffffffff",
    "1e308",
    "datetime(9999-12-31)",
    "\u{1f600}",
];

/// Names and types of the columns that every table of the mutated queries has.
const COLUMNS: [(&str, Type); 14] = [
    ("TimeGenerated", Type::Datetime),
    ("Timestamp", Type::Datetime),
    ("Computer", Type::String),
    ("Account", Type::String),
    ("Level", Type::String),
    ("Message", Type::String),
    ("EventID", Type::Long),
    ("Type", Type::String),
    ("UserPrincipalName", Type::String),
    ("IPAddress", Type::String),
    ("Properties", Type::Dynamic),
    ("Duration", Type::Real),
    ("Count", Type::Int),
    ("Enabled", Type::Bool),
];

#[derive(Debug)]
struct Tables(BTreeSet<String>);

impl SchemaSource for Tables {
    fn table(&self, database: &str, name: &str) -> Option<TableSchema> {
        self.0.contains(name).then(|| TableSchema {
            database: database.to_owned(),
            name: name.to_owned(),
            schema: COLUMNS.iter().map(|(name, ty)| Column::new(*name, *ty)).collect(),
            time_column: "TimeGenerated".to_owned(),
        })
    }

    fn tables(&self, _database: &str) -> Vec<String> {
        self.0.iter().take(5).cloned().collect()
    }

    fn databases(&self) -> Vec<String> {
        vec!["db".to_owned()]
    }
}

/// `splitmix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `bound`, which is not 0.
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn of<'t>(&mut self, items: &[&'t str]) -> &'t str {
        items[self.below(items.len())]
    }
}

/// A text as its tokens with the space before each.
fn tokens(text: &str) -> Vec<String> {
    let mut at = 0;
    let pieces = crate::lex::lex(text).0.into_iter().map(|token| {
        let piece = text[at..token.span.end].to_owned();
        at = token.span.end;
        piece
    });
    pieces.collect()
}

fn mutated(corpus: &[String], case: usize) -> String {
    let mut random = Random(SEED ^ (case as u64).wrapping_mul(0xd134_2543_de82_ef95));
    let mut text = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(4) {
        text = mutate(&text, corpus, &mut random);
        if text.len() > TEXT_BYTES_MAX {
            let end = (0..=TEXT_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(end);
        }
    }
    text
}

fn mutate(text: &str, corpus: &[String], random: &mut Random) -> String {
    match random.below(16) {
        0..=9 => mutate_tokens(tokens(text), random).concat(),
        10 => splice(text, &corpus[random.below(corpus.len())], random),
        11 => truncated(text, random),
        12 | 13 => mutate_bytes(text, random),
        14 => nested(tokens(text), random),
        _ => repeated(tokens(text), random),
    }
}

/// Deletes, doubles, swaps, inserts or replaces a token, or moves a run of them.
fn mutate_tokens(mut tokens: Vec<String>, random: &mut Random) -> Vec<String> {
    let (a, b) = (random.below(tokens.len()), random.below(tokens.len()));
    match random.below(7) {
        0 => {
            tokens.remove(a);
        }
        1 => tokens.insert(a, tokens[a].clone()),
        2 => tokens.swap(a, b),
        3 => tokens.insert(a, format!(" {} ", random.of(&PIECES))),
        4 => tokens[a] = format!(" {} ", random.of(&PIECES)),
        5 => tokens[a] = tokens[b].clone(),
        _ => {
            let run: Vec<String> = tokens.drain(a.min(b)..a.max(b).min(a.min(b) + 20)).collect();
            let to = random.below(tokens.len());
            tokens.splice(to..to, run);
        }
    }
    tokens
}

/// The beginning of one text and the end of another.
fn splice(text: &str, other: &str, random: &mut Random) -> String {
    let (mut first, second) = (tokens(text), tokens(other));
    first.truncate(random.below(first.len()));
    first.extend_from_slice(&second[random.below(second.len())..]);
    first.concat()
}

fn truncated(text: &str, random: &mut Random) -> String {
    let at = random.below(text.len() + 1);
    let end = (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text[..end].to_owned()
}

fn mutate_bytes(text: &str, random: &mut Random) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=random.below(8) {
        let at = random.below(bytes.len() + 1);
        match random.below(3) {
            0 if at < bytes.len() => bytes[at] = (random.next() & 0xff) as u8,
            1 if at < bytes.len() => {
                bytes.remove(at);
            }
            _ => bytes.insert(at, (random.next() & 0x7f) as u8),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Brackets, calls or sub-queries around a run of tokens, many deep.
fn nested(mut tokens: Vec<String>, random: &mut Random) -> String {
    let from = random.below(tokens.len());
    let to = (from + 1 + random.below(5)).min(tokens.len());
    let depth = 1 << random.below(13);
    let pairs = [
        ("(", ")"),
        ("[", "]"),
        ("{", "}"),
        (" not(", ")"),
        (" dynamic([", "])"),
        (" toscalar(Logs | where ", ")"),
        (" -", ""),
    ];
    let (open, close) = pairs[random.below(pairs.len())];
    tokens.insert(to, close.repeat(depth));
    tokens.insert(from, open.repeat(depth));
    tokens.concat()
}

/// A run of tokens many times.
fn repeated(mut tokens: Vec<String>, random: &mut Random) -> String {
    let from = random.below(tokens.len());
    let to = (from + 1 + random.below(12)).min(tokens.len());
    let run = tokens[from..to].concat();
    tokens.insert(to, run.repeat(1 << random.below(11)));
    tokens.concat()
}

/// What is wrong with how a text is planned, if anything is.
fn problem(text: &str, tables: &Tables) -> Option<String> {
    let parameters = BTreeMap::new();
    let started = Instant::now();
    let planned = catch_unwind(AssertUnwindSafe(|| match super::plan_over(text, tables, &parameters) {
        Ok(query) => {
            query.statements.iter().for_each(|statement| super::check::valid(&statement.plan));
            None
        }
        Err(errors) if errors.0.is_empty() => Some("an error without a message".to_owned()),
        Err(errors) => errors.0.iter().find_map(|error| {
            error.render(text);
            let inside = error.span.start <= error.span.end && error.span.end <= text.len();
            let follows = error.code == "kql.follows";
            (!inside || follows).then(|| format!("{error:?} of {} bytes", text.len()))
        }),
    }));
    match planned {
        Err(_) => Some("panic".to_owned()),
        Ok(None) if started.elapsed() > CASE_TIME_MAX => Some(format!("took {:?}", started.elapsed())),
        Ok(found) => found,
    }
}

/// Queries, and the names of their tables.
fn corpus() -> (Vec<String>, Tables) {
    let mut tables = BTreeSet::from(["Logs".to_owned()]);
    let Some(cases) = shared("conformance/kql/realworld.jsonl") else {
        return (OWN.map(str::to_owned).to_vec(), Tables(tables));
    };
    let mut queries = OWN.map(str::to_owned).to_vec();
    for line in cases.lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        queries.push(case["query"].as_str().unwrap().to_owned());
        let names = case["tables"].as_array().into_iter().flatten().filter_map(|name| name.as_str());
        tables.extend(names.map(str::to_owned));
    }
    (queries, Tables(tables))
}

fn number(name: &str) -> Option<usize> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

#[test]
fn no_mutation_breaks_the_frontend() {
    let (corpus, tables) = corpus();
    if let Some(case) = number("KYMA_MUTATION") {
        let text = mutated(&corpus, case);
        eprintln!("{text}");
        assert_eq!(problem(&text, &tables), None);
        return;
    }
    let total = number("KYMA_MUTATIONS").unwrap_or(CASES);
    let loud = std::env::var_os("KYMA_MUTATIONS_LOUD").is_some();
    let (next, started) = (AtomicUsize::new(0), Instant::now());
    let worker = || loop {
        let case = next.fetch_add(1, Ordering::Relaxed);
        if case >= total {
            return Vec::new();
        }
        if loud {
            eprintln!("case {case}");
        }
        let text = mutated(&corpus, case);
        if let Some(problem) = problem(&text, &tables) {
            next.store(total, Ordering::Relaxed);
            return vec![format!("case {case}: {problem}\n{text}")];
        }
    };
    let problems: Vec<String> = std::thread::scope(|scope| {
        let spawn = |_| std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, worker).unwrap();
        let workers: Vec<_> = (0..THREADS).map(spawn).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let seconds = started.elapsed().as_secs_f64();
    eprintln!("{total} mutated queries in {seconds:.1} s ({:.0}/s)", total as f64 / seconds);
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}
