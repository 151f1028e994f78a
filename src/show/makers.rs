//! Makers in a terminal: an overview with one line a maker, and everything about one.

use comfy_table::{Cell, ColumnConstraint, Table};
use events::Timestamp;
use proto::v1::{self, CircuitState, Health};

use super::{Facts, Paint, Tone, due, how_long, method_in_short, printable, span, table, time, timestamp};

/// All of them, a line each.
pub fn makers(makers: &[v1::MakerStatus], now: Timestamp, paint: Paint) -> String {
    overview(makers, now, paint).trim_fmt()
}

/// The same of a moment that has passed: what waited then is not known.
pub fn makers_then(makers: &[v1::MakerStatus], then: Timestamp, paint: Paint) -> String {
    let mut table = overview(makers, then, paint);
    if let Some(waiting) = table.column_mut(WAITING) {
        waiting.set_constraint(ColumnConstraint::Hidden);
    }
    table.trim_fmt()
}

/// The column with what waits.
const WAITING: usize = 5;

fn overview(makers: &[v1::MakerStatus], now: Timestamp, paint: Paint) -> Table {
    let mut table = table(["MAKER", "HEALTH", "API", "WEB FORM", "TOKENS", "WAITING", "LAST HOUR", "ALERTS"]);
    for maker in makers {
        let of = |method| maker.methods.iter().find(|status| status.method() == method);
        let waiting: u64 = maker.methods.iter().map(|method| method.waiting).sum();
        table.add_row([
            Cell::new(&maker.maker),
            paint.cell(health_word(maker.health()), health_tone(maker.health())),
            method_cell(of(v1::Method::Api), now, paint),
            method_cell(of(v1::Method::AutomationReliable), now, paint),
            Cell::new(tokens(maker, now)),
            Cell::new(if maker.methods.is_empty() { "-".to_owned() } else { waiting.to_string() }),
            Cell::new(last_hour(maker.last_hour.as_ref(), "")),
            alerts_cell(maker, paint),
        ]);
    }
    table
}

/// One of them, a fact a line.
pub fn maker(maker: &v1::MakerStatus, now: Timestamp, paint: Paint) -> String {
    let mut facts = Facts::new(paint);
    facts.add("maker", format!("{}  {}", paint.bold(&maker.maker), printable(&maker.display_name)));
    facts.add("health", paint.tone(health_word(maker.health()), health_tone(maker.health())));
    facts.add("checked", maker.check_time.map(time).unwrap_or_default());
    facts.add("next check", maker.next_check_time.map(|at| due(at, now)).unwrap_or_default());
    for method in &maker.methods {
        add_method(&mut facts, method, now);
    }
    for limit in &maker.limits {
        facts.add("rate limit", limit_line(limit, now));
    }
    facts.add("asked to wait", maker.throttled_until_time.map(|at| due(at, now)).unwrap_or_default());
    facts.add("last hour", last_hour(maker.last_hour.as_ref(), " attempts succeeded"));
    for alert in &maker.alerts {
        let severity = alert.severity().as_str_name().trim_start_matches("SEVERITY_").to_lowercase();
        let severity = paint.tone(&severity, alert_tone(alert));
        let since = alert.since.map(time).unwrap_or_default();
        facts.add("alert", format!("{severity}: {}, since {since}", printable(&alert.detail)));
    }
    if let Some(incident) = &maker.incident {
        let since = incident.since.map(time).unwrap_or_default();
        facts.add("incident", format!("{}, since {since}", printable(&incident.detail)));
    }
    facts.into_text()
}

fn add_method(facts: &mut Facts, method: &v1::MethodStatus, now: Timestamp) {
    let name = method_in_short(method.method());
    facts.add(name, method.circuit.as_ref().map(|circuit| circuit_line(circuit, now)).unwrap_or_default());
    if let Some(pause) = &method.pause {
        let since = pause.since.map(time).unwrap_or_default();
        facts.add(" ", format!("paused by {}: {}, since {since}", printable(&pause.by), printable(&pause.reason)));
    }
    let oldest = method.oldest.iter().map(|oldest| {
        let class = oldest.priority().as_str_name().trim_start_matches("PRIORITY_");
        format!("{class} for {}", oldest.since.map(|since| how_long(span(timestamp(since), now))).unwrap_or_default())
    });
    let oldest: Vec<String> = oldest.collect();
    let longest = if oldest.is_empty() { String::new() } else { format!(", the longest {}", oldest.join(", ")) };
    facts.add(" ", format!("{} under way, {} waiting{longest}", method.under_way, method.waiting));
}

fn circuit_line(circuit: &v1::CircuitStatus, now: Timestamp) -> String {
    let mut line = format!("circuit {}", circuit_word(circuit.state()));
    if circuit.forced {
        line.push_str(", held by an operator");
    }
    if circuit.failures > 0 {
        line.push_str(&format!(", failures in a row: {}", circuit.failures));
    }
    if circuit.successes > 0 {
        line.push_str(&format!(", probes that succeeded: {}", circuit.successes));
    }
    if let Some(at) = circuit.probe_time {
        line.push_str(&format!(", a probe may pass at {}", due(at, now)));
    }
    if !circuit.probe_registration.is_empty() {
        line.push_str(&format!(", the probe is {}", circuit.probe_registration));
    }
    line
}

fn method_cell(status: Option<&v1::MethodStatus>, now: Timestamp, paint: Paint) -> Cell {
    let Some(status) = status else { return Cell::new("-") };
    let circuit = status.circuit.as_ref();
    let state = circuit.map_or(CircuitState::Unspecified, v1::CircuitStatus::state);
    if status.pause.is_some() {
        return paint.cell("paused", Tone::Odd);
    }
    let more = match circuit {
        Some(circuit) if circuit.forced => " (held)".to_owned(),
        Some(v1::CircuitStatus { probe_time: Some(at), .. }) => format!(" for {}", how_long(span(now, timestamp(*at)))),
        Some(_) | None => String::new(),
    };
    paint.cell(&format!("{}{more}", circuit_word(state)), circuit_tone(state))
}

fn tokens(maker: &v1::MakerStatus, now: Timestamp) -> String {
    if let Some(until) = maker.throttled_until_time {
        return format!("none for {}", how_long(span(now, timestamp(until))));
    }
    let tightest = maker.limits.iter().min_by_key(|limit| limit.left);
    tightest.map_or_else(|| "-".to_owned(), |limit| format!("{} of {}", limit.left, limit.max))
}

fn limit_line(limit: &v1::LimitStatus, now: Timestamp) -> String {
    let refill = match limit.refill() {
        v1::Refill::Interval => "all come back together",
        v1::Refill::Smooth => "each comes back on its own",
        v1::Refill::Unspecified => "",
    };
    let full = limit.full_time.map(|at| format!(", full at {}", due(at, now))).unwrap_or_default();
    format!("{} in {} s: {} left, {refill}{full}", limit.max, limit.per_seconds, limit.left)
}

fn last_hour(hour: Option<&v1::LastHour>, words: &str) -> String {
    let Some((hour, percent)) = hour.and_then(|hour| Some((hour, hour.success_percent?))) else {
        return "-".to_owned();
    };
    let p95 = hour.latency_ms_p95.map(|ms| format!(", p95 {}", latency(ms))).unwrap_or_default();
    format!("{percent:.0} % of {}{words}{p95}", hour.attempts)
}

fn latency(ms: u32) -> String {
    if ms < 1_000 { format!("{ms} ms") } else { format!("{:.1} s", f64::from(ms) / 1_000.0) }
}

fn alerts_cell(maker: &v1::MakerStatus, paint: Paint) -> Cell {
    let words = maker
        .alerts
        .iter()
        .map(|alert| alert.kind().as_str_name().trim_start_matches("ALERT_KIND_").to_lowercase().replace('_', " "));
    let incident = maker.incident.as_ref().map(|_| "INCIDENT".to_owned());
    let words: Vec<String> = incident.into_iter().chain(words).collect();
    let is_critical = maker.alerts.iter().any(|alert| matches!(alert_tone(alert), Tone::Bad));
    let tone = match (words.is_empty(), is_critical) {
        (true, _) => Tone::Plain,
        (false, true) => Tone::Bad,
        (false, false) => Tone::Odd,
    };
    paint.cell(&words.join(", "), tone)
}

fn alert_tone(alert: &v1::Alert) -> Tone {
    match alert.severity() {
        v1::Severity::Critical => Tone::Bad,
        v1::Severity::Warning | v1::Severity::Unspecified => Tone::Odd,
    }
}

const fn health_word(health: Health) -> &'static str {
    match health {
        Health::Unspecified => "-",
        Health::Healthy => "healthy",
        Health::Degraded => "degraded",
        Health::Down => "down",
    }
}

const fn health_tone(health: Health) -> Tone {
    match health {
        Health::Unspecified => Tone::Plain,
        Health::Healthy => Tone::Good,
        Health::Degraded => Tone::Odd,
        Health::Down => Tone::Bad,
    }
}

fn circuit_word(state: CircuitState) -> &'static str {
    state.as_str_name().trim_start_matches("CIRCUIT_STATE_")
}

const fn circuit_tone(state: CircuitState) -> Tone {
    match state {
        CircuitState::Unspecified | CircuitState::Closed => Tone::Plain,
        CircuitState::Open => Tone::Bad,
        CircuitState::HalfOpen => Tone::Odd,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp(1_764_072_000_000_000);

    fn at(seconds: i64) -> Option<proto::Timestamp> {
        Some(proto::Timestamp { seconds: 1_764_072_000 + seconds, nanos: 0 })
    }

    fn api(circuit: v1::CircuitStatus, waiting: u64) -> v1::MethodStatus {
        v1::MethodStatus { method: v1::Method::Api.into(), circuit: Some(circuit), waiting, ..Default::default() }
    }

    fn ill() -> v1::MakerStatus {
        let circuit = v1::CircuitStatus {
            state: CircuitState::Open.into(),
            failures: 5,
            probe_time: at(42),
            ..Default::default()
        };
        let oldest = vec![v1::OldestWaiting { priority: v1::Priority::High.into(), since: at(-90) }];
        let limit = v1::LimitStatus {
            max: 100,
            per_seconds: 60.0,
            refill: v1::Refill::Smooth.into(),
            left: 99,
            full_time: at(3),
        };
        let alert = v1::Alert {
            kind: v1::AlertKind::FailuresInARow.into(),
            severity: v1::Severity::Critical.into(),
            since: at(-60),
            detail: "the last 5 attempts failed".into(),
        };
        v1::MakerStatus {
            maker: "norrland".into(),
            display_name: "Norrland Appliances".into(),
            health: Health::Down.into(),
            check_time: at(-60),
            methods: vec![v1::MethodStatus { oldest, ..api(circuit, 12) }],
            limits: vec![limit],
            last_hour: Some(v1::LastHour {
                attempts: 40,
                succeeded: 18,
                success_percent: Some(45.0),
                latency_ms_p95: Some(1_230),
            }),
            alerts: vec![alert],
            ..Default::default()
        }
    }

    #[test]
    fn an_overview_has_a_line_for_each_maker() {
        let by_hand = v1::MakerStatus { maker: "hartmann".into(), ..Default::default() };
        let text = makers(&[by_hand, ill()], NOON, Paint::plain());
        let lines: Vec<String> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let told = [
            "MAKER HEALTH API WEB FORM TOKENS WAITING LAST HOUR ALERTS",
            "hartmann - - - - - -",
            "norrland down OPEN for 42 s - 99 of 100 12 45 % of 40, p95 1.2 s failures in a row",
        ];
        assert_eq!(lines, told);
    }

    #[test]
    fn one_maker_is_told_a_fact_a_line() {
        let text = maker(&ill(), NOON, Paint::plain());
        let lines = [
            "maker         norrland  Norrland Appliances",
            "health        down",
            "checked       2025-11-25T11:59:00.000Z",
            "API           circuit OPEN, failures in a row: 5, a probe may pass at 2025-11-25T12:00:42.000Z (in 42 s)",
            "              0 under way, 12 waiting, the longest HIGH for 90 s",
            "rate limit    100 in 60 s: 99 left, each comes back on its own, full at 2025-11-25T12:00:03.000Z (in 3 s)",
            "last hour     45 % of 40 attempts succeeded, p95 1.2 s",
            "alert         critical: the last 5 attempts failed, since 2025-11-25T11:59:00.000Z",
        ];
        assert_eq!(text.trim_end().lines().collect::<Vec<_>>(), lines);
    }
}
