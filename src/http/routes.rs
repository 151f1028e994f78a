//! Every route, with what it takes and answers.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::openapi::{Api, Operation};
use super::problem::Problem;
use super::{
    Http, analytics, audit, batch, done, events, files, login, makers, operations, pages, persons, proofs,
    registrations, schema, status,
};

const EVENT_STREAM: &str = "text/event-stream";

/// All of them.
pub fn all() -> Api {
    let api = of_persons(of_one(of_registrations(Api::new())));
    let api = for_auditors(for_analysts(for_watchers(for_operators(api))));
    for_people(api).page("/openapi.json", get(document))
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn number(minimum: i64, maximum: i64) -> Value {
    json!({ "type": "integer", "minimum": minimum, "maximum": maximum })
}

fn words(words: &[&str]) -> Value {
    json!({ "type": "string", "enum": words })
}

/// The words of a filter by state.
const STATES: [&str; 10] = [
    "PENDING",
    "PROCESSING",
    "WAITING",
    "OUTCOME_UNKNOWN",
    "SUCCESS",
    "MANUAL_REQUIRED",
    "USER_COMPLETED",
    "NEEDS_CORRECTION",
    "CANCELLED",
    "EXPIRED",
];

const BATCH: &str = "Takes up to 1,000 products over; each gets its own answer, in their order. One that is refused does not \
    hold back the others; Retry-After says when those may come again for which there was no room.";

/// What became of each: exactly one of the two.
fn batch_answer() -> Value {
    let submitted = json!({
        "type": "object",
        "required": ["registration", "repeatedRequest"],
        "properties": { "registration": schema::reference("Registration"), "repeatedRequest": { "type": "boolean" } },
    });
    let result = json!({
        "type": "object",
        "properties": { "submitted": submitted, "problem": schema::reference("Problem") },
        "minProperties": 1,
        "maxProperties": 1,
    });
    json!({
        "type": "object", "required": ["results"], "properties": { "results": { "type": "array", "items": result } },
    })
}

fn of_registrations(api: Api) -> Api {
    let submitted = json!({
        "type": "object",
        "required": ["registration", "repeatedRequest", "links"],
        "properties": {
            "registration": schema::reference("Registration"),
            "repeatedRequest": { "type": "boolean" },
            "links": { "type": "object", "additionalProperties": { "type": "string" } },
        },
    });
    let checked = json!({ "type": "object", "properties": { "registration": schema::reference("Registration") } });
    let submit = Operation::post("/api/registration", "submit", "Takes a product over.")
        .header("Idempotency-Key", text(), "The client's own id of this request; makes a repeat harmless.")
        .takes("SubmitRequest")
        .answers_with(202, "application/json", submitted)
        .answers_with(200, "application/json", checked);
    let batch = Operation::post("/api/registration/batch", "submitBatch", BATCH)
        .takes("SubmitBatchRequest")
        .answers_with(200, "application/json", batch_answer());
    let list = Operation::get("/api/registration", "list", "Shows registrations, newest first, page by page.")
        .query("state", json!({ "type": "array", "items": words(&STATES) }), "Any of these states.")
        .query("maker", text(), "The id of a connector.")
        .query("owner_ref", text(), "The pseudonym of an owner, 32 hex digits.")
        .query("page_size", number(0, 1_000), "How many at most; 0 for 50.")
        .query("page_token", text(), "From the page before.")
        .answers(200, "ListResponse");
    let api = api.add(submit, post(registrations::submit)).add(batch, post(batch::submit));
    api.add(list, get(registrations::list)).add(
        Operation::get("/api/makers", "listMakers", "Shows each maker with the fields that it takes.")
            .answers(200, "ListConnectorsResponse"),
        get(makers::list),
    )
}

fn of_one(api: Api) -> Api {
    let one = |what: &'static str, id, summary| Operation::get(what, id, summary);
    let file = |path, id, summary, media_type: &'static str| {
        let bytes = json!({ "type": "string", "contentMediaType": media_type });
        Operation::get(path, id, summary).answers_with(200, media_type, bytes)
    };
    let history = json!({
        "type": "object", "properties": { "records": { "type": "array", "items": schema::reference("RecordView") } },
    });
    api.add(
        one("/api/registration/{id}", "get", "Shows one registration.")
            .query("min_sequence", number(0, i64::MAX), "Waits until the view has taken in this place of the log.")
            .answers(200, "Registration"),
        get(registrations::get),
    )
    .add(
        change("/api/registration/{id}/complete", "complete", "Says that the owner has finished by hand.")
            .may_take("CompleteRequest"),
        post(registrations::complete),
    )
    .add(
        change("/api/registration/{id}/cancel", "cancel", "Withdraws a registration that has not ended.")
            .may_take("CancelRequest"),
        post(registrations::cancel),
    )
    .add(
        change("/api/registration/{id}/retry", "retry", "Asks for another try, perhaps with mended data.")
            .may_take("RetryRequest"),
        post(registrations::retry),
    )
    .add(
        one("/api/registration/{id}/explain", "explain", "Tells what a registration waits for, and what was tried.")
            .answers(200, "Explanation"),
        get(registrations::explain),
    )
    .add(
        Operation::get("/api/registration/{id}/history", "history", "Shows its records, oldest first.")
            .mentions("RecordView")
            .answers_with(200, "application/json", history),
        get(registrations::history),
    )
    .add(
        file("/api/registration/{id}/packet", "packet", "The packet for its owner.", "application/pdf"),
        get(files::packet),
    )
    .add(
        file("/api/registration/{id}/evidence/{attempt}", "evidence", "An attempt's screenshot.", "image/png"),
        get(files::evidence),
    )
    .add(
        file("/api/registration/{id}/photo", "photo", "What its owner added when it was done.", "image/*"),
        get(files::photo),
    )
    .add(file("/api/registration/{id}/proof", "proof", "The proof of purchase.", "image/*"), get(files::proof))
    .add(
        file(
            "/api/registration/{id}/proof-of-registration",
            "proofOfRegistration",
            "What was sent to the maker and what came back, signed.",
            "application/pdf",
        )
        .query(
            "format",
            words(&["text", "pdf"]),
            "A text that can be checked, or a PDF for paper; by Accept without it.",
        )
        .query("values", words(&["true", "false"]), "With `false` salted hashes stand for what the owner said.")
        .also(200, "text/plain", text()),
        get(proofs::proof),
    )
}

fn change(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    Operation::post(path, id, summary)
        .header("If-Match", text(), "The etag that the caller saw; 409 when the registration has moved on.")
        .answers(200, "Registration")
}

fn of_persons(api: Api) -> Api {
    let forget = Operation::post("/api/persons/forget", "forgetPerson", "Forgets a person; with dryRun it only tells.")
        .takes("ForgetRequest")
        .answers(200, "ForgetResponse");
    api.add(forget, post(persons::forget))
}

fn for_operators(api: Api) -> Api {
    let wish = |path, id, summary| Operation::post(path, id, summary).answers(200, "OperationResponse");
    api.add(
        Operation::get("/api/operations/makers", "makers", "Shows how the makers are doing at this moment.")
            .query("maker", text(), "The id of a connector; all without it.")
            .answers(200, "ListMakersResponse"),
        get(operations::makers),
    )
    .add(
        wish("/api/operations/pause", "pause", "Begins no attempt with a maker until it is resumed.")
            .takes("PauseRequest"),
        post(operations::pause),
    )
    .add(
        wish("/api/operations/resume", "resume", "Takes a pause back.").takes("ResumeRequest"),
        post(operations::resume),
    )
    .add(
        wish("/api/operations/force-circuit", "forceCircuit", "Holds a circuit open or closed until it is released.")
            .takes("ForceCircuitRequest"),
        post(operations::force_circuit),
    )
    .add(
        wish("/api/operations/release-circuit", "releaseCircuit", "Leaves a circuit to itself again.")
            .takes("ReleaseCircuitRequest"),
        post(operations::release_circuit),
    )
    .add(
        Operation::post("/api/operations/redrive", "redrive", "Tries all registrations that match once more.")
            .takes("RedriveRequest")
            .answers(200, "RedriveResponse"),
        post(operations::redrive),
    )
}

fn for_watchers(api: Api) -> Api {
    let events =
        Operation::get("/events", "events", "Sends an update for each record, and stays (server-sent events).")
            .query("registration", text(), "Only this one.")
            .query("owner_ref", text(), "Only those of this owner, 32 hex digits.")
            .query("after", number(0, i64::MAX), "The last sequence that was seen; what came after it is sent first.")
            .header("Last-Event-ID", text(), "The same, as browsers send it when they come back.")
            .mentions("Update")
            .answers_with(200, EVENT_STREAM, schema::reference("Update"));
    let told = |word: &str| json!({ "type": "object", "properties": { "status": { "const": word } } });
    api.add(events, get(events::watch))
        .add(
            Operation::get("/healthz", "healthz", "Whether the process lives.").answers_with(
                200,
                "application/json",
                told("alive"),
            ),
            get(status::healthz),
        )
        .add(
            Operation::get(
                "/readyz",
                "readyz",
                "Whether the service can work; 503 while it reads its log, and while NATS stores nothing.",
            )
            .answers_with(200, "application/json", ready()),
            get(status::readyz),
        )
        .add(
            Operation::get("/metrics", "metrics", "What is counted and timed, for Prometheus.").answers_with(
                200,
                "text/plain",
                text(),
            ),
            get(status::metrics),
        )
}

fn ready() -> Value {
    let log = words(&["verified", "read_only"]);
    json!({ "type": "object", "properties": { "status": { "const": "ready" }, "log": log } })
}

fn for_analysts(api: Api) -> Api {
    let windows: Vec<&str> = analytics::WINDOWS.iter().map(|(name, _)| *name).collect();
    let about = |operation: Operation| {
        operation.query("window", words(&windows), "Until now.").query(
            "maker",
            text(),
            "The id of a connector; all without it.",
        )
    };
    let metrics =
        Operation::get("/analytics", "metrics", "Attempts, success and latency per maker and method over time.");
    let metrics = about(metrics)
        .query("method", words(&["API", "AUTOMATION_RELIABLE"]), "Only this method.")
        .query("resolution", words(&["minute", "hour", "day"]), "How fine the points are.")
        .answers(200, "MetricsResponse");
    let limit = |operation: Operation| operation.query("limit", number(0, 1_000), "How many at most; 0 for 100.");
    let circuits = Operation::get("/analytics/circuits", "circuits", "The changes of circuits, newest first.");
    let health = Operation::get("/analytics/health", "health", "The rounds of health checks, newest first.");
    let incidents = Operation::get("/analytics/incidents", "incidents", "Times of ill health, newest first.")
        .query("maker", text(), "The id of a connector; all without it.")
        .query("open", json!({ "type": "boolean" }), "Only those that are not over.");
    let overview = Operation::get(
        "/analytics/overview",
        "overview",
        "Sends the whole operation as it is, then whenever something of it changed (server-sent events).",
    );
    api.add(metrics, get(analytics::metrics))
        .add(limit(about(circuits)).answers(200, "CircuitsResponse"), get(analytics::circuits))
        .add(limit(about(health)).answers(200, "HealthResponse"), get(analytics::health))
        .add(limit(incidents).answers(200, "IncidentsResponse"), get(analytics::incidents))
        .add(
            overview.mentions("Overview").answers_with(200, EVENT_STREAM, schema::reference("Overview")),
            get(analytics::overview),
        )
}

fn for_auditors(api: Api) -> Api {
    let time = || json!({ "type": "string", "format": "date-time" });
    let place = || number(0, i64::MAX);
    let replay = "The stored events as JSON Lines, one CloudEvent a line, up to the end of the log as it is now.";
    let replay = Operation::get("/api/audit/replay", "replay", replay)
        .query("id", text(), "The records of this registration.")
        .query("owner_ref", text(), "Those of the registrations of this person, 32 hex digits.")
        .query("tenant", text(), "With owner_ref: through whose service the person came.")
        .query("maker", text(), "The own records of this maker, by the id of its connector.")
        .query("with_registrations", json!({ "type": "boolean" }), "With maker: those of its registrations as well.")
        .query("from_sequence", place(), "The first place of the log; 1 for the whole log.")
        .query("until_sequence", place(), "The last place of the log.")
        .query("from_time", time(), "The first time, RFC 3339.")
        .query("until_time", time(), "The last time, RFC 3339.")
        .answers_with(200, audit::NDJSON, text());
    let as_of = Operation::get("/api/audit/as-of", "asOf", "Status, circuits and metrics as they were.")
        .query("sequence", place(), "The last place of the log that counts; its end without it.")
        .query("time", time(), "The same as a time, RFC 3339.")
        .query("id", text(), "Shows this registration.")
        .query("page_size", number(0, 1_000), "Lists so many registrations, newest first.")
        .query("state", json!({ "type": "array", "items": words(&STATES) }), "Lists any of these states.")
        .query("maker", text(), "The id of a connector, for the list and the metrics.")
        .query("owner_ref", text(), "The pseudonym of an owner, 32 hex digits.")
        .query("window_seconds", number(0, 94_608_000), "The window of the metrics, until the moment; 0 for an hour.")
        .query("resolution", words(&["minute", "hour", "day"]), "How fine the points are.")
        .answers(200, "AsOfResponse");
    api.add(replay, get(audit::replay)).add(as_of, get(audit::as_of))
}

fn for_people(api: Api) -> Api {
    api.page("/", get(pages::register))
        .page("/track/{id}", get(pages::track))
        .page("/registrations", get(pages::registrations))
        .page("/operate", get(pages::operate))
        .page("/assets/{*path}", get(pages::asset))
        .page("/login", get(login::form).post(login::log_in))
        .page("/logout", post(login::log_out))
        .page("/done", get(done::code).post(done::by_code))
        .page("/done/{token}", get(done::show).post(done::finish))
        .page("/done/{token}/opened", post(done::opened))
        .page("/done/{token}/packet", get(done::packet))
}

/// GET /openapi.json
async fn document(State(http): State<Http>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], http.document)
}

/// Everything else.
pub async fn nowhere() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "PATH_NOT_FOUND",
        "there is nothing at this path; /openapi.json names those there are",
    )
}
