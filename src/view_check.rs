//! Each view against a fresh fold of the log: it must have taken in the same records, and hold what they make of it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bus::{FollowItem, WholeLog};
use events::{RegistrationId, Sequence};
use handlers::system_clock;
use projections::{AnalyticsView, Fingerprint, StatusView};
use proto::v1;

/// Messages folded at once.
const PAGE_MESSAGES_MAX: usize = 1_024;
/// Pages without a message after which the log is at its end.
const EMPTY_PAGES_MAX: u32 = 4;
/// How long a page is waited for.
const PAGE_WAIT: Duration = Duration::from_millis(500);

/// Compares both views; memory is bounded by 48 bytes a registration, the fresh fold stands in a temporary folder.
pub async fn check(
    log: &WholeLog,
    status: &StatusView,
    analytics: &AnalyticsView,
) -> anyhow::Result<Vec<v1::ViewCheck>> {
    let (of_status, of_analytics) = (status.clone(), analytics.clone());
    let prints = move || anyhow::Ok((of_status.fingerprint()?, of_analytics.fingerprint()?));
    let (status_print, analytics_print) = tokio::task::spawn_blocking(prints).await??;
    let folder = tempfile::tempdir().context("failed to make a temporary folder")?;
    let upto = (status_print.checkpoint.sequence, analytics_print.checkpoint.sequence);
    let fresh = match fold(log, folder.path(), upto).await {
        Ok(fresh) => fresh,
        Err(error) => {
            let text = format!("the log cannot be folded: {error:#}");
            return Ok(vec![
                verdict("status", &status_print, text.clone()),
                verdict("analytics", &analytics_print, text),
            ]);
        }
    };
    let named = |sequence| [status, &fresh.0].into_iter().find_map(|view| view.submitted_at(sequence).ok().flatten());
    let fresh_prints = (fresh.0.fingerprint()?, fresh.1.fingerprint()?);
    Ok(vec![
        compare("status", &status_print, &fresh_prints.0, named),
        compare("analytics", &analytics_print, &fresh_prints.1, |_| None),
    ])
}

/// The views in a folder that nobody serves: copies of them are opened, so that nothing is moved aside.
pub async fn of_folder(log: &WholeLog, views: &Path) -> anyhow::Result<Vec<v1::ViewCheck>> {
    let copies = tempfile::tempdir().context("failed to make a temporary folder")?;
    let Some(facts) = log.facts().await? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for name in ["status", "analytics"] {
        if !views.join(name).is_dir() {
            return Ok(Vec::new());
        }
        found.push(copies.path().join(name));
        copy(&views.join(name), &copies.path().join(name)).context("failed to copy a view")?;
    }
    let (incarnation, now) = (facts.incarnation.0, system_clock());
    let status = StatusView::open(&found[0], incarnation, now)?;
    let analytics = AnalyticsView::open(&found[1], incarnation, now)?;
    if status.set_aside.is_some() || analytics.set_aside.is_some() {
        // the next start builds them anew, so there is nothing to compare
        return Ok(Vec::new());
    }
    check(log, &status.view, &analytics.view).await
}

async fn fold(
    log: &WholeLog,
    folder: &Path,
    upto: (Sequence, Sequence),
) -> anyhow::Result<(StatusView, AnalyticsView)> {
    let incarnation = log.facts().await?.map_or(0, |facts| facts.incarnation.0);
    let status = StatusView::open(&folder.join("status"), incarnation, system_clock())?.view;
    let analytics = AnalyticsView::open(&folder.join("analytics"), incarnation, system_clock())?.view;
    let last = upto.0.max(upto.1);
    if last == 0 {
        return Ok((status, analytics));
    }
    let mut follow = log.follow(1).await?;
    let (mut at, mut empty) = (0, 0);
    while at < last {
        let page = follow.next_page(PAGE_MESSAGES_MAX, PAGE_WAIT).await?;
        empty = if page.items.is_empty() { empty + 1 } else { 0 };
        anyhow::ensure!(empty < EMPTY_PAGES_MAX, "it ends at {at}, but a view has come to {last}");
        at = page.items.last().map_or(at, |message| message.sequence);
        let items = page.items.iter().map(bus::RawMessage::read).collect::<Vec<_>>();
        let (one, other) = (status.clone(), analytics.clone());
        tokio::task::spawn_blocking(move || take_in(&one, &other, &items, upto)).await??;
    }
    Ok((status, analytics))
}

fn take_in(
    status: &StatusView,
    analytics: &AnalyticsView,
    items: &[FollowItem],
    upto: (Sequence, Sequence),
) -> anyhow::Result<()> {
    let (mut records, mut makers) = (Vec::new(), Vec::new());
    for item in items {
        match item {
            FollowItem::Record(stored) => records.push(Arc::clone(stored)),
            FollowItem::Maker(stored) if stored.sequence <= upto.1 => makers.push(Arc::clone(stored)),
            FollowItem::Maker(_) | FollowItem::Unreadable { .. } => {}
        }
    }
    records.retain(|stored| stored.sequence <= upto.0.max(upto.1));
    let until = |last: Sequence| records.partition_point(|stored| stored.sequence <= last);
    status.apply(&records[..until(upto.0)])?;
    analytics.apply(&records[..until(upto.1)], &makers)?;
    Ok(())
}

fn compare(
    name: &str,
    view: &Fingerprint,
    fresh: &Fingerprint,
    named: impl FnOnce(Sequence) -> Option<RegistrationId>,
) -> v1::ViewCheck {
    let (ours, theirs) = (view.checkpoint, fresh.checkpoint);
    if (ours.count, ours.digest) != (theirs.count, theirs.digest) {
        let text = format!("it has taken in {} other records than the {} of the log", ours.count, theirs.count);
        return verdict(name, view, text);
    }
    let Some(part) = view.first_difference(fresh) else { return verdict(name, view, String::new()) };
    let id = if part.key == 0 { None } else { named(part.key) };
    let text = match &id {
        Some(id) => format!("registration {id} is not as the log makes it"),
        None => format!("its {} are not as the log makes them", part.what),
    };
    v1::ViewCheck { registration_id: id.map(|id| id.to_string()).unwrap_or_default(), ..verdict(name, view, text) }
}

fn verdict(name: &str, view: &Fingerprint, text: String) -> v1::ViewCheck {
    v1::ViewCheck {
        name: name.to_owned(),
        position: view.checkpoint.sequence,
        records: view.checkpoint.count,
        good: text.is_empty(),
        registration_id: String::new(),
        text,
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
