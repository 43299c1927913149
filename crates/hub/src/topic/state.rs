//! The newest known state of one stream. Pure: notices and readings in, what became of them out.

use std::collections::BTreeSet;

use domain::{Head, Identity, Notice, NoticeBody, Phase, StreamView, Timestamp, Visibility};

/// The newest known state of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamState {
    /// All but the list.
    pub(crate) view: StreamView,
    /// Distinct people, sorted.
    pub(crate) people: BTreeSet<Identity>,
}

/// What a notice did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applied {
    /// The state is newer now.
    Changed,
    /// It told nothing new.
    Known,
    /// Something before it was missed: the stream must be read again.
    Hole,
    /// The record is gone.
    Removed,
}

impl StreamState {
    /// What a reading of the store shows to the outside; `None` when there is nothing to show.
    ///
    /// A reservation is unknown to everybody, but what it would replace is still there.
    pub(crate) fn from_reading(reading: Option<(Head, Vec<Identity>)>) -> Option<Self> {
        let (head, people) = reading?;
        if head.phase != Phase::Reserved {
            return Some(Self { view: StreamView::from(&head), people: people.into_iter().collect() });
        }
        let replaced = head.replaced?;
        Some(Self { view: StreamView::from(replaced.as_ref()), people: BTreeSet::new() })
    }

    /// Applies what the store published.
    pub(crate) fn apply(&mut self, notice: Notice) -> Applied {
        match notice.body {
            NoticeBody::Removed { epoch, version } if epoch == self.view.epoch => {
                if version >= self.view.version {
                    Applied::Removed
                } else {
                    Applied::Known
                }
            }
            NoticeBody::Changed { view, joined, left, cleared } if view.epoch == self.view.epoch => {
                if view.version <= self.view.version {
                    return Applied::Known;
                }
                if view.version > self.view.version + 1 {
                    return Applied::Hole;
                }
                if cleared {
                    self.people.clear();
                }
                for identity in &left {
                    self.people.remove(identity);
                }
                self.people.extend(joined);
                self.view = *view;
                Applied::Changed
            }
            NoticeBody::Removed { .. } | NoticeBody::Changed { .. } => Applied::Hole,
        }
    }

    /// Whoever watched the generation that began at `before` has not shown to be let into this one.
    pub(crate) fn is_closed_to_watchers_of(&self, before: Timestamp) -> bool {
        self.view.visibility == Visibility::Private && self.view.started_at != before
    }

    /// Whether a reading goes before what is known: newer, or of another epoch.
    pub(crate) fn is_older_than(&self, reading: &Self) -> bool {
        self.view.epoch != reading.view.epoch || self.view.version < reading.view.version
    }
}
