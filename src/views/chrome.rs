//! What stands around every page: header, navigation, notices, toast. `web` fills it from the request.

use askama::Template;
use askama::filters::HtmlSafe;

use crate::domain::refusal::Check;
use crate::domain::version_slots::SlotBook;

use super::lang::{Lang, Rich, Text};
use super::query::Address;
use super::text;
use super::time::{Clockface, Moment};

/// The frame of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chrome {
    pub clock: Clockface,
    pub now_ms: i64,
    pub theme: Theme,
    /// Changes when a file in `static/` does; part of their addresses, so browsers may keep them without end.
    pub assets: String,
    pub nav: Nav,
    /// Path and query of this page, for the links that change language and theme.
    pub here: String,
    /// A short tag of the environment (`PROD`, `DEMO`).
    pub env: Option<String>,
    /// The cluster's name.
    pub cluster: String,
    /// Who is signed in.
    pub person: Option<Person>,
    /// The session's token against forged requests.
    pub csrf: String,
    /// What the page listens to (`/events?topic=…`); empty = nothing on it is live.
    pub topic: String,
    /// True in the demo: every page says that nothing here is a real cluster.
    pub demo: bool,
    /// Shows what to try first in the demo.
    pub guide: bool,
    /// What is wrong with our own sources.
    pub notices: Vec<Check>,
    /// Releases under way that the person may see.
    pub active: usize,
    pub toast: Option<Toast>,
    /// Which colour each version of each service has.
    pub slots: SlotBook,
}

/// How many releases are under way, beside their entry of the navigation.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"<span class="n" id="nav-active" data-live{% if count == 0 %} hidden{% endif %}><span aria-hidden="true">{{ count }}</span><span class="vh">, {{ words }}</span></span>"#
)]
pub struct UnderWay {
    pub count: usize,
    pub words: String,
}

impl HtmlSafe for UnderWay {}

impl UnderWay {
    pub fn of(lang: Lang, count: usize) -> Self {
        Self { count, words: lang.count("releases.under_way", count).into() }
    }
}

/// The person at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub name: String,
    /// False for the one user of `--auth none`: there is nothing to sign out of.
    pub can_sign_out: bool,
}

/// Which entry of the navigation is current.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nav {
    Services,
    Releases,
    Audit,
    Api,
    #[default]
    Nowhere,
}

/// Light, dark, or as the system says (the `theme` cookie).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    #[default]
    Auto,
    Light,
    Dark,
}

impl Theme {
    /// Reads the cookie or the query parameter.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Auto, Self::Light, Self::Dark].into_iter().find(|theme| theme.as_str() == text)
    }

    /// `auto`, `light` or `dark`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The theme that one more press brings.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Auto => Self::Light,
            Self::Light => Self::Dark,
            Self::Dark => Self::Auto,
        }
    }
}

impl Chrome {
    pub fn lang(&self) -> Lang {
        self.clock.lang
    }

    /// A file of `static/`.
    pub fn asset(&self, file: &str) -> Address {
        Address::new(format!("/static/{file}")).with("v", &self.assets)
    }

    /// This page in the other language.
    pub fn in_other_language(&self) -> Address {
        Address::parse(&self.here).with("lang", self.lang().other().code())
    }

    /// This page in the next theme.
    pub fn in_next_theme(&self) -> Address {
        Address::parse(&self.here).with("theme", self.theme.next().as_str())
    }

    /// `Theme: dark`.
    pub fn theme_label(&self) -> Text {
        let name = self.lang().t(&format!("shell.theme.{}", self.theme.as_str()));
        self.lang().t("shell.theme_is").with("theme", name)
    }

    /// A moment as this person reads it.
    pub fn moment(&self, at_ms: i64) -> Moment {
        self.clock.moment(at_ms, self.now_ms)
    }

    /// The number beside the entry of releases.
    pub fn under_way(&self) -> UnderWay {
        UnderWay::of(self.lang(), self.active)
    }

    /// The notices on top of the page.
    pub fn notices(&self) -> Vec<Notice> {
        let lang = self.lang();
        let demo = self.demo.then(|| Notice {
            link: Some(("/demo/bookinfo/productpage".to_owned(), lang.t("shell.demo_link").into())),
            ..Notice::new(Tone::Info, lang.t("shell.demo").rich())
        });
        demo.into_iter().chain(self.notices.iter().map(|check| text::notice(self.clock, check))).collect()
    }
}

/// What to try first in the demo: addresses and the keys of their words.
pub const GUIDE: [(&str, &str); 3] = [
    ("/services/bookinfo/reviews", "split"),
    ("/releases?service=shop/pricing", "runs"),
    ("/releases?service=shop/newsletter", "paused"),
];

impl Chrome {
    /// The lines of the guide: address, what to open, what to do there.
    pub fn guide_lines(&self) -> Vec<(&'static str, String, String)> {
        let words = |key: &str| self.lang().t(&format!("guide.{key}")).to_string();
        let line = |(href, key): (&'static str, &str)| (href, words(key), words(&format!("{key}_more")));
        GUIDE.into_iter().map(line).collect()
    }

    /// This page with the guide closed for good.
    pub fn without_guide(&self) -> String {
        Address::parse(&self.here).with("guide", "closed").to_string()
    }
}

/// The attributes of a control that keeps its place while it cannot be used, with the reason; nothing when it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"{% if let Some(why) = self.0 %} disabled title="{{ why }}" aria-description="{{ why }}"{% endif %}"#
)]
pub struct Off<'a>(pub Option<&'a str>);

impl HtmlSafe for Off<'_> {}

/// How much a notice, chip or row matters. Never shown by colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Ok,
    Info,
    Warn,
    Bad,
    /// Outlined: a state in which nothing is expected to happen.
    Line,
}

impl Tone {
    /// The class of the style sheet.
    pub fn class(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Ok => "ok",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Line => "line",
        }
    }
}

/// A sentence with an icon, and perhaps somewhere to go.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(path = "parts/notice.html")]
pub struct Notice {
    pub tone: Tone,
    pub icon: &'static str,
    pub text: Rich,
    pub more: Option<Rich>,
    pub link: Option<(String, String)>,
    /// True for what follows something the person just did: screen readers hear it at once.
    pub alert: bool,
}

impl HtmlSafe for Notice {}

impl Notice {
    pub fn new(tone: Tone, text: Rich) -> Self {
        let icon = match tone {
            Tone::Ok => "ok",
            Tone::Warn => "warn",
            Tone::Bad => "bad",
            Tone::Plain | Tone::Info | Tone::Line => "info",
        };
        Self { tone, icon, text, more: None, link: None, alert: false }
    }
}

/// A word with an icon: a state, a result.
#[derive(Clone, Debug, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"<span class="chip {{ tone.class() }}">{% if !icon.is_empty() %}<i class="ic i-{{ icon }}{% if icon == "ok" %} t-ok{% endif %}" aria-hidden="true"></i>{% endif %}{{ text }}</span>"#
)]
pub struct Chip {
    pub tone: Tone,
    pub icon: &'static str,
    pub text: String,
}

impl HtmlSafe for Chip {}

impl Chip {
    pub fn new(tone: Tone, icon: &'static str, text: impl Into<String>) -> Self {
        Self { tone, icon, text: text.into() }
    }
}

/// What became of the last thing the person did, shown until it is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toast {
    pub text: String,
    pub link: Option<(String, String)>,
}

impl Toast {
    /// After an applied change: what was written, its revision, and the way back (address, words).
    pub fn applied(lang: Lang, split: &str, revision: u64, back: Option<(String, String)>) -> Self {
        let key = if split.is_empty() { "toast.applied" } else { "toast.applied_split" };
        let text = lang.t(key).with("split", split).with("n", revision);
        Self { text: text.into(), link: back }
    }

    /// After a version was retired.
    pub fn retired(lang: Lang, version: &str) -> Self {
        Self { text: lang.t("release.after.retire_gone").with("v", version).into(), link: None }
    }
}
