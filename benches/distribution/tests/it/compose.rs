//! The compose file, the Dockerfile and the code agree: no engine has to be at hand to notice that they do not.

use std::collections::BTreeSet;
use std::path::Path;

use serde_yaml_ng::Value;

use crate::{process, tree};

fn compose() -> Value {
    serde_yaml_ng::from_str(&tree::read("docker-compose.yml")).expect("docker-compose.yml is YAML")
}

fn strings(value: &Value) -> Vec<String> {
    value.as_sequence().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn kyma_services(compose: &Value) -> Vec<&Value> {
    let services = compose["services"].as_mapping().expect("services");
    services
        .iter()
        .filter(|(name, _)| name.as_str().is_some_and(|name| name.starts_with("kyma")))
        .map(|(_, service)| service)
        .collect()
}

/// `kyma config` reads the same environment as `kyma serve` and fails on an unknown variable.
#[test]
fn every_variable_is_a_setting_and_takes_effect() {
    let compose = compose();
    for service in kyma_services(&compose) {
        let variables = service["environment"].as_mapping().expect("environment");
        let mut command = std::process::Command::new(process::binary());
        command.arg("config").env_clear();
        for (key, value) in variables {
            command.env(key.as_str().expect("a name"), value.as_str().expect("a text value"));
        }
        let out = command.output().expect("kyma config runs");
        let shown = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        for wanted in ["s3://kyma/", "http://s3:9000", "/var/cache/kyma"] {
            assert!(shown.contains(wanted), "{wanted} did not reach the configuration:\n{shown}");
        }
        assert!(!shown.contains("kymakyma"), "secrets must not be shown:\n{shown}");
    }
    let out = std::process::Command::new(process::binary())
        .arg("config")
        .env("KYMA_NO_SUCH_SETTING", "1")
        .output()
        .expect("kyma config runs");
    assert!(!out.status.success(), "an unknown variable must be an error");
}

#[test]
fn every_flag_is_one_of_serve() {
    let help = String::from_utf8_lossy(&process::run(&["serve", "--help"]).stdout).into_owned();
    let compose = compose();
    for service in kyma_services(&compose) {
        let command = strings(&service["command"]);
        assert_eq!(command.first().map(String::as_str), Some("serve"));
        for flag in command.iter().filter(|word| word.starts_with("--")) {
            assert!(help.contains(flag.as_str()), "kyma serve has no {flag}:\n{help}");
        }
    }
}

#[test]
fn services_that_are_waited_for_exist_and_say_when_they_are_healthy() {
    let compose = compose();
    let services = compose["services"].as_mapping().expect("services");
    for (name, service) in services {
        for (needed, condition) in service["depends_on"].as_mapping().into_iter().flatten() {
            let target =
                services.get(needed).unwrap_or_else(|| panic!("{name:?} waits for {needed:?}, which is not there"));
            let has_check = target.get("healthcheck").is_some() || target.get("build").is_some();
            assert!(condition["condition"] != "service_healthy" || has_check, "{needed:?} has no healthcheck");
        }
        for volume in strings(&service["volumes"]) {
            let source = volume.split(':').next().unwrap_or_default().to_owned();
            assert!(compose["volumes"].get(source.as_str()).is_some(), "volume {source} of {name:?} is not declared");
        }
    }
}

#[test]
fn the_s3_server_is_swapped_by_one_variable() {
    let compose = compose();
    let services = compose["services"].as_mapping().expect("services");
    let servers = services.iter().filter(|(name, _)| name.as_str().is_some_and(|name| name.starts_with("s3-")));
    let mut profiles = BTreeSet::new();
    for (name, service) in servers {
        profiles.extend(strings(&service["profiles"]));
        assert_eq!(strings(&service["networks"]["default"]["aliases"]), ["s3"], "{name:?} must answer as s3");
        assert!(strings(&service["command"]).iter().any(|word| word.contains("9000")), "{name:?} must listen on 9000");
    }
    assert!(profiles.len() >= 2);
    let chosen =
        tree::read(".env").trim().strip_prefix("COMPOSE_PROFILES=").map(str::to_owned).expect(".env chooses a profile");
    assert!(profiles.contains(&chosen));
}

#[test]
fn the_ports_agree() {
    let compose = compose();
    let dockerfile = tree::read("Dockerfile");
    for service in kyma_services(&compose) {
        let command = strings(&service["command"]);
        let listen = command.iter().skip_while(|word| *word != "--listen").nth(1).expect("--listen");
        let port = listen.rsplit(':').next().expect("a port");
        assert!(dockerfile.contains(&format!("EXPOSE {port}")));
        assert!(dockerfile.contains(&format!("http://127.0.0.1:{port}")), "the image's healthcheck asks another port");
        assert!(strings(&service["ports"]).iter().all(|mapping| mapping.ends_with(&format!(":{port}"))));
    }
}

#[test]
fn the_dockerfile_copies_what_exists_and_runs_as_a_user() {
    let dockerfile = tree::read("Dockerfile");
    let copies =
        dockerfile.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|line| !line.starts_with("--from"));
    for line in copies {
        let words: Vec<&str> = line.split_whitespace().collect();
        for source in &words[..words.len() - 1] {
            assert!(tree::root().join(source).exists(), "COPY {source}");
        }
    }
    let user = dockerfile.lines().filter_map(|line| line.strip_prefix("USER ")).next_back().expect("a USER");
    assert_ne!(user, "root");
    let toolchain: toml::Table = tree::read("rust-toolchain.toml").parse().expect("TOML");
    let channel = toolchain["toolchain"]["channel"].as_str().expect("a channel");
    let image = format!("rust:{}", channel.rsplit_once('.').map_or(channel, |(minor, _)| minor));
    assert!(dockerfile.contains(&image), "the image's toolchain is not {channel}");
    let cache = dockerfile.lines().any(|line| line.contains("/var/cache/kyma"));
    assert!(cache && Path::new("/var/cache/kyma").is_absolute());
}

#[test]
fn the_healthcheck_is_a_command_that_kyma_has() {
    let dockerfile = tree::read("Dockerfile");
    let line =
        dockerfile.lines().find_map(|line| line.trim().strip_prefix("CMD [\"kyma\"")).expect("a healthcheck of kyma");
    let flags: Vec<&str> = line.split('"').filter(|word| word.starts_with("--")).collect();
    let help = String::from_utf8_lossy(&process::run(&["query", "--help"]).stdout).into_owned();
    for flag in flags {
        assert!(help.contains(flag), "kyma query has no {flag}");
    }
}
