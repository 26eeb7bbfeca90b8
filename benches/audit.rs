//! The history at a million entries: every filtered page, text search, counts, export, verification, and
//! what one recorded change costs, each beside its floor in the same run.
//!
//! `cargo bench --bench audit`, or `-- ROWS FOLDER` for another number of entries and a folder that is filled
//! once and kept. Floors: for pages the plainest query that reads 51 rows of the same file, asked in turn
//! with them, and the same page of a history of 10,000 entries; for a change two bare transactions of one
//! small row with the same settings.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and ends at the first trouble"
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use sluice::clock::Clock;
use sluice::domain::actor::Channel;
use sluice::domain::audit::{Action, Details, EditRecord, Ending, Filter, Intent, Outcome, Written};
use sluice::domain::ids::{Kind, ObjectRef, ServiceRef};
use sluice::store::{Revise, Store, verify};
use sqlx::{Connection, SqliteConnection};

const START: i64 = 1_735_689_600_000;
/// Between two entries: a million of them are about a year.
const STEP_MS: i64 = 31_000;
const PAGE: usize = 50;
const SMALL: u64 = 10_000;
const NAMESPACES: u64 = 100;
const SERVICES: u64 = 3_000;
const ACTORS: u64 = 80;
const REASONS: [&str; 8] = [
    "canary looks good, error rate is below the limit",
    "latency rose after the last step, going back",
    "回滚到稳定版本，错误率过高",
    "weekly release train",
    "切换全部流量到新版本",
    "INC-4711: checkout fails for gift cards",
    "second step of the migration to the new recommendation engine",
    "v2 is ready",
];

/// Numbers without a seed from outside, so that two runs ask the same questions.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) * sides) >> 31
    }

    /// Small numbers much more often than large ones.
    fn skewed(&mut self, sides: u64) -> u64 {
        let below = self.roll(sides) + 1;
        let below = self.roll(below) + 1;
        self.roll(below)
    }
}

fn service(number: u64) -> ServiceRef {
    ServiceRef::new(&format!("team-{}", number % NAMESPACES), &format!("service-{number}"))
}

fn actor(number: u64) -> String {
    format!("person-{number}@example.com")
}

fn entry(number: u64, dice: &mut Dice) -> (Intent, Outcome, Revise) {
    let at = service(dice.skewed(SERVICES));
    let action = match dice.roll(100) {
        0..60 => Action::SetTraffic,
        60..70 => Action::TakeOver,
        70..78 => Action::SwitchBack,
        78..90 => Action::OutsideEdit,
        90..92 => Action::AddReason,
        _ => Action::SignIn,
    };
    let ending = match (action, dice.roll(1000)) {
        (Action::OutsideEdit, _) => Ending::Outside,
        (Action::SignIn | Action::AddReason, _) | (_, 0..900) => Ending::Applied,
        (_, 900..970) => Ending::Refused,
        (_, 970..990) => Ending::Failed,
        (_, 990..996) => Ending::Partial,
        _ => Ending::Unknown,
    };
    let object = ObjectRef::new(Kind::VirtualService, at.namespace.as_str(), &at.name);
    let share = u8::try_from(dice.roll(101)).unwrap();
    let spec = serde_json::json!({
        "hosts": [at.host("cluster.local")],
        "http": [{"name": "default", "timeout": "10s", "retries": {"attempts": 3, "perTryTimeout": "2s"}, "route": [
            {"destination": {"host": at.host("cluster.local"), "subset": "v1"}, "weight": 100 - share},
            {"destination": {"host": at.host("cluster.local"), "subset": "v2"}, "weight": share},
        ]}],
    });
    let changed = matches!(ending, Ending::Applied | Ending::Outside)
        && !matches!(action, Action::SignIn | Action::AddReason);
    let at_ms = START + i64::try_from(number).unwrap() * STEP_MS + i64::try_from(dice.roll(9_000)).unwrap();
    let random = (dice.roll(1 << 30) << 30) | dice.roll(1 << 30);
    let edit = EditRecord {
        object: object.clone(),
        before: Some(spec.clone()),
        after: Some(spec.clone()),
        resource_version_before: Some("100200".into()),
        resource_version_after: Some("100201".into()),
        written: Written::Yes,
    };
    let intent = Intent {
        change: format!("{at_ms:012x}-7000-8000-{random:016x}"),
        at_ms,
        service: (action != Action::SignIn).then_some(at),
        actor: actor(dice.skewed(ACTORS)),
        groups: vec!["release-managers".into()],
        channel: Channel::Browser,
        address: Some("192.0.2.7".into()),
        action,
        reason: format!("{} (batch {number})", REASONS[usize::try_from(dice.roll(8)).unwrap()]),
        request_id: format!("{:016x}{random:016x}", random.rotate_left(17)),
        details: Details {
            before: Some(vec![("v1".into(), 100), ("v2".into(), 0)]),
            after: Some(vec![("v1".into(), 100 - share), ("v2".into(), share)]),
            edits: if changed { vec![edit] } else { Vec::new() },
            ..Details::default()
        },
    };
    let specs = if changed { vec![(object, spec)] } else { Vec::new() };
    let outcome = Outcome {
        at_ms: at_ms + 40,
        ending,
        revision: None,
        details: Details { specs, ..Details::default() },
    };
    let revise = if changed { Revise::Next { fingerprint: "f".into() } } else { Revise::Keep };
    (intent, outcome, revise)
}

async fn fill(store: &Store, rows: u64) {
    let (mut dice, began, mut number) = (Dice(7), Instant::now(), 0);
    // The newest thousand as changes are really written: intent and outcome apart.
    let paired = rows - 1_000;
    while number < paired {
        let until = (number + 10_000).min(paired);
        store.singles((number..until).map(|number| entry(number, &mut dice)).collect()).await.unwrap();
        number = until;
        if number % 100_000 == 0 {
            println!("  {number} entries after {:.0?}", began.elapsed());
        }
    }
    for number in paired..rows {
        let (intent, outcome, revise) = entry(number, &mut dice);
        let id = store.intent(&intent).await.unwrap();
        store.outcome(id, &intent, &outcome, revise).await.unwrap();
    }
}

struct Times(Vec<Duration>);

impl Times {
    fn at(&mut self, percent: usize) -> Duration {
        self.0.sort_unstable();
        self.0[(self.0.len() * percent / 100).min(self.0.len() - 1)]
    }

    fn both(&mut self) -> (f64, f64) {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        (ms(self.at(50)), ms(self.at(99)))
    }
}

type Question = Box<dyn Fn(&mut Dice, u64) -> Filter>;

/// Every combination of service, actor, action and ending, with and without times; then what is special.
fn questions() -> Vec<(String, Question)> {
    let mut out: Vec<(String, Question)> = Vec::new();
    for bits in 0..32_u32 {
        let has = move |bit: usize| bits & (1 << bit) != 0;
        let names = ["service", "actor", "action", "ending", "time"];
        let name: Vec<&str> =
            names.into_iter().enumerate().filter(|(at, _)| has(*at)).map(|(_, name)| name).collect();
        let question = move |dice: &mut Dice, rows: u64| {
            let from = START + i64::try_from(dice.roll(rows)).unwrap() * STEP_MS;
            let days = 1 + i64::try_from(dice.roll(30)).unwrap();
            Filter {
                service: has(0).then(|| service(dice.skewed(SERVICES))),
                actor: has(1).then(|| actor(dice.skewed(ACTORS))),
                action: has(2).then(|| Action::ALL[usize::try_from(dice.roll(7)).unwrap()]),
                ending: has(3).then(|| Ending::ALL[usize::try_from(dice.roll(6)).unwrap()]),
                from_ms: has(4).then_some(from),
                to_ms: has(4).then_some(from + days * 86_400_000),
                ..Filter::default()
            }
        };
        out.push((if name.is_empty() { "everything".into() } else { name.join(" + ") }, Box::new(question)));
    }
    for (count, ending) in [(3, false), (3, true), (30, false), (30, true), (100, false), (100, true)] {
        let name = format!("{count} namespaces{}", if ending { " + refused" } else { "" });
        let question = move |dice: &mut Dice, _| Filter {
            namespaces: Some(
                (0..count)
                    .map(|at| format!("team-{}", (at * 7 + dice.roll(2)) % NAMESPACES).as_str().into())
                    .collect(),
            ),
            own: Some(actor(dice.skewed(ACTORS))),
            ending: ending.then_some(Ending::Refused),
            ..Filter::default()
        };
        out.push((name, Box::new(question)));
    }
    let nobody = |_: &mut Dice, _| Filter { actor: Some("nobody".into()), ..Filter::default() };
    out.push(("an actor who never acted".into(), Box::new(nobody)));
    out
}

/// What people type: common, rare, short, Chinese, an id, nothing; alone and with filters.
fn searches() -> Vec<(String, Question)> {
    let mut out: Vec<(String, Question)> = Vec::new();
    let text = |text: &'static str| -> Question {
        Box::new(move |_: &mut Dice, _| Filter { text: Some(text.into()), ..Filter::default() })
    };
    for word in [
        "canary",
        "service",
        "v2",
        "回滚",
        "错误率过高",
        "inc-4711",
        "recommendation engine",
        "nothing like it",
        "aaa",
    ] {
        out.push((format!("`{word}`"), text(word)));
    }
    let rare = |dice: &mut Dice, rows: u64| Filter {
        text: Some(format!("batch {}", dice.roll(rows))),
        ..Filter::default()
    };
    out.push(("one number of a million".into(), Box::new(rare)));
    let one = |dice: &mut Dice, _| Filter {
        text: Some("canary".into()),
        service: Some(service(dice.skewed(SERVICES))),
        ..Filter::default()
    };
    out.push(("`canary` in one service".into(), Box::new(one)));
    let both = |dice: &mut Dice, _| Filter {
        text: Some("回滚".into()),
        actor: Some(actor(dice.skewed(ACTORS))),
        ending: Some(Ending::Failed),
        ..Filter::default()
    };
    out.push(("`回滚` by one person, failed".into(), Box::new(both)));
    let week = |dice: &mut Dice, rows: u64| {
        let from = START + i64::try_from(dice.roll(rows)).unwrap() * STEP_MS;
        Filter {
            text: Some("train".into()),
            from_ms: Some(from),
            to_ms: Some(from + 604_800_000),
            ..Filter::default()
        }
    };
    out.push(("`train` in one week".into(), Box::new(week)));
    let seen = |dice: &mut Dice, _| Filter {
        text: Some("latency".into()),
        namespaces: Some((0..5).map(|_| format!("team-{}", dice.roll(NAMESPACES)).as_str().into()).collect()),
        ..Filter::default()
    };
    out.push(("`latency` in 5 namespaces".into(), Box::new(seen)));
    out
}

/// First pages and the pages after them; between them the floor, so that both meet the same neighbours.
async fn pages(store: &Store, question: &Question, rows: u64, floor: &mut Floor) -> Times {
    let (mut dice, mut times) = (Dice(99), Vec::new());
    for _ in 0..300 {
        let filter = question(&mut dice, rows);
        let mut cursor = None;
        for _ in 0..2 {
            let began = Instant::now();
            let page = store.entries(&filter, cursor.as_deref(), PAGE).await.unwrap();
            times.push(began.elapsed());
            floor.turn().await;
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
    }
    Times(times)
}

async fn open(path: &Path) -> SqliteConnection {
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal)
        .synchronous(sqlx::sqlite::SqliteSynchronous::Full);
    SqliteConnection::connect_with(&options).await.unwrap()
}

/// 51 rows of the same file by row number, nothing parsed.
struct Floor {
    db: SqliteConnection,
    dice: Dice,
    rows: u64,
    times: Vec<Duration>,
}

impl Floor {
    async fn of(path: &Path, rows: u64) -> Self {
        Self { db: open(path).await, dice: Dice(5), rows, times: Vec::new() }
    }

    async fn turn(&mut self) {
        let below = i64::try_from(self.dice.roll(self.rows)).unwrap() + 100;
        let began = Instant::now();
        let query = "SELECT seq, body FROM audit WHERE seq < ?1 ORDER BY seq DESC LIMIT 51";
        let found: Vec<(i64, String)> =
            sqlx::query_as(query).bind(below).fetch_all(&mut self.db).await.unwrap();
        self.times.push(began.elapsed());
        assert_eq!(found.len(), 51);
    }

    fn take(&mut self) -> Times {
        Times(std::mem::take(&mut self.times))
    }
}

async fn bare_commits(path: &Path, turns: usize) -> Times {
    let (mut db, mut times) = (open(path).await, Vec::new());
    sqlx::query("CREATE TABLE bare (n INTEGER PRIMARY KEY, t TEXT)").execute(&mut db).await.unwrap();
    for _ in 0..turns {
        let began = Instant::now();
        for _ in 0..2 {
            let mut tx = db.begin_with("BEGIN IMMEDIATE").await.unwrap();
            sqlx::query("INSERT INTO bare (t) VALUES ('a row of no more than that')")
                .execute(&mut *tx)
                .await
                .unwrap();
            tx.commit().await.unwrap();
        }
        times.push(began.elapsed());
    }
    Times(times)
}

async fn changes(store: &Store, from: u64, turns: u64) -> Times {
    let (mut dice, mut times) = (Dice(3), Vec::new());
    for number in from..from + turns {
        let (intent, outcome, revise) = entry(number, &mut dice);
        let began = Instant::now();
        let id = store.intent(&intent).await.unwrap();
        store.outcome(id, &intent, &outcome, revise).await.unwrap();
        times.push(began.elapsed());
    }
    Times(times)
}

async fn table(
    title: &str,
    limit: f64,
    big: (&Store, u64),
    small: &Store,
    floors: &mut [Floor; 2],
    all: Vec<(String, Question)>,
) {
    println!(
        "\n{title:<42} {:>9} {:>9} | {:>9} {:>9} | {:>7} {:>7}",
        "median", "p99", "floor", "p99", "×floor", "×10k"
    );
    let (mut worst, mut name_of_worst, mut floor_of_worst) = (0.0_f64, String::new(), 0.0);
    let [floor, small_floor] = floors;
    for (name, question) in all {
        let (median, p99) = pages(big.0, &question, big.1, floor).await.both();
        let (floor_median, floor_p99) = floor.take().both();
        let (median_small, _) = pages(small, &question, SMALL, small_floor).await.both();
        println!(
            "{name:<42} {median:>6.2} ms {p99:>6.2} ms | {floor_median:>6.2} ms {floor_p99:>6.2} ms | {:>7.1} {:>7.1}",
            median / floor_median,
            median / median_small
        );
        if p99 > worst {
            (worst, name_of_worst, floor_of_worst) = (p99, name, floor_p99);
        }
    }
    let verdict = if worst <= limit { "kept" } else { "MISSED" };
    println!(
        "worst p99 {worst:.2} ms ({name_of_worst}; its floor {floor_of_worst:.2} ms); limit {limit} ms: {verdict}"
    );
}

/// A history of so many entries, made now unless the folder holds one.
async fn history(path: &Path, rows: u64) -> Store {
    let made = path.exists();
    let store = Store::open(path, Clock::System).await.unwrap();
    if !made {
        println!("filling {rows} entries");
        let began = Instant::now();
        fill(&store, rows).await;
        let size = std::fs::metadata(path).unwrap().len() / (1 << 20);
        println!("filled in {:.0?}; the file has {size} MiB", began.elapsed());
    }
    store
}

async fn run(rows: u64, folder: &Path) {
    let (path, small_path) = (folder.join(format!("{rows}.db")), folder.join("small.db"));
    let (store, small) = (history(&path, rows).await, history(&small_path, SMALL).await);
    let mut floors = [Floor::of(&path, rows).await, Floor::of(&small_path, SMALL).await];
    println!("\nfloor of pages: 51 bodies of the same file by row number, not parsed");
    table("page of 50 by", 5.0, (&store, rows), &small, &mut floors, questions()).await;
    table("text search, page of 50", 100.0, (&store, rows), &small, &mut floors, searches()).await;

    println!();
    for (name, question) in questions().into_iter().take(32).step_by(5).chain(searches().into_iter().take(5))
    {
        let mut times = Vec::new();
        for turn in 0..100 {
            let filter = question(&mut Dice(turn), rows);
            let began = Instant::now();
            store.count(&filter).await.unwrap();
            times.push(began.elapsed());
        }
        let (median, p99) = Times(times).both();
        println!("count, {name:<37} {median:>6.2} ms {p99:>6.2} ms");
    }

    // Numbers that no entry has yet, also when the folder was filled before.
    let next = u64::try_from(store.head().await.unwrap().map_or(0, |head| head.seq)).unwrap();
    let (change, change_p99) = changes(&store, next, 2_000).await.both();
    let (fresh, _) = changes(&small, SMALL, 2_000).await.both();
    let bare_folder = tempfile::tempdir_in(folder).unwrap();
    let (bare, bare_p99) = bare_commits(&bare_folder.path().join("bare.db"), 2_000).await.both();
    println!(
        "\nchange (intent + outcome) at {rows}: median {change:.2} ms, p99 {change_p99:.2} ms; at {SMALL}: {fresh:.2} ms"
    );
    println!(
        "floor (two bare FULL commits): median {bare:.2} ms, p99 {bare_p99:.2} ms; ratio {:.2}",
        change / bare
    );

    let filter = Filter { actor: Some(actor(0)), ..Filter::default() };
    let began = Instant::now();
    let count = store.export(filter).try_fold(0_u64, async |count, _| Ok(count + 1)).await.unwrap();
    println!("\nexport of {count} entries with everything: {:.1?}", began.elapsed());
    let began = Instant::now();
    let report = verify::verify(&path, None).await.unwrap();
    println!("verification of {} rows: {:.1?}; good: {}", report.rows, began.elapsed(), report.is_good());
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let rows = args.first().and_then(|rows| rows.parse().ok()).unwrap_or(1_000_000_u64);
    let own = tempfile::tempdir().unwrap();
    let folder = args.get(1).map_or_else(|| own.path().to_owned(), PathBuf::from);
    std::fs::create_dir_all(&folder).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(run(rows.max(20_000), &folder));
}
