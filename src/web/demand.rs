//! The demand of a route: the pool that its requests count in, their time limit, and the answer when the time is
//! over. Declared with each route in `routes`; `gate` acts on it. Nothing is ever concluded
//! from the address.

use std::time::Duration;

/// Places that are counted apart, so that one kind of request cannot take another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// Everything without places of its own.
    Normal,
    /// Switch back, abort, roll back, pause. Goes on in the normal places when its own are taken.
    Back,
    /// What a person has to see to go back: normal places, and a reserve when those are taken.
    BackPage,
    /// Commands to a release: `Back` when the command in the body goes back, else `Normal`.
    Command,
    /// The sign-in page and the sign-in itself.
    SignIn,
    /// Probes and files: answered from memory.
    Light,
}

/// What a request leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: when it takes too long, it may be asked again.
    Reads,
    /// Something: when it takes too long, the outcome is unknown.
    Writes,
}

/// What one route asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    pub pool: Pool,
    pub effect: Effect,
    /// The longest that a request may take, from its last byte to the first of its answer.
    pub patience: Duration,
}

const PATIENCE: Duration = Duration::from_secs(30);
/// Longer than the longest `wait` and the change before it.
const WAITING: Duration = Duration::from_secs(100);

impl Demand {
    const fn of(pool: Pool, effect: Effect) -> Self {
        Self { pool, effect, patience: PATIENCE }
    }

    /// The same for a route with a parameter `wait`.
    #[must_use]
    pub const fn waiting(self) -> Self {
        Self { patience: WAITING, ..self }
    }
}

pub const READ: Demand = Demand::of(Pool::Normal, Effect::Reads);
pub const WRITE: Demand = Demand::of(Pool::Normal, Effect::Writes);
pub const BACK: Demand = Demand::of(Pool::Back, Effect::Writes);
pub const BACK_PAGE: Demand = Demand::of(Pool::BackPage, Effect::Reads);
pub const COMMAND: Demand = Demand::of(Pool::Command, Effect::Writes);
pub const SIGN_IN: Demand = Demand::of(Pool::SignIn, Effect::Reads);
pub const LIGHT: Demand = Demand::of(Pool::Light, Effect::Reads);
