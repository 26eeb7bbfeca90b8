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
/// A larger one is not, in bytes of its JSON; usual ones have one or two thousand, the API server takes 1.5 million.
const LARGEST: usize = 2 * 1024 * 1024;
/// All of them together are not larger: the oldest go.
const ALL: usize = 4 * 1024 * 1024;

/// The newest first.
#[derive(Default)]
pub(super) struct Recent(Mutex<VecDeque<Kept>>);

struct Kept {
    at: ObjectRef,
    json: Arc<Value>,
    bytes: usize,
}

impl Recent {
    /// What is kept of an object.
    pub fn get(&self, object: &ObjectRef) -> Option<Arc<Value>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|one| one.at == *object).map(|one| Arc::clone(&one.json))
    }

    /// Keeps an object that came as so many bytes.
    pub fn keep(&self, object: &ObjectRef, json: Arc<Value>, bytes: usize) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|one| one.at != *object);
        if bytes > LARGEST {
            return;
        }
        kept.push_front(Kept { at: object.clone(), json, bytes });
        let mut all = 0;
        let fitting = kept.iter().take(MOST).take_while(|one| {
            all += one.bytes;
            all <= ALL
        });
        let fitting = fitting.count();
        kept.truncate(fitting);
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
        // Large ones drive out the oldest.
        for n in 0..3 {
            recent.keep(&at(n), Arc::new(json!(n)), LARGEST);
        }
        let kept: Vec<bool> = (0..3).map(|n| recent.get(&at(n)).is_some()).collect();
        assert_eq!(kept, [false, true, true]);
        assert_eq!(recent.0.lock().unwrap().len(), 2);
    }
}
