//! Help, configuration, exit codes.

use crate::process::{kyma, run, stderr, stdout};

#[test]
fn help_shows_every_command_and_examples() {
    let help = stdout(&run(&["--help"]));
    for command in ["dev", "serve", "migrate", "config", "query", "ingest", "generate", "inspect"] {
        assert!(help.contains(&format!("\n  {command} ")), "{command}: {help}");
        let own = run(&[command, "--help"]);
        assert!(own.status.success() && stdout(&own).contains("xamples:"), "{command}");
    }
}

#[test]
fn settings_come_from_file_variables_and_flags_in_this_order() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kyma.toml");
    std::fs::write(
        &file,
        "listen = \"127.0.0.1:1\"\nzone = \"a\"\ngrpc_listen = \"127.0.0.1:2\"\n[server]\nqueries_max = 3\n",
    )
    .unwrap();
    let mut command = kyma();
    command.arg("config").current_dir(folder.path());
    command.env("KYMA_LISTEN", "127.0.0.1:3").env("KYMA_ZONE", "b").env("KYMA_SERVER__QUERY_SECONDS", "7");
    let output = command.args(["--listen", "127.0.0.1:4"]).output().unwrap();
    let shown = stdout(&output);
    assert!(output.status.success(), "{}", stderr(&output));
    for line in [
        "listen = \"127.0.0.1:4\"",
        "zone = \"b\"",
        "grpc_listen = \"127.0.0.1:2\"",
        "queries_max = 3",
        "query_seconds = 7",
    ] {
        assert!(shown.contains(line), "{line}:\n{shown}");
    }
}

#[test]
fn a_wrong_setting_is_named_and_the_exit_code_is_2() {
    let output = kyma().arg("config").env("KYMA_NO_SUCH", "1").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("no_such"), "{}", stderr(&output));

    let output = kyma().args(["config", "--config", "/nowhere.toml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("/nowhere.toml"));

    let output = kyma().arg("config").env("KYMA_ROLES", "cook").output().unwrap();
    assert!(stderr(&output).contains("cook"), "{}", stderr(&output));
}

#[test]
fn a_missing_part_says_how_to_get_it() {
    let output = run(&["serve"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("KYMA_CATALOG_URL"), "{}", stderr(&output));

    let output = run(&["serve", "--catalog-url", "postgres://127.0.0.1:1/none"]);
    assert!(stderr(&output).contains("KYMA_STORE_URL"), "{}", stderr(&output));

    let output = run(&["serve", "--catalog-url", "postgres://127.0.0.1:1/none", "--store-url", "file:///tmp"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("the catalog does not answer"), "{}", stderr(&output));

    let output = run(&["query", "--url", "http://127.0.0.1:1", "print 1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("kyma dev"), "{}", stderr(&output));
}

#[test]
fn secrets_are_not_shown() {
    let mut command = kyma();
    command.arg("config").env("KYMA_CATALOG_URL", "postgres://kyma:hunter2@db/kyma");
    command.env("KYMA_STORE_OPTIONS__SECRET_ACCESS_KEY", "hunter2").env("KYMA_STORE_OPTIONS__ALLOW_HTTP", "true");
    let shown = stdout(&command.output().unwrap());
    assert!(!shown.contains("hunter2") && shown.contains("allow_http = \"true\""), "{shown}");
}

#[test]
fn generated_rows_are_the_same_for_the_same_seed() {
    let rows = |seed: &str| stdout(&run(&["generate", "--rows", "1000", "--seed", seed]));
    assert_eq!(rows("7").lines().count(), 1_000);
    assert_eq!(rows("7"), rows("7"));
    assert_ne!(rows("7"), rows("8"));
}
