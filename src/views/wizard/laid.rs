//! What templates bring into the wizard's form: steps, analysis and policies. Steps and analysis that were not edited
//! follow the strategy and the service; what was typed is never replaced.

use sha2::{Digest, Sha256};

use super::fields::{Fields, MetricField, Row, plain};
use crate::domain::release::{Analysis, OnDrift, OnFailure, OwnTemplate, Policies, Strategy, Template};

/// What a template needs to know of the chosen service.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fit {
    /// Pods of the stable version.
    pub pods: u32,
    /// Requests a second that the service gets, where that is known.
    pub rate: Option<f64>,
}

/// A name for what fields hold.
pub(super) fn fingerprint(parts: &impl std::fmt::Debug) -> String {
    hex::encode(&Sha256::digest(format!("{parts:?}"))[..8])
}

fn of_rows(rows: &[Row]) -> String {
    let bare: Vec<Row> = rows.iter().map(|row| Row { key: String::new(), ..row.clone() }).collect();
    fingerprint(&bare)
}

impl Fields {
    /// An empty form with a template's steps: the start of a new release.
    pub fn new(service: &str, stable: &str) -> Self {
        let mut out = Self {
            strategy: Strategy::Canary.as_str().to_owned(),
            service: service.to_owned(),
            stable: stable.to_owned(),
            from: "image".to_owned(),
            ..Self::default()
        };
        out.take_policies(&Policies::default());
        out.take_template(Template::Careful, Fit { pods: 3, rate: None });
        out
    }

    /// The form as it begins with these choices. What equals it needs no draft: its address says it all.
    pub fn begun(chosen: &Self, fit: Fit) -> Self {
        let mut out = Self::new(&chosen.service, &chosen.stable);
        out.strategy.clone_from(&chosen.strategy);
        out.from.clone_from(&chosen.from);
        out.adopt.clone_from(&chosen.adopt);
        out.take_template(Template::parse(&chosen.template).unwrap_or(Template::Careful), fit);
        out
    }

    /// True when nothing was typed but what [`Self::begun`] starts from. What a template set and nobody touched is not
    /// typed, whatever the service gets by now.
    pub fn is_begun(&self) -> bool {
        let bare = |fields: &Self| {
            let mut bare = Self { left: String::new(), undo: String::new(), ..fields.clone() };
            if fields.is_untouched() {
                bare.rows.clear();
                fields.steps_of().unwrap_or_default().clone_into(&mut bare.laid);
            }
            if fields.is_fitted() {
                for field in
                    [&mut bare.interval, &mut bare.window, &mut bare.min_requests, &mut bare.failures]
                {
                    field.clear();
                }
                bare.metrics.clear();
                bare.fitted.clear();
            }
            bare
        };
        bare(self) == bare(&Self::begun(self, Fit { pods: 3, rate: None }))
    }

    fn strategy_of_steps(&self) -> Strategy {
        Strategy::parse(&self.strategy).unwrap_or(Strategy::Canary)
    }

    /// Takes steps, analysis and policies of a template.
    pub fn take_template(&mut self, template: Template, fit: Fit) {
        template.as_str().clone_into(&mut self.template);
        self.take_steps(template, fit);
        self.fit_analysis(template, fit);
        self.analyse = true;
        let held = template.policies();
        word(held.on_failure).clone_into(&mut self.on_failure);
        word(held.on_deadline).clone_into(&mut self.on_deadline);
    }

    /// Takes the steps alone.
    pub fn take_steps(&mut self, template: Template, fit: Fit) {
        let strategy = self.strategy_of_steps();
        let taken = self.rows.iter().filter_map(|row| row.key.parse::<usize>().ok()).max();
        let from = if self.rows.is_empty() { 0 } else { taken.map_or(0, |last| last + 1) };
        let rows = Row::of_steps(&template.steps(strategy, fit.pods.max(1)));
        if of_rows(&rows) != of_rows(&self.rows) {
            // Fields of other rows are other fields, also for a page that waits for this answer.
            let named = rows.into_iter().enumerate();
            self.rows = named.map(|(at, row)| Row { key: (from + at).to_string(), ..row }).collect();
        }
        self.mark_steps(strategy);
    }

    /// The same from a template of one's own.
    pub fn take_own(&mut self, own: &OwnTemplate) {
        self.template = format!("own:{}", own.name);
        own.strategy.as_str().clone_into(&mut self.strategy);
        self.rows = Row::of_steps(&own.steps);
        self.mark_steps(own.strategy);
        self.take_analysis(own.analysis.as_ref());
        self.take_policies(&own.policies);
    }

    /// Steps and analysis that were not edited become those of the chosen strategy and service.
    pub fn follow(&mut self, fit: Fit) {
        let builtin = Template::parse(&self.template);
        let moved = self.steps_of() != Some(self.strategy.as_str());
        if self.rows.is_empty() && self.laid.is_empty() || self.is_untouched() && (builtin.is_some() || moved)
        {
            let template = builtin.unwrap_or(Template::Careful);
            template.as_str().clone_into(&mut self.template);
            self.take_steps(template, fit);
        }
        if self.metrics.is_empty() || self.is_fitted() {
            self.fit_analysis(builtin.unwrap_or(Template::Careful), fit);
        }
    }

    /// The strategy that the steps were laid out for; `None` = unknown.
    pub fn steps_of(&self) -> Option<&str> {
        self.laid.split_once(':').map(|(strategy, _)| strategy)
    }

    /// True while the steps are as a template set them.
    pub fn is_untouched(&self) -> bool {
        self.laid.split_once(':').is_some_and(|(_, print)| print == of_rows(&self.rows))
    }

    fn is_fitted(&self) -> bool {
        self.fitted == self.of_analysis()
    }

    fn mark_steps(&mut self, strategy: Strategy) {
        self.laid = format!("{}:{}", strategy.as_str(), of_rows(&self.rows));
    }

    fn of_analysis(&self) -> String {
        fingerprint(&(&self.interval, &self.window, &self.min_requests, &self.failures, &self.metrics))
    }

    fn fit_analysis(&mut self, template: Template, fit: Fit) {
        let analyses = self.analyse || self.metrics.is_empty();
        self.take_analysis(Some(&template.analysis_at(self.strategy_of_steps(), fit.pods, fit.rate)));
        self.analyse = analyses;
    }

    pub(super) fn take_analysis(&mut self, analysis: Option<&Analysis>) {
        self.analyse = analysis.is_some();
        let standard = Template::Careful.analysis();
        let held = analysis.unwrap_or(&standard);
        self.interval = held.interval_s.to_string();
        self.window = held.window_s.to_string();
        self.min_requests = held.min_requests.to_string();
        self.failures = held.failures.to_string();
        self.metrics = MetricField::offered(held.metrics.iter().map(MetricField::of).collect());
        self.fitted = self.of_analysis();
    }

    pub(super) fn take_policies(&mut self, held: &Policies) {
        word(held.on_failure).clone_into(&mut self.on_failure);
        word(held.on_deadline).clone_into(&mut self.on_deadline);
        let drift = match held.on_drift {
            OnDrift::Pause => "pause",
            OnDrift::Reassert => "reassert",
            OnDrift::Adopt => "adopt",
        };
        drift.clone_into(&mut self.on_drift);
        self.deadline = plain(f64::from(held.step_deadline_s) / 60.0);
        self.delete_after_abort = held.delete_after_abort;
        self.stable_after = held.stable_after.map(|n| n.to_string()).unwrap_or_default();
        self.second_person = held.second_person;
        self.freeze = held.freeze.join("; ");
    }
}

fn word(what: OnFailure) -> &'static str {
    if what == OnFailure::Pause { "pause" } else { "abort" }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIT: Fit = Fit { pods: 5, rate: Some(20.0) };

    #[test]
    fn untouched_steps_follow_the_strategy_and_touched_ones_stay() {
        for first in Strategy::ALL {
            for second in Strategy::ALL {
                let mut fields = Fields::new("shop/cart", "v1");
                first.as_str().clone_into(&mut fields.strategy);
                fields.follow(FIT);
                assert!(fields.is_untouched() && fields.steps_of() == Some(first.as_str()));
                let mut touched = fields.clone();
                "7".clone_into(&mut touched.rows[0].hold);
                for form in [&mut fields, &mut touched] {
                    second.as_str().clone_into(&mut form.strategy);
                    form.follow(FIT);
                }
                let mut wanted = Fields::new("shop/cart", "v1");
                second.as_str().clone_into(&mut wanted.strategy);
                wanted.follow(FIT);
                assert_eq!(of_rows(&fields.rows), of_rows(&wanted.rows), "{first:?} {second:?}");
                assert_eq!(touched.rows[0].hold, "7", "{first:?} {second:?}");
                assert_eq!(touched.steps_of(), Some(first.as_str()));
            }
        }
    }

    #[test]
    fn what_was_typed_into_the_analysis_and_the_policies_outlives_a_change_of_strategy() {
        let mut fields = Fields::new("shop/cart", "v1");
        "42".clone_into(&mut fields.min_requests);
        "fri 16:00-24:00".clone_into(&mut fields.freeze);
        "blue_green".clone_into(&mut fields.strategy);
        fields.follow(FIT);
        assert_eq!((fields.min_requests.as_str(), fields.freeze.as_str()), ("42", "fri 16:00-24:00"));
        fields.take_template(Template::Quick, FIT);
        assert_eq!(fields.freeze, "fri 16:00-24:00");
    }

    #[test]
    fn choices_alone_need_no_draft_and_anything_typed_does() {
        let mut fields = Fields::new("shop/cart", "v1");
        for strategy in Strategy::ALL {
            strategy.as_str().clone_into(&mut fields.strategy);
            fields.follow(FIT);
            let sent: Vec<(String, String)> = fields
                .to_draft()
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                .collect();
            assert!(Fields::of_pairs(&sent).is_begun(), "{strategy:?}");
            let typed = Fields { reason: "r".to_owned(), ..fields.clone() };
            assert!(!typed.is_begun());
            let mut touched = fields.clone();
            "9".clone_into(&mut touched.rows[0].hold);
            assert!(!touched.is_begun());
        }
    }

    #[test]
    fn a_row_keeps_its_key_while_others_come_and_go() {
        let mut fields = Fields::new("shop/cart", "v1");
        let keys = |fields: &Fields| fields.rows.iter().map(|row| row.key.clone()).collect::<Vec<_>>();
        let before = keys(&fields);
        fields.rows.remove(1);
        fields.rows.insert(2, Row::default());
        fields.name_rows();
        let after = keys(&fields);
        assert_eq!(after[0], before[0]);
        assert_eq!(after[1], before[2]);
        assert!(!before.contains(&after[2]), "{after:?}");
    }
}
