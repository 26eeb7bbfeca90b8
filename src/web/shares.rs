//! Capacity: so many places in all, so many for each name (a person, else an address), so that no one name can
//! hold them all. `gate` counts requests with it, `events` streams. Keeps no order and never waits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Places that are counted together.
#[derive(Debug)]
pub struct Shares {
    all: usize,
    each: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by: HashMap<Arc<str>, usize>,
}

/// One place; given back when dropped.
#[derive(Debug)]
pub struct Share {
    name: Arc<str>,
    taken: Arc<Mutex<Taken>>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// All places are taken.
    All,
    /// This name has as many as one may have.
    Own,
}

impl Shares {
    pub fn new(all: usize, each: usize) -> Self {
        Self { all, each, taken: Arc::default() }
    }

    /// Takes a place for a name.
    pub fn take(&self, name: &str) -> Result<Share, Full> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.by.get(name).copied().unwrap_or_default();
        if own >= self.each {
            return Err(Full::Own);
        }
        if taken.all >= self.all {
            return Err(Full::All);
        }
        let name: Arc<str> = name.into();
        taken.all += 1;
        taken.by.insert(name.clone(), own + 1);
        Ok(Share { name, taken: self.taken.clone() })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        match taken.by.get_mut(&self.name) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(taken.by.remove(&self.name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_cannot_hold_all_places() {
        let shares = Shares::new(3, 2);
        let first = shares.take("a").unwrap();
        let _second = shares.take("a").unwrap();
        assert_eq!(shares.take("a").unwrap_err(), Full::Own);
        let _other = shares.take("b").unwrap();
        assert_eq!(shares.take("c").unwrap_err(), Full::All);
        drop(first);
        assert!(shares.take("c").is_ok());
    }

    #[test]
    fn remembers_nobody_who_has_no_place() {
        let shares = Shares::new(3, 2);
        for n in 0..100 {
            drop(shares.take(&n.to_string()).unwrap());
        }
        let taken = shares.taken.lock().unwrap();
        assert_eq!((taken.all, taken.by.len()), (0, 0));
    }
}
