//! Changing what the creator asked for, and roles, while the stream is on.

use serde_json::{Map, Value};

use crate::{Decision, Head, Identity, MAX_ROLES, Role, Rules, Timestamp, Visibility};

use super::Draft;

/// The members of a `PATCH`; `None` leaves a thing as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingsPatch {
    /// `Some(None)` takes the title away.
    pub title: Option<Option<String>>,
    /// Role of a join that names none.
    pub default_role: Option<Role>,
    /// Who finds the stream. Whether it is private is settled when it is created.
    pub visibility: Option<Visibility>,
    /// Replaces the user's metadata as a whole.
    pub metadata: Option<Map<String, Value>>,
}

/// Why settings are not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SettingsRefusal {
    /// The stream is not active.
    #[error("the stream has ended")]
    Finished,
    /// The tag given is not the current one.
    #[error("the settings were changed meanwhile")]
    ChangedMeanwhile,
    /// A stream is private from its creation to its end, or never.
    #[error("a stream is private from its creation on, or never: create another one")]
    PrivacyIsFixed,
}

/// Why a role is not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RoleRefusal {
    /// The stream is not active.
    #[error("the stream has ended")]
    Finished,
    /// [`MAX_ROLES`] people have a role by hand already.
    #[error("too many roles were changed by hand in this stream")]
    TooMany,
}

/// Changes settings, if `expected` is the current tag or none is given.
/// `Ok(None)` when they are so already.
pub fn change_settings(
    head: &Head,
    patch: &SettingsPatch,
    expected: Option<&str>,
    rules: &Rules,
    now: Timestamp,
) -> Result<Option<Decision>, SettingsRefusal> {
    if !head.phase.is_active() {
        return Err(SettingsRefusal::Finished);
    }
    if expected.is_some_and(|tag| tag != head.settings_tag()) {
        return Err(SettingsRefusal::ChangedMeanwhile);
    }
    let visibility = patch.visibility.unwrap_or(head.settings.visibility);
    if (visibility == Visibility::Private) != (head.settings.visibility == Visibility::Private) {
        return Err(SettingsRefusal::PrivacyIsFixed);
    }
    let mut draft = Draft::new(head, now);
    let settings = &mut draft.head.settings;
    settings.title = patch.title.clone().unwrap_or(settings.title.take());
    settings.default_role = patch.default_role.unwrap_or(settings.default_role);
    settings.visibility = visibility;
    settings.metadata = patch.metadata.clone().unwrap_or_else(|| std::mem::take(&mut settings.metadata));
    if draft.head.settings == head.settings {
        return Ok(None);
    }
    draft.head.settings_version += 1;
    if draft.head.settings.metadata != head.settings.metadata {
        draft.write_metadata();
    }
    Ok(draft.finish(rules))
}

/// Remembers a role for the tokens that `identity` asks for later. `Ok(None)` when it is so already.
pub fn assign_role(
    head: &Head,
    identity: &Identity,
    role: Role,
    rules: &Rules,
    now: Timestamp,
) -> Result<Option<Decision>, RoleRefusal> {
    if !head.phase.is_active() {
        return Err(RoleRefusal::Finished);
    }
    if head.roles.len() >= MAX_ROLES && !head.roles.contains_key(identity) {
        return Err(RoleRefusal::TooMany);
    }
    let mut draft = Draft::new(head, now);
    draft.head.roles.insert(identity.clone(), role);
    Ok(draft.finish(rules))
}
