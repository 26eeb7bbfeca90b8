//! `sluice audit verify` as a shell sees it: anchors, exit codes, and a reader that goes away.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::store::{Home, change, connect, tamper};

fn sluice(arguments: &[&str], file: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.args(["audit", "verify"]).arg(file).args(arguments).env_clear();
    command
}

fn run(arguments: &[&str], file: &Path) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = sluice(arguments, file).output().unwrap();
    (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

/// Four changes, and the anchors at rows 4 and 8.
async fn history() -> (Home, [String; 2]) {
    let home = Home::new().await;
    let mut anchors = Vec::new();
    for number in 0..4 {
        change(&home.store, number).await;
        if number % 2 == 1 {
            anchors.push(home.store.head().await.unwrap().unwrap().to_string());
        }
    }
    home.store.close().await;
    (home, anchors.try_into().unwrap())
}

#[tokio::test]
async fn every_anchor_must_fit() {
    let (home, [early, late]) = history().await;
    let file = home.path();
    let (code, said) = run(&[], &file);
    assert!(code == Some(0) && said.contains("unbroken: 8 rows"), "{said}");
    let (code, said) = run(&["--anchor", &early, "--anchor", &late], &file);
    assert!(code == Some(0) && said.contains("2 anchors fit"), "{said}");

    let other = format!("8:{}", "0".repeat(64));
    let (code, said) = run(&["--anchor", &early, "--anchor", &other], &file);
    assert!(code == Some(2) && said.contains("not the one that was anchored"), "{said}");
    let beyond = late.replace("8:", "9:");
    let (code, said) = run(&["--anchor", &beyond], &file);
    assert!(code == Some(2) && said.contains("row 9 was anchored") && said.contains("cut off"), "{said}");
    let (code, said) = run(&["--anchor", "8:12"], &file);
    assert!(code == Some(1) && said.contains("not an anchor"), "{said}");
    let (code, said) = run(&[], &home.beside("none.db"));
    assert!(code == Some(1) && said.contains("cannot be verified"), "{said}");
}

/// The log of the program itself, in both formats.
#[tokio::test]
async fn the_log_that_sluice_writes_holds_the_anchors() {
    for format in ["text", "json"] {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("sluice.log");
        let mut demo = Command::new(env!("CARGO_BIN_EXE_sluice"))
            .args(["demo", "--listen", "127.0.0.1:0", "--log-format", format, "--data"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let file = folder.path().join("sluice-demo.db");
        let begun = crate::support::wait_for("the demo has a history", async || {
            std::fs::read_to_string(&log).unwrap().contains("as it was written").then_some(())?;
            let mut db = connect(&file).await;
            let count: i64 =
                sqlx::query_scalar("SELECT count(*) FROM audit").fetch_one(&mut db).await.ok()?;
            (count > 3).then_some(())
        });
        begun.await;
        let id = demo.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert!(demo.wait().unwrap().success());
        let (code, said) = run(&["--anchors-from", log.to_str().unwrap()], &file);
        assert!(
            code == Some(0) && said.contains("fit"),
            "{format}: {said}{}",
            std::fs::read_to_string(&log).unwrap()
        );
        tamper(&file, "UPDATE audit SET hash = randomblob(32) WHERE seq = (SELECT max(seq) FROM audit)")
            .await;
        let (code, said) = run(&["--anchors-from", log.to_str().unwrap()], &file);
        assert!(code == Some(2) && said.contains("anchored"), "{format}: {said}");
        std::fs::write(&log, "nothing of interest\n").unwrap();
        let (code, said) = run(&["--anchors-from", log.to_str().unwrap()], &file);
        assert!(code == Some(1) && said.contains("no anchor"), "{format}: {said}");
    }
}

/// `sluice … | head`: the reader has gone before anything was printed.
#[tokio::test]
async fn a_reader_that_goes_away_is_no_error_of_any_command() {
    let (home, [early, _]) = history().await;
    let file = home.path();
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer
    };
    let bad = format!("4:{}", "0".repeat(64));
    for (arguments, code) in [(["--anchor", early.as_str()], 0), (["--anchor", bad.as_str()], 2)] {
        let done = sluice(&arguments, &file).stdout(closed()).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.code() == Some(code) && !said.contains("panicked"), "{said}");
    }
    let file = file.to_str().unwrap();
    for arguments in [
        &["audit", "verify", "/nowhere"][..],
        &["release", "replay", file, "R-1"],
        &["--help"],
        &["audit", "verify", "--help"],
        &["nonsense"],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
        let ended = command.args(arguments).stdout(closed()).stderr(closed()).status().unwrap();
        assert!(ended.code().is_some_and(|code| code != 101), "{arguments:?}: {ended}");
    }
}
