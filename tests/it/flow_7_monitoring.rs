//! Flow 7: what happened with the makers is told afterwards: numbers, circuits, rounds of checks, incidents; and live.

use std::time::{Duration, Instant};

use proto::v1::analytics_client::AnalyticsClient;
use proto::v1::operations_client::OperationsClient;
use proto::v1::{self, ErrorKind, Method, RegistrationState as State};
use sandbox::Maker;
use sandbox::faults::{Fault, Mode, Scope};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::support::{PATIENCE, Service, Stage, product};

/// One try each.
const QUICK: &[(&str, &str)] = &[("tries_max = 4", "tries_max = 1")];
/// A circuit that stays open for two seconds, and a round of checks each second that judges by its checks alone: by its
/// attempts the maker would be ill for an hour.
const WATCHED: &str = "[circuit]\nopen_s = 2\n[health]\nevery_s = 1\nchecks_failed = 2\nattempts_min = 100";
const DELAY_MS: u32 = 150;
const SLOW: usize = 6;
const FAILED: usize = 5;
const PROBES: usize = 3;

/// The analytics service, which may still be reading the log.
struct Asked(AnalyticsClient<Channel>);

impl Asked {
    async fn of(service: &Service) -> Self {
        Self(AnalyticsClient::new(service.channel().await))
    }

    async fn metrics(&mut self, request: &v1::MetricsRequest) -> v1::MetricsResponse {
        let asked = Instant::now();
        loop {
            match self.0.metrics(request.clone()).await {
                Ok(answer) => return answer.into_inner(),
                Err(status) if status.code() == Code::Unavailable && asked.elapsed() < PATIENCE => {}
                Err(status) => panic!("no metrics: {status}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until so many attempts of the maker are counted; all of the last hour when none is named.
    async fn until_attempts(&mut self, maker: &str, attempts: usize) {
        let asked = Instant::now();
        let request = v1::MetricsRequest { maker: maker.into(), ..Default::default() };
        loop {
            let seen = self.metrics(&request).await.total.unwrap();
            if seen.attempts >= attempts as u64 {
                return;
            }
            assert!(asked.elapsed() < PATIENCE, "never counted, only {seen:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn incidents(&mut self, open_only: bool) -> Vec<v1::PastIncident> {
        let request = v1::IncidentsRequest { maker: "norrland".into(), open_only, limit: 0 };
        self.0.incidents(request).await.unwrap().into_inner().incidents
    }

    async fn until_incidents(&mut self, fact: impl Fn(&[v1::PastIncident]) -> bool) -> Vec<v1::PastIncident> {
        let asked = Instant::now();
        loop {
            let seen = self.incidents(false).await;
            if fact(&seen) {
                return seen;
            }
            assert!(asked.elapsed() < PATIENCE, "never seen, only {seen:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Everything that is told of a window that is over, as text.
    async fn all_of(&mut self, start_time: Option<proto::Timestamp>, end_time: Option<proto::Timestamp>) -> String {
        let minutes = v1::MetricsRequest { start_time, end_time, ..Default::default() };
        let hours = v1::MetricsRequest { resolution: v1::Resolution::Hour.into(), ..minutes.clone() };
        let (minutes, hours) = (self.metrics(&minutes).await, self.metrics(&hours).await);
        let circuits = v1::CircuitsRequest { start_time, end_time, ..Default::default() };
        let circuits = self.0.circuits(circuits).await.unwrap().into_inner();
        let health = v1::HealthRequest { start_time, end_time, ..Default::default() };
        let health = self.0.health(health).await.unwrap().into_inner();
        format!("{minutes:#?}{hours:#?}{circuits:#?}{health:#?}{:#?}", self.incidents(false).await)
    }
}

async fn submitted(service: &mut Service, brand: &str, model: &str, serials: &[String], end: State) -> Vec<String> {
    let mut ids = Vec::new();
    for serial in serials {
        ids.push(service.submit(product(brand, model, serial)).await.id);
    }
    for id in &ids {
        service.wait_for_state(id, end).await;
    }
    ids
}

fn serials(prefix: &str, from: usize, count: usize) -> Vec<String> {
    (from..from + count).map(|n| format!("{prefix}{n:08}")).collect()
}

/// The latencies in the log of all attempts of these registrations, sorted.
async fn latencies(service: &Service, ids: &[String]) -> Vec<f64> {
    let mut all = Vec::new();
    for id in ids {
        for record in service.history(id).await {
            let ended = record.events.into_iter().filter(|event| event.name.starts_with("attempt_"));
            let fields = ended.filter_map(|event| serde_json::to_value(event.fields?).ok());
            all.extend(fields.filter_map(|fields| fields["latency_ms"].as_f64()));
        }
    }
    all.sort_by(f64::total_cmp);
    all
}

fn near(told: Option<f64>, sorted: &[f64], percent: usize) {
    let exact = sorted[(sorted.len() * percent).div_ceil(100) - 1];
    assert!((told.unwrap() - exact).abs() <= exact * 0.01, "p{percent}: {told:?}, exact {exact}, of {sorted:?}");
}

fn now() -> Option<proto::Timestamp> {
    let now = jiff::Timestamp::now();
    Some(proto::Timestamp { seconds: now.as_second(), nanos: now.subsec_nanosecond() })
}

/// A maker that is slow, then down, then well again; beside one that is well, and one whose form has a captcha.
async fn story(stage: &Stage, service: &mut Service) -> Vec<String> {
    let slow = Fault::lasting(Mode::Latency { ms: DELAY_MS.into() }).at(Scope::Api);
    stage.fault(Maker::Norrland, slow);
    let mut ids = submitted(service, "Norrland", "VK 200", &serials("NM", 0, SLOW), State::Success).await;
    submitted(service, "Kestrel", "Impact Driver", &["K700000001".into()], State::Success).await;
    submitted(service, "Veloce", "Gran Fondo", &["WV12345679".into()], State::ManualRequired).await;

    stage.sandbox.faults().clear();
    stage.fault(Maker::Norrland, Stage::answers(503, None));
    let failing = serials("NM", 10, FAILED);
    ids.extend(submitted(service, "Norrland", "VK 200", &failing, State::ManualRequired).await);
    let mut asked = Asked::of(service).await;
    let open = asked.until_incidents(|incidents| !incidents.is_empty()).await;
    assert_eq!((open[0].end_time, open[0].health()), (None, v1::Health::Down));
    assert_eq!(asked.incidents(true).await, open);

    stage.sandbox.faults().clear();
    let probes = serials("NM", 20, PROBES);
    ids.extend(submitted(service, "Norrland", "VK 200", &probes, State::Success).await);
    asked.until_incidents(|incidents| incidents.iter().all(|incident| incident.end_time.is_some())).await;
    ids
}

async fn the_numbers_are_right(asked: &mut Asked, exact: &[f64]) {
    let answer = asked.metrics(&v1::MetricsRequest::default()).await;
    assert_eq!(answer.resolution(), v1::Resolution::Minute);
    let told: Vec<_> = answer.series.iter().map(|series| (series.maker.as_str(), series.method())).collect();
    let expected = [("kestrel", Method::Api), ("norrland", Method::Api), ("veloce", Method::AutomationReliable)];
    assert_eq!(told, expected);
    let norrland = answer.series[1].total.as_ref().unwrap();
    assert_eq!(norrland.succeeded, (SLOW + PROBES) as u64);
    assert_eq!(norrland.attempts, (SLOW + PROBES + FAILED) as u64);
    assert_eq!(norrland.errors, [v1::ErrorCount { kind: ErrorKind::Server.into(), count: FAILED as u64 }]);
    assert!((norrland.success_percent.unwrap() - 100.0 * 9.0 / 14.0).abs() < 1e-9);
    assert_eq!(exact.len(), 14);
    near(norrland.latency_ms_p50, exact, 50);
    near(norrland.latency_ms_p95, exact, 95);
    near(norrland.latency_ms_p99, exact, 99);
    // six of fourteen waited for the maker: so did the slowest
    assert!(norrland.latency_ms_p95.unwrap() >= f64::from(DELAY_MS) * 0.99);
    let veloce = answer.series[2].total.as_ref().unwrap();
    assert_eq!(veloce.errors, [v1::ErrorCount { kind: ErrorKind::Captcha.into(), count: 1 }]);
    assert_eq!((veloce.success_percent, answer.total.unwrap().attempts), (Some(0.0), 16));
}

async fn the_lists_are_right(asked: &mut Asked) {
    let circuits = asked.0.circuits(v1::CircuitsRequest::default()).await.unwrap().into_inner().changes;
    let events: Vec<_> = circuits.iter().rev().map(|change| change.event.as_str()).collect();
    assert_eq!((events[0], *events.last().unwrap()), ("circuit_opened", "circuit_closed"), "{events:?}");
    let opened = circuits.last().unwrap();
    assert!(opened.reason.starts_with("5 attempts in a row failed"), "{opened:?}");
    assert_eq!((opened.maker.as_str(), opened.method(), opened.actor.as_str()), ("norrland", Method::Api, "regflow"));
    let health = v1::HealthRequest { maker: "norrland".into(), ..Default::default() };
    let rounds = asked.0.health(health).await.unwrap().into_inner().rounds;
    assert_eq!((rounds[0].health(), rounds[0].detail.as_str()), (v1::Health::Healthy, ""));
    assert!(rounds.iter().any(|round| round.health() == v1::Health::Down && !round.detail.is_empty()));
    assert!(rounds.windows(2).all(|pair| pair[0].time.unwrap().seconds >= pair[1].time.unwrap().seconds));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_is_told_in_numbers_and_lists_also_after_the_views_are_lost() {
    let stage = Stage::new().await;
    stage.maker("norrland", QUICK, WATCHED);
    let mut service = stage.start().await;
    let begin = now();
    let ids = story(&stage, &mut service).await;
    let mut asked = Asked::of(&service).await;
    asked.until_attempts("norrland", SLOW + FAILED + PROBES).await;
    let exact = latencies(&service, &ids).await;
    the_numbers_are_right(&mut asked, &exact).await;
    the_lists_are_right(&mut asked).await;

    // what was decided before that is stored by now
    let end = now().map(|at| proto::Timestamp { seconds: at.seconds - 2, ..at });
    let before = asked.all_of(begin, end).await;
    service.crash().await;
    let service = stage.start().await;
    assert_eq!(Asked::of(&service).await.all_of(begin, end).await, before, "after a crash");
    assert_eq!(service.stop().await, Some(0));
    let views = stage.data.path().join("views");
    for file in ["analytics/conf", "analytics/db"] {
        let bytes = std::fs::read(views.join(file)).unwrap();
        std::fs::write(views.join(file), bytes.iter().map(|byte| byte ^ 0x5A).collect::<Vec<_>>()).unwrap();
    }
    let service = stage.start().await;
    assert_eq!(Asked::of(&service).await.all_of(begin, end).await, before, "after the view was damaged");
    let names = std::fs::read_dir(&views).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let aside: Vec<String> = names.filter(|name| name.contains(".aside-")).collect();
    assert!(aside.len() == 1 && aside[0].starts_with("analytics."), "the status view stays as it is: {aside:?}");
    assert_eq!(service.stop().await, Some(0));
    std::fs::remove_dir_all(&views).unwrap();
    let service = stage.start().await;
    assert_eq!(Asked::of(&service).await.all_of(begin, end).await, before, "after all views were lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_is_told_at_once_and_again_when_something_changes_until_the_service_stops() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let mut asked = Asked::of(&service).await;
    let mut overviews = asked.0.watch(v1::WatchOverviewRequest {}).await.unwrap().into_inner();
    let first = overviews.message().await.unwrap().unwrap();
    assert!(first.makers.iter().any(|maker| maker.maker == "norrland"));
    assert_eq!(first.owner.as_ref().unwrap().shards, 64);
    let readers: Vec<_> = first.readers.iter().map(|reader| reader.reader.as_str()).collect();
    assert_eq!(readers, ["engine", "status view", "analytics view"]);

    let manual = service.submit(product("Hartmann", "Kaffeemühle", "10001")).await.id;
    service.wait_for_packet(&manual).await;
    submitted(&mut service, "Norrland", "VK 200", &["NM00000001".into()], State::Success).await;
    // the last record says nothing to the status view, which is not behind because of that
    let pause = v1::PauseRequest {
        maker: "kestrel".into(),
        reason: "they asked for it".into(),
        operator: "mira".into(),
        ..Default::default()
    };
    let paused = OperationsClient::new(service.channel().await).pause(pause).await.unwrap().into_inner().sequence;
    let counted = |overview: &v1::Overview| {
        let count = |state: State| overview.states.iter().find(|of| of.state() == state).map(|of| of.count);
        let funnel = overview.funnel.unwrap_or_default();
        (count(State::Success), count(State::ManualRequired), funnel.required, funnel.sent)
    };
    let asked = Instant::now();
    let last = loop {
        let next = tokio::time::timeout(PATIENCE, overviews.message()).await.expect("it goes on").unwrap().unwrap();
        let lags = next.readers.iter().all(|reader| reader.behind == 0 && reader.position >= paused);
        let done = counted(&next) == (Some(1), Some(1), 1, 1) && lags;
        if done && next.last_hour.as_ref().is_some_and(|hour| hour.attempts == 1) {
            break next;
        }
        assert!(asked.elapsed() < PATIENCE, "never seen, the last one is {next:#?}");
    };
    assert!(last.owner.unwrap().here);
    assert!(last.deadlines.iter().all(|risk| risk.passed == 0), "{:?}", last.deadlines);

    assert_eq!(service.stop().await, Some(0));
    while overviews.message().await.is_ok_and(|more| more.is_some()) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_cannot_be_answered_name_the_field() {
    let stage = Stage::new().await;
    let service = stage.start().await;
    let mut asked = Asked::of(&service).await;
    asked.metrics(&v1::MetricsRequest::default()).await;
    let at = |seconds| Some(proto::Timestamp { seconds, nanos: 0 });
    let told = |status: Status| {
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        status.message().to_owned()
    };
    let backwards = v1::MetricsRequest { start_time: at(100), end_time: at(50), ..Default::default() };
    assert_eq!(told(asked.0.metrics(backwards).await.unwrap_err()), "start_time must lie before `end_time`");
    let broken = v1::CircuitsRequest { start_time: at(i64::MAX), end_time: at(i64::MIN), ..Default::default() };
    let text = told(asked.0.circuits(broken).await.unwrap_err());
    assert!(text.contains("start_time is no timestamp") && text.contains("end_time is no timestamp"), "{text}");
    let fine = v1::MetricsRequest {
        start_time: at(0),
        end_time: at(10 * 86_400),
        resolution: v1::Resolution::Minute.into(),
        ..Default::default()
    };
    let text = told(asked.0.metrics(fine).await.unwrap_err());
    assert!(text.starts_with("resolution gives 14400 points") && text.contains("1440"), "{text}");
    let many = v1::HealthRequest { limit: 1_001, ..Default::default() };
    assert_eq!(told(asked.0.health(many).await.unwrap_err()), "limit must be 0 (for 100) to 1000");
    let unknown = v1::MetricsRequest { method: 77, ..Default::default() };
    assert!(told(asked.0.metrics(unknown).await.unwrap_err()).starts_with("method is unknown"));
}
