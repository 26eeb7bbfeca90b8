//! The program itself, started as a user starts it, against a real API server; and calls of its REST API.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::cluster::RealCluster;
use super::wait_for;

/// A running `sluice serve`, with exactly the rights that `deploy/` gives. Ends when dropped.
pub struct Served {
    pub url: String,
    child: Child,
    folder: tempfile::TempDir,
    client: reqwest::Client,
    arguments: Vec<String>,
}

/// The process and its address.
fn spawn(arguments: &[String]) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("Sluice is at ").expect("the address").to_owned();
    (child, url)
}

/// Leaves connections before Sluice closes them: a request that meets the closing is lost, as with any server.
fn client() -> reqwest::Client {
    reqwest::Client::builder().pool_idle_timeout(std::time::Duration::from_secs(3)).build().unwrap()
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Served {
    /// Starts it and waits until it is ready.
    pub async fn on(cluster: &RealCluster, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start(folder, &cluster.kubeconfig("sluice"), more).await
    }

    /// The same with a kubeconfig and a folder for the history.
    pub async fn start(folder: tempfile::TempDir, kubeconfig: &Path, more: &[&str]) -> Self {
        sluice::cluster::client::install_crypto();
        let history = format!("sqlite://{}", folder.path().join("sluice.db").display());
        let mut arguments: Vec<String> = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--auth",
            "token",
            "--database-url",
            &history,
            "--kubeconfig",
        ]
        .map(str::to_owned)
        .to_vec();
        arguments.push(kubeconfig.display().to_string());
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        let (child, url) = spawn(&arguments);
        let served = Self { url, child, folder, client: client(), arguments };
        served.is_ready().await;
        served
    }

    /// Kills it as a power cut would, and starts it again on the same history.
    pub async fn kill_and_restart(&mut self) {
        self.kill_and_start();
        self.is_ready().await;
    }

    /// The same, without waiting until it is ready.
    pub fn kill_and_start(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        (self.child, self.url) = spawn(&self.arguments);
    }

    /// Waits until it is.
    pub async fn is_ready(&self) {
        wait_for("sluice is ready", async || {
            let answer = self.client.get(format!("{}/readyz", self.url)).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    /// One call. `body` is sent as JSON; `headers` are name and value.
    pub async fn call(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let method = method.parse::<reqwest::Method>().unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let etag = answer.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned());
        let text = answer.text().await.unwrap();
        Answer { status, etag, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
    }

    /// Signs in as a browser does; the value of the cookie header.
    pub async fn sign_in(&self, token: &str) -> String {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let body = url::form_urlencoded::Serializer::new(String::new()).append_pair("token", token).finish();
        let ask = client.post(format!("{}/login", self.url)).body(body);
        let answer = ask.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
        assert_eq!(answer.status(), 303);
        let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
        cookie.split(';').next().unwrap().to_owned()
    }

    /// Ends it as a cluster ends a pod, and says whether it ended well.
    pub fn end(&mut self) -> bool {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status().unwrap();
        self.child.wait().unwrap().success()
    }

    /// Ends it so, and starts it again on the same history, of which the file is all there is then.
    pub fn end_and_start(&mut self) {
        assert!(self.end(), "an orderly end");
        let log = self.history().with_extension("db-wal");
        let left = std::fs::metadata(&log).map(|left| left.len());
        assert!(left.is_err(), "rows are left beside the history's file: {left:?} bytes");
        let (report, good) = verify(&self.history());
        assert!(good, "{report}");
        (self.child, self.url) = spawn(&self.arguments);
    }

    /// The file of the history.
    pub fn history(&self) -> PathBuf {
        self.folder.path().join("sluice.db")
    }
}

/// Runs `sluice audit verify` on a file: what it prints, and whether all is well.
pub fn verify(file: &Path) -> (String, bool) {
    let run =
        Command::new(env!("CARGO_BIN_EXE_sluice")).args(["audit", "verify"]).arg(file).output().unwrap();
    (String::from_utf8_lossy(&run.stdout).into_owned(), run.status.success())
}

/// What a call answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub etag: Option<String>,
    pub body: Value,
}

impl Answer {
    /// The stable code of a refusal; empty when there is none.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}
