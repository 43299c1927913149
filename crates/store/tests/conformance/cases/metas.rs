//! Deployment-wide values.

use store::MetaKey;

use crate::backend::Backend;

pub(crate) async fn fifty_racing_setters_agree(backend: Backend) {
    assert_eq!(backend.store.meta(MetaKey::Deployment).await.unwrap(), None);
    let tasks = (0..50).map(|n| {
        let store = backend.store.clone();
        tokio::spawn(async move { store.swap_meta(MetaKey::Deployment, None, &format!("d{n}")).await.unwrap() })
    });
    let mut values = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        values.push(task.await.unwrap());
    }
    let stored = backend.store.meta(MetaKey::Deployment).await.unwrap().unwrap();
    assert!(values.iter().all(|value| *value == stored), "{values:?}");
    let other = backend.another().await;
    assert_eq!(other.meta(MetaKey::Deployment).await.unwrap(), Some(stored));
    assert_eq!(other.meta(MetaKey::MediaSide).await.unwrap(), None);
}

pub(crate) async fn a_value_is_swapped_only_for_the_one_expected(backend: Backend) {
    let swap = async |expected: Option<&str>, value: &str| {
        backend.store.swap_meta(MetaKey::MediaSide, expected, value).await.unwrap()
    };
    assert_eq!(swap(Some("external"), "embedded:1").await, "", "nothing is stored yet");
    assert_eq!(swap(None, "external").await, "external");
    assert_eq!(swap(None, "embedded:1").await, "external");
    assert_eq!(swap(Some("embedded:1"), "embedded:2").await, "external");
    assert_eq!(swap(Some("external"), "embedded:1").await, "embedded:1");
    assert_eq!(backend.store.meta(MetaKey::MediaSide).await.unwrap().as_deref(), Some("embedded:1"));
}
