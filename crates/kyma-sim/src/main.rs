//! `kyma-sim`: runs seeds of the simulation and says what broke.

use std::process::ExitCode;

use indicatif::ProgressBar;
use kyma_core::planted::Bug;
use kyma_sim::campaign::{Campaign, Report, arm, bar};
use kyma_sim::run::run;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const HELP: &str = "\
Runs kyma's write path and background work in simulated worlds, one per seed, and checks every step.

Usage: kyma-sim [OPTIONS]

Options:
  --seeds N       how many seeds (default 1000; for --bugs the most per bug, default 2000)
  --from S        the first seed (default 0)
  --replay        runs each seed twice; both must be equal to the bit
  --verbose S     runs one seed and prints its plan and what happened in it
  --bug NAME      arms a planted bug; it is expected to be found
  --bugs          prints the table of planted bugs and the seeds that caught them
  --threads N     seeds at a time (default: one per core)
  --help          this text

The end is `violations: 0`, or each seed with what it broke; the exit code is 0 when all is as it should be.
Bugs can be armed only in a build with `--features planted-bugs`.

Examples:
  kyma-sim --seeds 20000                 what CI runs
  kyma-sim --seeds 100 --replay          proves that runs can be replayed
  kyma-sim --verbose 4711                the story of one seed
  kyma-sim --bug ack-before-commit --seeds 2000
  kyma-sim --bugs
";

/// The command line.
#[derive(Debug, Default)]
struct Args {
    seeds: Option<u64>,
    from: u64,
    replay: bool,
    verbose: Option<u64>,
    bug: Option<Bug>,
    bugs: bool,
    threads: usize,
    help: bool,
}

fn main() -> ExitCode {
    let args = match parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(wrong) => {
            eprintln!("kyma-sim: {wrong}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    if args.help {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    if (args.bugs || args.bug.is_some()) && !cfg!(feature = "planted-bugs") {
        eprintln!("kyma-sim: no bug can be armed in this build; build with `--features planted-bugs`");
        return ExitCode::from(2);
    }
    let is_well = match (args.verbose, args.bugs, args.bug) {
        (Some(seed), ..) => tell(seed, args.bug),
        (None, true, _) => table(&args),
        (None, false, Some(bug)) => hunt(&args, bug),
        (None, false, None) => search(&args),
    };
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Args, String> {
    let mut args = Args::default();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|_| format!("not a number: {text}"));
        match word.as_str() {
            "--seeds" => args.seeds = Some(number(value()?)?),
            "--from" => args.from = number(value()?)?,
            "--verbose" => args.verbose = Some(number(value()?)?),
            "--threads" => args.threads = number(value()?)? as usize,
            "--replay" => args.replay = true,
            "--bugs" => args.bugs = true,
            "--bug" => {
                let name = value()?;
                args.bug = Some(Bug::of_name(&name).ok_or(format!("no such bug: {name}; --bugs names them"))?);
            }
            "--help" | "-h" => args.help = true,
            _ => return Err(format!("not understood: {word}")),
        }
    }
    Ok(args)
}

impl Args {
    fn campaign(&self, seeds: u64, bug: Option<Bug>) -> Campaign {
        let stop_at_first = bug.is_some();
        Campaign { from: self.from, seeds, bug, replay: self.replay, stop_at_first, threads: self.threads }
    }
}

/// Looks for violations; none is well.
fn search(args: &Args) -> bool {
    let seeds = args.seeds.unwrap_or(1_000);
    let progress = bar(seeds, if args.replay { "seeds, each twice" } else { "seeds" });
    let report = args.campaign(seeds, None).run(&progress);
    progress.finish_and_clear();
    for violation in &report.violations {
        print_violation(violation.seed, &violation.outcome);
    }
    for seed in &report.differing {
        println!("seed {seed}: its second run was not the same");
    }
    println!("{}", summary(&report));
    println!("violations: {}", report.violations.len() + report.differing.len());
    report.violations.is_empty() && report.differing.is_empty()
}

fn print_violation(seed: u64, outcome: &kyma_sim::run::Outcome) {
    let Some(broken) = &outcome.broken else { return };
    println!("seed {seed}: {broken}");
    outcome
        .log
        .iter()
        .rev()
        .take(30)
        .rev()
        .for_each(|line| println!("    {}", line.lines().next().unwrap_or_default()));
    println!("    all of it: kyma-sim --verbose {seed}");
}

fn summary(report: &Report) -> String {
    let seconds = report.elapsed.as_secs_f64().max(1e-9);
    let per_core = report.seeds as f64 / seconds / report.threads as f64;
    format!(
        "{} seeds in {seconds:.1} s on {} threads: {per_core:.0} seeds/s per core, {} events, {} acked writes, {:.1} days simulated",
        report.seeds,
        report.threads,
        report.events,
        report.acked,
        report.millis as f64 / 86_400_000.0
    )
}

/// Runs until a planted bug is found; finding it is well.
fn hunt(args: &Args, bug: Bug) -> bool {
    let seeds = args.seeds.unwrap_or(2_000);
    let progress = bar(seeds, bug.describe().0);
    let report = args.campaign(seeds, Some(bug)).run(&progress);
    progress.finish_and_clear();
    match report.violations.first() {
        Some(found) => print_violation(found.seed, &found.outcome),
        None => println!("{}: not found in {seeds} seeds", bug.describe().0),
    }
    println!("violations: {}", report.violations.len());
    !report.violations.is_empty()
}

/// The table of planted bugs.
fn table(args: &Args) -> bool {
    let seeds = args.seeds.unwrap_or(2_000);
    println!("{:<30} {:>7}  {:<46}  what is wrong", "bug", "seed", "what broke");
    let mut missed = 0;
    for bug in Bug::ALL {
        let report = args.campaign(seeds, Some(*bug)).run(&ProgressBar::hidden());
        let (name, what) = bug.describe();
        match report.violations.first() {
            Some(found) => {
                let broken = found.outcome.broken.as_ref().map_or("", |broken| broken.invariant);
                println!("{name:<30} {:>7}  {broken:<46}  {what}", found.seed);
            }
            None => {
                missed += 1;
                println!("{name:<30} {:>7}  {:<46}  {what}", "-", format!("NOT FOUND in {seeds} seeds"));
            }
        }
    }
    println!("planted bugs found: {} of {}", Bug::ALL.len() - missed, Bug::ALL.len());
    missed == 0
}

/// The story of one seed.
fn tell(seed: u64, bug: Option<Bug>) -> bool {
    arm(bug);
    let outcome = run(seed, true);
    outcome.log.iter().for_each(|line| println!("{line}"));
    let (acked, sent) = outcome.writes;
    println!(
        "seed {seed}: {} events in {:.1} simulated s, {acked} of {sent} writes acked, hash {:016x}",
        outcome.events,
        outcome.millis as f64 / 1e3,
        outcome.hash
    );
    match &outcome.broken {
        Some(broken) => println!("{broken}"),
        None => println!("violations: 0"),
    }
    outcome.broken.is_none()
}
