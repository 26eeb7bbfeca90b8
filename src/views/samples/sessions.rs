//! The page of sessions: one's own, everybody's, none.

use std::sync::Arc;

use crate::domain::actor::{Channel, Identity};
use crate::domain::session::{Owners, Session, SessionPage};
use crate::views::chrome::{Chrome, Nav, Theme};
use crate::views::lang::Lang;
use crate::views::sessions::SessionsPage;

use super::{HOSTILE, NOW, Page, chrome, push};

fn session(number: i64, user: &str, agent: &str) -> Session {
    let groups = vec!["release-managers".to_owned(), "system:authenticated".to_owned()];
    let identity = Identity { user: user.to_owned(), uid: "u".to_owned(), groups, unrestricted: false };
    Session {
        id: format!("3f2a9c0d1b7e44{number:02}"),
        identity: Arc::new(identity),
        csrf: String::new(),
        created_ms: NOW - number * 3_600_000,
        seen_ms: NOW - number * 60_000,
        ends_ms: NOW + 3_600_000,
        checked_ms: NOW,
        address: (number != 2).then(|| "10.2.8.41".to_owned()),
        agent: agent.to_owned(),
        channel: if number == 2 { Channel::Api } else { Channel::Browser },
    }
}

pub fn add(pages: &mut Vec<Page>, lang: Lang, theme: Theme) {
    let frame = |here: &str| Chrome { topic: String::new(), ..chrome(lang, theme, Nav::Nowhere, here) };
    let own = vec![session(1, "lin.wei", "Firefox, Linux"), session(2, "lin.wei", "")];
    let answer = |items: Vec<Session>, may: bool| SessionPage {
        items,
        next: may.then(|| "1-3f2a9c0d1b7e4402".to_owned()),
        may_list_all: may,
        may_revoke_all: may,
    };
    let current = Some("3f2a9c0d1b7e4401");
    let mut show = |name: &str, here: &str, owners: Owners, page: SessionPage| {
        push(pages, name, &SessionsPage::of(frame(here), &owners, &page, current));
    };
    show("sessions", "/sessions", Owners::Own, answer(own.clone(), false));
    let mut all = own;
    all.push(session(3, HOSTILE, "Chrome, Windows"));
    show("sessions-all", "/sessions?scope=all", Owners::Everybody, answer(all, true));
    show("sessions-none", "/sessions", Owners::Own, answer(Vec::new(), false));
}
