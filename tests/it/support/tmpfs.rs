//! A small disk of its own: a tmpfs that a test may fill. Mounting one needs root; who is not root gets it in
//! name spaces of the test's own (`unshare`).

use std::path::{Path, PathBuf};
use std::process::Command;

/// Set for a test that runs in name spaces of its own.
const AGAIN: &str = "SLUICE_TEST_UNSHARED";

pub struct Tmpfs {
    folder: tempfile::TempDir,
}

impl Tmpfs {
    /// A disk of so much (`4m`). `None` when `test` (its full name) has just been run in name spaces of its own, and
    /// has passed; also, with a line on standard error, where neither is possible and the layers that need real
    /// parts are left out (`SLUICE_TEST_LAYERS=fake`). Otherwise that fails.
    pub fn mount(size: &str, test: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size},mode=700");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path()).output();
        let why = match mount {
            Ok(done) if done.status.success() => return Some(Self { folder }),
            Ok(done) => String::from_utf8_lossy(&done.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        assert!(std::env::var_os(AGAIN).is_none(), "no tmpfs in name spaces of our own: {why}");
        let again = Command::new("unshare")
            .arg("-Urm")
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(AGAIN, "1")
            .output();
        let why = match again {
            Ok(done) => {
                let said = String::from_utf8_lossy(&done.stdout);
                if done.status.success() {
                    assert!(said.contains("1 passed"), "{test} is not the name of the test: {said}");
                    return None;
                }
                format!("{why}; {said}{}", String::from_utf8_lossy(&done.stderr))
            }
            Err(error) => format!("{why}; unshare: {error}"),
        };
        let fake = std::env::var_os("SLUICE_TEST_LAYERS").is_some_and(|layers| layers == "fake");
        assert!(fake && std::env::var_os("CI").is_none(), "{test} needs a tmpfs: {why}");
        eprintln!("SKIPPED {test}: no tmpfs can be mounted: {why}");
        None
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    fn filler(&self) -> PathBuf {
        self.folder.path().join("filler")
    }

    /// Takes all the space that is left.
    pub fn fill(&self) {
        let mut filler = std::fs::File::create(self.filler()).unwrap();
        for block in [64 * 1024, 4096, 1] {
            while std::io::Write::write_all(&mut filler, &vec![0; block]).is_ok() {}
        }
    }

    /// Gives it back.
    pub fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: files of it may still be open.
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).output();
    }
}
