//! Timers: what time alone changes. Where two rules fall due together the
//! stronger wins: `maxDuration`, then idleness, then the missing publisher.

use crate::{Decision, EndReason, Head, Phase, Rules, Timestamp};

use super::{Draft, end};

/// What has become due.
#[derive(Debug)]
pub enum Due {
    /// Nothing yet.
    Nothing,
    /// Commit this.
    Commit(Box<Decision>),
    /// The stream looks idle: end it (`idle`) once LiveKit has been asked and knows nobody there either.
    AskWhoIsThere,
    /// The reservation is overdue: look for its room, then complete or abandon it.
    Reservation,
}

/// Decides what the time `now` brings. Intents are not its business.
pub fn tick(head: &Head, rules: &Rules, now: Timestamp) -> Due {
    match head.phase {
        Phase::Reserved if super::create::is_reservation_overdue(head, rules, now) => Due::Reservation,
        Phase::Reserved => Due::Nothing,
        Phase::Ended => expire(head, rules, now),
        Phase::Waiting | Phase::Live | Phase::Reconnecting => tick_active(head, rules, now),
    }
}

fn tick_active(head: &Head, rules: &Rules, now: Timestamp) -> Due {
    let passed = |moment: Option<Timestamp>| moment.is_some_and(|moment| now >= moment);
    if passed(head.max_duration_until()) {
        return commit(end::end(head, EndReason::MaxDuration, rules, now));
    }
    if passed(head.empty_until(rules)) || passed(head.never_joined_until(rules)) {
        return Due::AskWhoIsThere;
    }
    if passed(head.reconnecting_until(rules)) {
        return commit(publisher_missed(head, rules, now));
    }
    Due::Nothing
}

fn publisher_missed(head: &Head, rules: &Rules, now: Timestamp) -> Option<Decision> {
    if head.settings.end_without_publisher.is_some() {
        return end::end(head, EndReason::PublisherLeft, rules, now);
    }
    let mut draft = Draft::new(head, now);
    draft.enter(Phase::Waiting);
    draft.finish(rules)
}

/// Removes an ended record whose retention is over.
fn expire(head: &Head, rules: &Rules, now: Timestamp) -> Due {
    if now < head.retained_until(rules) {
        return Due::Nothing;
    }
    Due::Commit(Box::new(Decision {
        head: None,
        expected: Some(head.revision),
        participants: Vec::new(),
        identities: Vec::new(),
        due: None,
        notice: Some(crate::Notice {
            id: head.id.clone(),
            body: crate::NoticeBody::Removed { epoch: head.epoch.clone(), version: head.version },
        }),
        tombstone: Some(end::tombstone(head, rules.tombstone, now)),
        session: None,
    }))
}

fn commit(decision: Option<Decision>) -> Due {
    decision.map_or(Due::Nothing, |decision| Due::Commit(Box::new(decision)))
}
