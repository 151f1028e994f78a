//! The routes and their OpenAPI 3.1 document, written in one go: a route that is not in the document does not exist.

use axum::Router;
use axum::routing::MethodRouter;
use serde_json::{Map, Value, json};

use super::Http;
use super::problem::PROBLEM_JSON;
use super::schema::{reference, schemas};

const JSON: &str = "application/json";

/// One operation of the interface.
pub struct Operation {
    method: &'static str,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    params: Vec<Value>,
    body: Option<Value>,
    answers: Map<String, Value>,
    /// Messages of the contract that it speaks of.
    messages: Vec<String>,
}

impl Operation {
    /// Reads.
    pub fn get(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new("get", path, id, summary)
    }

    /// Changes.
    pub fn post(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new("post", path, id, summary)
    }

    fn new(method: &'static str, path: &'static str, id: &'static str, summary: &'static str) -> Self {
        let params = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).map(path_param);
        let (params, answers) = (params.collect(), Map::new());
        Self { method, path, id, summary, params, body: None, answers, messages: Vec::new() }
    }

    /// A parameter behind the question mark.
    pub fn query(mut self, name: &'static str, schema: Value, description: &'static str) -> Self {
        self.params.push(json!({ "name": name, "in": "query", "schema": schema, "description": description }));
        self
    }

    /// A header.
    pub fn header(mut self, name: &'static str, schema: Value, description: &'static str) -> Self {
        self.params.push(json!({ "name": name, "in": "header", "schema": schema, "description": description }));
        self
    }

    /// A body with a message of the contract that must be there.
    pub fn takes(mut self, message: &'static str) -> Self {
        self.body = Some(json!({ "required": true, "content": { JSON: { "schema": reference(message) } } }));
        self.messages.push(message.to_owned());
        self
    }

    /// The same, that may be left out.
    pub fn may_take(self, message: &'static str) -> Self {
        let mut operation = self.takes(message);
        if let Some(body) = &mut operation.body {
            body["required"] = json!(false);
        }
        operation
    }

    /// An answer that is a message of the contract.
    pub fn answers(mut self, status: u16, message: &'static str) -> Self {
        self.messages.push(message.to_owned());
        self.answers_with(status, JSON, reference(message))
    }

    /// A message of the contract that an answer of another kind refers to.
    pub fn mentions(mut self, message: &'static str) -> Self {
        self.messages.push(message.to_owned());
        self
    }

    /// An answer of another kind.
    pub fn answers_with(mut self, status: u16, media_type: &str, schema: Value) -> Self {
        let answer = json!({ "description": self.summary, "content": { media_type: { "schema": schema } } });
        self.answers.insert(status.to_string(), answer);
        self
    }

    /// Another media type of an answer.
    pub fn also(mut self, status: u16, media_type: &str, schema: Value) -> Self {
        if let Some(answer) = self.answers.get_mut(&status.to_string()) {
            answer["content"][media_type] = json!({ "schema": schema });
        }
        self
    }

    fn document(mut self) -> Value {
        self.answers.insert("default".into(), json!({ "$ref": "#/components/responses/Problem" }));
        let mut operation = json!({
            "operationId": self.id, "summary": self.summary, "parameters": self.params, "responses": self.answers,
        });
        if let Some(body) = self.body {
            operation["requestBody"] = body;
        }
        operation
    }
}

fn path_param(name: &str) -> Value {
    let schema = match name {
        "attempt" => json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX }),
        _ => json!({ "type": "string", "format": "uuid" }),
    };
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}

/// All routes so far.
pub struct Api {
    router: Router<Http>,
    paths: Map<String, Value>,
    messages: Vec<String>,
}

impl Api {
    pub fn new() -> Self {
        Self { router: Router::new(), paths: Map::new(), messages: Vec::new() }
    }

    /// An operation for programs, with what answers it.
    pub fn add(mut self, mut operation: Operation, handler: MethodRouter<Http>) -> Self {
        self.messages.append(&mut operation.messages);
        let (path, method) = (operation.path, operation.method);
        let at = self.paths.entry(path).or_insert_with(|| json!({}));
        at[method] = operation.document();
        self.router = self.router.route(path, handler);
        self
    }

    /// A page for people, which no document names.
    pub fn page(mut self, path: &str, handler: MethodRouter<Http>) -> Self {
        self.router = self.router.route(path, handler);
        self
    }

    /// The router, and the document that describes it.
    pub fn finish(self) -> (Router<Http>, Value) {
        let mut known: Map<String, Value> = schemas(&self.messages).into_iter().collect();
        known.insert("Problem".into(), problem());
        let document = json!({
            "openapi": "3.1.0",
            "info": {
                "title": "regflow",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "Registers products with their makers. Bodies have the JSON form of the protobuf contract \
                    regflow.v1: fields with their default value are left out. Where access.mode is required, each request has \
                    `Authorization: Bearer` with a key or a token.",
                "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
            },
            "servers": [{ "url": "/" }],
            "paths": self.paths,
            "components": {
                "schemas": known,
                "responses": { "Problem": {
                    "description": "What is wrong, and how to mend it (RFC 9457).",
                    "content": { PROBLEM_JSON: { "schema": reference("Problem") } },
                } },
            },
        });
        (self.router, document)
    }
}

fn problem() -> Value {
    let text = json!({ "type": "string" });
    let error = json!({
        "type": "object", "required": ["field", "problem"], "properties": { "field": text, "problem": text },
    });
    json!({
        "type": "object",
        "required": ["type", "title", "status", "detail", "reason"],
        "properties": {
            "type": text, "title": text, "status": { "type": "integer" }, "detail": text, "reason": text,
            "errors": { "type": "array", "items": error },
        },
    })
}
