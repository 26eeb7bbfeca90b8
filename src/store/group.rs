//! One writer, many writes: what waits at the same time is committed together, since it is the commit that takes
//! time. Each write is whole or not at all (a savepoint of its own), and no caller gets its result before the
//! commit that holds it.
//!
//! An error of the disk ends the whole transaction inside SQLite, whatever savepoints it has, so after one the
//! connection is closed and the next write opens another: no transaction can be left open.

use std::sync::Arc;

use futures::future::BoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqlitePool;
use sqlx::{Connection, Sqlite, SqliteConnection};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::condition::{Cause, Condition};
use super::{StoreError, record};

/// Writes in one commit at most.
const MOST: usize = 64;

/// Where writes queue.
pub(super) struct Queue(UnboundedSender<Message>);

enum Message {
    Write(Box<dyn Job>),
    /// Nothing more is written; the sender hears when the last write has ended.
    End(oneshot::Sender<()>),
}

/// One write that waits.
trait Job: Send {
    /// Does it, within a transaction that is not yet committed.
    fn run(self: Box<Self>, db: &mut SqliteConnection) -> BoxFuture<'_, Ran>;
    /// Says that it was not done.
    fn fail(self: Box<Self>, error: StoreError);
}

/// Answers the caller with the result of the commit.
type Tell = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// How a write went.
enum Ran {
    /// Written, if the commit succeeds; the caller is answered then.
    Well(Tell),
    /// Not written; the caller is answered when it is undone.
    Badly(Box<dyn FnOnce() + Send>),
    /// The file cannot be written; the caller gets the same error as the others of its group.
    Broken(Tell, StoreError),
}

struct Work<F, T> {
    job: F,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Job for Work<F, T>
where
    T: Send + 'static,
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StoreError>> + Send + 'static,
{
    fn run(self: Box<Self>, db: &mut SqliteConnection) -> BoxFuture<'_, Ran> {
        let Self { job, answer } = *self;
        Box::pin(async move {
            // A caller that no longer waits needs no answer.
            match job(db).await {
                Ok(value) => Ran::Well(Box::new(move |end| drop(answer.send(end.map(|()| value))))),
                Err(error) => match error.broken() {
                    Some(broken) => {
                        let tell = move |end: Result<(), StoreError>| {
                            drop(answer.send(Err(end.err().unwrap_or(StoreError::Interrupted))));
                        };
                        Ran::Broken(Box::new(tell), broken)
                    }
                    None => Ran::Badly(Box::new(move || drop(answer.send(Err(error))))),
                },
            }
        })
    }

    fn fail(self: Box<Self>, error: StoreError) {
        drop(self.answer.send(Err(error)));
    }
}

impl Queue {
    /// Starts the writer; it ends when the queue is dropped.
    pub fn on(pool: SqlitePool, condition: Arc<Condition>) -> Self {
        let (sender, jobs) = unbounded_channel();
        tokio::spawn(serve(pool, condition, jobs));
        Self(sender)
    }

    /// Puts a write into the queue. The answer is an error of the channel when the writer has ended or panicked.
    pub fn put<T, F>(&self, job: F) -> oneshot::Receiver<Result<T, StoreError>>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StoreError>> + Send + 'static,
    {
        let (answer, told) = oneshot::channel();
        drop(self.0.send(Message::Write(Box::new(Work { job, answer }))));
        told
    }

    /// Ends the writer: what was put before is written, what is put later is not, and nothing of it touches the file
    /// once this is over. A connection that a write still opened beside the pools (to see what another process did
    /// to the file) would otherwise keep SQLite from copying its log back when the last one is closed.
    pub async fn end(&self) {
        let (answer, ended) = oneshot::channel();
        if self.0.send(Message::End(answer)).is_ok() {
            // An error only says that the writer has ended already.
            let _ = ended.await;
        }
    }
}

async fn serve(pool: SqlitePool, condition: Arc<Condition>, mut messages: UnboundedReceiver<Message>) {
    let mut end = None;
    while end.is_none()
        && let Some(first) = messages.recv().await
    {
        let mut batch = Vec::new();
        let mut next = Some(first);
        while let Some(message) = next.take() {
            match message {
                Message::Write(job) => batch.push(job),
                Message::End(answer) => end = Some(answer),
            }
            if batch.len() < MOST && end.is_none() {
                next = messages.try_recv().ok();
            }
        }
        if batch.is_empty() {
            continue;
        }
        // A task of its own: a write that panics takes those beside it along, and none after them.
        if let Err(error) = tokio::spawn(commit(pool.clone(), condition.clone(), batch)).await {
            tracing::error!(%error, "a write panicked");
        }
    }
    // Before the answer: what was put meanwhile is dropped with it, and its caller hears of an interruption.
    drop(messages);
    if let Some(answer) = end {
        let _ = answer.send(());
    }
}

/// The writer's connection. It is closed at the end unless everything that was begun on it has ended well.
struct Lent {
    db: PoolConnection<Sqlite>,
    sound: bool,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.sound {
            self.db.close_on_drop();
        }
    }
}

async fn commit(pool: SqlitePool, condition: Arc<Condition>, batch: Vec<Box<dyn Job>>) {
    let mut jobs = batch.into_iter();
    let mut waiting = Vec::with_capacity(jobs.len());
    let error = match write(&pool, &condition, &mut jobs, &mut waiting).await {
        Ok(()) => {
            for tell in waiting {
                tell(Ok(()));
            }
            return;
        }
        Err(error) => error,
    };
    let (cause, why) = match error {
        StoreError::CannotWrite { cause, why } => (cause, why),
        StoreError::Unavailable(error) => (Cause::of(&error).unwrap_or(Cause::Failing), error.to_string()),
        other => (Cause::Failing, other.to_string()),
    };
    // Before the answers: who gets one and asks for the condition finds this in it.
    if !pool.is_closed() {
        condition.failed(cause, &why);
    }
    let error = || StoreError::CannotWrite { cause, why: why.clone() };
    for tell in waiting {
        tell(Err(error()));
    }
    for job in jobs {
        job.fail(error());
    }
}

/// Runs the jobs in one transaction. Those in `waiting` get the result of the commit; with an error, what is left in
/// `jobs` was not begun.
async fn write(
    pool: &SqlitePool,
    condition: &Condition,
    jobs: &mut impl Iterator<Item = Box<dyn Job>>,
    waiting: &mut Vec<Tell>,
) -> Result<(), StoreError> {
    // Before: nothing is written into a file that no longer has the name.
    condition.same_files()?;
    condition.same_contents().await?;
    let mut lent = Lent { db: pool.acquire().await?, sound: false };
    let head = {
        // Immediate: a reader that turns into a writer later fails at once, whatever the time-out.
        let mut all = lent.db.begin_with("BEGIN IMMEDIATE").await?;
        condition.same_rows(&mut all).await?;
        for job in jobs.by_ref() {
            let mut part = match all.begin().await {
                Ok(part) => part,
                Err(error) => {
                    let error = StoreError::from(error);
                    let broken = error.broken().unwrap_or(StoreError::Interrupted);
                    job.fail(error);
                    return Err(broken);
                }
            };
            match job.run(&mut part).await {
                Ran::Well(tell) => {
                    waiting.push(tell);
                    part.commit().await?;
                }
                Ran::Badly(tell) => {
                    let undone = part.rollback().await;
                    tell();
                    undone?;
                }
                Ran::Broken(tell, error) => {
                    waiting.push(tell);
                    return Err(error);
                }
            }
        }
        let head = record::last(&mut all).await?;
        all.commit().await?;
        head
    };
    lent.sound = true;
    // After: what was written is in the file that the next start will find.
    condition.same_files()?;
    condition.wrote(head);
    Ok(())
}
