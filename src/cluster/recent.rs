//! The routing objects that were read or written last, whole. Who changes traffic looks at a service first, or
//! changes it several times: what the API server says is still at the same version need not be sent again.
//!
//! Called by `current`, `fresh` and `write`. Nothing here is believed by itself: only the API server's word that
//! an object stands at a version makes what is kept of that version true.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::domain::ids::ObjectRef;

/// As many objects are kept: a service has two or three.
const MOST: usize = 64;
/// A larger one is not, in bytes of its JSON; usual ones have one or two thousand.
const LARGEST: usize = 32 * 1024;

/// The newest first.
#[derive(Default)]
pub(super) struct Recent(Mutex<VecDeque<(ObjectRef, Arc<Value>)>>);

impl Recent {
    /// What is kept of an object.
    pub fn get(&self, object: &ObjectRef) -> Option<Arc<Value>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(at, _)| at == object).map(|(_, json)| Arc::clone(json))
    }

    /// Keeps an object that came as so many bytes.
    pub fn keep(&self, object: &ObjectRef, json: Arc<Value>, bytes: usize) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(at, _)| at != object);
        if bytes <= LARGEST {
            kept.truncate(MOST - 1);
            kept.push_front((object.clone(), json));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::ids::Kind;

    #[test]
    fn the_newest_are_kept_and_none_that_is_large() {
        let at = |n: usize| ObjectRef::new(Kind::VirtualService, "shop", &format!("reviews-{n}"));
        let recent = Recent::default();
        for n in 0..MOST + 10 {
            recent.keep(&at(n), Arc::new(json!(n)), 100);
        }
        assert_eq!(recent.get(&at(9)), None);
        assert_eq!(recent.get(&at(10)).as_deref(), Some(&json!(10)));
        recent.keep(&at(10), Arc::new(json!("new")), 100);
        assert_eq!(recent.get(&at(10)).as_deref(), Some(&json!("new")));
        assert_eq!(recent.0.lock().unwrap().len(), MOST);
        // What grew too large is forgotten, not kept as it was.
        recent.keep(&at(10), Arc::new(json!("huge")), LARGEST + 1);
        assert_eq!(recent.get(&at(10)), None);
    }
}
