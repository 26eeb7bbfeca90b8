//! Options that do not go together are refused before anything starts.

use clap::Parser;
use sluice::config::{Auth, Cli, Command, Web};

fn serve(args: &[&str]) -> Result<Web, String> {
    let cli =
        Cli::try_parse_from(["sluice", "serve"].iter().chain(args)).map_err(|error| error.to_string())?;
    match cli.command {
        Command::Serve(serve) => serve.web(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn nobody_may_come_in_unasked_from_another_machine() {
    for address in ["127.0.0.1:0", "127.8.8.8:80", "[::1]:80", "[::ffff:127.0.0.1]:80"] {
        assert_eq!(serve(&["--auth", "none", "--listen", address]).unwrap().auth, Auth::None, "{address}");
    }
    for address in ["0.0.0.0:80", "[::]:80", "10.0.0.1:80", "[fe80::1]:80", "[::ffff:10.0.0.1]:80"] {
        let refusal = serve(&["--auth", "none", "--listen", address]).unwrap_err();
        assert!(refusal.contains("--auth none") && refusal.contains(address), "{refusal}");
        assert!(serve(&["--listen", address]).is_ok(), "with tokens any address will do");
    }
    let demo = Cli::try_parse_from(["sluice", "demo", "--listen", "0.0.0.0:80"]).unwrap();
    let Command::Demo(demo) = demo.command else { panic!("not the demo") };
    assert!(demo.web().unwrap_err().contains("0.0.0.0:80"));
}

#[test]
fn https_is_what_the_public_url_says() {
    assert!(!serve(&[]).unwrap().is_https());
    assert!(!serve(&["--public-url", "http://sluice.example"]).unwrap().is_https());
    assert!(serve(&["--public-url", "https://sluice.example"]).unwrap().is_https());
}

#[test]
fn refuses_urls_that_mean_nothing_or_carry_secrets() {
    for url in ["sluice.example", "ftp://sluice.example", "https://", "https://a:b@sluice.example"] {
        assert!(serve(&["--public-url", url]).is_err(), "{url}");
        assert!(serve(&["--prometheus-url", url]).is_err(), "{url}");
    }
    for url in ["postgres://x/y", "sqlite://", "sluice.db", "sqlite:///a?mode=memory"] {
        assert!(serve(&["--database-url", url]).is_err(), "{url}");
    }
}

#[test]
fn every_option_of_serve_can_be_set_in_the_environment_and_is_explained() {
    use clap::CommandFactory;
    let command = Cli::command();
    let subcommands = command.get_subcommands().filter(|sub| sub.get_name() != "audit");
    for option in command.get_arguments().chain(subcommands.flat_map(clap::Command::get_arguments)) {
        let name = option.get_id().as_str();
        if matches!(name, "help" | "version") {
            continue;
        }
        let env = option.get_env().map(|env| env.to_string_lossy().into_owned());
        // `KUBECONFIG` is kubectl's own variable.
        let ours =
            |env: &str| env.starts_with("SLUICE_") || (name == "kubeconfig_files" && env == "KUBECONFIG");
        assert!(env.is_some_and(|env| ours(&env)), "{name}");
        assert!(option.get_help().is_some(), "{name}");
    }
}
