//! One writer, many writes: what waits at the same time is committed together, since it is the commit that takes
//! time. Each write is whole or not at all (a savepoint of its own), and nobody is told that it is done before the
//! commit that holds it.

use futures::future::BoxFuture;
use sqlx::sqlite::SqlitePool;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::StoreError;

/// Writes in one commit at most.
const MOST: usize = 64;

/// Where writes queue.
pub(super) struct Queue(UnboundedSender<Box<dyn Job>>);

/// One write that waits.
trait Job: Send {
    /// Does it, within a transaction that is not yet committed.
    fn run(self: Box<Self>, db: &mut SqliteConnection) -> BoxFuture<'_, Ran>;
    /// Says that it was not done.
    fn fail(self: Box<Self>, error: StoreError);
}

/// How a write went.
enum Ran {
    /// It stands, if the commit goes well; whoever asked is told then.
    Well(Box<dyn FnOnce(Result<(), StoreError>) + Send>),
    /// It does not; whoever asked is told when it is undone.
    Badly(Box<dyn FnOnce() + Send>),
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
            // Whoever does not wait any more needs no answer.
            match job(db).await {
                Ok(value) => Ran::Well(Box::new(move |end| drop(answer.send(end.map(|()| value))))),
                Err(error) => Ran::Badly(Box::new(move || drop(answer.send(Err(error))))),
            }
        })
    }

    fn fail(self: Box<Self>, error: StoreError) {
        drop(self.answer.send(Err(error)));
    }
}

impl Queue {
    /// Starts the writer; it ends when the queue is dropped.
    pub fn on(pool: SqlitePool) -> Self {
        let (sender, jobs) = unbounded_channel();
        tokio::spawn(serve(pool, jobs));
        Self(sender)
    }

    /// Puts a write into the queue. The answer is an error of the channel when the writer has ended or panicked.
    pub fn put<T, F>(&self, job: F) -> oneshot::Receiver<Result<T, StoreError>>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StoreError>> + Send + 'static,
    {
        let (answer, told) = oneshot::channel();
        drop(self.0.send(Box::new(Work { job, answer })));
        told
    }
}

async fn serve(pool: SqlitePool, mut jobs: UnboundedReceiver<Box<dyn Job>>) {
    while let Some(first) = jobs.recv().await {
        let mut batch = vec![first];
        while batch.len() < MOST
            && let Ok(next) = jobs.try_recv()
        {
            batch.push(next);
        }
        // A task of its own: a write that panics takes those beside it along, and none after them.
        if let Err(error) = tokio::spawn(commit(pool.clone(), batch)).await {
            tracing::error!(%error, "a write panicked");
        }
    }
}

async fn commit(pool: SqlitePool, batch: Vec<Box<dyn Job>>) {
    let mut jobs = batch.into_iter();
    let mut well = Vec::with_capacity(jobs.len());
    let written = async {
        // Immediate: a reader that turns into a writer later fails at once, whatever the time-out.
        let mut all = pool.begin_with("BEGIN IMMEDIATE").await?;
        for job in jobs.by_ref() {
            let mut part = match all.begin().await {
                Ok(part) => part,
                Err(error) => {
                    let again = like(&error);
                    job.fail(error.into());
                    return Err(again);
                }
            };
            match job.run(&mut part).await {
                Ran::Well(tell) => {
                    well.push(tell);
                    part.commit().await?;
                }
                Ran::Badly(tell) => {
                    let undone = part.rollback().await;
                    tell();
                    undone?;
                }
            }
        }
        all.commit().await
    }
    .await;
    match written {
        Ok(()) => {
            for tell in well {
                tell(Ok(()));
            }
        }
        Err(error) => {
            for tell in well {
                tell(Err(like(&error).into()));
            }
            for job in jobs {
                job.fail(like(&error).into());
            }
        }
    }
}

/// The same error for somebody else.
fn like(error: &sqlx::Error) -> sqlx::Error {
    sqlx::Error::Protocol(error.to_string())
}
