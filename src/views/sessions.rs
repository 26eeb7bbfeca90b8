//! The page of sessions, `/sessions`: one's own, and everybody's for people with the right. Each can be ended.

use askama::Template;

use crate::domain::session::{Owners, Session, SessionPage};

use super::chrome::Chrome;
use super::query::Address;
use super::time::Moment;

/// The whole page.
#[derive(Debug, Template)]
#[template(path = "sessions.html")]
pub struct SessionsPage {
    pub chrome: Chrome,
    pub rows: Vec<SessionRow>,
    pub next: Option<String>,
    /// Own and everybody's: label, address, whether it is the present one. Empty without the right.
    pub tabs: Vec<(String, String, bool)>,
    /// Everybody's are shown.
    pub all: bool,
    /// Whose sessions can be ended all at once.
    pub person: Option<String>,
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    pub id: String,
    pub user: String,
    /// All sessions of this person.
    pub user_href: String,
    pub groups: String,
    pub began: Moment,
    pub used: Moment,
    pub ends: String,
    pub address: String,
    pub agent: String,
    pub channel: String,
    /// The one that the page is seen with.
    pub current: bool,
    /// The person may end it.
    pub may_end: bool,
}

impl SessionsPage {
    /// The page for an answer; `current` is the id of the session that the page is seen with.
    pub fn of(chrome: Chrome, owners: &Owners, page: &SessionPage, current: Option<&str>) -> Self {
        let lang = chrome.lang();
        let me = chrome.person.as_ref().map(|person| person.name.clone()).unwrap_or_default();
        let tab = |key: &str, href: &str, is: bool| (lang.t(key).to_string(), href.to_owned(), is);
        let tabs = if page.may_list_all {
            vec![
                tab("sessions.own", "/sessions", *owners == Owners::Own),
                tab("sessions.all", "/sessions?scope=all", *owners == Owners::Everybody),
            ]
        } else {
            Vec::new()
        };
        let person = match owners {
            Owners::Own => Some(me.clone()),
            Owners::Person(user) => Some(user.clone()).filter(|user| page.may_revoke_all || *user == me),
            Owners::Everybody => None,
        };
        let row = |session: &Session| {
            let may_end = page.may_revoke_all || session.identity.user == me;
            SessionRow::of(&chrome, session, current, may_end)
        };
        let rows: Vec<SessionRow> = page.items.iter().map(row).collect();
        Self {
            person: person.filter(|_| rows.len() > 1),
            next: page.next.as_ref().map(|next| address(owners).with("cursor", next).to_string()),
            all: *owners != Owners::Own,
            rows,
            tabs,
            chrome,
        }
    }
}

/// The list of these sessions.
fn address(owners: &Owners) -> Address {
    let address = Address::new("/sessions");
    match owners {
        Owners::Own => address,
        Owners::Person(user) => address.with("user", user),
        Owners::Everybody => address.with("scope", "all"),
    }
}

impl SessionRow {
    fn of(chrome: &Chrome, session: &Session, current: Option<&str>, may_end: bool) -> Self {
        let lang = chrome.lang();
        Self {
            id: session.id.clone(),
            user: session.identity.user.clone(),
            user_href: address(&Owners::Person(session.identity.user.clone())).to_string(),
            groups: session.identity.groups.join(", "),
            began: chrome.moment(session.created_ms),
            used: chrome.moment(session.seen_ms),
            ends: chrome.clock.exact(session.ends_ms),
            address: session.address.clone().unwrap_or_default(),
            agent: if session.agent.is_empty() {
                lang.t("sessions.unknown_agent").into()
            } else {
                session.agent.clone()
            },
            channel: lang.t(&format!("channel.{}", session.channel.as_str())).into(),
            current: current == Some(session.id.as_str()),
            may_end,
        }
    }
}
