//! Changing a stream's settings while it is on.

use domain::{Head, SettingsPatch, SettingsRefusal, StreamId, change_settings};

use crate::update::{Scope, Step, Updated};
use crate::{Orchestrator, UseCaseError};

impl Orchestrator {
    /// Changes settings, if `expected` is the current settings tag or none is given; the head afterwards.
    /// LiveKit's copy of the metadata follows, later if LiveKit is away.
    ///
    /// Fails with `NotFound`, `Finished`, `ChangedMeanwhile` or `Store`.
    pub async fn change_settings(
        &self,
        id: &StreamId,
        patch: &SettingsPatch,
        expected: Option<&str>,
    ) -> Result<Head, UseCaseError> {
        let updated = self
            .update(id, Scope::default(), |loaded, now| {
                let head = loaded.head.as_ref().filter(|head| head.phase != domain::Phase::Reserved);
                let head = head.ok_or(UseCaseError::NotFound)?;
                let decision = change_settings(head, patch, expected, &self.inner.rules, now)?;
                Ok(match decision.and_then(|decision| decision.head.clone().map(|head| (decision, head))) {
                    Some((decision, head)) => Step::Commit(Box::new(decision), head),
                    None => Step::Done(head.clone()),
                })
            })
            .await?;
        match updated {
            Updated::Done(head) => Ok(head),
            Updated::DuplicateEvent | Updated::Fenced => self.get_stream(id).await,
        }
    }
}

impl From<SettingsRefusal> for UseCaseError {
    fn from(refusal: SettingsRefusal) -> Self {
        match refusal {
            SettingsRefusal::Finished => Self::Finished,
            SettingsRefusal::ChangedMeanwhile => Self::ChangedMeanwhile,
            SettingsRefusal::PrivacyIsFixed => Self::PrivacyIsFixed,
        }
    }
}
